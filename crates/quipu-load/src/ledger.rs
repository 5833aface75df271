//! What one thread asked of the counters and what it was told, and which of it has no answer.

use quipu_lab::conservation::Books;
use quipu_lab::failure::Failure;
use quipu_lab::request::{Drawn, Requests};
use quipu_lab::scenario::Tokens;
use quipu_lab::settle::{Fate, Open, REMEMBERED_MAX, Settle, Settlement, Unanswered};
use quipu_lab::slot::Slot;

use crate::connection::{Flight, Landing};

/// What one thread asked of the counters and what it was told.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    requests: Requests,
    /// The source whose keys are the counters.
    source: usize,
    account: Account,
    unanswered: Unanswered,
}

/// What comes of a ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) books: Books,
    pub(crate) settlement: Settlement,
}

impl Account {
    /// Adds that of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.books.merge(&other.books);
        self.settlement.add(&other.settlement);
    }
}

impl Ledger {
    /// Returns an empty one over so many keys of a source.
    pub(crate) fn new(requests: Requests, source: usize, keys: u32) -> Self {
        let books = Books::new(keys);
        let account = Account { books, settlement: Settlement::default() };
        Self { requests, source, account, unanswered: Unanswered::new(REMEMBERED_MAX) }
    }

    /// Returns the ledger of one of so many threads.
    pub(crate) fn share(&self, threads: u32) -> Self {
        let room = REMEMBERED_MAX / threads.max(1) as usize;
        Self { unanswered: Unanswered::new(room), ..self.clone() }
    }

    /// Notes that a request is under way.
    pub(crate) fn sent(&mut self, slot: &Slot) {
        let (key, amount) = self.entry(&self.requests.draw(*slot));
        self.account.books.sent(key, amount);
    }

    /// Notes that a request got no connection.
    pub(crate) fn unwritten(&mut self) {
        self.account.settlement.unwritten += 1;
    }

    /// Notes how a request ended. What was never written or what the target refused is not counted,
    /// with the exceptions that say so; whatever else went wrong may have been.
    pub(crate) fn ended(&mut self, landing: &Landing) {
        let drawn = self.requests.draw(landing.flight.slot);
        let (key, amount) = self.entry(&drawn);
        match landing.outcome {
            Ok(()) => self.account.books.acknowledged(key, amount),
            Err(_) if !landing.is_written => {
                self.unwritten();
                self.account.books.refused(key, amount);
            }
            Err(Failure::Resp(word)) if word.as_str() != "UNKNOWN" => {
                self.account.books.refused(key, amount);
            }
            Err(
                Failure::Status4xx | Failure::Status429 | Failure::RefusedStream | Failure::GoAway,
            ) => self.account.books.refused(key, amount),
            Err(_) if amount == 0 => {}
            Err(_) => self.unanswered(&landing.flight, &drawn),
        }
    }

    /// Remembers a request that may have been counted, if it can be sent again.
    fn unanswered(&mut self, flight: &Flight, drawn: &Drawn) {
        let is_ordered = match self.requests.tokens(drawn) {
            Tokens::Key => false,
            Tokens::Stream => true,
            Tokens::None => {
                self.account.settlement.untokened += 1;
                self.account.settlement.unsettled += 1;
                return;
            }
        };
        let Slot { number, due_ns, .. } = flight.slot;
        self.unanswered.note(Open { is_ordered, stream: flight.tokens, number, due_ns });
    }

    /// Takes what has no answer, to send it again.
    pub(crate) fn take_unanswered(&mut self) -> Unanswered {
        std::mem::take(&mut self.unanswered)
    }

    /// Notes how requests ended that were sent again.
    pub(crate) fn settle(
        &mut self,
        ended: impl Iterator<Item = (Open, Result<(), Failure>)>,
        settle: &mut Settle,
        now_ns: u64,
    ) {
        for (open, outcome) in ended {
            let (key, amount) = self.entry(&self.requests.draw(open.slot()));
            match settle.ended(open.number, outcome, now_ns) {
                Fate::Counted => self.account.books.acknowledged(key, amount),
                Fate::NotCounted => self.account.books.refused(key, amount),
                Fate::Open | Fate::Unknown => {}
            }
        }
    }

    /// Returns what comes of it, with what became of the requests that were sent again.
    pub(crate) fn close(mut self, settlement: &Settlement) -> Account {
        self.account.settlement.add(settlement);
        self.account
    }

    fn entry(&self, drawn: &Drawn) -> (u32, i64) {
        let key = drawn.keys.get(self.source).copied().unwrap_or(0);
        (key, self.requests.amount(drawn))
    }
}
