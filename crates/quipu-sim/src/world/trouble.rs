//! What goes wrong, and for how long.

use crate::checks::Checked;
use crate::coverage::Met;
use crate::disk::{Call, Keep, Role};
use crate::event::{End, Event, Lasting, NodeId};
use crate::world::{NODE, World};

/// Longest time without room, with a slow disk and so on, in microseconds. Guess: long enough for
/// clients to notice, short against a run.
const LASTING_US: u64 = 5_000_000;

/// A disk stays full longer: what is prepared must be used up before anybody notices.
const FULL_DISK_FACTOR: u64 = 8;

/// Calls after which an armed fault strikes, at most.
const SKIPPED_MAX: u64 = 60;

impl World {
    /// How long a node stays down.
    pub(super) fn down_us(&mut self) -> u64 {
        1_000 + self.chaos.below(self.options.faults.down_us)
    }

    /// Something goes wrong, and the next thing will.
    pub(super) fn fault(&mut self) -> Checked {
        if self.is_healed {
            return Ok(());
        }
        let mean = self.options.faults.every_us;
        let pause = self.chaos.below(2 * mean);
        self.schedule.after(pause, Event::Fault);
        let drawn = self.chaos.below(20);
        self.note("fault", [drawn, 0, 0]);
        let runs = self.machine(NODE).process.is_some();
        match drawn {
            0..=3 if runs => self.lose_power(),
            4..=5 if runs => self.meet(End::Kill),
            6..=8 => self.break_disk(),
            9..=10 => {
                let calls = self.chaos.below(SKIPPED_MAX);
                self.machine(NODE).disk.set_fuse(calls);
            }
            11 => self.fill_disk(),
            12 => self.slow_disk(),
            13 => self.machine(NODE).is_stuck = true,
            14..=15 => self.bend_clock(),
            16 => self.fill_memory(),
            17 => self.spoil_network(),
            18 if runs => return self.restart_in_order(),
            _ => self.freeze_clock(),
        }
        Ok(())
    }

    fn lose_power(&mut self) {
        let keep = match self.chaos.below(4) {
            0 => Keep::Nothing,
            1 => Keep::Everything,
            _ => Keep::Some,
        };
        self.meet(End::PowerCut(keep));
        // A clock that has lost its power may be anywhere near.
        if self.chaos.below(4) == 0 {
            self.bend_clock();
        }
    }

    /// The node ends now or, more often, in the middle of its next sync.
    fn meet(&mut self, end: End) {
        if self.chaos.below(4) == 0 {
            self.end(NODE, end);
        } else {
            self.machine(NODE).doom = Some(end);
        }
    }

    fn break_disk(&mut self) {
        let calls = [
            Call::Sync(Role::Segment),
            Call::Sync(Role::Segment),
            Call::Write(Role::Segment),
            Call::Sync(Role::Other),
            Call::Write(Role::Other),
            Call::SyncDir,
        ];
        let call = *self.chaos.pick(&calls).unwrap_or(&Call::SyncDir);
        let skip = self.chaos.below(SKIPPED_MAX);
        self.machine(NODE).disk.arm(call, skip);
    }

    /// Lets something last for a while.
    fn last(&mut self, what: Lasting) {
        let longer = if what == Lasting::FullDisk { FULL_DISK_FACTOR } else { 1 };
        let time = 1_000 + self.chaos.below(LASTING_US * longer);
        self.schedule.after(time, Event::Over(NODE, what));
    }

    fn fill_disk(&mut self) {
        let free = self.chaos.below(2) * self.chaos.below(600 << 10);
        self.machine(NODE).disk.set_free(Some(free));
        self.coverage.met(Met::FullDisks);
        self.last(Lasting::FullDisk);
    }

    fn slow_disk(&mut self) {
        let slowness = 2 + self.chaos.below(60);
        self.machine(NODE).slowness = slowness;
        self.coverage.met(Met::SlowDisks);
        self.last(Lasting::SlowDisk);
    }

    fn bend_clock(&mut self) {
        let most = self.options.faults.jump_ms;
        let to = self.chaos.below(2 * most + 1) as i64 - most as i64;
        self.machine(NODE).clock.set_offset(to);
        self.coverage.met(Met::ClockJumps);
    }

    fn freeze_clock(&mut self) {
        let now_us = self.schedule.now_us();
        self.machine(NODE).clock.freeze(now_us, true);
        self.coverage.met(Met::ClockFreezes);
        self.last(Lasting::FrozenClock);
    }

    fn fill_memory(&mut self) {
        if let Some(process) = &mut self.machine(NODE).process {
            process.set_memory_full(true);
            self.coverage.met(Met::MemoryFull);
            self.last(Lasting::FullMemory);
        }
    }

    fn spoil_network(&mut self) {
        self.is_network_bad = true;
        self.coverage.met(Met::BadNetworks);
        self.last(Lasting::BadNetwork);
    }

    /// An operator stops the node and starts it again.
    fn restart_in_order(&mut self) -> Checked {
        self.stop(NODE)?;
        let delay = self.down_us();
        self.schedule.after(delay, Event::Start(NODE));
        Ok(())
    }

    /// Something that lasted is over.
    pub(super) fn over(&mut self, node: NodeId, what: Lasting) {
        let now_us = self.schedule.now_us();
        let machine = self.machine(node);
        match what {
            Lasting::FullDisk => machine.disk.set_free(None),
            Lasting::SlowDisk => machine.slowness = 1,
            Lasting::FrozenClock => machine.clock.freeze(now_us, false),
            Lasting::FullMemory => {
                if let Some(process) = &mut machine.process {
                    process.set_memory_full(false);
                }
            }
            Lasting::BadNetwork => self.is_network_bad = false,
        }
    }

    /// Everything is well from now on.
    pub(super) fn end_troubles(&mut self) {
        self.is_healed = true;
        self.is_network_bad = false;
        self.clients.heal();
        let machine = self.machine(NODE);
        machine.disk.disarm();
        machine.disk.set_free(None);
        machine.slowness = 1;
        (machine.is_stuck, machine.doom) = (false, None);
        machine.clock.heal();
        if let Some(process) = &mut machine.process {
            process.set_memory_full(false);
        }
    }
}
