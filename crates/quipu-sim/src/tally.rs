//! What clients know of the counters to which only plain additions go: sums that need no model.
//!
//! Each addition is attempted, and then perhaps known to have counted. So at any moment the value
//! lies between two sums, and where nothing is unknown they are one.

use std::ops::RangeInclusive;

/// The sums of one counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    attempted_up: i128,
    attempted_down: i128,
    settled_up: i128,
    settled_down: i128,
}

/// The sums of all counters that have them.
#[derive(Debug, Clone)]
pub struct Tally {
    sums: Vec<Sums>,
}

impl Tally {
    /// Nothing was attempted.
    pub fn new(counters: u32) -> Self {
        Self { sums: vec![Sums::default(); counters as usize] }
    }

    /// How many counters have sums.
    pub fn len(&self) -> u32 {
        self.sums.len() as u32
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// An addition is on its way.
    pub fn attempt(&mut self, counter: u32, delta: i64) {
        let Some(sums) = self.sums.get_mut(counter as usize) else { return };
        let delta = i128::from(delta);
        if delta > 0 { sums.attempted_up += delta } else { sums.attempted_down += delta }
    }

    /// An addition that was attempted did not count, and never will.
    pub fn withdraw(&mut self, counter: u32, delta: i64) {
        let Some(sums) = self.sums.get_mut(counter as usize) else { return };
        let delta = i128::from(delta);
        if delta > 0 { sums.attempted_up -= delta } else { sums.attempted_down -= delta }
    }

    /// An addition that was attempted counted, durably.
    pub fn settle(&mut self, counter: u32, delta: i64) {
        let Some(sums) = self.sums.get_mut(counter as usize) else { return };
        let delta = i128::from(delta);
        if delta > 0 { sums.settled_up += delta } else { sums.settled_down += delta }
    }

    /// The sums of a counter now, to be kept while a read is on its way.
    pub fn sums(&self, counter: u32) -> Option<Sums> {
        self.sums.get(counter as usize).copied()
    }

    /// Between which numbers the value must lie that a read saw which was sent at `then`.
    pub fn bounds_since(&self, counter: u32, then: &Sums) -> RangeInclusive<i128> {
        let now = self.sums(counter).unwrap_or_default();
        then.settled_up + now.attempted_down..=now.attempted_up + then.settled_down
    }

    /// Between which numbers the value must lie now.
    pub fn bounds(&self, counter: u32) -> RangeInclusive<i128> {
        self.bounds_since(counter, &self.sums(counter).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_unknown_each_counter_has_one_right_total() {
        let mut tally = Tally::new(3);
        for (counter, delta) in [(0, 5), (0, -2), (1, 1), (2, 4)] {
            tally.attempt(counter, delta);
        }
        for (counter, delta) in [(0, 5), (0, -2), (1, 1)] {
            tally.settle(counter, delta);
        }
        // One too little on one counter and one too much on another are both wrong.
        assert_eq!([tally.bounds(0), tally.bounds(1)], [3..=3, 1..=1]);
        assert_eq!(tally.bounds(2), 0..=4, "nobody knows of the last");
    }
}
