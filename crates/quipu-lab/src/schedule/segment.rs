//! A stretch of the schedule with one rate function, and its inverse.

use crate::scenario::Rate;
use crate::slot::Slot;

/// A count of slots in units of 5e-13: thousandths of slots per second times nanoseconds, halved so
/// that the mean of two rates stays whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Count(u128);

/// Units of [`Count`] in one slot.
const SLOT: u128 = 2_000_000_000_000;

impl Count {
    /// The number of whole-numbered slots below this count, the first being number 0.
    fn slots_below(self) -> u64 {
        self.0.div_ceil(SLOT) as u64
    }

    /// How far the count is from that of a slot, in slots.
    fn distance_to(self, number: u64) -> f64 {
        (u128::from(number) * SLOT).saturating_sub(self.0) as f64 / SLOT as f64
    }

    /// The count as a number of slots.
    pub(super) fn as_slots(self) -> f64 {
        self.0 as f64 / SLOT as f64
    }
}

/// How the rate goes over the time of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Curve {
    /// The same rate all the time.
    Constant(Rate),
    /// A straight line from the first rate to the second.
    Linear(Rate, Rate),
    /// The same factor in the same time, from the first rate to the second.
    Exponential(Rate, Rate),
}

impl Curve {
    pub(super) const fn constant(rate: Rate) -> Self {
        Self::Constant(rate)
    }

    pub(super) fn linear(from: Rate, to: Rate) -> Self {
        if from == to { Self::Constant(from) } else { Self::Linear(from, to) }
    }

    /// A ramp from or to nothing has no factor: it is a straight line.
    pub(super) fn exponential(from: Rate, to: Rate) -> Self {
        match (from, to) {
            _ if from == to => Self::Constant(from),
            (Rate::ZERO, _) | (_, Rate::ZERO) => Self::Linear(from, to),
            _ => Self::Exponential(from, to),
        }
    }

    /// The integral of the rate over `ns` nanoseconds, of which all is the length of the segment.
    fn count(self, ns: u64) -> Count {
        let twice_mean = match self {
            Self::Constant(rate) => u128::from(rate.thousandths()) * 2,
            Self::Linear(from, to) => u128::from(from.thousandths() + to.thousandths()),
            Self::Exponential(from, to) => {
                let (from, to) = (from.per_second(), to.per_second());
                let slots = (to - from) / (to / from).ln() * (ns as f64 / 1e9);
                return Count((slots * SLOT as f64) as u128);
            }
        };
        Count(twice_mean * u128::from(ns))
    }

    /// The seconds after which the integral has reached `slots`, in a segment of `length` seconds.
    fn seconds_until(self, slots: f64, length: f64) -> f64 {
        match self {
            Self::Constant(rate) => slots / rate.per_second(),
            Self::Linear(from, to) => {
                // a t + (b - a) t^2 / 2T = x, in the form that loses nothing when a and b are near
                // each other and none when the rate falls to 0 (a difference just below 0 is 0).
                let (from, to) = (from.per_second(), to.per_second());
                let root = (from * from + 2.0 * (to - from) / length * slots).max(0.0).sqrt();
                if from + root > 0.0 { 2.0 * slots / (from + root) } else { 0.0 }
            }
            Self::Exponential(from, to) => {
                // (a / k) (e^kt - 1) = x.
                let growth = (to.per_second() / from.per_second()).ln() / length;
                (slots * growth / from.per_second()).ln_1p() / growth
            }
        }
    }

    fn rate_after(self, seconds: f64, length: f64) -> f64 {
        let share = seconds / length;
        match self {
            Self::Constant(rate) => rate.per_second(),
            Self::Linear(from, to) => {
                from.per_second() + (to.per_second() - from.per_second()) * share
            }
            Self::Exponential(from, to) => {
                from.per_second() * (to.per_second() / from.per_second()).powf(share)
            }
        }
    }
}

/// A stretch of the schedule with one rate function.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The phase that it belongs to.
    pub phase: u16,
    /// When it begins, in nanoseconds from the start of the run.
    pub start_ns: u64,
    /// When the next begins.
    pub end_ns: u64,
    /// The number of its first slot.
    pub first: u64,
    /// How many slots it has.
    pub slots: u64,
    curve: Curve,
    count_before: Count,
    count_after: Count,
    /// From the start of the segment to its first slot, in slots: below 1.
    offset: f64,
}

impl Segment {
    pub(super) fn new(phase: u16, curve: Curve, start_ns: u64, ns: u64, before: Count) -> Self {
        let first = before.slots_below();
        let after = Count(before.0 + curve.count(ns).0);
        Self {
            phase,
            start_ns,
            end_ns: start_ns + ns,
            first,
            slots: after.slots_below() - first,
            curve,
            count_before: before,
            count_after: after,
            offset: before.distance_to(first),
        }
    }

    /// Returns the number after that of its last slot.
    pub fn end_number(&self) -> u64 {
        self.first + self.slots
    }

    /// Returns the planned rate of a moment of this segment, in slots per second.
    pub fn rate_at(&self, ns: u64) -> f64 {
        let seconds = ns.saturating_sub(self.start_ns) as f64 / 1e9;
        self.curve.rate_after(seconds, self.length_s())
    }

    /// Returns the slot of a number that is one of this segment's; `burst` of them share a moment.
    pub(super) fn slot(&self, number: u64, burst: u64) -> Slot {
        let mut after_first = number - self.first;
        if burst > 1 {
            after_first -= after_first % burst;
        }
        Slot { number, phase: self.phase, due_ns: self.due_ns(after_first as f64 + self.offset) }
    }

    /// The moment at which the count has grown by `slots` since the start of the segment.
    pub(super) fn due_ns(&self, slots: f64) -> u64 {
        let after_ns = self.curve.seconds_until(slots, self.length_s()) * 1e9;
        // The count says which segment a slot is in; rounding must not put it into another.
        (self.start_ns + after_ns as u64).min(self.end_ns - 1)
    }

    pub(super) fn count_at_start(&self) -> Count {
        self.count_before
    }

    pub(super) fn count_at_end(&self) -> Count {
        self.count_after
    }

    fn length_s(&self) -> f64 {
        (self.end_ns - self.start_ns) as f64 / 1e9
    }
}
