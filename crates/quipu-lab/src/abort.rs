//! What ends a run before its plan does: a condition of a phase that has held for long enough.

use crate::scenario::Scenario;
use crate::slo::{Dimension, Facts, Latency, Measure, Outcome, Reading, Statistic, Sustained};
use crate::window::{Window, decode};

/// The conditions of all phases, and since when that of the present one holds.
#[derive(Debug, Clone)]
pub struct Abort {
    conditions: Vec<Option<Sustained>>,
    since: Option<(u16, u64)>,
}

impl Abort {
    /// Takes the conditions of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let conditions = scenario.phases.iter().map(|phase| phase.abort_if.clone()).collect();
        Self { conditions, since: None }
    }

    /// Looks at the next window, and returns why the run must end, if it must. A condition that a
    /// window does not tell does not hold.
    pub fn see(&mut self, window: &Window) -> Option<String> {
        let condition = self.conditions.get(usize::from(window.phase))?.as_ref()?;
        if condition.check.judge(&Of(window)).outcome != Outcome::Pass {
            self.since = None;
            return None;
        }
        let (phase, since_ns) = match self.since {
            Some((phase, since_ns)) if phase == window.phase => (phase, since_ns),
            _ => (window.phase, window.start_ns),
        };
        self.since = Some((phase, since_ns));
        let held_ns = window.start_ns + window.len_ns - since_ns;
        (held_ns >= condition.for_ns).then(|| format!("aborted: {} held", condition.check))
    }
}

/// What one window knows.
struct Of<'w>(&'w Window);

impl Facts for Of<'_> {
    fn read(&self, measure: &Measure, dimension: Dimension) -> Reading {
        let counts = &self.0.counts;
        let of = |count: u64, whole: u64| {
            let share = count as f64 / whole.max(1) as f64;
            if dimension == Dimension::Share { share } else { count as f64 }
        };
        let per_s = |count: u64| match dimension {
            Dimension::Share => count as f64 / counts.planned.max(1) as f64,
            _ => count as f64 * 1e9 / self.0.len_ns.max(1) as f64,
        };
        let value = match measure {
            Measure::Errors => Some(of(counts.failed, counts.ok + counts.failed)),
            Measure::Missed => Some(of(counts.missed, counts.planned)),
            Measure::BacklogPeak => Some(self.0.backlog_max as f64),
            Measure::Rate => Some(per_s(counts.sent)),
            Measure::Goodput => Some(per_s(counts.ok)),
            Measure::Latency(Latency::Response, statistic) => response(self.0, *statistic),
            _ => None,
        };
        let unknown = || Reading::Unknown(format!("a window does not keep {measure}"));
        value.map_or_else(unknown, Reading::Value)
    }
}

fn response(window: &Window, statistic: Statistic) -> Option<f64> {
    let all = decode(&window.response_hdr).filter(|all| !all.is_empty())?;
    Some(match statistic {
        Statistic::Percentile(share) => all.value_at_quantile(share) as f64,
        Statistic::Mean => all.mean(),
        Statistic::Max => all.max() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::Abort;
    use crate::recording::{Recording, Sample};
    use crate::scenario::built_in;
    use crate::slo::Check;
    use crate::slo::Sustained;
    use crate::window::{Window, WindowSum};

    const SECOND: u64 = 1_000_000_000;

    fn window(second: u64, response_ms: u64) -> Window {
        let mut recording = Recording::default();
        let response_ns = response_ms * 1_000_000;
        recording.ok(Sample { response_ns, service_ns: response_ns, lag_ns: 0 });
        let sum = WindowSum { start_ns: second * SECOND, len_ns: SECOND, ..WindowSum::default() };
        Window::new(&sum, &recording)
    }

    #[test]
    fn a_run_is_ended_once_its_condition_has_held_and_not_for_one_bad_window() {
        let mut scenario = built_in("burst", "redis://h:1").expect("a built-in scenario");
        let check = Check::parse("response.p99 > 1s").expect("a check");
        scenario.phases[0].abort_if = Some(Sustained { check, for_ns: 3 * SECOND });
        let check = |responses_ms: &[u64], expected: Option<usize>| {
            let mut abort = Abort::new(&scenario);
            let mut windows = (0..).zip(responses_ms);
            let found = windows.position(|(second, ms)| abort.see(&window(second, *ms)).is_some());
            assert_eq!(found, expected, "{responses_ms:?}");
        };
        check(&[2_000, 2_000, 2_000, 2_000], Some(2));
        check(&[2_000, 2_000, 10, 2_000, 2_000], None);
        check(&[10, 2_000, 2_000, 2_000], Some(3));
    }
}
