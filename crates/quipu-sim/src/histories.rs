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
const WINDOWS_MAX: usize = 3;

/// Operations of a window, from so many to less than twice as many. Guess: several times what is
/// on its way at once, and decided quickly.
const OPS: u64 = 24;

/// A window that is quiet again ends when it has so many operations. Guess.
const OPS_MIN: usize = 8;

/// A window ends after so long: long enough for a crash, a restart and its retries. Guess.
const AGE_US: u64 = 20_000_000;

/// One in so many requests begins a window where it can. Guess: some percent of all operations.
const REQUESTS_PER_WINDOW: u64 = 300;

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
