//! The search for the greatest rate that a target bears: which trial is next, and what the answer is.
//!
//! [`Search`] is a step function. It doubles the rate until a trial fails, halves the interval in
//! logarithms until its ends are near each other, and confirms the lower end by longer trials. A
//! trial that fails is repeated once: one hiccup of a machine is no limit of a target. Above its
//! capacity a target's backlog grows with time, so a short trial can pass where a long one fails: once
//! a confirmation has failed, all further trials are as long as it.

mod answer;
mod trial;

pub use self::answer::{Capacity, Outcome, Trial};
pub use self::trial::{Cause, judge, scenario};

use stdx::units::Nanos;

use crate::finding::Finding;
use crate::fit::{self, Rates};
use crate::scenario::Search as Settings;

/// By how much the rate grows while nothing fails. Source: the specification (exponential search).
const CLIMB: f64 = 2.0;

/// The most trials: doubling from 1/s to the greatest rate takes 27, halving a doubled interval to
/// 0.1 % 10, all twice with their repeats; the rest is for confirmations that fail.
const TRIALS_MAX: usize = 120;

/// The least precision: below, two rates differ by less than runs do.
const PRECISION_MIN: f64 = 0.001;

/// How far below the first rate a passing one is looked for: a person who is off by more wants to know.
const FLOOR: f64 = 1_024.0;

/// Rates in a row that may fail by the generator while none has passed. Guess: where the generator
/// cannot keep up with a quarter of a rate, the rate is not the reason.
const BLIND_MAX: u32 = 3;

/// By how much a trial is longer than its promises need, so that some failures leave enough answers.
const SPARE: f64 = 1.1;

/// What the intervals of the curve are drawn from; any number does.
const SEED: u64 = 1;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// Run a trial, and rest as long as the settings say before any but the first.
    Trial(Ask),
    /// Nothing more.
    Over(Box<Capacity>),
}

/// One trial to be run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// Requests per second.
    pub rate_per_s: f64,
    /// How long.
    pub lasts: Nanos,
    /// Whether it confirms a rate that has passed.
    pub is_confirmation: bool,
    /// Whether the same trial failed before.
    pub is_repeat: bool,
}

/// The least rate that failed, twice.
#[derive(Debug, Clone, PartialEq)]
struct Failed {
    rate_per_s: f64,
    cause: Cause,
    why: String,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    settings: Settings,
    ask: Option<Ask>,
    /// The failure of the trial that is repeated.
    doubt: Option<(Cause, String)>,
    low: Option<f64>,
    high: Option<Failed>,
    /// By how much the rate falls while none has passed.
    descent: f64,
    /// Rates in a row that failed by the generator.
    blind: u32,
    /// Whether all trials are as long as confirmations.
    is_long: bool,
    confirmed: u32,
    trials: Vec<Trial>,
    passed: Rates,
}

impl Search {
    /// Begins a search.
    pub fn new(settings: Settings) -> Self {
        let mut search = Self {
            settings,
            ask: None,
            doubt: None,
            low: None,
            high: None,
            descent: CLIMB,
            blind: 0,
            is_long: false,
            confirmed: 0,
            trials: Vec::new(),
            passed: Rates::default(),
        };
        search.ask = Some(search.short(search.settings.from.per_second()));
        search
    }

    /// Returns what is to be done.
    pub fn turn(&self) -> Turn {
        match self.ask {
            Some(ask) if self.trials.len() < TRIALS_MAX => Turn::Trial(ask),
            _ => Turn::Over(Box::new(self.answer())),
        }
    }

    /// Takes what the trial of this turn came to.
    pub fn take(&mut self, outcome: Outcome) {
        let Some(ask) = self.ask else { return };
        self.trials.push(Trial {
            rate_per_s: ask.rate_per_s,
            lasts_ns: ask.lasts.0,
            is_confirmation: ask.is_confirmation,
            outcome: outcome.clone(),
        });
        match outcome {
            Outcome::Pass => self.pass(ask),
            Outcome::Fail { cause, why } => self.fail(ask, (cause, why)),
        }
    }

    /// Remembers how fast a trial that passed was answered, for the curve beside the answer.
    pub fn remember(&mut self, finding: &Finding) {
        self.passed.add(finding);
    }

    /// Ends it before there is an answer.
    pub fn stop(&mut self) {
        self.ask = None;
    }

    fn pass(&mut self, ask: Ask) {
        self.doubt = None;
        self.blind = 0;
        if ask.is_confirmation {
            self.confirmed += 1;
        } else {
            self.low = Some(ask.rate_per_s);
        }
        self.ask = self.next();
    }

    fn fail(&mut self, ask: Ask, (cause, why): (Cause, String)) {
        let Some((before, _)) = self.doubt.take() else {
            self.doubt = Some((cause, why));
            self.ask = Some(Ask { is_repeat: true, ..ask });
            return;
        };
        // Where one of two failures may be the generator's, no more than "at least" can be said.
        let cause = if before == Cause::Generator { before } else { cause };
        self.blind = if cause == Cause::Generator { self.blind + 1 } else { 0 };
        self.high = Some(Failed { rate_per_s: ask.rate_per_s, cause, why });
        if ask.is_confirmation {
            self.confirmed = 0;
            self.low = None;
            self.is_long = true;
            self.descent = (1.0 + self.precision()).powi(2);
        }
        self.ask = self.next();
    }

    /// The next trial, or nothing when all is known.
    fn next(&mut self) -> Option<Ask> {
        match (self.low, self.high.as_ref().map(|failed| failed.rate_per_s)) {
            (None, None) => Some(self.short(self.settings.from.per_second())),
            (None, Some(high)) => self.below(high),
            (Some(low), None) if low < self.settings.to.per_second() => {
                Some(self.short((low * CLIMB).min(self.settings.to.per_second())))
            }
            (Some(low), Some(high)) if high / low > 1.0 + self.precision() => {
                Some(self.short((low * high).sqrt()))
            }
            (Some(low), _) => self.confirmation(low),
        }
    }

    fn below(&mut self, high: f64) -> Option<Ask> {
        let rate = high / self.descent;
        self.descent = (self.descent * self.descent).min(CLIMB);
        let floor = (self.settings.from.per_second() / FLOOR).max(1.0);
        (rate >= floor && self.blind < BLIND_MAX).then(|| self.short(rate))
    }

    fn confirmation(&self, rate_per_s: f64) -> Option<Ask> {
        let confirm = self.settings.confirm;
        let lasts = self.confirmation_lasts(Some(rate_per_s));
        let ask = Ask { rate_per_s, lasts, is_confirmation: true, is_repeat: false };
        (self.confirmed < confirm.runs).then_some(ask)
    }

    fn confirmation_lasts(&self, rate_per_s: Option<f64>) -> Nanos {
        let lasts = self.settings.confirm.lasts;
        rate_per_s.map_or(lasts, |rate_per_s| self.judged(lasts, rate_per_s))
    }

    fn short(&self, rate_per_s: f64) -> Ask {
        let lasts = if self.is_long { self.settings.confirm.lasts } else { self.settings.trial };
        let lasts = self.judged(lasts, rate_per_s);
        // Thousandths of a slot per second are what a schedule knows.
        let rate_per_s = (rate_per_s * 1e3).round() / 1e3;
        Ask { rate_per_s, lasts, is_confirmation: false, is_repeat: false }
    }

    /// Returns a span, or a longer one if this rate needs it for its promises to be judged.
    fn judged(&self, lasts: Nanos, rate_per_s: f64) -> Nanos {
        let needed = self.settings.checks.iter().map(|check| check.needs().requests).max();
        let seconds = needed.unwrap_or(0) as f64 * SPARE / rate_per_s;
        lasts.max(Nanos((seconds * 1e9).ceil() as u64))
    }

    fn precision(&self) -> f64 {
        self.settings.precision.max(PRECISION_MIN)
    }

    fn answer(&self) -> Capacity {
        Capacity {
            highest_pass_per_s: self.low,
            lowest_fail_per_s: self.high.as_ref().map(|failed| failed.rate_per_s),
            cause: self.high.as_ref().map(|failed| failed.cause),
            why: self.high.as_ref().map(|failed| failed.why.clone()),
            is_at_least: self.high.as_ref().is_none_or(|high| high.cause == Cause::Generator),
            confirmed: self.confirmed,
            confirmations: self.settings.confirm.runs,
            confirm_ns: self.confirmation_lasts(self.low).0,
            is_precise: self.is_precise(),
            trials: self.trials.clone(),
            curve: self.passed.curve(&fit::resampling(SEED)),
        }
    }

    /// Whether both ends are as near to each other as was asked.
    fn is_precise(&self) -> bool {
        match (self.low, &self.high) {
            (Some(low), Some(high)) => high.rate_per_s / low <= 1.0 + self.precision(),
            (Some(low), None) => low >= self.settings.to.per_second(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
