//! Asking for memory before it is needed: where the counters and tokens of the next operations lie.

use super::{Cells, Node};
use crate::limits::{NAME_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::token::scope_key;

/// Where a counter and a token will be looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sought {
    shard: u16,
    /// Hash of the counter's name.
    hash: u64,
    /// Scope of the token, if there is one.
    token: Option<u128>,
}

impl<C: Cells> Node<C> {
    /// Where a counter and a token that will be used soon will be looked for.
    #[inline]
    pub fn seek(&self, name: &[u8], token: Option<&[u8]>) -> Sought {
        let (hash, shard) = self.route(name);
        // Nothing was checked yet, and what is too long is not looked for.
        let is_short =
            |token: &&[u8]| name.len() <= NAME_BYTES_MAX && token.len() <= TOKEN_BYTES_MAX;
        let key = |token| scope_key(self.seed, name, token, 0);
        Sought { shard, hash, token: token.filter(is_short).map(key) }
    }

    /// Asks for the memory of a counter and its token.
    #[inline]
    pub fn prefetch(&self, sought: &Sought) {
        self.cells.shard(sought.shard).prefetch(sought.hash, sought.token);
    }

    /// Asks for what [`Node::prefetch`] waits for, where much of it may be far away: with a token.
    #[inline]
    pub fn prefetch_index(&self, sought: &Sought) {
        if let Some(key) = sought.token {
            self.cells.shard(sought.shard).prefetch_index(sought.hash, key);
        }
    }
}
