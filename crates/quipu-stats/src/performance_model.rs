//! The three times of an update (memory, disk, network), the throughput that they foretell, and
//! where measurements say otherwise.
//!
//! With m, d and n seconds for memory, disk and network: one node after the other writes
//! 1 / (m + d + n) per second, k nodes write k / (m + d), a read that adds up k nodes is done
//! 1 / ((m + n) k) times a second, and a target takes ceil(target (m + d)) nodes. The model knows of
//! no group commit, no coalescing and no pipelining: each of them shows as a point that it misses.

use thiserror::Error;

use crate::interval::Interval;
use crate::least_squares;

/// The times of one update, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// In memory: m.
    pub memory_s: f64,
    /// On disk: d.
    pub disk_s: f64,
    /// On the network: n.
    pub network_s: f64,
}

impl Times {
    /// Operations per second that the model foretells.
    pub fn per_s(&self, workload: Workload) -> f64 {
        let (memory, disk, network) = (self.memory_s, self.disk_s, self.network_s);
        match workload {
            Workload::Traditional => 1.0 / (memory + disk + network),
            Workload::Writes { nodes } => f64::from(nodes) / (memory + disk),
            Workload::Reads { nodes } => 1.0 / ((memory + network) * f64::from(nodes)),
        }
    }

    /// The nodes that a target of writes per second takes, at least 1.
    pub fn nodes_for(&self, writes_per_s: f64) -> u64 {
        ((writes_per_s * (self.memory_s + self.disk_s)).ceil() as u64).max(1)
    }
}

/// What was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// One update after the other over memory, disk and network.
    Traditional,
    /// Updates spread over so many nodes.
    Writes {
        /// How many.
        nodes: u32,
    },
    /// Reads that add up the values of so many nodes.
    Reads {
        /// How many.
        nodes: u32,
    },
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// What was run.
    pub workload: Workload,
    /// Operations per second.
    pub per_s: f64,
    /// Their interval.
    pub interval: Interval,
}

/// Times that are known from elsewhere, such as those of a disk that was measured by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Known {
    /// In memory.
    pub memory_s: Option<f64>,
    /// On disk.
    pub disk_s: Option<f64>,
    /// On the network.
    pub network_s: Option<f64>,
}

/// The model beside the measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The times.
    pub times: Times,
    /// Root of the mean squared relative residual of the seconds for one operation: 0.05 is 5 %.
    pub residual_ratio: f64,
    /// Where the model fails: the points whose interval does not hold what it foretells.
    pub deviations: Vec<Deviation>,
}

/// A measurement that the model misses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Its index.
    pub index: usize,
    /// The measurement.
    pub measurement: Measurement,
    /// Operations per second that the model foretells.
    pub foretold_per_s: f64,
}

impl Deviation {
    /// Measured over foretold: above 1 where the system does better than the model.
    pub fn ratio(&self) -> f64 {
        self.measurement.per_s / self.foretold_per_s
    }

    /// One sentence of what was foretold, what was measured, and what the model leaves out.
    pub fn statement(&self) -> String {
        let Measurement { workload, per_s, interval } = self.measurement;
        let what = match workload {
            Workload::Traditional => "single updates".to_owned(),
            Workload::Writes { nodes } => format!("writes on {nodes} nodes"),
            Workload::Reads { nodes } => format!("reads over {nodes} nodes"),
        };
        let why = if self.ratio() > 1.0 {
            "the model leaves out group commit, coalescing and pipelining"
        } else {
            "the model leaves out waiting for locks, queues and neighbours"
        };
        let (foretold, ratio) = (self.foretold_per_s, self.ratio());
        let Interval { low, high } = interval;
        format!(
            "{what}: {per_s:.0}/s measured ({low:.0} to {high:.0}), {foretold:.0}/s foretold, {ratio:.2} times as many; {why}"
        )
    }
}

/// Why the times do not follow from the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ModelError {
    /// Several times fit equally well.
    #[error(
        "the times of memory, disk and network do not follow from these measurements; measure single updates, writes and reads, or say which times are known"
    )]
    Undetermined,
    /// No nodes, or no operations.
    #[error("measurement {index} needs at least one node and a throughput above 0")]
    BadMeasurement {
        /// Its index.
        index: usize,
    },
    /// A known time below zero or not a number.
    #[error("a known time must be 0 s or more")]
    BadTime,
}

/// Fits the times that are not known, from 0 on, to the seconds that one operation took: each is
/// a sum of times, so this is one linear step with relative weights.
///
/// # Errors
/// The measurements do not determine the times, or one of them or of the known ones cannot be.
pub fn fit(measurements: &[Measurement], known: &Known) -> Result<Fit, ModelError> {
    let is_bad = |measured: &Measurement| {
        let is_positive = measured.per_s.is_finite() && measured.per_s > 0.0;
        !is_positive || nodes(measured.workload) == 0
    };
    if let Some(index) = measurements.iter().position(is_bad) {
        return Err(ModelError::BadMeasurement { index });
    }
    let known = [known.memory_s, known.disk_s, known.network_s];
    if known.iter().flatten().any(|time| !time.is_finite() || *time < 0.0) {
        return Err(ModelError::BadTime);
    }
    let equations: Vec<Equation> = measurements.iter().map(Equation::of).collect();
    let times = best(&equations, known).ok_or(ModelError::Undetermined)?;
    let residual_ratio = (squares(&equations, &times) / equations.len().max(1) as f64).sqrt();
    let [memory_s, disk_s, network_s] = times;
    let times = Times { memory_s, disk_s, network_s };
    Ok(Fit { times, residual_ratio, deviations: deviations(&times, measurements) })
}

/// Returns the measurements whose interval does not hold what the times foretell.
pub fn deviations(times: &Times, measurements: &[Measurement]) -> Vec<Deviation> {
    let all = measurements.iter().enumerate().map(|(index, measurement)| Deviation {
        index,
        measurement: *measurement,
        foretold_per_s: times.per_s(measurement.workload),
    });
    all.filter(|point| !point.measurement.interval.contains(point.foretold_per_s)).collect()
}

fn nodes(workload: Workload) -> u32 {
    match workload {
        Workload::Traditional => 1,
        Workload::Writes { nodes } | Workload::Reads { nodes } => nodes,
    }
}

/// Which of the three times add up to the seconds of one operation on one node.
#[derive(Debug, Clone, Copy)]
struct Equation {
    holds: [f64; 3],
    seconds: f64,
}

impl Equation {
    fn of(measured: &Measurement) -> Self {
        let per_s = measured.per_s;
        let (holds, seconds) = match measured.workload {
            Workload::Traditional => ([1.0, 1.0, 1.0], 1.0 / per_s),
            Workload::Writes { nodes } => ([1.0, 1.0, 0.0], f64::from(nodes) / per_s),
            Workload::Reads { nodes } => ([1.0, 0.0, 1.0], 1.0 / (per_s * f64::from(nodes))),
        };
        Self { holds, seconds }
    }

    fn foretold(&self, times: &[f64; 3]) -> f64 {
        self.holds.iter().zip(times).map(|(holds, time)| holds * time).sum()
    }
}

/// The sum of squared relative residuals.
fn squares(equations: &[Equation], times: &[f64; 3]) -> f64 {
    let residual = |equation: &Equation| equation.foretold(times) / equation.seconds - 1.0;
    equations.iter().map(|equation| residual(equation).powi(2)).sum()
}

/// The best times from 0 on: of every choice of times that are zero, the free rest is solved, and
/// the best that is allowed is kept.
fn best(equations: &[Equation], known: [Option<f64>; 3]) -> Option<[f64; 3]> {
    solved(equations, known)?;
    let choices = (0..8_u8).map(|choice| {
        let at_zero = |index: usize| (choice >> index & 1 == 1).then_some(0.0);
        std::array::from_fn(|index| known[index].or(at_zero(index)))
    });
    let allowed = choices
        .filter_map(|choice| solved(equations, choice))
        .filter(|times| times.iter().all(|time| *time >= 0.0));
    allowed.min_by(|left, right| squares(equations, left).total_cmp(&squares(equations, right)))
}

/// All three times, given some of them; nothing if the rest is not determined.
fn solved(equations: &[Equation], given: [Option<f64>; 3]) -> Option<[f64; 3]> {
    let free: Vec<usize> = (0..3).filter(|index| given[*index].is_none()).collect();
    let times = given.map(|time| time.unwrap_or(0.0));
    match free[..] {
        [] => Some(times),
        [a] => solved_for([a], equations, times),
        [a, b] => solved_for([a, b], equations, times),
        _ => solved_for([0, 1, 2], equations, times),
    }
}

fn solved_for<const P: usize>(
    free: [usize; P],
    equations: &[Equation],
    mut times: [f64; 3],
) -> Option<[f64; 3]> {
    let row = |equation: &Equation| free.map(|index| equation.holds[index] / equation.seconds);
    let rest = |equation: &Equation| 1.0 - equation.foretold(&times) / equation.seconds;
    let rows: Vec<[f64; P]> = equations.iter().map(row).collect();
    let values: Vec<f64> = equations.iter().map(rest).collect();
    let found = least_squares::linear(&rows, &values)?;
    for (index, time) in free.into_iter().zip(found) {
        times[index] = time;
    }
    Some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the requirements: 1 us, 2 ms, 5 ms.
    const TRUE: Times = Times { memory_s: 1e-6, disk_s: 2e-3, network_s: 5e-3 };
    const ALL: [Workload; 5] = [
        Workload::Traditional,
        Workload::Writes { nodes: 3 },
        Workload::Writes { nodes: 10 },
        Workload::Reads { nodes: 3 },
        Workload::Reads { nodes: 10 },
    ];

    /// What a system does that is so many times as fast as the model says.
    fn measured(workload: Workload, times_as_fast: f64) -> Measurement {
        let per_s = TRUE.per_s(workload) * times_as_fast;
        Measurement {
            workload,
            per_s,
            interval: Interval { low: 0.97 * per_s, high: 1.03 * per_s },
        }
    }

    fn check(found: Times, expected: Times) {
        let pairs = [
            (found.memory_s, expected.memory_s),
            (found.disk_s, expected.disk_s),
            (found.network_s, expected.network_s),
        ];
        assert!(pairs.iter().all(|(found, expected)| (found - expected).abs() < 1e-8), "{pairs:?}");
    }

    #[test]
    fn the_formulas_are_those_of_the_requirements() {
        let times = Times { memory_s: 0.001, disk_s: 0.004, network_s: 0.005 };
        for (workload, expected) in [
            (Workload::Traditional, 100.0),
            (Workload::Writes { nodes: 3 }, 600.0),
            (Workload::Reads { nodes: 3 }, 1_000.0 / 18.0),
        ] {
            assert!((times.per_s(workload) - expected).abs() < 1e-9);
        }
        assert_eq!((times.nodes_for(1_001.0), times.nodes_for(0.0)), (6, 1));
    }

    #[test]
    fn a_system_as_the_model_says_is_fitted_exactly() {
        let measurements = ALL.map(|workload| measured(workload, 1.0));
        let found = fit(&measurements, &Known::default()).unwrap();
        check(found.times, TRUE);
        assert!(found.residual_ratio < 1e-9 && found.deviations.is_empty(), "{found:?}");
    }

    #[test]
    fn known_times_make_up_for_measurements_that_are_missing() {
        let writes = [measured(Workload::Writes { nodes: 3 }, 1.0)];
        assert_eq!(fit(&writes, &Known::default()), Err(ModelError::Undetermined));
        let known = Known { memory_s: Some(1e-6), network_s: Some(5e-3), ..Known::default() };
        check(fit(&writes, &known).unwrap().times, TRUE);
    }

    #[test]
    fn no_time_is_below_zero() {
        // Reads faster than memory and network allow beside single updates: m + n > m + d + n.
        let measurements = [
            measured(Workload::Traditional, 2.0),
            measured(Workload::Writes { nodes: 1 }, 0.5),
            measured(Workload::Reads { nodes: 1 }, 0.5),
        ];
        let Times { memory_s, disk_s, network_s } =
            fit(&measurements, &Known::default()).unwrap().times;
        assert!(memory_s >= 0.0 && disk_s >= 0.0 && network_s >= 0.0);
    }

    #[test]
    fn group_commit_is_named_as_where_the_model_fails() {
        let known = Known { memory_s: Some(1e-6), disk_s: Some(2e-3), network_s: Some(5e-3) };
        let grouped = measured(Workload::Writes { nodes: 3 }, 40.0);
        let found = fit(&[measured(Workload::Traditional, 1.0), grouped], &known).unwrap();
        let [deviation] = &found.deviations[..] else { panic!("{found:?}") };
        assert_eq!(deviation.index, 1);
        assert_eq!(
            deviation.statement(),
            "writes on 3 nodes: 59970/s measured (58171 to 61769), 1499/s foretold, 40.00 times as many; the model leaves out group commit, coalescing and pipelining"
        );
    }

    #[test]
    fn impossible_input_is_named() {
        let none = measured(Workload::Reads { nodes: 0 }, 1.0);
        let still = Measurement { per_s: 0.0, ..measured(Workload::Traditional, 1.0) };
        for bad in [none, still] {
            let found = fit(&[measured(Workload::Traditional, 1.0), bad], &Known::default());
            assert_eq!(found, Err(ModelError::BadMeasurement { index: 1 }));
        }
        let known = Known { disk_s: Some(-1.0), ..Known::default() };
        assert_eq!(fit(&[], &known), Err(ModelError::BadTime));
        assert_eq!(fit(&[], &Known::default()), Err(ModelError::Undetermined));
    }
}
