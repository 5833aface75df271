//! Clients with tokens: after every restart all that had no answer is sent again, and the
//! counters are exact.

use std::mem;

use crate::books::{Client, Stop, accepted, ask, values_of};
use crate::chance::Chance;
use crate::resp::{Reply, Resp, encode_line};
use crate::{Violation, demand};

/// Counters of each client.
const COUNTERS: usize = 8;
/// Commands of one pipeline, at most.
const PIPELINE_MAX: usize = 24;
/// Acknowledged operations that are replayed after each restart, at most.
const REPLAYED_MAX: usize = 64;
/// The bound of the bounded counters: reached soon, so that most outcomes are rejections.
const BOUND: i64 = 500;

/// The outcome of a tokened operation: what every repeat must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    value: i64,
    applied: i64,
    position: String,
}

/// Reads `[value, applied, position, repeat]`.
fn outcome(reply: &Reply) -> Result<(Outcome, String), Violation> {
    let read = || {
        let [value, applied, position, repeat] = reply.items() else { return None };
        let position = position.text()?.to_owned();
        let outcome = Outcome { value: value.int()?, applied: applied.int()?, position };
        Some((outcome, repeat.text()?.to_owned()))
    };
    read().ok_or_else(|| {
        Violation::new("form", format!("not [value, applied, position, repeat]: {reply:?}"))
    })
}

#[derive(Debug, Clone)]
struct Operation {
    key: usize,
    command: String,
}

/// Sends `QUIPU.ADD` with a key as token, half of them on bounded counters.
#[derive(Debug)]
pub struct Keyed {
    id: usize,
    tokens: u64,
    /// The exact value of each counter, when nothing is unresolved.
    books: Vec<i64>,
    unresolved: Vec<Operation>,
    answered: Vec<(Operation, Outcome)>,
    repeats: u64,
}

impl Keyed {
    /// Returns a client with empty books; `id` tells its counters from those of others.
    pub fn new(id: usize) -> Self {
        let books = vec![0; COUNTERS];
        Self { id, tokens: 0, books, unresolved: Vec::new(), answered: Vec::new(), repeats: 0 }
    }

    fn name(&self, key: usize) -> String {
        format!("keyed:{}:{key}", self.id)
    }

    fn operation(&mut self, chance: &mut Chance) -> Operation {
        let key = chance.below(COUNTERS);
        self.tokens += 1;
        let delta = 1 + chance.below(9);
        let bound = if key % 2 == 1 { format!(" MAX {BOUND}") } else { String::new() };
        let (name, id, token) = (self.name(key), self.id, self.tokens);
        Operation { key, command: format!("QUIPU.ADD {name} {delta} TOKEN t{id}-{token}{bound}") }
    }

    fn resolve(&mut self, operation: Operation, outcome: Outcome) {
        self.books[operation.key] += outcome.applied;
        self.answered.push((operation, outcome));
        if self.answered.len() > REPLAYED_MAX {
            self.answered.swap_remove(self.tokens as usize % REPLAYED_MAX);
        }
    }

    /// Sends all answered operations again: they must count nothing and answer the same.
    fn replay(&mut self, node: &mut Resp) -> Result<(), Violation> {
        let commands: Vec<&str> =
            self.answered.iter().map(|(operation, _)| operation.command.as_str()).collect();
        let replies = ask(node, &commands)?;
        for ((operation, first), reply) in self.answered.iter().zip(replies) {
            let (again, repeat) = outcome(&reply)?;
            demand(again == *first && repeat == "token", "token repeat", || {
                format!("{}: first {first:?}, then {again:?} repeat {repeat}", operation.command)
            })?;
            self.repeats += 1;
        }
        Ok(())
    }
}

impl Client for Keyed {
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop> {
        let count = 1 + chance.below(PIPELINE_MAX);
        let operations: Vec<Operation> = (0..count).map(|_| self.operation(chance)).collect();
        let lines = operations.iter().map(|operation| encode_line(&operation.command));
        let bytes: Vec<u8> = lines.flatten().collect();
        self.unresolved = operations;
        node.send(&bytes)?;
        for _ in 0..count {
            let reply = accepted(node.receive()?, "QUIPU.ADD ... TOKEN")?;
            let operation = self.unresolved.remove(0);
            let (outcome, repeat) = outcome(&reply)?;
            demand(repeat == "none", "token repeat", || {
                format!("{}: a first request is called repeat {repeat}", operation.command)
            })?;
            self.resolve(operation, outcome);
        }
        Ok(count)
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        let unresolved = mem::take(&mut self.unresolved);
        let commands: Vec<&str> =
            unresolved.iter().map(|operation| operation.command.as_str()).collect();
        let replies = ask(node, &commands)?;
        for (operation, reply) in unresolved.into_iter().zip(replies) {
            let (first, _) = outcome(&reply)?;
            self.resolve(operation, first);
        }
        self.replay(node)?;
        let values = values_of(node, &format!("keyed:{}", self.id), COUNTERS)?;
        for (key, (expected, value)) in self.books.iter().zip(values).enumerate() {
            demand(value == *expected, "exactly once", || {
                format!("{} is {value}, its tokens applied {expected}", self.name(key))
            })?;
            demand(key % 2 == 0 || value <= BOUND, "bound", || {
                format!("{} is {value}, above its bound", self.name(key))
            })?;
        }
        Ok(())
    }

    fn repeats(&self) -> u64 {
        self.repeats
    }
}

/// Sends a stream in order; after a restart it sends again from the first sequence without answer.
#[derive(Debug)]
pub struct Streamed {
    source: &'static str,
    books: Vec<i64>,
    /// The last sequence sent.
    sequence: u64,
    /// Without an answer, in order: sequence and counter.
    unresolved: Vec<(u64, usize)>,
    /// The last answered one.
    answered: Option<(u64, usize)>,
    repeats: u64,
}

impl Streamed {
    /// Returns a client with empty books.
    pub fn new(source: &'static str) -> Self {
        let books = vec![0; COUNTERS];
        Self { source, books, sequence: 0, unresolved: Vec::new(), answered: None, repeats: 0 }
    }

    fn command(&self, sequence: u64, key: usize) -> String {
        format!("QUIPU.ADD streamed:{key} 1 STREAM {} {sequence}", self.source)
    }

    fn resolve_first(&mut self) {
        let (sequence, key) = self.unresolved.remove(0);
        self.books[key] += 1;
        self.answered = Some((sequence, key));
    }
}

impl Client for Streamed {
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop> {
        let mut bytes = Vec::new();
        for _ in 0..=chance.below(PIPELINE_MAX) {
            self.sequence += 1;
            let key = chance.below(COUNTERS);
            self.unresolved.push((self.sequence, key));
            bytes.extend_from_slice(&encode_line(&self.command(self.sequence, key)));
        }
        node.send(&bytes)?;
        let count = self.unresolved.len();
        for _ in 0..count {
            let reply = accepted(node.receive()?, "QUIPU.ADD ... STREAM")?;
            let (_, repeat) = outcome(&reply)?;
            demand(repeat == "none", "stream repeat", || {
                format!("a new sequence of {} is called repeat {repeat}", self.source)
            })?;
            self.resolve_first();
        }
        Ok(count)
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        let commands: Vec<String> =
            self.unresolved.iter().map(|&(sequence, key)| self.command(sequence, key)).collect();
        for _ in ask(node, &commands)? {
            self.resolve_first();
        }
        if let Some((sequence, key)) = self.answered {
            let command = self.command(sequence, key);
            let (again, repeat) = outcome(&ask(node, &[&command])?[0])?;
            demand(repeat == "stream" && again.applied == 0, "stream repeat", || {
                format!("{command} again: {again:?} repeat {repeat}")
            })?;
            self.repeats += 1;
        }
        let values = values_of(node, "streamed", COUNTERS)?;
        for (key, (expected, value)) in self.books.iter().zip(values).enumerate() {
            demand(value == *expected, "exactly once", || {
                format!("streamed:{key} is {value}, its stream holds {expected}")
            })?;
        }
        Ok(())
    }

    fn repeats(&self) -> u64 {
        self.repeats
    }
}
