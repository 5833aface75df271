//! What reads may show and what must be left at the end, for histories of any length.
//!
//! Cheaper than [`linear`](crate::linear), and weaker: it looks at each read by itself. Histories of
//! adds and reads only.

use crate::event::{Call, Event};

/// A read that shows what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfBounds {
    /// The read.
    pub read: Event,
    /// The least that it may show.
    pub least: i128,
    /// The most that it may show.
    pub most: i128,
}

/// Sums of adds up to a time: (time, positive, negative), in the order of time.
struct Sums(Vec<(u64, i128, i128)>);

impl Sums {
    fn of(mut adds: Vec<(u64, i64)>) -> Self {
        adds.sort_unstable();
        let (mut positive, mut negative) = (0_i128, 0_i128);
        let sums = adds.into_iter().map(|(time, delta)| {
            let delta = i128::from(delta);
            positive += delta.max(0);
            negative += delta.min(0);
            (time, positive, negative)
        });
        Self(sums.collect())
    }

    /// Positive and negative sums of all before a time.
    fn before(&self, time: u64) -> (i128, i128) {
        let count = self.0.partition_point(|(at, ..)| *at < time);
        count.checked_sub(1).and_then(|last| self.0.get(last)).map_or((0, 0), |sum| (sum.1, sum.2))
    }
}

/// Checks every read: at least all that was answered before it was asked, at most all that was asked
/// before it was answered; pending negative deltas count the other way round. Cost: n log n.
///
/// # Errors
/// The first read that is out of bounds.
pub fn check(events: &[Event], value: i64) -> Result<usize, OutOfBounds> {
    let adds = |time: fn(&Event) -> Option<u64>| {
        let of = |event: &Event| match event.call {
            Call::Add(delta) => Some((time(event)?, delta)),
            Call::Set(_) | Call::Take | Call::Read => None,
        };
        Sums::of(events.iter().filter_map(of).collect())
    };
    let answered = adds(|event| event.answered.map(|(returned, _)| returned));
    let asked = adds(|event| Some(event.invoked));
    let mut reads = 0;
    for read in events.iter().filter(|event| event.call == Call::Read) {
        let Some((returned, Some(seen))) = read.answered else { continue };
        let (sure_positive, sure_negative) = answered.before(read.invoked);
        let (all_positive, all_negative) = asked.before(returned);
        let least = i128::from(value) + sure_positive + all_negative;
        let most = i128::from(value) + all_positive + sure_negative;
        if !(least..=most).contains(&i128::from(seen)) {
            return Err(OutOfBounds { read: *read, least, most });
        }
        reads += 1;
    }
    Ok(reads)
}

/// How a final value differs from what its clients know: each counter by itself, because a total
/// hides one that lost what another doubled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Final {
    /// Acknowledged, and some of the unresolved.
    Right,
    /// This much of what was acknowledged is missing.
    Lost(i128),
    /// This much is there that was not asked for.
    Doubled(i128),
}

/// Judges the final value of a counter whose adds are all positive.
pub fn judge_final(value: i64, acknowledged: i128, unresolved: i128) -> Final {
    let value = i128::from(value);
    if value < acknowledged {
        return Final::Lost(acknowledged - value);
    }
    if value > acknowledged + unresolved {
        return Final::Doubled(value - acknowledged - unresolved);
    }
    Final::Right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(events: &[Event], is_right: bool) {
        assert_eq!(check(events, 0).is_ok(), is_right, "{events:?}");
    }

    #[test]
    fn a_read_lies_between_what_is_sure_and_what_is_possible() {
        let add = Event::answered(Call::Add(5), (0, 1), 5);
        let pending = Event::unknown(Call::Add(-2), 0);
        let read = |value| Event::answered(Call::Read, (3, 4), value);
        judge(&[add, read(5)], true);
        judge(&[add, read(4)], false);
        judge(&[add, read(6)], false);
        judge(&[add, pending, read(3)], true);
        judge(&[add, pending, read(2)], false);
        let later = Event::answered(Call::Add(1), (4, 9), 6);
        judge(&[add, later, read(6)], false);
    }

    #[test]
    fn one_lost_and_one_doubled_are_both_found_although_the_total_is_right() {
        assert_eq!(judge_final(9, 10, 0), Final::Lost(1));
        assert_eq!(judge_final(11, 10, 0), Final::Doubled(1));
        assert_eq!(judge_final(11, 10, 3), Final::Right);
    }
}
