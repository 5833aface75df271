//! What must be in a counter after its system died: plain values, without any system.
//!
//! A counter belongs to one client, which has one operation in flight. So after a restart it holds
//! what was acknowledged, or one more: the operation without an answer. Less is lost, more was
//! doubled by the system itself. Then the client sends the unanswered operation again, as client
//! libraries do; when that is answered, it must have counted once, and what is beyond was doubled by
//! the retry. Each finding is judged where it is found and the book goes on from what is there, so
//! that an operation lost and another doubled never cancel.
//!
//! Within one counter and one death the book states the least that explains what was found: if an
//! acknowledged operation went and the unanswered one stayed, it cannot tell.

use std::ops::AddAssign;

use quipu_proof::chance::Chance;

/// What went wrong, in operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Acknowledged, and not there.
    pub lost: u64,
    /// There, and more than were ever sent.
    pub doubled_by_system: u64,
    /// Counted again when they were sent again.
    pub doubled_by_retry: u64,
}

impl AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled_by_system += other.doubled_by_system;
        self.doubled_by_retry += other.doubled_by_retry;
    }
}

/// One counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Book {
    /// What must be there at least.
    sure: i64,
    /// Whether one operation is without an answer.
    is_pending: bool,
}

impl Book {
    /// Notes that an operation was sent.
    pub fn send(&mut self) {
        assert!(!self.is_pending, "a client has one operation in flight");
        self.is_pending = true;
    }

    /// Notes that it was acknowledged.
    pub fn acknowledge(&mut self) {
        assert!(self.is_pending, "an answer follows an operation");
        self.is_pending = false;
        self.sure += 1;
    }

    /// Whether an operation is without an answer.
    pub fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Compares with what was found after a restart, and goes on from there.
    pub fn judge(&mut self, found: i64) -> Losses {
        let most = self.sure + i64::from(self.is_pending);
        let losses = Losses {
            lost: excess(self.sure, found),
            doubled_by_system: excess(found, most),
            ..Losses::default()
        };
        let has_counted = self.is_pending && found > self.sure;
        self.sure = found.saturating_sub(i64::from(has_counted));
        losses
    }

    /// Compares with what was found after the unanswered operation was sent again and acknowledged.
    pub fn settle(&mut self, found: i64) -> Losses {
        assert!(self.is_pending, "only an unanswered operation is sent again");
        let due = self.sure.saturating_add(1);
        (self.sure, self.is_pending) = (found, false);
        Losses {
            lost: excess(due, found),
            doubled_by_retry: excess(found, due),
            ..Losses::default()
        }
    }
}

fn excess(more: i64, less: i64) -> u64 {
    u64::try_from(i128::from(more) - i128::from(less)).unwrap_or(0)
}

/// All counters of one client.
#[derive(Debug, Clone)]
pub struct Account {
    client: usize,
    books: Vec<(String, Book)>,
    sent: u64,
    /// The counter of the unanswered operation.
    pending: usize,
}

impl Account {
    /// The books of client number `client`, which begin with `counters` absent counters.
    pub fn new(client: usize, counters: usize) -> Self {
        let name = |index| (format!("c{client}-{index}"), Book::default());
        Self { client, books: (0..counters).map(name).collect(), sent: 0, pending: 0 }
    }

    /// The books begin again, as those of an empty store; tokens go on.
    pub fn begin_again(&mut self) {
        self.books.iter_mut().for_each(|(_, book)| *book = Book::default());
    }

    /// The names of the counters.
    pub fn counters(&self) -> impl Iterator<Item = &str> {
        self.books.iter().map(|(name, _)| name.as_str())
    }

    /// Chooses the next operation and notes that it is sent: the counter and the token.
    pub fn next(&mut self, chance: &mut Chance) -> (&str, String) {
        self.sent += 1;
        self.pending = chance.below(self.books.len());
        let (name, book) = &mut self.books[self.pending];
        book.send();
        (name, format!("t{}-{}", self.client, self.sent))
    }

    /// Notes the answer to it.
    pub fn acknowledge(&mut self) {
        self.books[self.pending].1.acknowledge();
    }

    /// The unanswered operation, as it was sent the first time.
    pub fn unanswered(&self) -> Option<(&str, String)> {
        let (name, book) = &self.books[self.pending];
        book.is_pending().then(|| (name.as_str(), format!("t{}-{}", self.client, self.sent)))
    }

    /// Compares all counters with what was found after a restart, in their order.
    pub fn judge(&mut self, found: &[i64]) -> Losses {
        assert_eq!(found.len(), self.books.len(), "every counter was read");
        let mut losses = Losses::default();
        for ((_, book), found) in self.books.iter_mut().zip(found) {
            losses += book.judge(*found);
        }
        losses
    }

    /// Compares after the unanswered operation was answered.
    pub fn settle(&mut self, found: i64) -> Losses {
        self.books[self.pending].1.settle(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `sent` operations of which the last is without an answer if it `hangs`; finds `found`
    /// after the restart and `after` when it was sent again.
    fn check((sent, hangs): (i64, bool), (found, after): (i64, i64), expected: [u64; 3]) {
        let mut book = Book::default();
        for number in 1..=sent {
            book.send();
            if number < sent || !hangs {
                book.acknowledge();
            }
        }
        let mut losses = book.judge(found);
        if hangs {
            losses += book.settle(after);
        }
        let [lost, doubled_by_system, doubled_by_retry] = expected;
        assert_eq!(losses, Losses { lost, doubled_by_system, doubled_by_retry });
        assert_eq!(book, Book { sure: if hangs { after } else { found }, is_pending: false });
    }

    #[test]
    fn all_that_was_acknowledged_is_no_finding() {
        check((5, false), (5, 5), [0, 0, 0]);
        check((5, true), (4, 5), [0, 0, 0]);
    }

    #[test]
    fn an_unanswered_operation_that_had_counted_is_doubled_by_a_plain_retry_only() {
        check((5, true), (5, 6), [0, 0, 1]);
        check((5, true), (5, 5), [0, 0, 0]);
    }

    #[test]
    fn less_than_was_acknowledged_is_lost_and_more_than_was_sent_is_doubled() {
        check((5, false), (3, 3), [2, 0, 0]);
        check((5, true), (0, 1), [4, 0, 0]);
        check((5, false), (7, 7), [0, 2, 0]);
        check((5, true), (7, 8), [0, 2, 1]);
    }

    #[test]
    fn an_acknowledged_retry_that_is_not_there_is_lost() {
        check((5, true), (4, 4), [1, 0, 0]);
    }

    #[test]
    fn one_lost_and_one_doubled_do_not_cancel() {
        let mut account = Account::new(0, 2);
        let mut chance = Chance::new(1);
        for _ in 0..40 {
            account.next(&mut chance);
            account.acknowledge();
        }
        let sure: Vec<i64> = account.books.iter().map(|(_, book)| book.sure).collect();
        account.next(&mut chance);
        let pending = account.pending;
        let mut found = sure;
        found[pending] += 1;
        found[1 - pending] -= 1;
        let mut losses = account.judge(&found);
        assert_eq!(losses, Losses { lost: 1, ..Losses::default() });
        losses += account.settle(found[pending] + 1);
        assert_eq!(losses, Losses { lost: 1, doubled_by_retry: 1, doubled_by_system: 0 });
        assert_eq!(found.iter().sum::<i64>(), 40, "the sum alone would show nothing");
    }

    #[test]
    fn a_loss_is_told_once_and_the_book_goes_on_from_what_is_there() {
        let mut book = Book { sure: 9, is_pending: false };
        assert_eq!(book.judge(7).lost, 2);
        assert_eq!(book.judge(7), Losses::default());
    }

    #[test]
    fn a_retry_is_the_operation_that_was_sent() {
        let mut account = Account::new(3, 4);
        assert_eq!(account.unanswered(), None);
        let (counter, token) = account.next(&mut Chance::new(7));
        let sent = (counter.to_owned(), token);
        let again = account.unanswered().map(|(counter, token)| (counter.to_owned(), token));
        assert_eq!(again, Some(sent));
        account.acknowledge();
        assert_eq!(account.unanswered(), None);
    }
}
