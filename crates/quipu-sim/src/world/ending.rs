//! The end of a run: all is healed, everything pending must come to an end, and then every total
//! and the log itself are audited.

use quipu_log::audit::audit;

use crate::checks::{Check, Checked, Violation, ensure};
use crate::coverage::Met;
use crate::disk::Keep;
use crate::event::End;
use crate::senders::Sender;

use crate::world::{NODE, World};

/// How long everything may take to come to an end once all is well, in microseconds. Guess: many
/// times the longest timeout of a client.
const SETTLE_US: u64 = 300_000_000;

/// How long a node that hangs may take to be ended by its operator, in microseconds. Guess.
const HANG_US: u64 = 30_000_000;

/// Memory of the audit's change set before it spills.
const AUDIT_MEMORY_BYTES: usize = 1 << 20;

impl World {
    /// All troubles end.
    pub(super) fn heal(&mut self) {
        self.end_troubles();
        self.note("heal", [0, 0, 0]);
        if self.machine(NODE).disk.is_dead() {
            self.end(NODE, End::PowerCut(Keep::Some));
        }
    }

    fn is_settled(&mut self) -> bool {
        let is_quiet = self.clients.waiting() == 0 && self.senders.iter().all(Sender::is_done);
        let machine = self.machine(NODE);
        let process = machine.process.as_ref();
        is_quiet && process.is_some_and(|p| p.held() == 0 && !p.at.committing && !p.node.is_dirty())
    }

    /// Everything that is pending comes to an end.
    pub(super) fn settle(&mut self) -> Checked {
        let begin = self.schedule.now_us();
        // Requests that hang with a node that hangs begin when it is ended.
        let end = begin + HANG_US + SETTLE_US;
        while !self.is_settled() {
            let goes_on = self.schedule.now_us() < end && self.step()?;
            if !goes_on {
                return Err(Violation::new(Check::Liveness, self.pending()));
            }
        }
        Ok(())
    }

    /// What is still pending.
    fn pending(&mut self) -> String {
        let (waiting, oldest) = (self.clients.waiting(), format!("{:?}", self.clients.oldest()));
        let stuck: Vec<_> = self.senders.iter().filter(|s| !s.is_done()).collect();
        let streams = format!("{stuck:?}");
        let machine = self.machine(NODE);
        let node = machine.process.as_ref().map_or("no node".to_owned(), |process| {
            format!("{} replies held, committing: {}", process.held(), process.at.committing)
        });
        format!("{waiting} requests wait, the oldest {oldest}; streams {streams}; {node}")
    }

    /// Every total is exact as far as clients can know, and the log says what the node says.
    pub(super) fn audit(&mut self) -> Checked {
        self.histories.end_all()?;
        self.check_totals()?;
        self.check_streams()?;
        self.stop(NODE)?;
        let disk = self.machine(NODE).disk.copy();
        let audited = audit(&disk, AUDIT_MEMORY_BYTES).map_err(|error| {
            Violation::new(Check::SnapshotIsLog, format!("the audit cannot be made: {error}"))
        })?;
        ensure(audited.is_clean(), Check::SnapshotIsLog, || {
            format!("the audit found {audited:?}")
        })?;
        self.coverage.met(Met::Audits);
        // What was stopped in order needs nothing of the cache.
        self.end(NODE, End::PowerCut(Keep::Nothing));
        while self.machine(NODE).process.is_none() {
            ensure(self.step()?, Check::Liveness, || "the node does not start again".to_owned())?;
        }
        self.check_totals()
    }

    fn check_totals(&mut self) -> Checked {
        for counter in 0..self.tally.len() {
            let bounds = self.tally.bounds(counter);
            let shard = self.names.shard(counter);
            let machine = self.machines.first();
            let Some(process) = machine.and_then(|m| m.process.as_ref()) else { continue };
            let found = process.shard(shard).peek(self.names.counter(counter)).value.unwrap_or(0);
            ensure(bounds.contains(&i128::from(found)), Check::FinalTotals, || {
                format!("counter {counter} is {found} at the end, not in {bounds:?}")
            })?;
            self.coverage.met(Met::TotalsChecked);
            self.coverage.add(Met::TotalsExact, u64::from(bounds.start() == bounds.end()));
        }
        Ok(())
    }

    /// Each stream is marked as far as it was answered, and no farther than it was sent.
    fn check_streams(&mut self) -> Checked {
        for sender in self.senders.iter().filter(|sender| !sender.is_refused) {
            let Some(process) = self.machines.first().and_then(|m| m.process.as_ref()) else {
                continue;
            };
            let view = process.node.stream(self.names.stream(sender.stream).as_bytes());
            let newest = view.marks.iter().map(|(_, mark)| *mark).max().unwrap_or(0);
            ensure(newest == sender.answered(), Check::StreamOnce, || {
                format!("stream {} is marked {newest}: {sender:?}", sender.stream)
            })?;
        }
        Ok(())
    }
}
