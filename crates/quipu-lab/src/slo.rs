//! Promises that a run is held to, in a small language with units.
//!
//! ```text
//! check    = operand (op operand)?                op = <= < >= > == !=
//! operand  = amount | measure | measure "/" measure
//! measure  = word ("." word)* | "slope(" measure ")"
//! amount   = number unit?                         20ms  0.1%  10_000/s  1MB/h  2%/h
//! ```
//!
//! A check is read once, against what it may speak of; then it is [judged](Check::judge) on
//! [`Facts`]. It passes, fails, or is unknown, and both of its sides are shown.

mod amount;
mod extent;
mod measure;
mod parse;

use std::fmt;

pub use self::amount::{Amount, Dimension};
pub use self::extent::Extent;
pub use self::measure::{Latency, Measure, Resource, Statistic};
pub use self::parse::SloError;

/// Promises for a phase, or for all that is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// The phase, or nothing for all recorded phases together.
    pub phase: Option<String>,
    /// What must hold.
    pub checks: Vec<Check>,
}

/// One promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    text: String,
    left: Operand,
    operator: Operator,
    right: Operand,
    dimension: Dimension,
}

/// A condition that must hold for a while before something is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Sustained {
    /// The condition.
    pub check: Check,
    /// For how long it must hold without a break, in nanoseconds.
    pub for_ns: u64,
}

/// One side of a check.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Amount(f64),
    Measure(Measure),
    Quotient(Measure, Measure),
}

/// How two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<=`.
    AtMost,
    /// `<`.
    Below,
    /// `>=`.
    AtLeast,
    /// `>`.
    Above,
    /// `==`.
    Equal,
    /// `!=`.
    Unequal,
}

/// What a run knows of one measure.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Its value in the base unit of the dimension that was asked for; infinite for what never came.
    Value(f64),
    /// More than this, in the same unit, and why no more is known.
    Above(f64, String),
    /// Nothing, and why, as the end of a sentence: "no server was watched".
    Unknown(String),
}

/// What a run found, of one phase or of all that is recorded.
pub trait Facts {
    /// Returns what is known of a measure, in the base unit of `dimension`, which is one of
    /// [`Measure::dimensions`].
    fn read(&self, measure: &Measure, dimension: Dimension) -> Reading;
}

/// Whether a promise was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was.
    Pass,
    /// It was not.
    Fail,
    /// What was measured does not tell.
    Unknown,
}

/// A promise and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Judgement {
    /// The promise as it was written.
    pub check: String,
    /// Whether it was kept.
    pub outcome: Outcome,
    /// What stands on the left, as measured.
    pub left: String,
    /// What stands on the right.
    pub right: String,
    /// Why it is unknown, else nothing.
    pub reason: Option<String>,
}

impl Check {
    /// Returns the text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the measures that it speaks of.
    pub fn measures(&self) -> impl Iterator<Item = &Measure> {
        [&self.left, &self.right]
            .into_iter()
            .flat_map(|operand| match operand {
                Operand::Amount(_) => [None, None],
                Operand::Measure(measure) => [Some(measure), None],
                Operand::Quotient(over, under) => [Some(over), Some(under)],
            })
            .flatten()
    }

    /// Returns the greatest latency that it allows at a percentile, if it is such a promise: what a
    /// generator must be finer than.
    pub fn latency_limit_ns(&self) -> Option<u64> {
        match (&self.left, self.operator, &self.right) {
            (
                Operand::Measure(Measure::Latency(Latency::Response | Latency::Service, _)),
                Operator::AtMost | Operator::Below,
                Operand::Amount(limit_ns),
            ) => Some(*limit_ns as u64),
            _ => None,
        }
    }

    /// Judges the check on what a run found.
    pub fn judge(&self, facts: &dyn Facts) -> Judgement {
        let left = self.left.read(facts, self.dimension);
        let right = self.right.read(facts, self.dimension);
        let (left, right) = (left.against(&right), right.against(&left));
        let outcome = match (&left, &right) {
            (Reading::Value(left), Reading::Value(right)) if self.operator.holds(*left, *right) => {
                Outcome::Pass
            }
            (Reading::Value(_), Reading::Value(_)) => Outcome::Fail,
            _ => Outcome::Unknown,
        };
        let reason = [&left, &right].into_iter().find_map(|reading| match reading {
            Reading::Value(_) => None,
            Reading::Above(_, reason) | Reading::Unknown(reason) => Some(reason.clone()),
        });
        let (left, right) = self.shown(&left, &right);
        Judgement { check: self.text.clone(), outcome, left, right, reason }
    }

    fn shown(&self, left: &Reading, right: &Reading) -> (String, String) {
        let amount = |value: f64| Amount { value, dimension: self.dimension };
        if let (Reading::Value(left), Reading::Value(right)) = (left, right) {
            return Amount::apart(amount(*left), amount(*right));
        }
        let [left, right] = [left, right].map(|reading| match reading {
            Reading::Value(value) => amount(*value).to_string(),
            Reading::Above(..) | Reading::Unknown(_) => "unknown".to_owned(),
        });
        (left, right)
    }
}

impl Reading {
    /// Returns it as it compares with `other`: what is above that in any case is as good as infinite.
    fn against(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Above(least, _), Self::Value(other)) if least >= other => {
                Self::Value(f64::INFINITY)
            }
            _ => self.clone(),
        }
    }
}

impl Operand {
    fn read(&self, facts: &dyn Facts, dimension: Dimension) -> Reading {
        match self {
            Self::Amount(value) => Reading::Value(*value),
            Self::Measure(measure) => facts.read(measure, dimension),
            Self::Quotient(over, under) => quotient(facts, over, under),
        }
    }
}

fn quotient(facts: &dyn Facts, over: &Measure, under: &Measure) -> Reading {
    let dimension = over.dimensions().find(|one| under.dimensions().any(|other| other == *one));
    let dimension = dimension.expect("a quotient is read only of measures that can be compared");
    match (facts.read(over, dimension), facts.read(under, dimension)) {
        (Reading::Value(_), Reading::Value(0.0)) => Reading::Unknown(format!("{under} is 0")),
        (Reading::Value(over), Reading::Value(under)) => Reading::Value(over / under),
        (Reading::Value(_), unknown) | (unknown, _) => unknown,
    }
}

impl Operator {
    const ALL: [(&'static str, Self); 6] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Below),
        (">", Self::Above),
    ];

    #[expect(
        clippy::float_cmp,
        reason = "counts are whole numbers, and a person asked for equality"
    )]
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::AtMost => left <= right,
            Self::Below => left < right,
            Self::AtLeast => left >= right,
            Self::Above => left > right,
            Self::Equal => left == right,
            Self::Unequal => left != right,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
