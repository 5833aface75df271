//! What one turn of a loop counted; added to the metrics once a turn, not once an operation.

use quipu_core::op::Action;
use quipu_core::outcome::{Refusal, Repeat, Reply, Verdict};
use quipu_metrics::label::{self, OperationKind, Rejection, Surface};
use quipu_metrics::name::Counter;
use quipu_metrics::registry::Registry;

/// Counts of one turn.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    commands: u64,
    input_bytes: u64,
    /// Adds that counted.
    counted: u64,
    operations: [u64; OperationKind::ALL.len()],
    refused: [u64; label::Refusal::ALL.len()],
    rejected: [u64; Rejection::ALL.len()],
    repeats: [u64; label::Repeat::ALL.len()],
}

impl Tally {
    /// Counts a command.
    #[inline]
    pub(crate) fn command(&mut self) {
        self.commands += 1;
    }

    /// How many commands it counted.
    #[inline]
    pub(crate) fn commands(&self) -> u64 {
        self.commands
    }

    /// Counts bytes that came in.
    pub(crate) fn input(&mut self, bytes: usize) {
        self.input_bytes += bytes as u64;
    }

    /// Counts an operation of a kind without reply of its own.
    pub(crate) fn operation(&mut self, kind: OperationKind) {
        bump(&mut self.operations, kind as usize);
    }

    /// Counts one operation and how it ended.
    #[inline]
    pub(crate) fn reply(&mut self, action: &Action, reply: &Reply) {
        bump(&mut self.operations, kind(action) as usize);
        match &reply.result {
            Ok(outcome) => {
                let is_new = outcome.verdict == Verdict::Done && outcome.repeat == Repeat::None;
                self.counted += u64::from(is_new && matches!(action, Action::Add(_)));
                match outcome.verdict {
                    Verdict::Done | Verdict::Unmet => {}
                    Verdict::Rejected => bump(&mut self.rejected, Rejection::Bounds as usize),
                    Verdict::Overflow => bump(&mut self.rejected, Rejection::Overflow as usize),
                }
                match outcome.repeat {
                    Repeat::None => {}
                    Repeat::Token => bump(&mut self.repeats, label::Repeat::Token as usize),
                    Repeat::Stream => bump(&mut self.repeats, label::Repeat::Stream as usize),
                }
            }
            Err(refusal) => bump(&mut self.refused, reason(refusal) as usize),
        }
    }

    /// Adds all counts to the metrics.
    pub(crate) fn publish(&self, registry: &Registry, surface: Surface) {
        let add = |counter, n| {
            if n > 0 {
                registry.add(counter, n);
            }
        };
        add(Counter::Commands(surface), self.commands);
        add(Counter::InputBytes(surface), self.input_bytes);
        add(Counter::Counted, self.counted);
        each(OperationKind::ALL, &self.operations, |k, n| add(Counter::Operations(k), n));
        each(label::Refusal::ALL, &self.refused, |k, n| add(Counter::Refused(k), n));
        each(Rejection::ALL, &self.rejected, |k, n| add(Counter::Rejected(k), n));
        each(label::Repeat::ALL, &self.repeats, |k, n| add(Counter::Repeats(k), n));
    }
}

#[inline]
fn bump(counts: &mut [u64], at: usize) {
    if let Some(count) = counts.get_mut(at) {
        *count += 1;
    }
}

fn each<K: Copy>(kinds: &[K], counts: &[u64], mut add: impl FnMut(K, u64)) {
    kinds.iter().zip(counts).for_each(|(kind, n)| add(*kind, *n));
}

#[inline]
fn kind(action: &Action) -> OperationKind {
    match action {
        Action::Get => OperationKind::Get,
        Action::Add(_) => OperationKind::Add,
        Action::Set(_) => OperationKind::Set,
        Action::Take => OperationKind::Take,
        Action::Delete => OperationKind::Delete,
        Action::Expire(_) => OperationKind::Expire,
    }
}

fn reason(refusal: &Refusal) -> label::Refusal {
    match refusal {
        Refusal::Conflict => label::Refusal::Conflict,
        Refusal::Held { .. } => label::Refusal::Held,
        Refusal::Expired => label::Refusal::Expired,
        Refusal::TokensFull | Refusal::StreamsFull { .. } | Refusal::Busy => label::Refusal::Busy,
        Refusal::NoMemory => label::Refusal::Oom,
        Refusal::NoSpace => label::Refusal::Nospace,
        Refusal::Stopping => label::Refusal::Unknown,
        Refusal::BadToken { .. }
        | Refusal::BadStream { .. }
        | Refusal::BadSequence
        | Refusal::FutureToken { .. }
        | Refusal::CrossShard => label::Refusal::BadArgument,
    }
}
