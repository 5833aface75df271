//! What happens to a slot that is due: it is sent, it waits its turn, or it is missed.
//!
//! The overdue slots need no memory: they are those of the schedule between the one that is next and
//! the last one that is due, in their order, and the schedule can tell each of them again.

use crate::scenario::Late;
use crate::slot::Slot;

/// What is to be done about the next slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send it.
    Send,
    /// Count it as missed and look at the one after it.
    Miss,
    /// Nothing before this moment, in nanoseconds from the start, unless an answer makes room.
    WaitUntil(u64),
    /// Nothing until an answer makes room.
    WaitForRoom,
}

/// Returns what is to be done about `slot` at `now_ns`, if there is room for one more request or not.
pub fn step(late: Late, slot: &Slot, now_ns: u64, has_room: bool) -> Step {
    if slot.due_ns > now_ns {
        return Step::WaitUntil(slot.due_ns);
    }
    match late {
        Late::Drop(most) if now_ns - slot.due_ns > most.0 => Step::Miss,
        _ if has_room => Step::Send,
        Late::NoCatchUp => Step::Miss,
        Late::Queue => Step::WaitForRoom,
        Late::Drop(most) => Step::WaitUntil(slot.due_ns.saturating_add(most.0) + 1),
    }
}

#[cfg(test)]
mod tests {
    use stdx::units::Nanos;

    use super::{Step, step};
    use crate::scenario::Late;
    use crate::slot::Slot;

    const PATIENCE: Late = Late::Drop(Nanos(500));

    fn check(late: Late, now_ns: u64, has_room: bool, expected: Step) {
        let slot = Slot { number: 7, phase: 0, due_ns: 1_000 };
        assert_eq!(step(late, &slot, now_ns, has_room), expected, "{late:?} {now_ns} {has_room}");
    }

    #[test]
    fn nothing_is_sent_before_it_is_due() {
        for late in [Late::Queue, PATIENCE, Late::NoCatchUp] {
            check(late, 999, true, Step::WaitUntil(1_000));
            check(late, 999, false, Step::WaitUntil(1_000));
            check(late, 1_000, true, Step::Send);
        }
    }

    #[test]
    fn a_queued_slot_waits_for_room_however_long() {
        check(Late::Queue, 1_000, false, Step::WaitForRoom);
        check(Late::Queue, u64::MAX, false, Step::WaitForRoom);
        check(Late::Queue, u64::MAX, true, Step::Send);
    }

    #[test]
    fn a_slot_is_dropped_after_its_patience_and_not_before() {
        check(PATIENCE, 1_500, true, Step::Send);
        check(PATIENCE, 1_500, false, Step::WaitUntil(1_501));
        check(PATIENCE, 1_501, false, Step::Miss);
        check(PATIENCE, 1_501, true, Step::Miss);
    }

    #[test]
    fn without_catching_up_a_slot_that_finds_no_room_is_missed() {
        check(Late::NoCatchUp, 1_000, false, Step::Miss);
        check(Late::NoCatchUp, 9_000, true, Step::Send);
    }
}
