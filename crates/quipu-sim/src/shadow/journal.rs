//! The way back: what was there before each change.

use std::collections::VecDeque;

use crate::request::Ticket;
use crate::shadow::{Entry, Memory, Progress, Scope, Shadow, Tail};

/// What was there before one change.
#[derive(Debug)]
enum Before {
    Counter(u32, Entry),
    Token(Scope, Option<Memory>),
    Stream((u16, u32), Option<Progress>),
    Tail(u16, Tail),
}

/// All changes since the oldest moment to which there is a way back.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<Before>,
    /// How many entries were forgotten before the first.
    forgotten: u64,
}

impl Journal {
    pub(super) fn clear(&mut self) {
        self.forgotten += self.entries.len() as u64;
        self.entries.clear();
    }
}

impl Shadow {
    /// The present moment, to go back to.
    pub fn moment(&self) -> u64 {
        self.journal.forgotten + self.journal.entries.len() as u64
    }

    /// Gives up the way back to any moment before this one.
    pub fn forget_before(&mut self, moment: u64) {
        let count = moment.saturating_sub(self.journal.forgotten) as usize;
        let count = count.min(self.journal.entries.len());
        self.journal.entries.drain(..count);
        self.journal.forgotten += count as u64;
    }

    /// Goes back.
    pub fn go_back(&mut self, moment: u64) {
        while self.moment() > moment {
            let Some(before) = self.journal.entries.pop_back() else { return };
            match before {
                Before::Counter(counter, entry) => self.put_counter(counter, entry),
                Before::Token(scope, memory) => self.put_token(scope, memory),
                Before::Stream(at, progress) => self.put_stream(at, progress),
                Before::Tail(shard, tail) => self.put_tail(shard, tail),
            }
        }
    }

    /// Takes back what an aborted group did; time does not step back with it.
    pub fn abort(&mut self, moment: u64) {
        let times: Vec<u64> = self.tails.iter().map(|tail| tail.time).collect();
        self.go_back(moment);
        for (shard, time) in times.into_iter().enumerate() {
            let tail = self.tail(shard as u16);
            if tail.time != time {
                self.set_tail(shard as u16, Tail { time, ..tail });
            }
        }
    }

    /// Puts something into the open batch of a shard; returns its number.
    pub(super) fn write(&mut self, shard: u16, now_ms: u64) -> u64 {
        let tail = self.tail(shard);
        let time = tail.decision_time(now_ms);
        if !tail.open || tail.time != time {
            self.set_tail(shard, Tail { open: true, time, ..tail });
        }
        tail.sealed + 1
    }

    pub(super) fn set_counter(&mut self, counter: u32, entry: Entry) {
        let before = self.counter(counter);
        self.journal.entries.push_back(Before::Counter(counter, before));
        self.put_counter(counter, entry);
    }

    fn put_counter(&mut self, counter: u32, entry: Entry) {
        let shard = self.shards.get(counter as usize).copied().unwrap_or(0);
        let Some(place) = self.counters.get_mut(counter as usize) else { return };
        let expiry = |entry: &Entry| entry.live.and_then(|(_, at)| at);
        let (old, new) = (expiry(place), expiry(&entry));
        *place = entry;
        if old == new {
            return;
        }
        let Some(expiries) = self.expiries.get_mut(usize::from(shard)) else { return };
        if let Some(at) = old {
            expiries.remove(&(at, counter));
        }
        if let Some(at) = new {
            expiries.insert((at, counter));
        }
    }

    pub(super) fn set_token(&mut self, scope: Scope, memory: Memory) {
        let before = self.tokens.insert(scope, memory);
        self.journal.entries.push_back(Before::Token(scope, before));
    }

    fn put_token(&mut self, scope: Scope, memory: Option<Memory>) {
        match memory {
            Some(memory) => _ = self.tokens.insert(scope, memory),
            None => _ = self.tokens.remove(&scope),
        }
    }

    pub(super) fn set_stream(&mut self, at: (u16, u32), progress: Progress) {
        let before = self.streams.insert(at, progress);
        self.journal.entries.push_back(Before::Stream(at, before));
    }

    /// Takes a stream away that ends in this batch.
    pub(super) fn end_stream_on(&mut self, at: (u16, u32), batch: Option<u64>) {
        let before = self.streams.remove(&at);
        self.journal.entries.push_back(Before::Stream(at, before));
        if let Some(batch) = batch {
            self.ends.insert(at, batch);
        }
    }

    fn put_stream(&mut self, at: (u16, u32), progress: Option<Progress>) {
        match progress {
            Some(progress) => _ = self.streams.insert(at, progress),
            None => _ = self.streams.remove(&at),
        }
    }

    pub(super) fn set_tail(&mut self, shard: u16, tail: Tail) {
        let before = self.tail(shard);
        self.journal.entries.push_back(Before::Tail(shard, before));
        self.put_tail(shard, tail);
    }

    fn put_tail(&mut self, shard: u16, tail: Tail) {
        if let Some(place) = self.tails.get_mut(usize::from(shard)) {
            *place = tail;
        }
    }

    /// Holds a stream at an operation that did not count.
    pub fn hold(&mut self, shard: u16, ticket: Ticket) {
        let Ticket::Place { stream, sequence } = ticket else { return };
        if sequence == 0 {
            return;
        }
        let mut progress = self.stream(shard, stream).unwrap_or_default();
        if sequence > progress.mark {
            let held = progress.held.map_or(sequence, |held| held.min(sequence));
            progress.held = Some(held);
        }
        self.set_stream((shard, stream), progress);
    }

    /// Whether a stream has no place: those that are only held have none yet.
    pub(super) fn streams_full(&self, shard: u16, progress: Progress) -> bool {
        let is_recorded = |of: &Progress| of.mark > 0 || of.checkpoint.is_some();
        let here = self.streams.range((shard, 0)..=(shard, u32::MAX));
        let recorded = here.filter(|(_, of)| is_recorded(of)).count();
        !is_recorded(&progress) && recorded >= self.bounds.streams
    }
}
