//! Shards of one thread.

use std::cell::{RefCell, RefMut};

use quipu_core::node::Cells;
use quipu_core::shard::Shard;

/// Shards that are borrowed at run time; a shard taken twice is a panic, which is a bug found.
#[derive(Debug)]
pub(crate) struct LocalShards(Vec<RefCell<Shard>>);

impl LocalShards {
    pub(crate) fn new(shards: Vec<Shard>) -> Self {
        Self(shards.into_iter().map(RefCell::new).collect())
    }
}

impl Cells for LocalShards {
    type Guard<'a> = RefMut<'a, Shard>;
    type Gate<'a> = ();

    fn count(&self) -> u16 {
        self.0.len() as u16
    }

    fn shard(&self, id: u16) -> RefMut<'_, Shard> {
        self.0[usize::from(id)].borrow_mut()
    }

    fn gate(&self) {}
}
