//! One counter in the table of its shard: 40 bytes, of which there may be tens of millions.

use stdx::hash::hash64;

use crate::batch::Batch;
use crate::canary::{self, Bug};
use crate::effect::{Counter, Effect, ExpiryEffect, fold};
use crate::name::Name;
use crate::table::Hashed;

/// Furthest distance from the shard's base that a cell can note.
pub(crate) const TOUCHED_MAX: u32 = u32::MAX;

const PRESENT: u32 = 1 << 31;
const EXPIRES: u32 = 1 << 30;
const SLOT: u32 = EXPIRES - 1;

/// One counter.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) name: Name,
    /// Its value; 0 where it is absent.
    pub(crate) value: i64,
    /// The newest batch that touched it, as a distance from the shard's base; 0 where that was not
    /// after the base.
    touched: u32,
    /// Its slot in the open batch, valid while `touched` is the open batch, and two flags. All ones
    /// is no slot: no batch has so many.
    slot: u32,
}

impl Hashed for Cell {
    fn hash(&self, seed: u64) -> u64 {
        hash64(seed, self.name.as_bytes())
    }
}

impl Cell {
    /// An absent counter that nothing has touched.
    pub(crate) fn new(name: Name) -> Self {
        Self { name, value: 0, touched: 0, slot: SLOT }
    }

    /// Whether the counter exists; the cell of one that does not is a tombstone.
    #[inline]
    pub(crate) fn is_present(&self) -> bool {
        self.slot & PRESENT != 0
    }

    /// Whether it has an expiry, which the shard knows.
    #[inline]
    pub(crate) fn expires(&self) -> bool {
        self.slot & EXPIRES != 0
    }

    /// Takes what the counter is now.
    #[inline]
    pub(crate) fn put(&mut self, counter: Counter) {
        self.value = counter.value.unwrap_or(0);
        let present = if counter.value.is_some() { PRESENT } else { 0 };
        let expires = if counter.expires_at.is_some() { EXPIRES } else { 0 };
        self.slot = self.slot & SLOT | present | expires;
    }

    /// The batch that touched it last, of a shard with this base; 0 where none did since.
    #[inline]
    pub(crate) fn touched(&self, base: u64) -> u64 {
        if self.touched == 0 { 0 } else { base + u64::from(self.touched) }
    }

    /// Notes that the shard's base has moved up by so many batches.
    pub(crate) fn rebase(&mut self, by: u64) {
        self.touched = u64::from(self.touched).saturating_sub(by) as u32;
    }

    /// Its slot in the open batch, which has this distance, if it has one there.
    #[inline]
    pub(crate) fn open_slot(&self, open: u32) -> Option<u32> {
        (self.touched == open).then_some(self.slot & SLOT)
    }

    /// The counter of a cell without expiry.
    #[inline]
    pub(crate) fn plain(&self) -> Counter {
        Counter { value: self.is_present().then_some(self.value), expires_at: None }
    }

    /// Puts an effect into the open batch, which has this distance: into its slot where both are
    /// adds.
    #[inline]
    pub(crate) fn append(&mut self, batch: &mut Batch, open: u32, effect: &Effect) {
        if canary::is(Bug::EffectOutsideBatch) && !batch.is_empty() && self.touched != open {
            self.touched = open;
            self.slot |= SLOT;
            return;
        }
        let extended = self.open_slot(open).is_some_and(|slot| {
            batch.extend_slot(slot, effect).expect("effects of one counter follow on")
        });
        if !extended {
            let slot = batch.open_slot(&self.name, *effect).min(SLOT);
            self.slot = self.slot & !SLOT | slot;
        }
        self.touched = open;
    }

    /// The way of most operations: an add to a counter that is there and does not expire.
    #[inline]
    pub(crate) fn append_add(&mut self, batch: &mut Batch, open: u32, after: i64) {
        let effect = Effect::add(self.value, after, ExpiryEffect::Keep);
        let before = self.plain();
        self.append(batch, open, &effect);
        let folded = fold(before, &effect).expect("the effect was decided on this counter");
        self.value = folded.value.unwrap_or(0);
    }

    /// Puts a cell back as it was before a group.
    pub(crate) fn take_back(&mut self, before: Self) {
        let done = std::mem::replace(self, before);
        if canary::is(Bug::AbortKeepsEffect) && self.is_present() && done.is_present() {
            self.value = done.value;
            self.slot |= SLOT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cell;
    use crate::batch::Batch;
    use crate::effect::Counter;
    use crate::name::Name;

    #[test]
    fn a_cell_takes_40_bytes() {
        assert_eq!(size_of::<Cell>(), 40);
    }

    #[test]
    fn flags_and_slot_do_not_touch_each_other() {
        let mut cell = Cell::new(Name::new("a"));
        assert!(!cell.is_present() && !cell.expires() && cell.open_slot(3).is_none());
        cell.put(Counter { value: Some(-1), expires_at: Some(9) });
        let mut batch = Batch::default();
        cell.append_add(&mut batch, 3, 5);
        assert_eq!((cell.open_slot(3), cell.value), (Some(0), 5));
        assert!(cell.is_present() && cell.expires());
        cell.put(Counter::ABSENT);
        assert_eq!((cell.open_slot(3), cell.value), (Some(0), 0));
        assert!(!cell.is_present() && !cell.expires());
    }

    #[test]
    fn what_touched_a_cell_outlives_a_move_of_the_base() {
        let check = |touched, by, expected| {
            let mut cell = Cell::new(Name::new("a"));
            cell.put(Counter { value: Some(1), expires_at: None });
            if touched > 0 {
                cell.append_add(&mut Batch::default(), touched, 2);
            }
            cell.rebase(by);
            assert_eq!(cell.touched(100 + by), expected, "{touched} by {by}");
        };
        check(0, 0, 0);
        check(0, 7, 0);
        check(7, 0, 107);
        check(8, 7, 108);
        check(7, 7, 0);
        check(7, u64::from(u32::MAX) + 8, 0);
    }
}
