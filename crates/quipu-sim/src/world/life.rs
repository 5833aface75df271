//! A node's life: starts, commits, upkeep and ends.

use quipu_core::clock::{AHEAD_MS_MAX, BEHIND_MS_MAX, LogClock};
use quipu_core::outcome::Refusal;
use quipu_core::shard::Shard;
use quipu_log::log::Cut;

use crate::checks::{Check, Checked, Violation, ensure};
use crate::coverage::Met;
use crate::disk::Keep;
use crate::event::{End, Event, NodeId};
use crate::process::{Parts, Process};
use crate::request::{Ask, Response, Ticket};
use crate::shadow::{Asked, compare};
use crate::store::{OpenError, Opened, Prepared};
use crate::world::World;

/// How often the housekeeper looks around, in microseconds. Spec of the server.
const TICK_US: u64 = 100_000;

/// How long the preparer waits before it asks a disk again. Spec of the server.
const PREPARE_PAUSE_US: u64 = 1_000_000;

/// Expired counters deleted in one step. Spec of the server.
const REAP_STEPS: usize = 64;

/// How long a supervisor waits after a start that failed, in microseconds. Guess.
const START_PAUSE_US: u64 = 300_000;

/// Tokens that are asked for again after a start. Guess: enough to find one that is missing.
const TOKENS_PROBED: usize = 400;

/// One in so many looks of the housekeeper counts tokens. Guess: often enough for every seed.
const WINDOW_CHECKS: u64 = 40;

/// One in so many folds is cancelled half way. Guess.
const FOLDS_PER_CANCEL: u64 = 12;

impl World {
    /// A node starts, if nothing stands in its way.
    pub(super) fn start(&mut self, node: NodeId) -> Checked {
        if self.machine(node).process.is_some() {
            return Ok(());
        }
        let machine = self.machine(node);
        machine.life += 1;
        let (life, before) = (machine.life, machine.disk.facts());
        machine.disk.watch(false);
        self.note("start", [life, 0, 0]);
        match self.machine(node).medium.open(life) {
            Ok(opened) => self.opened(node, opened),
            Err(OpenError::Refused(why)) => Err(Violation::new(Check::RefusedStart, why)),
            Err(OpenError::Device(why)) => {
                self.trace.say(|| why.clone());
                let machine = self.machine(node);
                let after = machine.disk.facts();
                let is_excused = machine.disk.is_dead()
                    || after.sync_failures > before.sync_failures
                    || after.write_failures > before.write_failures
                    || after.dir_failures > before.dir_failures;
                ensure(is_excused, Check::RefusedStart, || format!("no fault, but {why}"))?;
                self.start_again(node);
                Ok(())
            }
        }
    }

    fn start_again(&mut self, node: NodeId) {
        self.coverage.met(Met::FailedStarts);
        if self.machine(node).disk.is_dead() {
            self.coverage.met(Met::FusePower);
            self.cut_power(node, Keep::Some);
        }
        let delay = START_PAUSE_US + self.down_us();
        self.schedule.after(delay, Event::Start(node));
    }

    fn opened(&mut self, node: NodeId, opened: Opened) -> Checked {
        let Opened { mut store, mut shards, found } = opened;
        let now_us = self.schedule.now_us();
        self.trace.say(|| format!("{found:?}"));
        let names = std::mem::take(&mut self.names);
        let machine = self.machine(node);
        let recovered = machine.witness.note_recovered(&found, &shards, &names);
        let (clocks, accepted) = (machine.clocks(now_us), machine.clock_accepted);
        self.names = names;
        recovered?;
        self.coverage.met(Met::StatesCompared);
        self.coverage.met(Met::FoldsCompared);
        self.coverage.add(Met::TornTails, u64::from(found.was_cut));
        self.coverage.add(Met::Rewrites, u64::from(found.rewritten > 0));
        self.coverage.add(Met::SnapshotStarts, u64::from(found.snapshot > 0));
        let newest = shards.iter().map(Shard::time_ms).max().unwrap_or(0);
        let Ok(clock) = LogClock::start(clocks, newest, accepted) else {
            return self.doubt_clock(node, newest, clocks.wall_ms);
        };
        let machine = self.machine(node);
        machine.clock_accepted = false;
        let (life, window_ms) = (machine.life, machine.settings.window_ms);
        let mut epoch = Cut::default();
        for shard in &mut shards {
            shard.begin_epoch(clock.now_ms(), window_ms, &mut epoch.payload);
        }
        let position = store.position() + 1;
        let appended = store.log().append(&epoch);
        // Also a write that failed may have reached the disk.
        machine.witness.note_epoch(position, epoch.payload, clock.now_ms());
        if appended.and_then(|()| store.log().flush(&mut Vec::new())).is_err() {
            self.start_again(node);
            return Ok(());
        }
        machine.witness.begin_life(&shards, (clock.now_ms(), newest), position)?;
        machine.read_us = now_us;
        machine.facts = machine.disk.facts();
        machine.disk.watch(true);
        let process = Process::new(Parts { store, shards, clock, life }, machine.settings);
        machine.recovered_tokens = process.node.tokens();
        machine.process = Some(process);
        self.coverage.met(Met::Starts);
        self.probe_tokens(node)?;
        self.begin_upkeep(node, life);
        Ok(())
    }

    /// A start whose clock cannot be true needs a person's word, and only such a start does.
    fn doubt_clock(&mut self, node: NodeId, log_ms: u64, wall_ms: u64) -> Checked {
        let is_doubtful = wall_ms + BEHIND_MS_MAX < log_ms || wall_ms > log_ms + AHEAD_MS_MAX;
        ensure(is_doubtful, Check::LogTime, || {
            format!("a start at {wall_ms} ms was refused, the log is at {log_ms} ms")
        })?;
        self.coverage.met(Met::ClockDoubts);
        self.machine(node).clock_accepted = true;
        self.schedule.after(TICK_US, Event::Start(node));
        Ok(())
    }

    /// A repeat of every remembered token gets the original outcome, on a node that has no room
    /// for anything else yet.
    fn probe_tokens(&mut self, node: NodeId) -> Checked {
        let now_ms = self.log_time(node)?;
        let names = std::mem::take(&mut self.names);
        let machine = self.machine(node);
        let count = machine.witness.shadow.tokens().count();
        let skip = count.saturating_sub(TOKENS_PROBED) / 2;
        let known = machine.witness.shadow.tokens().skip(skip).take(TOKENS_PROBED);
        let asks: Vec<Ask> = known
            .map(|((counter, key), memory)| {
                let (counter, action) = (*counter, memory.action);
                Ask { counter, action, ticket: Ticket::Key(*key) }
            })
            .collect();
        let mut probed = Ok(());
        for ask in &asks {
            let text = ask.key_text(false);
            let Some(process) = &machine.process else { break };
            let no_room = process.admission(1);
            let seen = process.node.execute(now_ms, &ask.op(&names, text.as_ref()));
            let shard = names.shard(ask.counter);
            let asked = Asked { shard, now_ms, ask, no_room, memory_full: false, seen: &seen };
            let expected = machine.witness.shadow.step(&asked);
            probed = probed.and_then(|()| compare(&machine.witness.shadow, ask, &seen, &expected));
        }
        self.names = names;
        self.coverage.add(Met::TokensChecked, asks.len() as u64);
        probed
    }

    fn begin_upkeep(&mut self, node: NodeId, life: u64) {
        let flush = self.options.node.flush_us;
        if let Some(process) = &mut self.machine(node).process {
            process.note_room();
        }
        self.prepare_if_needed(node);
        self.schedule.after(TICK_US, Event::Tick(node, life));
        self.schedule.after(flush, Event::Flush(node, life));
    }

    fn process(&mut self, node: NodeId) -> Option<&mut Process<crate::event::Route>> {
        self.machine(node).process.as_mut()
    }

    /// Begins a commit if somebody waits for one.
    pub(super) fn commit_if_wanted(&mut self, node: NodeId) -> Checked {
        let is_wanted = self.process(node).is_some_and(|process| process.wants_commit());
        if is_wanted { self.commit(node) } else { Ok(()) }
    }

    /// Writes what is open; the sync returns later.
    pub(super) fn commit(&mut self, node: NodeId) -> Checked {
        let machine = self.machine(node);
        let Some(process) = &mut machine.process else { return Ok(()) };
        let life = process.life;
        let Some((flight, written)) = process.write() else { return Ok(()) };
        if let Err(error) = &written {
            ensure(error.is_final(), Check::Admission, || format!("what was admitted: {error}"))?;
        }
        // Also a write that failed may have reached the disk.
        machine.witness.note_written(&flight)?;
        if let Err(error) = written {
            return self.fail(node, error.to_string());
        }
        let end = process.store.position();
        ensure(!machine.has_failed(), Check::AckAfterFailure, || {
            "a write went on although the disk had failed".to_owned()
        })?;
        ensure(end == flight.position, Check::GroupWhole, || {
            format!("what was open at once is in the frames {} to {end}", flight.position)
        })?;
        self.note("write", [flight.position, flight.payload.len() as u64, 0]);
        self.schedule_sync(node, life);
        Ok(())
    }

    fn schedule_sync(&mut self, node: NodeId, life: u64) {
        let (least, jitter) = (self.options.disk.sync_us, self.options.disk.sync_jitter_us);
        let machine = self.machine(node);
        let taken = (least + machine.prng.below(jitter + 1)) * machine.slowness;
        if let Some(end) = machine.doom.take() {
            let at = machine.prng.below(taken);
            self.schedule.after(at, Event::Doom(node, life, end));
            return;
        }
        if std::mem::take(&mut machine.is_stuck) {
            let patience = 2_000_000 + machine.prng.below(20_000_000);
            self.coverage.met(Met::StuckSyncs);
            self.schedule.after(patience, Event::Shoot(node, life));
        } else {
            self.schedule.after(taken, Event::Synced(node, life));
        }
    }

    /// A sync returns: replies leave, or the node ends.
    pub(super) fn synced(&mut self, node: NodeId, life: u64) -> Checked {
        if !self.machine(node).runs(life) {
            return Ok(());
        }
        let machine = self.machine(node);
        let Some(process) = &mut machine.process else { return Ok(()) };
        let durable = match process.sync() {
            Ok(durable) => durable.to_vec(),
            Err(why) => return self.fail(node, why),
        };
        ensure(!machine.has_failed(), Check::AckAfterFailure, || {
            "a sync is said to have worked after the disk had failed".to_owned()
        })?;
        if let Some(what) = machine.disk.undurable() {
            return Err(Violation::new(Check::AckedDurable, format!("after a sync {what}")));
        }
        let frames = machine.witness.note_durable(&durable)?;
        let overwrites = machine.disk.facts().overwrites;
        ensure(overwrites == machine.facts.overwrites, Check::DurableBlock, || {
            format!("{overwrites} writes touched blocks with durable data")
        })?;
        self.coverage.add(Met::Frames, frames);
        self.note("synced", [frames, durable.len() as u64, 0]);
        self.release(node)?;
        self.prepare_if_needed(node);
        self.commit_if_wanted(node)
    }

    /// Lets replies leave.
    fn release(&mut self, node: NodeId) -> Checked {
        let Some(process) = self.process(node) else { return Ok(()) };
        for held in process.release() {
            self.leave(held.route, held.response, &held.depends)?;
        }
        Ok(())
    }

    /// The log failed: everything in flight is unknown, and the process ends.
    pub(super) fn fail(&mut self, node: NodeId, why: String) -> Checked {
        self.trace.say(|| why.clone());
        let machine = self.machine(node);
        let (is_dead, failed) = (machine.disk.is_dead(), machine.has_failed());
        ensure(is_dead || failed, Check::Admission, || format!("no fault, but {why}"))?;
        let Some(mut process) = machine.process.take() else { return Ok(()) };
        // Whoever asks once more gets the same answer: a later success would say nothing.
        let again = process.store.log().flush(&mut Vec::new());
        ensure(is_dead || again.is_err(), Check::AckAfterFailure, || {
            format!("after the log had failed ({why}) a sync is said to have worked")
        })?;
        if is_dead {
            process.fail(why);
            self.note("failed", [process.life, process.held() as u64, 0]);
            self.coverage.met(Met::FusePower);
            self.cut_power(node, Keep::Some);
            let delay = self.down_us();
            self.schedule.after(delay, Event::Start(node));
        } else {
            self.stop_answering(node, process, why);
        }
        Ok(())
    }

    /// Answers all that waits as unknown; the node starts again after a while.
    fn stop_answering(
        &mut self,
        node: NodeId,
        mut process: Process<crate::event::Route>,
        why: String,
    ) {
        process.fail(why);
        self.note("failed", [process.life, process.held() as u64, 0]);
        for held in process.give_up() {
            self.coverage.met(Met::Unknowns);
            self.answer(held.route, Response::Unknown);
        }
        let delay = self.down_us();
        self.schedule.after(delay, Event::Start(node));
    }

    /// A node ends without its doing; it starts again after a while.
    pub(super) fn end(&mut self, node: NodeId, how: End) {
        self.machine(node).process = None;
        match how {
            End::Kill => self.coverage.met(Met::Kills),
            End::PowerCut(keep) => self.cut_power(node, keep),
        }
        self.note("end", [u64::from(how == End::Kill), 0, 0]);
        let delay = self.down_us();
        self.schedule.after(delay, Event::Start(node));
    }

    /// Cuts the power of a machine and brings it back.
    pub(super) fn cut_power(&mut self, node: NodeId, keep: Keep) {
        let now_us = self.schedule.now_us();
        let machine = self.machine(node);
        machine.process = None;
        machine.disk.power_cut(keep);
        machine.clock.boot(now_us);
        (machine.is_stuck, machine.doom) = (false, None);
        self.coverage.met(Met::PowerCuts);
        self.note("power", [keep as u64, 0, 0]);
    }

    /// A node meets its end while a sync is under way.
    pub(super) fn doom(&mut self, node: NodeId, life: u64, end: End) {
        if self.machine(node).runs(life) {
            self.end(node, end);
        }
    }

    /// An operator ends a node that hangs.
    pub(super) fn shoot(&mut self, node: NodeId, life: u64) {
        if !self.machine(node).runs(life) {
            return;
        }
        let kill = self.chaos.below(2) == 0;
        self.end(node, if kill { End::Kill } else { End::PowerCut(Keep::Some) });
    }

    /// Stops a node in order: everything is durable then, and the log says so.
    pub(super) fn stop(&mut self, node: NodeId) -> Checked {
        let machine = self.machine(node);
        let Some(process) = &mut machine.process else { return Ok(()) };
        let life = process.life;
        if process.at.committing {
            self.synced(node, life)?;
        }
        if !self.machine(node).runs(life) {
            return Ok(());
        }
        self.commit(node)?;
        self.synced(node, life)?;
        let Some(process) = self.process(node) else { return Ok(()) };
        process.node.stop();
        if let Err(why) = process.store.log().mark() {
            return self.fail(node, why.to_string());
        }
        self.coverage.met(Met::Stops);
        self.machine(node).process = None;
        self.note("stop", [life, 0, 0]);
        Ok(())
    }

    /// What was answered from memory is flushed.
    pub(super) fn flush(&mut self, node: NodeId, life: u64) -> Checked {
        if !self.machine(node).runs(life) {
            return Ok(());
        }
        let flush = self.options.node.flush_us;
        self.schedule.after(flush, Event::Flush(node, life));
        let is_free = self.process(node).is_some_and(|p| !p.at.committing && p.node.is_dirty());
        if is_free { self.commit(node) } else { Ok(()) }
    }

    fn prepare_if_needed(&mut self, node: NodeId) {
        let usual = self.options.disk.prepare_us;
        let machine = self.machine(node);
        let Some(process) = &mut machine.process else { return };
        if process.at.preparing || !process.store.log().needs_segment() {
            return;
        }
        process.at.preparing = true;
        let (life, taken) = (process.life, usual + machine.prng.below(usual));
        self.schedule.after(taken, Event::Prepared(node, life));
    }

    /// The preparer has worked.
    pub(super) fn prepared(&mut self, node: NodeId, life: u64) -> Checked {
        if !self.machine(node).runs(life) {
            return Ok(());
        }
        let Some(process) = self.process(node) else { return Ok(()) };
        let prepared = process.store.prepare();
        process.set_no_space(prepared == Prepared::NoRoom);
        process.at.preparing = false;
        if self.died(node) {
            return Ok(());
        }
        self.note("prepared", [prepared as u64, 0, 0]);
        if prepared == Prepared::Ready {
            self.coverage.met(Met::Prepares);
            return Ok(());
        }
        self.coverage.met(Met::PrepareFailures);
        if prepared == Prepared::Never {
            return self.give_up(node);
        }
        if let Some(process) = self.process(node) {
            process.at.preparing = true;
        }
        self.schedule.after(PREPARE_PAUSE_US, Event::Prepared(node, life));
        Ok(())
    }

    /// A name may or may not be on the disk, so no further segment can be made: the process ends.
    fn give_up(&mut self, node: NodeId) -> Checked {
        let machine = self.machine(node);
        ensure(machine.disk.facts().dir_failures > 0, Check::Admission, || {
            "no fault, but no segment can be prepared".to_owned()
        })?;
        let Some(process) = machine.process.take() else { return Ok(()) };
        self.stop_answering(node, process, "no segment can be prepared".to_owned());
        Ok(())
    }

    /// Whether the power failed in the middle of something that went on beside the requests.
    fn died(&mut self, node: NodeId) -> bool {
        if !self.machine(node).disk.is_dead() {
            return false;
        }
        self.coverage.met(Met::FusePower);
        self.end(node, End::PowerCut(Keep::Some));
        true
    }

    /// The folder has worked.
    pub(super) fn folded(&mut self, node: NodeId, life: u64) -> Checked {
        if !self.machine(node).runs(life) {
            return Ok(());
        }
        let cancel = self.chaos.below(FOLDS_PER_CANCEL) == 0 && !self.is_healed;
        let machine = self.machine(node);
        let before = machine.disk.facts();
        let Some(process) = &mut machine.process else { return Ok(()) };
        process.at.folding = false;
        let folded = process.store.fold(cancel);
        process.note_room();
        let after = machine.disk.facts();
        if self.died(node) {
            return Ok(());
        }
        self.note("folded", [u64::from(folded.is_ok()), 0, 0]);
        match folded {
            Ok(true) => self.coverage.met(Met::Folds),
            Ok(false) => self.coverage.met(Met::FoldsCancelled),
            Err(why) => {
                let is_excused = after.write_failures > before.write_failures
                    || after.sync_failures > before.sync_failures
                    || after.dir_failures > before.dir_failures;
                ensure(is_excused, Check::SnapshotIsLog, || format!("no fault, but {why}"))?;
                self.coverage.met(Met::FoldFailures);
            }
        }
        Ok(())
    }

    /// The housekeeper looks around.
    pub(super) fn tick(&mut self, node: NodeId, life: u64) -> Checked {
        if !self.machine(node).runs(life) {
            return Ok(());
        }
        self.schedule.after(TICK_US, Event::Tick(node, life));
        self.reap(node)?;
        let machine = self.machine(node);
        machine.witness.shadow.prune();
        let Some(process) = &mut machine.process else { return Ok(()) };
        let kept =
            process.mark_if_idle().and_then(|marked| Ok((marked, process.seal_if_wanted()?)));
        let (marked, sealed) = match kept {
            Ok(kept) => kept,
            Err(why) => return self.fail(node, why),
        };
        let fold = !process.at.folding && process.store.is_fold_due();
        process.at.folding |= fold;
        self.coverage.add(Met::Marks, u64::from(marked));
        self.coverage.add(Met::Seals, u64::from(sealed));
        if fold {
            let taken = 10_000 + self.machine(node).prng.below(1_000_000);
            self.schedule.after(taken, Event::Folded(node, life));
        }
        self.prepare_if_needed(node);
        self.check_bounds(node)?;
        // Counting tokens takes time, so it is done now and then.
        if self.chaos.below(WINDOW_CHECKS) == 0 {
            self.check_window(node)?;
        }
        self.commit_if_wanted(node)
    }

    /// Deletes what expired where nobody looked at it.
    fn reap(&mut self, node: NodeId) -> Checked {
        let now_ms = self.log_time(node)?;
        let machine = self.machine(node);
        let Some(process) = &machine.process else { return Ok(()) };
        for id in 0..machine.witness.shards() {
            let no_room: Option<Refusal> = process.admission(REAP_STEPS);
            process.node.reap(now_ms, id, REAP_STEPS);
            if no_room.is_none() {
                machine.witness.shadow.reap(id, now_ms, REAP_STEPS);
            }
        }
        Ok(())
    }

    /// The node remembers every token that is inside its window.
    fn check_window(&mut self, node: NodeId) -> Checked {
        let now_ms = self.log_time(node)?;
        let machine = self.machine(node);
        let Some(process) = &machine.process else { return Ok(()) };
        let (known, wanted) = (process.node.tokens(), machine.witness.shadow.remembered(now_ms));
        ensure(known >= wanted, Check::TokenWindow, || {
            format!("{known} tokens are remembered, {wanted} are inside their window")
        })
    }

    fn check_bounds(&mut self, node: NodeId) -> Checked {
        let machine = self.machine(node);
        let Some(process) = &machine.process else { return Ok(()) };
        let (open, room) = (process.node.open_bytes(), process.room());
        ensure(open <= room || open == 0 || process.at.committing, Check::Limits, || {
            format!("{open} bytes are open, there is room for {room}")
        })?;
        ensure(process.held() <= process.held_most(), Check::Limits, || {
            format!("{} replies are held", process.held())
        })?;
        for id in 0..machine.witness.shards() {
            let shard = process.shard(id);
            let streams =
                shard.streams_after(b"").filter(|(_, stream)| stream.is_recorded()).count();
            let bound = machine.settings.streams_max;
            ensure(streams <= bound, Check::Limits, || {
                format!("shard {id} has {streams} streams")
            })?;
        }
        Ok(())
    }
}
