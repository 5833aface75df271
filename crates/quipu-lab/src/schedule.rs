//! When each slot is due: a closed form from its number to its moment.
//!
//! A schedule is a row of [`Segment`]s, each with a rate over its time. The rate adds up to a count
//! that is exact (in billionths of billionths of events) over all of them, so no phase drifts against
//! the one before, and totals are whole numbers that can be said before the run. Slot `n` is due
//! when the count reaches `n`. A Poisson process spaces its slots by drawn amounts of the same count
//! instead of by one.

mod plan;
mod segment;
mod slots;

use std::sync::Arc;

pub use self::plan::plan;
pub use self::segment::Segment;
pub use self::slots::Slots;

use crate::scenario::{Arrival, Load, Phase, Process, Rate, Scenario, Shape};
use crate::schedule::segment::{Count, Curve};
use crate::slot::Slot;

/// The plan of a run: which slots there are and when each is due.
///
/// Cloning is cheap: the segments are shared.
#[derive(Debug, Clone)]
pub struct Schedule {
    segments: Arc<[Segment]>,
    phases: Arc<[PlannedPhase]>,
    process: Process,
    burst: u64,
    seed: u64,
}

/// What the schedule says of one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPhase {
    /// Its name.
    pub name: String,
    /// When it begins, in nanoseconds from the start of the run.
    pub start_ns: u64,
    /// When it ends for the last time.
    pub end_ns: u64,
    /// For how long it is the phase, without what comes between its repeats.
    pub active_ns: u64,
    /// How many slots it has; of a Poisson process, how many are expected.
    pub slots: u64,
    /// Whether it belongs to the result.
    pub record: bool,
}

impl Schedule {
    /// Returns the schedule of a scenario. A closed loop has spans and no slots.
    pub fn of(scenario: &Scenario) -> Self {
        Self::new(&scenario.phases, &scenario.arrival, scenario.seed)
    }

    /// Returns the schedule of phases that follow each other.
    pub fn new(phases: &[Phase], arrival: &Arrival, seed: u64) -> Self {
        let mut row = Row::default();
        for (number, phase) in (0..).zip(phases) {
            row.phase(number, phase);
        }
        let planned = phases.iter().zip(0..).map(|(phase, number)| row.planned(number, phase));
        Self {
            phases: planned.collect(),
            segments: row.segments.into(),
            process: arrival.process,
            burst: u64::from(arrival.burst.max(1)),
            seed,
        }
    }

    /// Returns the slots of one of several threads, in order: every slot is one thread's.
    ///
    /// # Panics
    /// If `thread` is not below `threads`.
    pub fn slots(&self, thread: u32, threads: u32) -> Slots {
        assert!(thread < threads, "a thread is one of those that share the slots");
        Slots::new(self, thread, threads)
    }

    /// Returns the slot of a number, or nothing past the last one or when moments are drawn.
    pub fn slot(&self, number: u64) -> Option<Slot> {
        if self.process == Process::Poisson {
            return None;
        }
        let at = self.segments.partition_point(|segment| segment.end_number() <= number);
        Some(self.segments.get(at)?.slot(number, self.burst))
    }

    /// Returns the number of slots of the whole run; of a Poisson process, how many are expected.
    pub fn total(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end_number)
    }

    /// Returns the number of slots of the phases that belong to the result.
    pub fn recorded_total(&self) -> u64 {
        self.phases.iter().filter(|phase| phase.record).map(|phase| phase.slots).sum()
    }

    /// Returns how long the run is planned to send, in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end_ns)
    }

    /// Returns what is planned of each phase of the scenario, in its order.
    pub fn phases(&self) -> &[PlannedPhase] {
        &self.phases
    }

    /// Returns the segments in order of time; they leave no gap.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the segment of a moment, or nothing after the end.
    pub fn segment_at(&self, ns: u64) -> Option<&Segment> {
        self.segments.get(self.segments.partition_point(|segment| segment.end_ns <= ns))
    }

    /// Returns the phase of a moment, or nothing after the end.
    pub fn phase_at(&self, ns: u64) -> Option<u16> {
        self.segment_at(ns).map(|segment| segment.phase)
    }

    /// Returns the planned rate of a moment, in slots per second; 0 after the end.
    pub fn rate_at(&self, ns: u64) -> f64 {
        self.segment_at(ns).map_or(0.0, |segment| segment.rate_at(ns))
    }

    /// Returns the planned rate between two moments on average, in slots per second.
    pub fn rate_over(&self, from_ns: u64, until_ns: u64) -> f64 {
        let touched = self.segments.iter().map(|segment| {
            let (from_ns, until_ns) = (from_ns.max(segment.start_ns), until_ns.min(segment.end_ns));
            if from_ns >= until_ns {
                return 0.0;
            }
            // Simpson's rule: exact for a line, and near for a curve that is as smooth as ours.
            let middle = segment.rate_at(from_ns.midpoint(until_ns));
            let ends = segment.rate_at(from_ns) + segment.rate_at(until_ns);
            (ends + 4.0 * middle) / 6.0 * (until_ns - from_ns) as f64
        });
        touched.sum::<f64>() / until_ns.saturating_sub(from_ns).max(1) as f64
    }
}

/// The segments so far, and where the next begins.
#[derive(Debug, Default)]
struct Row {
    segments: Vec<Segment>,
    end_ns: u64,
    count: Count,
}

impl Row {
    fn phase(&mut self, number: u16, phase: &Phase) {
        let Some(repeat) = &phase.repeat else {
            return self.load(number, &phase.load, phase.lasts.0);
        };
        let rest_ns = repeat.every.0.saturating_sub(phase.lasts.0);
        for _ in 0..repeat.times {
            self.load(number, &phase.load, phase.lasts.0);
            self.push(number, Curve::constant(repeat.between), rest_ns);
        }
    }

    fn load(&mut self, number: u16, load: &Load, ns: u64) {
        match load {
            Load::Users(_) => self.push(number, Curve::constant(Rate::ZERO), ns),
            Load::Rate(rate) => self.push(number, Curve::constant(*rate), ns),
            Load::Ramp { from, to, shape: Shape::Steps(steps) } => {
                self.steps(number, (*from, *to), *steps, ns);
            }
            Load::Ramp { from, to, shape: Shape::Exponential } => {
                self.push(number, Curve::exponential(*from, *to), ns);
            }
            Load::Ramp { from, to, shape: Shape::Linear } => {
                self.push(number, Curve::linear(*from, *to), ns);
            }
        }
    }

    /// As many plateaus as steps and one more: the first has the rate `from`, the last `to`.
    fn steps(&mut self, number: u16, (from, to): (Rate, Rate), steps: u32, ns: u64) {
        let start_ns = self.end_ns;
        let plateaus = u64::from(steps) + 1;
        for step in 0..plateaus {
            let until_ns = scaled(ns, step + 1, plateaus);
            let length_ns = until_ns - (self.end_ns - start_ns);
            self.push(number, Curve::constant(from.towards(to, step, u64::from(steps))), length_ns);
        }
    }

    fn push(&mut self, phase: u16, curve: Curve, ns: u64) {
        if ns == 0 {
            return;
        }
        let segment = Segment::new(phase, curve, self.end_ns, ns, self.count);
        self.end_ns = segment.end_ns;
        self.count = segment.count_at_end();
        self.segments.push(segment);
    }

    fn planned(&self, number: u16, phase: &Phase) -> PlannedPhase {
        let mine = || self.segments.iter().filter(|segment| segment.phase == number);
        PlannedPhase {
            name: phase.name.clone(),
            start_ns: mine().map(|segment| segment.start_ns).min().unwrap_or(0),
            end_ns: mine().map(|segment| segment.end_ns).max().unwrap_or(0),
            active_ns: mine().map(|segment| segment.end_ns - segment.start_ns).sum(),
            slots: mine().map(|segment| segment.slots).sum(),
            record: phase.record,
        }
    }
}

/// `whole * part / parts` without overflow.
fn scaled(whole: u64, part: u64, parts: u64) -> u64 {
    (u128::from(whole) * u128::from(part) / u128::from(parts)) as u64
}

#[cfg(test)]
mod tests;
