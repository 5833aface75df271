//! Where a thread's slots come from: the schedule, or in a closed loop the answers.

use std::iter::Peekable;

use quipu_lab::scenario::{Load, Model, Scenario};
use quipu_lab::schedule::{Schedule, Slots};
use quipu_lab::slot::Slot;

/// The slots of one thread.
#[derive(Debug)]
pub(crate) enum Source {
    /// They are due by the schedule.
    Open(Open),
    /// They are due when a user has got an answer.
    Closed(Closed),
}

/// Slots that are due by the schedule, whatever became of those before.
#[derive(Debug)]
pub(crate) struct Open {
    next: Peekable<Slots>,
    taken: u64,
    /// The same slots again, to count those that are due.
    ahead: Peekable<Slots>,
    due: u64,
}

/// Slots that are due when there is a user without a request.
#[derive(Debug)]
pub(crate) struct Closed {
    schedule: Schedule,
    /// This thread's users, by phase.
    users: Vec<u64>,
    number: u64,
    stride: u64,
}

impl Source {
    /// Returns the slots of thread `thread` of `threads`.
    pub(crate) fn new(scenario: &Scenario, schedule: &Schedule, thread: u32, threads: u32) -> Self {
        let Model::Closed { users } = scenario.arrival.model else {
            let slots = schedule.slots(thread, threads);
            let (next, ahead) = (slots.clone().peekable(), slots.peekable());
            return Self::Open(Open { next, taken: 0, ahead, due: 0 });
        };
        let share = |phase_users: u32| u64::from(share(phase_users, thread, threads));
        let of_phase = |load: &Load| match load {
            Load::Users(users) => share(*users),
            Load::Rate(_) | Load::Ramp { .. } => share(users),
        };
        Self::Closed(Closed {
            schedule: schedule.clone(),
            users: scenario.phases.iter().map(|phase| of_phase(&phase.load)).collect(),
            number: u64::from(thread),
            stride: u64::from(threads),
        })
    }

    /// Returns the slot that is next, while `in_flight` requests are under way; nothing at the end of
    /// the plan, or while all users of a closed loop wait for their answers.
    pub(crate) fn peek(&mut self, now_ns: u64, in_flight: u64) -> Option<Slot> {
        match self {
            Self::Open(open) => open.next.peek().copied(),
            Self::Closed(closed) => {
                let phase = closed.schedule.phase_at(now_ns)?;
                let users = closed.users.get(usize::from(phase)).copied().unwrap_or(0);
                let slot = Slot { number: closed.number, phase, due_ns: now_ns };
                (in_flight < users).then_some(slot)
            }
        }
    }

    /// Goes on behind the slot that was peeked.
    pub(crate) fn take(&mut self) {
        match self {
            Self::Open(open) => {
                open.next.next();
                open.taken += 1;
            }
            Self::Closed(closed) => closed.number += closed.stride,
        }
    }

    /// Counts the slots that are due and were not taken. Costs a step per slot, once.
    pub(crate) fn backlog(&mut self, now_ns: u64) -> u64 {
        let Self::Open(open) = self else { return 0 };
        if open.next.peek().is_none_or(|slot| slot.due_ns > now_ns) {
            return 0;
        }
        while open.due < open.taken {
            open.ahead.next();
            open.due += 1;
        }
        while open.ahead.next_if(|slot| slot.due_ns <= now_ns).is_some() {
            open.due += 1;
        }
        open.due - open.taken
    }
}

/// Returns the part of `whole` that is thread `thread`'s of `threads`; the parts add up.
pub(crate) fn share(whole: u32, thread: u32, threads: u32) -> u32 {
    whole / threads + u32::from(thread < whole % threads)
}
