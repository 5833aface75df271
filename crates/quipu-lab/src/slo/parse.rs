//! From a text to a check, with errors that point at the word.

use crate::slo::amount::{Amount, Dimension};
use crate::slo::measure::{LATENCIES, Measure, NAMED, Statistic};
use crate::slo::{Check, Operand, Operator, Sustained};
use stdx::nearest::nearest;

/// Why a text is no check. `at` is where the word begins, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` in `{check}` {problem}")]
pub struct SloError {
    /// The whole text.
    pub check: String,
    /// The word.
    pub word: String,
    /// Where it begins.
    pub at: usize,
    /// What is wrong with it, and what to write.
    pub problem: String,
}

/// A text and where it is in the check.
#[derive(Debug, Clone, Copy)]
struct Word<'t> {
    text: &'t str,
    at: usize,
}

/// A word, what is wrong with it and what to write instead.
type Problem<'t> = (Word<'t>, String);

impl Check {
    /// Reads a check such as `response.p99 <= 20ms` or `conserved`.
    ///
    /// # Errors
    /// The text is none; the error names the word.
    pub fn parse(text: &str) -> Result<Self, SloError> {
        read(text).map_err(|(word, problem)| error(text, word, problem))
    }
}

impl Sustained {
    /// Reads a check and how long it must hold, such as `response.p99 > 1s for 20s`.
    ///
    /// # Errors
    /// The text is none; the error names the word.
    pub fn parse(text: &str) -> Result<Self, SloError> {
        let whole = Word { text, at: 0 };
        let Some((check, span)) = text.split_once(" for ") else {
            let problem = "says not for how long: write `for 20s` after it".to_owned();
            return Err(error(text, whole, problem));
        };
        let word = Word { text: span, at: check.len() + " for ".len() }.trimmed();
        let amount = Amount::parse(word.text).filter(|amount| amount.dimension == Dimension::Time);
        let amount = amount
            .ok_or_else(|| error(text, word, "is no span of time: write such as 20s".to_owned()))?;
        Ok(Self { check: Check::parse(check)?, for_ns: amount.value as u64 })
    }
}

fn error(check: &str, word: Word<'_>, problem: String) -> SloError {
    let (check, word_text) = (check.to_owned(), word.text.to_owned());
    SloError { check, word: word_text, at: word.at, problem }
}

fn read(text: &str) -> Result<Check, Problem<'_>> {
    let whole = Word { text, at: 0 }.trimmed();
    let (left, operator, right) = split(whole);
    let left_read = operand(left)?;
    let (right, right_read) = match right {
        Some(right) => (right, operand(right)?),
        None => (left, truth(&left_read, left)?),
    };
    let dimension = common(left, &left_read, right, &right_read)?;
    let text = whole.text.to_owned();
    let (left, right) = (left_read.operand, right_read.operand);
    Ok(Check { text, left, operator, right, dimension })
}

/// The words on both sides of the operator; without one, the check is that something is true.
fn split(whole: Word<'_>) -> (Word<'_>, Operator, Option<Word<'_>>) {
    let found = Operator::ALL
        .iter()
        .filter_map(|(sign, operator)| whole.text.find(sign).map(|at| (at, *sign, *operator)));
    // At one place, the longer sign: `<=` before `<`.
    let Some((at, sign, operator)) = found.min_by_key(|(at, sign, _)| (*at, 2 - sign.len())) else {
        return (whole, Operator::Equal, None);
    };
    let (left, rest) = whole.split_at(at);
    let (_, right) = rest.split_at(sign.len());
    (left.trimmed(), operator, Some(right.trimmed()))
}

/// One side as read, and the dimensions that it can have.
struct Side {
    operand: Operand,
    dimensions: Vec<Dimension>,
}

fn truth<'t>(left: &Side, word: Word<'t>) -> Result<Side, Problem<'t>> {
    if left.dimensions.contains(&Dimension::Truth) {
        return Ok(Side { operand: Operand::Amount(1.0), dimensions: vec![Dimension::Truth] });
    }
    let first = left.dimensions.first().map_or("", |dimension| dimension.example());
    Err((word, format!("is compared with nothing: write such as `{} <= {first}`", word.text)))
}

fn operand(word: Word<'_>) -> Result<Side, Problem<'_>> {
    if word.text.is_empty() {
        return Err((word, "stands where a measure or an amount is missing".to_owned()));
    }
    if let Some(amount) = Amount::parse(word.text) {
        let operand = Operand::Amount(amount.value);
        return Ok(Side { operand, dimensions: vec![amount.dimension] });
    }
    if word.text.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') {
        let problem = "has a unit that is not known: write such as 20ms, 0.1%, 10_000/s, 64MB or \
                       1MB/h";
        return Err((word, problem.to_owned()));
    }
    let Some(slash) = word.text.find('/') else {
        let measure = measure(word)?;
        let dimensions = measure.dimensions().collect();
        return Ok(Side { operand: Operand::Measure(measure), dimensions });
    };
    let (over, rest) = word.split_at(slash);
    let (_, under) = rest.split_at(1);
    let (over, under) = (measure(over.trimmed())?, measure(under.trimmed())?);
    if !over.dimensions().any(|one| under.dimensions().any(|other| other == one)) {
        return Err((word, "divides what cannot be compared".to_owned()));
    }
    let operand = Operand::Quotient(over, under);
    // A plain number is as good as a percentage for a quotient.
    Ok(Side { operand, dimensions: vec![Dimension::Share, Dimension::Count] })
}

fn measure(word: Word<'_>) -> Result<Measure, Problem<'_>> {
    if let Some(inner) = word.text.strip_prefix("slope(").and_then(|rest| rest.strip_suffix(')')) {
        let inner = Word { text: inner, at: word.at + "slope(".len() }.trimmed();
        let of = measure(inner)?;
        if !of.is_series() {
            return Err((inner, "has one value and no slope".to_owned()));
        }
        return Ok(Measure::Slope(Box::new(of)));
    }
    let latency = word.text.split_once('.').and_then(|(name, rest)| {
        let (_, latency) = LATENCIES.iter().find(|(known, _)| *known == name)?;
        Some((*latency, Word { text: rest, at: word.at + name.len() + 1 }))
    });
    if let Some((latency, rest)) = latency {
        return Ok(Measure::Latency(latency, statistic(rest)?));
    }
    let named = NAMED.iter().find(|(name, _)| *name == word.text);
    named.map(|(_, measure)| measure.clone()).ok_or_else(|| (word, unknown(word.text)))
}

fn unknown(word: &str) -> String {
    if LATENCIES.iter().any(|(name, _)| *name == word) {
        return format!("names no number of many: write such as `{word}.p99`");
    }
    let names = NAMED.iter().map(|(name, _)| *name).chain(LATENCIES.map(|(name, _)| name));
    let head = word.split('.').next().unwrap_or(word);
    let near = nearest(word, names.clone())
        .or_else(|| nearest(head, LATENCIES.iter().map(|(name, _)| *name)));
    match near {
        Some(near) => format!("is not measured: did you mean `{near}`?"),
        None => format!("is not measured: write one of {}", names.collect::<Vec<_>>().join(", ")),
    }
}

fn statistic(word: Word<'_>) -> Result<Statistic, Problem<'_>> {
    let percent = word.text.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok());
    match (word.text, percent) {
        ("mean", _) => Ok(Statistic::Mean),
        ("max", _) => Ok(Statistic::Max),
        (_, Some(percent)) if percent > 0.0 && percent < 100.0 => {
            Ok(Statistic::Percentile(percent / 100.0))
        }
        _ => Err((word, "is no statistic: write such as p50, p99, p99.9, mean or max".to_owned())),
    }
}

/// The dimension in which both sides are read.
fn common<'t>(
    left: Word<'t>,
    left_read: &Side,
    right: Word<'t>,
    right_read: &Side,
) -> Result<Dimension, Problem<'t>> {
    let shared = left_read.dimensions.iter().find(|one| right_read.dimensions.contains(one));
    shared.copied().ok_or_else(|| {
        // The measure decides; the amount is what was mistyped.
        let (word, other, of) = match left_read.operand {
            Operand::Amount(_) => (left, right, right_read),
            _ => (right, left, left_read),
        };
        let examples: Vec<&str> =
            of.dimensions.iter().map(|dimension| dimension.example()).collect();
        (word, format!("is no amount of `{}`: write such as {}", other.text, examples.join(" or ")))
    })
}

impl<'t> Word<'t> {
    fn trimmed(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        Word { text: self.text.trim(), at: self.at + start }
    }

    fn split_at(self, at: usize) -> (Word<'t>, Word<'t>) {
        let (left, right) = self.text.split_at(at);
        (Word { text: left, at: self.at }, Word { text: right, at: self.at + at })
    }
}
