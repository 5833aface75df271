//! How well one thread kept to its plan, and what kept it from that: a full limit of requests in flight,
//! a target that answered nothing, or a core that it did not get.

use quipu_lab::recording::{Latencies, latencies};
use quipu_lab::slot::Slot;

/// How well one thread kept to its plan.
#[derive(Debug)]
pub(crate) struct Punctuality {
    /// Of each phase, whether it belongs to the result.
    recorded: Vec<bool>,
    /// Until when there was no room for what was due.
    full_ns: Option<u64>,
    /// Since when an answer is waited for.
    heard_ns: u64,
    /// How late slots left that were not held back.
    pub(crate) own_lag: Latencies,
    /// Slots that were due while there was no room.
    pub(crate) held_back: u64,
    /// The longest time without an answer while one was waited for.
    pub(crate) silence_ns: u64,
    /// When it ended.
    pub(crate) silence_end_ns: u64,
    /// The most by which a wait ended too late.
    pub(crate) absence_ns: u64,
}

impl Punctuality {
    pub(crate) fn new(recorded: Vec<bool>) -> Self {
        Self {
            recorded,
            full_ns: None,
            heard_ns: 0,
            own_lag: latencies(),
            held_back: 0,
            silence_ns: 0,
            silence_end_ns: 0,
            absence_ns: 0,
        }
    }

    /// Forgets all that was noted before the run began.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(std::mem::take(&mut self.recorded));
    }

    /// Notes that there is no room for a slot that is due.
    pub(crate) fn full(&mut self, now_ns: u64) {
        self.full_ns = Some(now_ns);
    }

    /// Notes that a slot leaves or is given up.
    pub(crate) fn left(&mut self, slot: &Slot, now_ns: u64) {
        if !self.recorded.get(usize::from(slot.phase)).is_some_and(|is_recorded| *is_recorded) {
            return;
        }
        if self.full_ns.is_some_and(|full_ns| slot.due_ns <= full_ns) {
            self.held_back += 1;
        } else {
            self.own_lag.saturating_record(now_ns.saturating_sub(slot.due_ns));
        }
    }

    /// Notes that from now on an answer is waited for.
    pub(crate) fn waits(&mut self, now_ns: u64) {
        self.heard_ns = now_ns;
    }

    /// Notes that an answer came.
    pub(crate) fn heard(&mut self, now_ns: u64) {
        let silence_ns = now_ns.saturating_sub(self.heard_ns);
        if silence_ns > self.silence_ns {
            (self.silence_ns, self.silence_end_ns) = (silence_ns, now_ns);
        }
        self.heard_ns = now_ns;
    }

    /// Notes that a wait that was to end at `until_ns` has ended.
    pub(crate) fn woke(&mut self, until_ns: u64, now_ns: u64) {
        self.absence_ns = self.absence_ns.max(now_ns.saturating_sub(until_ns));
    }
}

#[cfg(test)]
mod tests {
    use quipu_lab::slot::Slot;

    use super::Punctuality;

    fn slot(phase: u16, due_ns: u64) -> Slot {
        Slot { number: 0, phase, due_ns }
    }

    #[test]
    fn a_slot_is_held_back_once_and_only_by_a_full_limit() {
        let mut kept = Punctuality::new(vec![false, true]);
        kept.left(&slot(1, 1_000), 2_000);
        // Two turns find no room for the slots that are due by then.
        kept.full(5_000);
        kept.full(6_000);
        kept.left(&slot(1, 4_000), 8_000);
        kept.left(&slot(1, 6_000), 8_000);
        kept.left(&slot(1, 7_000), 8_000);
        // Of no phase of the result.
        kept.left(&slot(0, 5_000), 9_000);
        assert_eq!((kept.held_back, kept.own_lag.len()), (2, 2));
        assert!(kept.own_lag.max() < 2_000, "{}", kept.own_lag.max());
    }

    #[test]
    fn silence_is_counted_while_an_answer_is_waited_for() {
        let mut kept = Punctuality::new(vec![true]);
        kept.waits(1_000);
        kept.heard(1_500);
        // Idle meanwhile.
        kept.waits(9_000);
        kept.heard(9_700);
        kept.heard(9_800);
        assert_eq!((kept.silence_ns, kept.silence_end_ns), (700, 9_700));
        kept.woke(100, 400);
        kept.woke(500, 450);
        assert_eq!(kept.absence_ns, 300);
        kept.restart();
        assert_eq!((kept.silence_ns, kept.absence_ns, kept.recorded.len()), (0, 0, 1));
    }
}
