//! Whether every increment was counted once: what was asked, what was acknowledged, what is there.
//!
//! With tokens, a request without an answer is sent again after the plan until it has one
//! ([`crate::settle`]), so what is counted is exactly what was asked. Without them, what has no answer
//! may have been counted or not: the truth lies between what was acknowledged and what was asked. Both
//! are one rule over what is still open.

use serde::{Deserialize, Serialize};

use crate::settle::Settlement;

/// What one thread asked of the keys of a source and what it was told. Memory: 24 bytes per key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    keys: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Entry {
    acknowledged: i64,
    open_up: i64,
    open_down: i64,
}

/// The sum of all keys, or one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Balance {
    /// What requests asked to add, those that were refused for certain left out.
    pub sent: i64,
    /// What the target said that it added.
    pub acknowledged: i64,
    /// What it has added: its value after the run less that before.
    pub counted: i64,
    /// By how much less is counted than the least that is right.
    pub lost: u64,
    /// By how much more is counted than the most that is right.
    pub doubled: u64,
}

/// What became of what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Conservation {
    /// The sums. Losses and doublings of different keys do not make up for each other.
    pub total: Balance,
    /// How many keys were asked for.
    pub keys: u64,
    /// Keys that lost or doubled, the worst first, at most [`NAMED_MAX`].
    pub wrong: Vec<WrongKey>,
    /// How many keys lost or doubled.
    pub wrong_keys: u64,
    /// Whether all of it had an answer, so that what is counted must be exactly what was sent.
    pub is_settled: bool,
    /// What became of the requests that had no answer when the plan ended.
    #[serde(default)]
    pub settlement: Settlement,
}

/// A key that lost or doubled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WrongKey {
    /// Its name.
    pub key: String,
    /// Its sums.
    pub balance: Balance,
}

/// How many wrong keys are named: enough to look into, few enough to print.
pub const NAMED_MAX: usize = 20;

impl Books {
    /// Returns books for so many keys.
    pub fn new(keys: u32) -> Self {
        Self { keys: vec![Entry::default(); keys as usize] }
    }

    /// Notes that a request left that adds `amount` to a key. Not again when it is sent again.
    pub fn sent(&mut self, key: u32, amount: i64) {
        self.open(key, amount, 1);
    }

    /// Notes that the target said that it added what a request asked.
    pub fn acknowledged(&mut self, key: u32, amount: i64) {
        self.open(key, amount, -1);
        if let Some(entry) = self.keys.get_mut(key as usize) {
            entry.acknowledged += amount;
        }
    }

    /// Notes that the target said that it did not add what a request asked, nor ever will.
    pub fn refused(&mut self, key: u32, amount: i64) {
        self.open(key, amount, -1);
    }

    fn open(&mut self, key: u32, amount: i64, times: i64) {
        let Some(entry) = self.keys.get_mut(key as usize) else { return };
        let side = if amount < 0 { &mut entry.open_down } else { &mut entry.open_up };
        *side += amount * times;
    }

    /// Adds the books of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.keys.resize(self.keys.len().max(other.keys.len()), Entry::default());
        for (mine, theirs) in self.keys.iter_mut().zip(&other.keys) {
            mine.acknowledged += theirs.acknowledged;
            mine.open_up += theirs.open_up;
            mine.open_down += theirs.open_down;
        }
    }

    /// Compares with what the target counted: of each key, by index, its value after the run less
    /// that before. `name` gives the name of a key.
    pub fn compare(
        &self,
        counted: impl Iterator<Item = i64>,
        name: impl Fn(u32) -> String,
    ) -> Conservation {
        let mut found = Conservation {
            total: Balance::default(),
            keys: 0,
            wrong: Vec::new(),
            wrong_keys: 0,
            is_settled: self.keys.iter().all(|entry| entry.open_up == 0 && entry.open_down == 0),
            settlement: Settlement::default(),
        };
        let entries = (0..).zip(&self.keys).zip(counted.chain(std::iter::repeat(0)));
        for ((index, entry), counted) in entries {
            let balance = entry.balance(counted);
            found.keys += u64::from(*entry != Entry::default());
            found.total.add(&balance);
            if balance.is_wrong() {
                found.wrong_keys += 1;
                found.keep(index, balance, &name);
            }
        }
        found
    }
}

impl Entry {
    fn balance(&self, counted: i64) -> Balance {
        let Self { acknowledged, open_up, open_down } = *self;
        let (least, most) = (acknowledged + open_down, acknowledged + open_up);
        Balance {
            sent: acknowledged + open_up + open_down,
            acknowledged,
            counted,
            lost: least.saturating_sub(counted).max(0) as u64,
            doubled: counted.saturating_sub(most).max(0) as u64,
        }
    }
}

impl Balance {
    fn is_wrong(&self) -> bool {
        self.lost > 0 || self.doubled > 0
    }

    fn badness(&self) -> u64 {
        self.lost.saturating_add(self.doubled)
    }

    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.counted += other.counted;
        self.lost += other.lost;
        self.doubled += other.doubled;
    }
}

impl Conservation {
    /// Whether nothing was lost and nothing doubled.
    pub fn holds(&self) -> bool {
        self.wrong_keys == 0
    }

    /// Adds what became of the requests that had no answer when the plan ended.
    #[must_use]
    pub fn with(self, settlement: Settlement) -> Self {
        Self { settlement, ..self }
    }

    /// Returns one sentence that says what became of what was asked.
    pub fn sentence(&self) -> String {
        let Balance { sent, acknowledged, counted, lost, doubled } = &self.total;
        let sums = format!("sent {sent}, acknowledged {acknowledged}, counted {counted}");
        let mut text = if self.holds() {
            format!("conserved: {sums}, over {} keys", self.keys)
        } else {
            let keys = self.wrong_keys;
            format!("NOT conserved: {sums}; lost {lost}, doubled {doubled} on {keys} keys")
        };
        if !self.is_settled && self.settlement.unsettled == 0 {
            text += "; what had no answer may or may not be counted";
        }
        for said in self.settlement.sentences() {
            text += "; ";
            text += &said;
        }
        text
    }

    /// Keeps a wrong key if it is among the worst.
    fn keep(&mut self, index: u32, balance: Balance, name: &impl Fn(u32) -> String) {
        let badness = balance.badness();
        let place = self.wrong.partition_point(|other| other.balance.badness() >= badness);
        if place < NAMED_MAX {
            self.wrong.insert(place, WrongKey { key: name(index), balance });
            self.wrong.truncate(NAMED_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Books, Conservation, NAMED_MAX};
    use crate::settle::Settlement;

    fn compare(books: &Books, counted: &[i64]) -> Conservation {
        books.compare(counted.iter().copied(), |index| format!("k{index}"))
    }

    /// Two keys, of which five are asked each, four are acknowledged and one has no answer.
    fn one_open() -> Books {
        let mut books = Books::new(2);
        for key in [0, 1] {
            (0..5).for_each(|_| books.sent(key, 1));
            (0..4).for_each(|_| books.acknowledged(key, 1));
        }
        books
    }

    #[test]
    fn what_has_no_answer_may_be_counted_or_not() {
        for counted in [[4, 4], [5, 4], [5, 5]] {
            let found = compare(&one_open(), &counted);
            assert!(found.holds() && !found.is_settled, "{found:?}");
            assert_eq!((found.total.sent, found.total.acknowledged), (10, 8));
        }
    }

    #[test]
    fn what_was_sent_again_until_answered_is_counted_exactly() {
        let mut books = one_open();
        books.acknowledged(0, 1);
        books.acknowledged(1, 1);
        assert!(compare(&books, &[5, 5]).holds());
        assert!(compare(&books, &[5, 5]).is_settled);
        let lost = compare(&books, &[5, 4]);
        assert_eq!((lost.total.lost, lost.total.doubled, lost.wrong[0].key.as_str()), (1, 0, "k1"));
        assert_eq!(
            lost.sentence(),
            "NOT conserved: sent 10, acknowledged 10, counted 9; lost 1, doubled 0 on 1 keys"
        );
    }

    #[test]
    fn what_became_of_the_unanswered_is_said() {
        let check = |settlement: Settlement, expected: &str| {
            let found = compare(&one_open(), &[4, 5]).with(settlement);
            let sums = "conserved: sent 10, acknowledged 8, counted 9, over 2 keys; ";
            assert_eq!(found.sentence(), format!("{sums}{expected}"));
        };
        let none = Settlement::default();
        check(none, "what had no answer may or may not be counted");
        check(
            Settlement { unwritten: 3, retried: 5, settled: 4, unsettled: 1, ..none },
            "3 were never written and are not sent; 5 without an answer were sent again, 4 settled; \
             1 may or may not be counted",
        );
        check(
            Settlement { unsettled: 2, untokened: 1, forgotten: 1, ..none },
            "2 may or may not be counted (1 without a token, 1 not remembered)",
        );
    }

    #[test]
    fn a_loss_and_a_doubling_do_not_make_up_for_each_other() {
        let found = compare(&one_open(), &[3, 7]);
        assert!(!found.holds());
        assert_eq!((found.total.lost, found.total.doubled, found.wrong_keys), (1, 2, 2));
        assert_eq!(found.total.counted, found.total.sent);
        assert_eq!(found.wrong[0].key, "k1", "the worst first");
    }

    #[test]
    fn open_decrements_open_the_interval_downwards() {
        let mut books = Books::new(1);
        books.sent(0, 5);
        books.acknowledged(0, 5);
        books.sent(0, -2);
        books.sent(0, 3);
        let verdicts = [2, 3, 6, 8, 9].map(|counted| compare(&books, &[counted]).holds());
        assert_eq!(verdicts, [false, true, true, true, false]);
        books.refused(0, -2);
        books.refused(0, 3);
        assert!(compare(&books, &[5]).is_settled && !compare(&books, &[6]).holds());
    }

    #[test]
    fn threads_add_up_and_the_worst_keys_are_named() {
        let keys = 3 * NAMED_MAX as u32;
        let (mut all, mut one) = (Books::new(0), Books::new(keys));
        for key in 0..keys {
            one.sent(key, 1);
            one.acknowledged(key, 1);
        }
        all.merge(&one);
        all.merge(&one);
        let counted: Vec<i64> = (0..i64::from(keys)).map(|key| 2 + key).collect();
        let found = compare(&all, &counted);
        assert_eq!((found.wrong_keys, found.wrong.len()), (u64::from(keys) - 1, NAMED_MAX));
        assert_eq!(found.wrong[0].balance.doubled, u64::from(keys) - 1);
        assert!(found.wrong.is_sorted_by_key(|key| std::cmp::Reverse(key.balance.doubled)));
    }
}
