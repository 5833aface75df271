//! What a search for capacity found.

use std::fmt;

use serde::{Deserialize, Serialize};
use stdx::units::Nanos;

use super::Cause;
use crate::fit::KneeCurve;

/// What a trial came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that must hold held.
    Pass,
    /// Something did not.
    Fail {
        /// What limited the rate.
        cause: Cause,
        /// What was found, in words.
        why: String,
    },
}

/// One trial that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Requests per second.
    pub rate_per_s: f64,
    /// How long it recorded, in nanoseconds.
    pub lasts_ns: u64,
    /// Whether it confirmed a rate that had passed.
    pub is_confirmation: bool,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The answer: the capacity lies between the highest rate that passed and the lowest that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// The highest rate that passed, requests per second; nothing if none did.
    pub highest_pass_per_s: Option<f64>,
    /// The lowest rate that failed twice; nothing if none did.
    pub lowest_fail_per_s: Option<f64>,
    /// What limited the rate there.
    pub cause: Option<Cause>,
    /// What was found there, in words.
    pub why: Option<String>,
    /// Whether the capacity may lie higher: the generator was the limit, or no rate failed.
    pub is_at_least: bool,
    /// By how many longer trials the highest rate was confirmed.
    pub confirmed: u32,
    /// By how many it should be.
    pub confirmations: u32,
    /// How long each of them is, in nanoseconds.
    pub confirm_ns: u64,
    /// Whether the search came to its end: both rates as near to each other as was asked.
    pub is_precise: bool,
    /// All trials in their order.
    pub trials: Vec<Trial>,
    /// The curve of response time by rate through the trials that passed: what queueing alone would
    /// make of them, beside what was found.
    pub curve: KneeCurve,
}

impl Capacity {
    /// Whether the search came to an answer that may be used.
    pub fn is_settled(&self) -> bool {
        self.is_precise && self.confirmed >= self.confirmations
    }
}

impl fmt::Display for Capacity {
    /// Writes it as sentences.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.highest_pass_per_s, self.lowest_fail_per_s) {
            (Some(low), _) if self.is_at_least => write!(f, "capacity: at least {low:.0}/s")?,
            (Some(low), Some(high)) => write!(f, "capacity: from {low:.0}/s to {high:.0}/s")?,
            (Some(low), None) => write!(f, "capacity: at least {low:.0}/s")?,
            (None, Some(_)) if self.is_at_least => {
                f.write_str("capacity: unknown, because no trial was one of the target")?;
            }
            (None, Some(high)) => write!(f, "capacity: below {high:.0}/s, and no rate passed")?,
            (None, None) => f.write_str("capacity: nothing is known")?,
        }
        if let (Some(cause), Some(high)) = (self.cause, self.lowest_fail_per_s) {
            let why = self.why.as_deref().unwrap_or_default();
            write!(f, "; at {high:.0}/s the limit was {cause} ({why})")?;
        }
        if self.highest_pass_per_s.is_some() {
            let (confirmed, asked) = (self.confirmed, self.confirmations);
            let each = Nanos(self.confirm_ns).approximate();
            write!(f, "; confirmed by {confirmed} of {asked} trials of {each}")?;
        }
        if !self.is_precise {
            f.write_str("; the search ended before it was as precise as asked")?;
        }
        self.write_curve(f)
    }
}

impl Capacity {
    /// Writes where the curve ends, and how near to that the answer lies.
    fn write_curve(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some((end, ..)), Some(text), Some(low)) =
            (self.curve.capacity_per_s, self.curve.end(), self.highest_pass_per_s)
        else {
            return Ok(());
        };
        write!(
            f,
            "; by the curve s / (1 - rate / C) through the trials that passed, answers would take \
             for ever at {text}, and {low:.0}/s is {:.0} % of that",
            100.0 * low / end
        )
    }
}
