//! Histories of sampled counters as their clients see them.
//!
//! A window begins where a counter's value is known: it is durable, and nothing that could change it
//! is on its way. From there on every operation on the counter is recorded from its first send to
//! its first answer, over retries, duplicates, crashes and restarts, until the window is full, quiet
//! or old; then it is judged. Nothing that the node does inside is looked at.

mod window;

use quipu_core::op::{Ack, Action, Add, Presence, ReadLevel, Set, Ttl};
use quipu_core::outcome::{Outcome, Refusal};
use quipu_history::event::Call;
use stdx::prng::Prng;

use crate::checks::Checked;
use crate::request::{Answer, Ask, Request, Ticket};

pub use self::window::{End, Figures, Name, Window};

/// Most windows at a time. Guess: a few, so that looking for one costs nothing.
const WINDOWS_MAX: usize = 6;

/// Operations of a window, from so many to less than twice as many. Guess: several times what is
/// on its way at once, and decided quickly.
const OPS: u64 = 24;

/// A window that is quiet again ends when it has so many operations. Guess.
const OPS_MIN: usize = 16;

/// A window ends after so long: long enough for a crash, a restart and its retries. Guess.
const AGE_US: u64 = 20_000_000;

/// One in so many requests begins a window where it can. Guess: some percent of all operations.
const REQUESTS_PER_WINDOW: u64 = 100;

/// The recorder.
#[derive(Debug)]
pub struct Histories {
    windows: Vec<Window>,
    /// What may still change each counter: requests that wait, and copies on the network.
    open: Vec<u32>,
    /// The newest key of any request: older ones are used for something else as well.
    newest_key: u64,
    prng: Prng,
    figures: Figures,
}

/// What an operation is in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    /// This.
    Call(Call),
    /// Nothing: it promises nothing and changes nothing.
    Nothing,
    /// Something that histories cannot say.
    Foreign,
}

fn spoken(request: &Request, ask: &Ask) -> Spoken {
    match ask.action {
        Action::Get if request.read == ReadLevel::Committed => Spoken::Call(Call::Read),
        Action::Get => Spoken::Nothing,
        Action::Add(add) if add == Add::plain(add.delta) => Spoken::Call(Call::Add(add.delta)),
        Action::Set(Set { value, ttl: Ttl::Keep, when: Presence::Any }) => {
            Spoken::Call(Call::Set(value))
        }
        Action::Delete => Spoken::Call(Call::Set(0)),
        Action::Take => Spoken::Call(Call::Take),
        _ => Spoken::Foreign,
    }
}

impl Histories {
    /// A recorder for so many counters.
    pub fn new(counters: usize, seed: u64) -> Self {
        Self {
            windows: Vec::new(),
            open: vec![0; counters],
            newest_key: 0,
            prng: Prng::new(seed),
            figures: Figures::default(),
        }
    }

    /// What was judged so far.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Whether a window should begin with an operation on this counter, if its value is known.
    pub fn wants(&mut self, counter: u32, is_raced: bool) -> bool {
        let is_drawn = is_raced || self.prng.chance(1, REQUESTS_PER_WINDOW);
        let is_free = self.windows.len() < WINDOWS_MAX && self.at(counter).is_none();
        is_drawn && is_free && self.open.get(counter as usize) == Some(&0)
    }

    /// A window begins; `value` is durable.
    pub fn watch(&mut self, counter: u32, value: i64, now_us: u64) {
        let most = (OPS + self.prng.below(OPS)) as usize;
        self.windows.push(Window::new((counter, value), now_us, most));
    }

    fn at(&self, counter: u32) -> Option<usize> {
        self.windows.iter().position(|window| window.counter == counter)
    }

    fn opened(&mut self, counter: u32) {
        if let Some(open) = self.open.get_mut(counter as usize) {
            *open += 1;
        }
    }

    fn closed(&mut self, counter: u32) {
        if let Some(open) = self.open.get_mut(counter as usize) {
            debug_assert!(*open > 0, "what ends has begun");
            *open = open.saturating_sub(1);
        }
    }

    /// A request waits for its answer from now on; `is_once` says that its repeats are recognised,
    /// `is_known` that it was answered before, so that nothing can come of it.
    ///
    /// # Errors
    /// A window that ends was not linearizable.
    pub fn begin(
        &mut self,
        request: &Request,
        (is_once, is_known): (bool, bool),
        now_us: u64,
    ) -> Checked {
        self.end_old(now_us)?;
        let newest = self.newest_key;
        for (index, ask) in request.asks.iter().enumerate() {
            self.opened(ask.counter);
            if let Ticket::Key(key) = ask.ticket {
                self.newest_key = self.newest_key.max(key.number);
            }
            if is_known {
                continue;
            }
            let is_reused = matches!(ask.ticket, Ticket::Key(key) if key.number <= newest);
            let spoken = if is_reused { Spoken::Foreign } else { spoken(request, ask) };
            let name = Name::Ask { request: request.id, index };
            self.record((name, is_once), ask.counter, spoken, now_us)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        (name, is_once): (Name, bool),
        counter: u32,
        spoken: Spoken,
        now_us: u64,
    ) -> Checked {
        let Some(at) = self.at(counter) else { return Ok(()) };
        let is_full = self.windows.get(at).is_some_and(Window::is_full);
        match (spoken, self.windows.get_mut(at)) {
            (Spoken::Foreign, _) => drop(self.windows.swap_remove(at)),
            (Spoken::Call(_), _) if is_full => return self.finish(at),
            (Spoken::Call(call), Some(window)) => window.begin(name, call, is_once, now_us),
            _ => {}
        }
        Ok(())
    }

    /// A copy of a request leaves.
    pub fn copy(&mut self, request: &Request) {
        for (index, ask) in request.asks.iter().enumerate() {
            self.opened(ask.counter);
            if let Some(window) = self.at(ask.counter).and_then(|at| self.windows.get_mut(at)) {
                window.copy(Name::Ask { request: request.id, index });
            }
        }
    }

    /// A copy of a request reached its node.
    pub fn arrive(&mut self, request: &Request) {
        request.asks.iter().for_each(|ask| self.closed(ask.counter));
    }

    /// A request waits no more: it was answered, or given up.
    ///
    /// # Errors
    /// A window that ends was not linearizable.
    pub fn end(&mut self, request: &Request, answers: Option<&[Answer]>, now_us: u64) -> Checked {
        for (index, ask) in request.asks.iter().enumerate() {
            self.closed(ask.counter);
            let Some(at) = self.at(ask.counter) else { continue };
            let is_durable = ask.action == Action::Get || request.ack == Ack::Fsync;
            let whole = answers.filter(|answers| answers.len() == request.asks.len());
            let result = whole.and_then(|answers| answers.get(index)).map(|a| a.result);
            let end = match answers {
                None => End::GivenUp,
                Some(_) => End::Answered { result, is_durable },
            };
            self.finish_op(at, (Name::Ask { request: request.id, index }, end), now_us)?;
        }
        Ok(())
    }

    /// A place of a stream leaves for the first time.
    ///
    /// # Errors
    /// A window that ends was not linearizable.
    pub fn begin_place(
        &mut self,
        (stream, sequence): (u32, u64),
        ask: &Ask,
        now_us: u64,
    ) -> Checked {
        self.opened(ask.counter);
        let Action::Add(add) = ask.action else { return Ok(()) };
        let name = Name::Place { stream, sequence };
        self.record((name, true), ask.counter, Spoken::Call(Call::Add(add.delta)), now_us)
    }

    /// A place of a stream is answered for the first time.
    ///
    /// # Errors
    /// A window that ends was not linearizable.
    pub fn end_place(
        &mut self,
        (stream, sequence): (u32, u64),
        (ask, result): (&Ask, Result<Outcome, Refusal>),
        now_us: u64,
    ) -> Checked {
        self.closed(ask.counter);
        let Some(at) = self.at(ask.counter) else { return Ok(()) };
        let end = End::Answered { result: Some(result), is_durable: true };
        self.finish_op(at, (Name::Place { stream, sequence }, end), now_us)
    }

    fn finish_op(&mut self, at: usize, (name, end): (Name, End), now_us: u64) -> Checked {
        let Some(window) = self.windows.get_mut(at) else { return Ok(()) };
        window.end(name, end, now_us);
        let is_quiet = self.open.get(window.counter as usize) == Some(&0);
        if is_quiet && window.len() >= OPS_MIN { self.finish(at) } else { Ok(()) }
    }

    fn finish(&mut self, at: usize) -> Checked {
        let figures = self.windows.swap_remove(at).judge()?;
        self.figures.join(figures);
        Ok(())
    }

    fn end_old(&mut self, now_us: u64) -> Checked {
        let is_old = |window: &Window| now_us > window.begun_us + AGE_US;
        match self.windows.iter().position(is_old) {
            Some(at) if self.windows.get(at).is_some_and(Window::is_empty) => {
                drop(self.windows.swap_remove(at));
                Ok(())
            }
            Some(at) => self.finish(at),
            None => Ok(()),
        }
    }

    /// Ends all windows.
    ///
    /// # Errors
    /// One was not linearizable.
    pub fn end_all(&mut self) -> Checked {
        while !self.windows.is_empty() {
            self.finish(0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quipu_core::outcome::{Position, Verdict};

    use super::*;
    use crate::checks::Check;
    use crate::request::{Form, Key};

    /// The clients of counter 0, whose value was 10.
    struct Clients {
        histories: Histories,
        requests: u64,
        now_us: u64,
    }

    impl Clients {
        fn new() -> Self {
            let mut histories = Histories::new(1, 1);
            assert!(histories.wants(0, true), "nothing is on its way");
            histories.watch(0, 10, 0);
            Self { histories, requests: 0, now_us: 0 }
        }

        /// Sends an operation in so many copies, all of which arrive.
        fn send(&mut self, action: Action, copies: u32, has_key: bool) -> Request {
            (self.requests, self.now_us) = (self.requests + 1, self.now_us + 1);
            let key = Key { number: self.requests, uuid_ms: 0, item: 0 };
            let ticket = if has_key { Ticket::Key(key) } else { Ticket::None };
            let asks = vec![Ask { counter: 0, action, ticket }];
            let (ack, read) = (Ack::Fsync, ReadLevel::Committed);
            let request = Request { id: self.requests, asks, form: Form::Each, ack, read };
            self.histories.begin(&request, (has_key, false), self.now_us).unwrap();
            for _ in 0..copies {
                self.histories.copy(&request);
                self.histories.arrive(&request);
            }
            request
        }

        fn add(&mut self, copies: u32, has_key: bool) -> Request {
            self.send(Action::Add(Add::plain(1)), copies, has_key)
        }

        fn read(&mut self) -> Request {
            self.send(Action::Get, 1, false)
        }

        fn answer(&mut self, request: &Request, result: Result<i64, Refusal>) {
            self.now_us += 1;
            let result = result.map(|value| Outcome {
                verdict: Verdict::Done,
                value: Some(value),
                previous: None,
                applied: 0,
                expires_at: None,
                repeat: quipu_core::outcome::Repeat::None,
            });
            let answer = Answer { result, position: Position::default() };
            self.histories.end(request, Some(&[answer]), self.now_us).unwrap();
        }

        fn judge(mut self, is_right: bool) {
            let judged = self.histories.end_all().map_err(|violation| violation.check);
            assert_eq!(judged, if is_right { Ok(()) } else { Err(Check::Linearizable) });
        }
    }

    /// An add, and a read after its answer.
    fn add_and_read(read: i64, is_right: bool) {
        let mut clients = Clients::new();
        let add = clients.add(1, false);
        clients.answer(&add, Ok(11));
        let get = clients.read();
        clients.answer(&get, Ok(read));
        clients.judge(is_right);
    }

    #[test]
    fn a_doctored_answer_is_found() {
        add_and_read(11, true);
        add_and_read(10, false);
        add_and_read(12, false);
    }

    /// Two copies of an add, one answer, and a read after it.
    fn copies_and_read(has_key: bool, read: i64, is_right: bool) {
        let mut clients = Clients::new();
        let add = clients.add(2, has_key);
        clients.answer(&add, Ok(11));
        let get = clients.read();
        clients.answer(&get, Ok(read));
        clients.judge(is_right);
    }

    #[test]
    fn copies_count_once_with_a_key_and_perhaps_each_without() {
        copies_and_read(true, 11, true);
        copies_and_read(true, 12, false);
        copies_and_read(false, 12, true);
        copies_and_read(false, 13, false);
    }

    #[test]
    fn what_was_refused_changed_nothing_and_what_was_given_up_may_have() {
        for (is_refused, read, is_right) in
            [(true, 11, false), (true, 10, true), (false, 11, true), (false, 10, true)]
        {
            let mut clients = Clients::new();
            let add = clients.add(1, false);
            if is_refused {
                clients.answer(&add, Err(Refusal::Busy));
            } else {
                clients.histories.end(&add, None, clients.now_us).unwrap();
            }
            let get = clients.read();
            clients.answer(&get, Ok(read));
            clients.judge(is_right);
        }
    }

    #[test]
    fn no_window_begins_while_something_is_on_its_way() {
        let mut histories = Histories::new(1, 1);
        let add = Ask { counter: 0, action: Action::Add(Add::plain(1)), ticket: Ticket::None };
        let (ack, read) = (Ack::Fsync, ReadLevel::Committed);
        let request = Request { id: 1, asks: vec![add], form: Form::Each, ack, read };
        histories.begin(&request, (false, false), 0).unwrap();
        histories.copy(&request);
        histories.end(&request, None, 1).unwrap();
        assert!(!histories.wants(0, true), "a copy is on the network");
        histories.arrive(&request);
        assert!(histories.wants(0, true));
    }
}
