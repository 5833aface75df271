//! The slots of one thread, in order.

use std::sync::Arc;

use stdx::prng::Prng;

use crate::scenario::Process;
use crate::schedule::{Schedule, Segment};
use crate::slot::Slot;

/// The slots of one of several threads, in order of time. Owns what it needs; allocates nothing.
///
/// Even slots are dealt in turn: slot `n` is that of thread `n % threads`. Of a Poisson process each
/// thread has its own at its share of the rate, which together are one at the whole rate; its slots
/// are numbered in the same way, so that no two threads have the same number.
#[derive(Debug, Clone)]
pub struct Slots {
    segments: Arc<[Segment]>,
    at: usize,
    next: u64,
    stride: u64,
    spacing: Spacing,
}

#[derive(Debug, Clone)]
enum Spacing {
    /// By the number itself, this many at one moment.
    Even(u64),
    /// By drawn gaps; the second is the count that is reached.
    Drawn(Prng, f64),
}

impl Slots {
    pub(super) fn new(schedule: &Schedule, thread: u32, threads: u32) -> Self {
        let spacing = match schedule.process {
            Process::Uniform => Spacing::Even(schedule.burst),
            Process::Poisson => {
                // Streams of different threads must not run in step: their seeds are hashed.
                let seed = stdx::hash::hash64(schedule.seed, &thread.to_le_bytes());
                Spacing::Drawn(Prng::new(seed), 0.0)
            }
        };
        let (next, stride) = (u64::from(thread), u64::from(threads));
        Self { segments: Arc::clone(&schedule.segments), at: 0, next, stride, spacing }
    }
}

impl Iterator for Slots {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let number = self.next;
        let slot = match &mut self.spacing {
            Spacing::Even(burst) => {
                let burst = *burst;
                let segment =
                    advance(&self.segments, &mut self.at, |segment| number < segment.end_number())?;
                segment.slot(number, burst)
            }
            Spacing::Drawn(prng, count) => {
                *count += exponential(prng) * self.stride as f64;
                let reached = *count;
                let segment = advance(&self.segments, &mut self.at, |segment| {
                    reached < segment.count_at_end().as_slots()
                })?;
                let due_ns = segment.due_ns(reached - segment.count_at_start().as_slots());
                Slot { number, phase: segment.phase, due_ns }
            }
        };
        self.next += self.stride;
        Some(slot)
    }
}

/// Goes on to the first segment that holds what is looked for.
fn advance<'s>(
    segments: &'s [Segment],
    at: &mut usize,
    holds: impl Fn(&Segment) -> bool,
) -> Option<&'s Segment> {
    loop {
        let segment = segments.get(*at)?;
        if holds(segment) {
            return Some(segment);
        }
        *at += 1;
    }
}

/// A draw of the exponential distribution with mean 1.
fn exponential(prng: &mut Prng) -> f64 {
    // 53 bits fill the fraction of a double; a half keeps the logarithm off 0.
    let uniform = ((prng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln()
}
