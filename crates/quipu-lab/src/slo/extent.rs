//! How much there is of a phase: what a promise needs to be judged, and what a plan gives it.

use stdx::units::Nanos;

use crate::burst::STAY_NS;
use crate::slo::{Amount, Check, Measure, Operand, Statistic};
use crate::{tail, trend};

/// How much there is of a phase, or of all that is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Requests.
    pub requests: u64,
    /// Windows of the series.
    pub windows: u64,
    /// How long it is, in nanoseconds.
    pub span_ns: u64,
}

impl Extent {
    /// Returns what there is too little of, as the end of a sentence that begins with "there are";
    /// nothing if it is enough.
    pub fn lacks(&self, needed: &Self) -> Option<String> {
        if self.requests < needed.requests {
            let [has, needs] = [self.requests, needed.requests].map(Amount::count);
            return Some(format!("{has} requests, and it takes {needs}"));
        }
        if self.windows < needed.windows {
            return Some(format!("{} windows, and it takes {}", self.windows, needed.windows));
        }
        let [has, needs] = [self.span_ns, needed.span_ns].map(|ns| Nanos(ns).approximate());
        (self.span_ns < needed.span_ns).then(|| format!("{has} of it, and it takes {needs}"))
    }

    fn at_least(self, other: Self) -> Self {
        Self {
            requests: self.requests.max(other.requests),
            windows: self.windows.max(other.windows),
            span_ns: self.span_ns.max(other.span_ns),
        }
    }
}

impl Check {
    /// Returns how much there must be of a phase so that this promise about it can be judged: kept or
    /// broken, and not unknown.
    pub fn needs(&self) -> Extent {
        let each = self.measures().map(|measure| match measure {
            Measure::Latency(_, Statistic::Percentile(share)) => {
                Extent { requests: tail::needed(*share), ..Extent::default() }
            }
            Measure::TimeToRecover => {
                let span_ns = (self.amount().unwrap_or(0.0) as u64).saturating_add(STAY_NS);
                Extent { span_ns, ..Extent::default() }
            }
            Measure::Slope(_) => Extent {
                windows: trend::SLOPE_WINDOWS_MIN as u64,
                span_ns: trend::SLOPE_SPAN_NS,
                ..Extent::default()
            },
            Measure::Steady => {
                Extent { windows: trend::STEADY_WINDOWS_MIN as u64, ..Extent::default() }
            }
            _ => Extent::default(),
        });
        each.fold(Extent::default(), Extent::at_least)
    }

    /// Returns the amount that a measure is compared with, if it is one.
    fn amount(&self) -> Option<f64> {
        [&self.left, &self.right].into_iter().find_map(|side| match side {
            Operand::Amount(value) => Some(*value),
            Operand::Measure(_) | Operand::Quotient(..) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;
    use crate::slo::Check;

    fn check(promise: &str, extent: Extent, expected: Option<&str>) {
        let needed = Check::parse(promise).expect("a promise").needs();
        assert_eq!(extent.lacks(&needed).as_deref(), expected, "{promise} {extent:?}");
    }

    #[test]
    fn a_promise_says_what_it_takes_to_judge_it() {
        let seconds = 1_000_000_000;
        let some = Extent { requests: 9_999, windows: 10, span_ns: 19 * seconds };
        check("response.p99 <= 20ms", some, None);
        let lacks = "9,999 requests, and it takes 10,000";
        check("response.p99.9 <= 20ms", some, Some(lacks));
        check("20ms >= response.p99.9", some, Some(lacks));
        check("time_to_recover <= 14s", some, None);
        check("time_to_recover <= 15s", some, Some("19s of it, and it takes 20s"));
        let short = Extent { windows: 9, ..some };
        check("slope(response.p99) <= 1%/h", short, Some("9 windows, and it takes 10"));
        check("slope(response.p99) <= 1%/h", some, Some("19s of it, and it takes 10m"));
        check("steady", some, Some("10 windows, and it takes 50"));
        for always in ["errors == 0", "response.max <= 1s", "conserved", "goodput >= 99%"] {
            check(always, Extent::default(), None);
        }
    }
}
