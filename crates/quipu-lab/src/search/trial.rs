//! One trial of a search: the scenario that it runs, and what its finding means.

use std::fmt;

use serde::{Deserialize, Serialize};
use stdx::units::Nanos;

use super::{Ask, Outcome};
use crate::finding::Finding;
use crate::scenario::{Load, Phase, Rate, Scenario};
use crate::slo::{self, Check, Measure, Slo};
use crate::validity::Verdict;

/// How long a trial warms up, against how long it records: connections open, caches fill, and what a
/// trial before has left in the target drains (guess).
const WARM_UP: f64 = 0.2;

/// The least share of the planned slots that must leave: what the generator must keep to as well.
const SENT_MIN: f64 = 0.999;

/// The windows of a trial.
const WINDOW: Nanos = Nanos::from_secs(1);

/// What limits a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Answers came too late.
    Latency,
    /// Too many requests failed.
    Errors,
    /// The target took fewer requests than were due.
    Backlog,
    /// The generator could do no more, or disturbed what it measured: nothing is known of the target.
    Generator,
    /// Something else that was promised.
    Other,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Backlog => "a backlog",
            Self::Generator => "the generator",
            Self::Other => "another promise",
        })
    }
}

/// Returns what a trial runs: a warm-up that is not recorded, then the rate.
pub fn scenario(base: &Scenario, checks: &[Check], ask: &Ask) -> Scenario {
    let rate = Rate::new(ask.rate_per_s).unwrap_or(Rate::MAX);
    let phase = |name: &str, lasts: Nanos, record| Phase {
        name: name.to_owned(),
        load: Load::Rate(rate),
        lasts,
        window: WINDOW.min(lasts),
        record,
        repeat: None,
        abort_if: None,
    };
    let warm_up = Nanos((ask.lasts.0 as f64 * WARM_UP) as u64).max(Nanos::from_millis(100));
    Scenario {
        phases: vec![phase("warmup", warm_up, false), phase("trial", ask.lasts, true)],
        slos: vec![Slo { phase: None, checks: checks.to_vec() }],
        search: None,
        ..base.clone()
    }
}

/// Judges a trial: first whether the generator did its part, then whether the target did.
pub fn judge(finding: &Finding, checks: &[Check]) -> Outcome {
    let counts = &finding.total.counts;
    let is_all_sent = counts.sent as f64 >= SENT_MIN * counts.planned as f64;
    let held_back = finding.generator.threads.iter().any(|thread| thread.held_back > 0);
    // A generator that is too busy to read answers holds requests back by itself.
    if !is_all_sent && held_back && !finding.validity.is_generator_bound {
        let why = format!("{} of {} planned requests left", counts.sent, counts.planned);
        return Outcome::Fail { cause: Cause::Backlog, why };
    }
    let is_invalid = finding.validity.verdict == Verdict::Invalid;
    if is_invalid || finding.validity.is_generator_bound || !is_all_sent || finding.stopped {
        let why = finding.validity.reasons().next();
        let why = why.unwrap_or_else(|| "not all planned requests left".to_owned());
        return Outcome::Fail { cause: Cause::Generator, why };
    }
    let judged = finding.promises.iter().map(|promise| &promise.judgement).zip(checks);
    let mut broken = judged.filter(|(judgement, _)| judgement.outcome != slo::Outcome::Pass);
    broken.next().map_or(Outcome::Pass, |(judgement, check)| Outcome::Fail {
        cause: cause(check),
        why: format!(
            "{} is {}",
            judgement.check,
            judgement.reason.as_ref().unwrap_or(&judgement.left)
        ),
    })
}

fn cause(check: &Check) -> Cause {
    let of = |measure: &Measure| match measure {
        Measure::Latency(..) => Cause::Latency,
        Measure::Errors => Cause::Errors,
        Measure::Missed
        | Measure::Sent
        | Measure::Rate
        | Measure::Goodput
        | Measure::Succeeded
        | Measure::BacklogPeak => Cause::Backlog,
        _ => Cause::Other,
    };
    check.measures().next().map_or(Cause::Other, of)
}

impl Ask {
    /// Returns one line for a trial that is over.
    pub fn line(&self, outcome: &Outcome, finding: &Finding) -> String {
        let kind = match (self.is_confirmation, self.is_repeat) {
            (false, false) => "trial",
            (false, true) => "trial, again",
            (true, false) => "confirmation",
            (true, true) => "confirmation, again",
        };
        let total = &finding.total;
        let came = match outcome {
            Outcome::Pass => "pass".to_owned(),
            Outcome::Fail { cause, why } => format!("FAIL by {cause}: {why}"),
        };
        format!(
            "{:>10.0}/s  {kind:<19}  {:>10.0} ok/s  p99 {:>8}  {:<7}  {came}",
            self.rate_per_s,
            total.ok_per_s(),
            Nanos(total.response.percentiles.p99_ns).approximate(),
            finding.validity.verdict,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, judge, scenario};
    use crate::finding::made_up::MadeUp;
    use crate::finding::{Finding, Thread};
    use crate::scenario::built_in;
    use crate::schedule::Schedule;
    use crate::search::{Ask, Outcome};
    use crate::slo::{Check, Slo};
    use crate::validity::Verdict;
    use stdx::units::Nanos;

    fn checks() -> Vec<Check> {
        let texts = ["response.p99 <= 50ms", "errors <= 0.1%"];
        texts.map(|text| Check::parse(text).expect("a check")).into()
    }

    fn ask() -> Ask {
        let lasts = Nanos::from_secs(30);
        Ask { rate_per_s: 2_000.0, lasts, is_confirmation: false, is_repeat: false }
    }

    /// What a trial comes to whose finding keeps or breaks the promises by what it holds.
    fn check(made_up: MadeUp, change: impl Fn(&mut Finding), expected: Option<Cause>) {
        let base = built_in("capacity", "redis://127.0.0.1:1").expect("it is built in");
        let trial = scenario(&base, &checks(), &ask());
        let mut finding = made_up.finding().judged(&trial);
        finding.validity.verdict = Verdict::Valid;
        change(&mut finding);
        let found = match judge(&finding, &checks()) {
            Outcome::Pass => None,
            Outcome::Fail { cause, why } => {
                assert!(!why.is_empty());
                Some(cause)
            }
        };
        assert_eq!(found, expected);
    }

    fn quick() -> MadeUp {
        MadeUp::answered((0..2_000).map(|_| 1_000_000))
    }

    #[test]
    fn a_trial_fails_by_what_limited_it() {
        let slow = || MadeUp::answered((0..2_000).map(|_| 60_000_000));
        let capped = |finding: &mut Finding| {
            finding.generator.threads.push(Thread { held_back: 1, ..Thread::default() });
        };
        let invalid = |finding: &mut Finding| finding.validity.verdict = Verdict::Invalid;
        check(quick(), |_| {}, None);
        check(slow(), |_| {}, Some(Cause::Latency));
        check(quick().missed(100), capped, Some(Cause::Backlog));
        let busy = |finding: &mut Finding| {
            capped(finding);
            finding.validity.is_generator_bound = true;
        };
        check(quick().missed(100), busy, Some(Cause::Generator));
        // Nothing held it back, and yet it did not send.
        check(quick().missed(100), |_| {}, Some(Cause::Generator));
        check(slow(), invalid, Some(Cause::Generator));
        check(quick(), |finding| finding.stopped = true, Some(Cause::Generator));
    }

    #[test]
    fn a_trial_warms_up_and_promises_what_is_searched_for() {
        let base = built_in("capacity", "redis://127.0.0.1:1").expect("it is built in");
        let trial = scenario(&base, &checks(), &ask());
        assert_eq!(trial.slos, [Slo { phase: None, checks: checks() }]);
        let schedule = Schedule::of(&trial);
        let slots: Vec<(u64, bool)> =
            schedule.phases().iter().map(|phase| (phase.slots, phase.record)).collect();
        assert_eq!(slots, [(12_000, false), (60_000, true)]);
    }
}
