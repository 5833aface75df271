//! What happens next: one heap of (time, order of scheduling, event).

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Events by time; those of one moment in the order in which they were scheduled.
#[derive(Debug)]
pub struct Schedule<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    next: u64,
    now_us: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at_us: u64,
    number: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), next: 0, now_us: 0 }
    }
}

impl<E> Schedule<E> {
    /// Simulated time in microseconds.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Lets something happen after so many microseconds.
    pub fn after(&mut self, delay_us: u64, event: E) {
        self.at(self.now_us + delay_us, event);
    }

    /// Lets something happen at a time that has not passed.
    pub fn at(&mut self, at_us: u64, event: E) {
        let number = self.next;
        self.next += 1;
        self.heap.push(Reverse(Entry { at_us: at_us.max(self.now_us), number, event }));
    }

    /// Goes on to the next event.
    pub fn pop(&mut self) -> Option<E> {
        let Reverse(entry) = self.heap.pop()?;
        self.now_us = entry.at_us;
        Some(entry.event)
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing will ever happen again.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
