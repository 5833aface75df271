//! The history of one counter: what each batch of the log did to it, checked step by step.

use crate::effect::{Counter, Effect, fold};
use crate::outcome::Verdict;
use crate::record::{self, Header, Item};
use crate::replay::FoldError;

/// Keys of tokens are derived under the store's seed; here nothing looks at them.
const NO_SEED: u64 = 0;

/// What one batch did to the counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The shard, the life of its owner, the batch, and its log time.
    pub header: Header,
    /// What changed, in order.
    pub slots: Vec<Slot>,
    /// The tokens of operations on the counter, those that changed nothing included.
    pub tokens: Vec<TokenUse>,
}

/// One slot of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// How many operations.
    pub ops: u64,
    /// What they did.
    pub effect: Effect,
    /// What the counter was before.
    pub before: Counter,
    /// What it is after.
    pub after: Counter,
}

/// A token and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// The token as it was given.
    pub token: Vec<u8>,
    /// Which of the items that carry it on this counter.
    pub item: u32,
    /// What was decided.
    pub verdict: Verdict,
    /// The delta that was added.
    pub applied: i64,
}

/// A counter that is counted again.
#[derive(Debug, Clone)]
pub struct Recount {
    name: String,
    counter: Counter,
}

impl Recount {
    /// Begins with what is known of the counter `name`.
    pub fn new(name: &str, known: Counter) -> Self {
        Self { name: name.to_owned(), counter: known }
    }

    /// What is known of the counter.
    pub fn counter(&self) -> Counter {
        self.counter
    }

    /// Folds the payload of a frame and visits what it says of the counter.
    ///
    /// # Errors
    /// A record is not understood, or says something else of the counter than what was folded.
    pub fn fold_payload(
        &mut self,
        mut payload: &[u8],
        visit: &mut dyn FnMut(Entry),
    ) -> Result<(), FoldError> {
        while !payload.is_empty() {
            let (mut slots, mut tokens) = (Vec::new(), Vec::new());
            let (header, length) = record::read(payload, NO_SEED, |header, item| {
                self.fold_item(header, &item, &mut slots, &mut tokens)
            })?;
            if !slots.is_empty() || !tokens.is_empty() {
                visit(Entry { header, slots, tokens });
            }
            payload = payload.get(length..).unwrap_or(&[]);
        }
        Ok(())
    }

    fn fold_item(
        &mut self,
        header: &Header,
        item: &Item<'_>,
        slots: &mut Vec<Slot>,
        tokens: &mut Vec<TokenUse>,
    ) -> Result<(), FoldError> {
        match *item {
            Item::Slot { name, ops, effect } if name == self.name => {
                let before = self.counter;
                let after = fold(before, &effect).map_err(|mismatch| {
                    let (shard, batch) = (header.shard, header.batch);
                    FoldError::Mismatch { shard, batch, name: name.to_owned(), mismatch }
                })?;
                self.counter = after;
                slots.push(Slot { ops, effect, before, after });
            }
            Item::Token { name, token, item, record } if name == self.name => {
                let (verdict, applied) = (record.verdict, record.applied);
                tokens.push(TokenUse { token: token.to_vec(), item, verdict, applied });
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Recount;
    use crate::effect::Counter;
    use crate::execute::Context;
    use crate::op::{Action, Add, Op, Token};
    use crate::shard::{Shard, ShardLimits};
    use stdx::hash::hash64;

    const SEED: u64 = 3;

    /// A shard's log: one frame for each list of names that are added to.
    fn frames(frames: &[&[&str]]) -> Vec<Vec<u8>> {
        let mut shard = Shard::new(0, SEED, ShardLimits { streams_max: 1 });
        let mut begun = Vec::new();
        shard.begin_epoch(1, 100, &mut begun);
        let mut payloads = vec![begun];
        for (number, names) in frames.iter().enumerate() {
            let cx = Context { now_ms: 1, no_room: None, memory_full: false, tokens_full: false };
            for name in *names {
                let token = Token::Key { key: name.as_bytes(), item: number as u32 };
                let op = Op { name, action: Action::Add(Add::plain(2)), token };
                shard.execute(&cx, hash64(SEED, name.as_bytes()), &op).result.expect("an add");
            }
            let mut payload = Vec::new();
            shard.seal(u64::MAX, &mut payload);
            payloads.push(payload);
        }
        payloads
    }

    #[test]
    fn each_batch_that_speaks_of_the_counter_is_told_with_its_tokens() {
        let mut recount = Recount::new("a", Counter::ABSENT);
        let mut told = Vec::new();
        for payload in frames(&[&["a", "b"], &["b"], &["a"]]) {
            recount.fold_payload(&payload, &mut |entry| told.push(entry)).expect("a good log");
        }
        let first = told.first().expect("two batches");
        assert_eq!((told.len(), first.header.batch, first.slots[0].after.value), (2, 1, Some(2)));
        assert_eq!((first.tokens[0].token.as_slice(), first.tokens[0].item), (&b"a"[..], 0));
        assert_eq!((told[1].tokens[0].item, told[1].slots[0].before.value), (2, Some(2)));
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let known = Counter { value: Some(5), expires_at: None };
        let mut recount = Recount::new("a", known);
        let payloads = frames(&[&["a"]]);
        assert!(recount.fold_payload(&payloads[1], &mut |_| {}).is_err());
    }
}
