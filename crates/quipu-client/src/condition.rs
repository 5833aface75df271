//! Conditions on a field: `status>=500`, `method=GET`, `user_agent=~(?i)bot`.

use std::cmp::Ordering;

use regex::bytes::Regex;
use thiserror::Error;

/// A condition as written, taken apart.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    field: String,
    test: Test,
}

/// Why a text is not a condition.
#[derive(Debug, Error)]
pub enum ConditionError {
    /// No operator, or no field before it.
    #[error("'{0}' is no condition: write FIELD, one of = != < <= > >= =~, and a value")]
    Form(String),
    /// The value of `=~` is not a regular expression.
    #[error("the pattern of the condition '{text}' is not a regular expression: {cause}")]
    Pattern {
        /// The condition.
        text: String,
        /// What is wrong with it.
        cause: Box<regex::Error>,
    },
}

#[derive(Debug, Clone)]
enum Test {
    Matches(Regex),
    Compares(Operator, Literal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
struct Literal {
    text: Vec<u8>,
    number: Option<Number>,
}

/// A decimal number.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i64),
    Float(f64),
}

/// The operators as they are written; of two that fit the longer comes first.
const OPERATORS: [(&str, Option<Operator>); 7] = [
    ("=~", None),
    ("!=", Some(Operator::NotEqual)),
    ("<=", Some(Operator::LessOrEqual)),
    (">=", Some(Operator::GreaterOrEqual)),
    ("=", Some(Operator::Equal)),
    ("<", Some(Operator::Less)),
    (">", Some(Operator::Greater)),
];

impl Condition {
    /// Parses `text`; blanks around field and value do not count.
    ///
    /// # Errors
    /// It has another form, or its pattern does not compile.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        let form = || ConditionError::Form(text.to_owned());
        let at = text.find(['=', '!', '<', '>']).ok_or_else(form)?;
        let (field, rest) = text.split_at(at);
        let starts = |(sign, _): &&(&str, _)| rest.starts_with(*sign);
        let (sign, operator) = OPERATORS.iter().find(starts).ok_or_else(form)?;
        let value = rest.get(sign.len()..).unwrap_or_default().trim();
        let field = field.trim().to_owned();
        if field.is_empty() {
            return Err(form());
        }
        let test = match operator {
            Some(operator) => Test::Compares(*operator, Literal::new(value)),
            None => Test::Matches(pattern(text, value)?),
        };
        Ok(Condition { text: text.to_owned(), field, test })
    }

    /// Returns the condition as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the name of its field.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Says whether it holds for `value`.
    ///
    /// Two numbers compare as numbers. Against a number nothing else is less or greater. Where the
    /// condition has no number, bytes compare as text.
    #[inline]
    pub fn holds(&self, value: &[u8]) -> bool {
        match &self.test {
            Test::Matches(regex) => regex.is_match(value),
            Test::Compares(operator, literal) => operator.accepts(literal.compare(value)),
        }
    }
}

fn pattern(text: &str, value: &str) -> Result<Regex, ConditionError> {
    Regex::new(value)
        .map_err(|error| ConditionError::Pattern { text: text.to_owned(), cause: Box::new(error) })
}

impl Operator {
    /// Judges how a value compares; `None` where it cannot, and is not equal.
    fn accepts(self, order: Option<Ordering>) -> bool {
        match self {
            Operator::Equal => order == Some(Ordering::Equal),
            Operator::NotEqual => order != Some(Ordering::Equal),
            Operator::Less => order == Some(Ordering::Less),
            Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
            Operator::Greater => order == Some(Ordering::Greater),
            Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Literal {
    fn new(text: &str) -> Literal {
        let text = text.as_bytes().to_vec();
        Literal { number: Number::read(&text), text }
    }

    fn compare(&self, value: &[u8]) -> Option<Ordering> {
        match self.number {
            Some(literal) => Number::read(value)?.compare(literal),
            None => Some(value.cmp(&self.text)),
        }
    }
}

impl Number {
    fn read(text: &[u8]) -> Option<Number> {
        if let Some(whole) = whole(text) {
            return Some(Number::Whole(whole));
        }
        // Names such as `inf` are no numbers to whoever reads logs.
        let is_plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
        let text = str::from_utf8(text).ok().filter(|_| text.iter().all(is_plain))?;
        text.parse().ok().map(Number::Float)
    }

    fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(this), Number::Whole(other)) => Some(this.cmp(&other)),
            (this, other) => this.as_float().partial_cmp(&other.as_float()),
        }
    }

    fn as_float(self) -> f64 {
        match self {
            Number::Whole(whole) => whole as f64,
            Number::Float(float) => float,
        }
    }
}

/// Reads a whole number: digits with or without a sign, within 64 bits.
#[inline]
pub fn whole(text: &[u8]) -> Option<i64> {
    let (digits, is_negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] | digits => (digits, false),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |sum, byte| {
        let digit = i64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        let sum = sum.checked_mul(10)?;
        if is_negative { sum.checked_sub(digit) } else { sum.checked_add(digit) }
    })
}

#[cfg(test)]
mod tests {
    use super::{Condition, whole};

    fn check(condition: &str, holds: &[&str], fails: &[&str]) {
        let parsed = Condition::parse(condition).expect("a condition");
        for (values, expected) in [(holds, true), (fails, false)] {
            for value in values {
                assert_eq!(parsed.holds(value.as_bytes()), expected, "{condition} of {value:?}");
            }
        }
    }

    #[test]
    fn numbers_compare_as_numbers_and_nothing_else_is_less_or_greater() {
        check("status>=500", &["500", "503", "1000", "500.0"], &["499", "-", "", "abc"]);
        check("status < 500", &["499.9", "-1", "0"], &["500", "-", "x"]);
        check("n=7", &["7", "007", "7.0", "+7"], &["8", "", "7a"]);
        check("n!=7", &["8", "", "-", "7a"], &["7", "7.0"]);
        check("n>9007199254740992", &["9007199254740993"], &["9007199254740992"]);
        check("n<=-1.5", &["-2", "-1.5"], &["-1", "inf", "-inf", "NaN"]);
    }

    #[test]
    fn texts_compare_by_their_bytes() {
        check("method=GET", &["GET"], &["get", "GETS", ""]);
        check("method!=GET", &["POST", ""], &["GET"]);
        check("date>=2026-11-02", &["2026-11-02", "2026-12-01"], &["2026-11-01", ""]);
        check("referer=", &[""], &["-", "x"]);
        check("q=a=b", &["a=b"], &["a"]);
    }

    #[test]
    fn a_pattern_is_looked_for_anywhere() {
        check("agent=~(?i)bot", &["Googlebot", "a BOT b"], &["curl", ""]);
        check("path=~^/api/", &["/api/x"], &["/x/api/"]);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "status", "=5", "a!5", "a~b", "a=~("] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
        assert_eq!(Condition::parse(" a <= 5 ").expect("a condition").field(), "a");
    }

    #[test]
    fn whole_numbers_stay_within_64_bits() {
        assert_eq!(whole(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(whole(b"-9223372036854775808"), Some(i64::MIN));
        for text in ["9223372036854775808", "", "-", "+", "1.5", "1 ", "--1", "0x1"] {
            assert_eq!(whole(text.as_bytes()), None, "{text}");
        }
    }
}
