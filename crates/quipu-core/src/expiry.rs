//! The expiries of one shard: by name for those who look, by time for the reaper.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::Name;

/// Which counters expire, and when.
#[derive(Debug, Default)]
pub struct Expiries {
    by_name: BTreeMap<Name, u64>,
    by_time: BTreeSet<(u64, Name)>,
}

impl Expiries {
    /// When a counter expires, in log time.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).copied()
    }

    /// Sets or takes away an expiry.
    pub fn put(&mut self, name: &Name, at_ms: Option<u64>) {
        let old = match at_ms {
            Some(at) => self.by_name.insert(name.clone(), at),
            None => self.by_name.remove(name),
        };
        if let Some(old) = old {
            self.by_time.remove(&(old, name.clone()));
        }
        if let Some(at) = at_ms {
            self.by_time.insert((at, name.clone()));
        }
    }

    /// The first counter that has expired by `now_ms`.
    pub fn first_expired(&self, now_ms: u64) -> Option<&Name> {
        self.by_time.first().filter(|(at, _)| *at <= now_ms).map(|(_, name)| name)
    }

    /// How many counters have an expiry.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
