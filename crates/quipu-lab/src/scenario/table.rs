//! A table of TOML that is read strictly: by key, with its place, and nothing may be left unread.

use stdx::units::Nanos;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::scenario::{Rate, ScenarioError};
use crate::template::TemplateError;
use stdx::nearest::nearest;

/// A table, where it is, and which of its keys were asked for.
pub(super) struct Table<'t> {
    text: &'t str,
    path: String,
    start: usize,
    entries: Vec<Entry<'t>>,
    asked: Vec<&'static str>,
}

struct Entry<'t> {
    key: &'t str,
    key_start: usize,
    value: &'t Spanned<DeValue<'t>>,
    is_read: bool,
}

/// A value and where it is.
#[derive(Clone)]
pub(super) struct Value<'t> {
    text: &'t str,
    path: String,
    start: usize,
    of: &'t DeValue<'t>,
}

type Result<T> = std::result::Result<T, ScenarioError>;

impl<'t> Table<'t> {
    /// The table at the top of `text`, which was parsed into `table`.
    pub(super) fn top(text: &'t str, table: &'t DeTable<'t>) -> Self {
        Self::new(text, String::new(), 0, table)
    }

    fn new(text: &'t str, path: String, start: usize, table: &'t DeTable<'t>) -> Self {
        let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let name: &'t std::borrow::Cow<'t, str> = key.get_ref();
            Entry { key: name.as_ref(), key_start: key.span().start, value, is_read: false }
        };
        let mut entries: Vec<Entry<'t>> = table.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.key_start);
        Self { text, path, start, entries, asked: Vec::new() }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.asked.push(key);
        let path = self.path_of(key);
        let entry = self.entries.iter_mut().find(|entry| entry.key == key)?;
        entry.is_read = true;
        let (start, of) = (entry.value.span().start, entry.value.get_ref());
        Some(Value { text: self.text, path, start, of })
    }

    /// The value of a key that must be there.
    pub(super) fn need(&mut self, key: &'static str, remedy: &str) -> Result<Value<'t>> {
        self.get(key).ok_or_else(|| self.missing(key, remedy))
    }

    /// The table of a key, if it is there.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Table<'t>>> {
        self.get(key).map(Value::table).transpose()
    }

    /// The table of a key, or one without keys.
    pub(super) fn table_or_empty(&mut self, key: &'static str) -> Result<Table<'t>> {
        let path = self.path_of(key);
        let (text, start) = (self.text, self.text.len());
        let empty = Table { text, path, start, entries: Vec::new(), asked: Vec::new() };
        Ok(self.table(key)?.unwrap_or(empty))
    }

    /// All that is in the table, in the order of the text, when its keys are names.
    pub(super) fn named(mut self) -> Vec<(&'t str, Value<'t>)> {
        let text = self.text;
        let entries = std::mem::take(&mut self.entries);
        let named = entries.into_iter().map(|entry| {
            let path = self.path_of(entry.key);
            let (start, of) = (entry.value.span().start, entry.value.get_ref());
            (entry.key, Value { text, path, start, of })
        });
        named.collect()
    }

    /// Ends the reading: a key that was not asked for is an error.
    pub(super) fn finish(self) -> Result<()> {
        let Some(entry) = self.entries.iter().find(|entry| !entry.is_read) else {
            return Ok(());
        };
        Err(ScenarioError::UnknownKey {
            line: line(self.text, entry.key_start),
            path: self.path_of(entry.key),
            near: nearest(entry.key, self.asked.iter().copied()).map(str::to_owned),
        })
    }

    pub(super) fn missing(&self, key: &str, remedy: &str) -> ScenarioError {
        let (line, path) = (line(self.text, self.start), self.path_of(key));
        ScenarioError::Missing { line, path, remedy: remedy.to_owned() }
    }

    /// The error of a template that a key of this table gave.
    pub(super) fn template(&self, key: &str, source: TemplateError) -> ScenarioError {
        let (line, path) = (line(self.text, self.start), self.path_of(key));
        ScenarioError::Template { line, path, source }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'t> Value<'t> {
    pub(super) fn table(self) -> Result<Table<'t>> {
        match self.of {
            DeValue::Table(table) => Ok(Table::new(self.text, self.path, self.start, table)),
            _ => Err(self.wrong("write a table")),
        }
    }

    pub(super) fn array(&self) -> Result<Vec<Self>> {
        let DeValue::Array(array) = self.of else { return Err(self.wrong("write a list")) };
        let items = array.iter().zip(1..).map(|(item, number)| Value {
            text: self.text,
            path: format!("{}[{number}]", self.path),
            start: item.span().start,
            of: item.get_ref(),
        });
        Ok(items.collect())
    }

    /// The items of a list, or the value itself where one stands for a list of one.
    pub(super) fn items(&self) -> Result<Vec<Self>> {
        match self.of {
            DeValue::Array(_) => self.array(),
            _ => Ok(vec![self.clone()]),
        }
    }

    pub(super) fn string(&self) -> Result<&'t str> {
        self.as_str().ok_or_else(|| self.wrong("write a text in quotes"))
    }

    pub(super) fn as_str(&self) -> Option<&'t str> {
        match self.of {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.of, DeValue::Table(_))
    }

    pub(super) fn truth(&self) -> Result<bool> {
        match self.of {
            DeValue::Boolean(truth) => Ok(*truth),
            _ => Err(self.wrong("write true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    pub(super) fn whole(&self, least: i64, most: i64) -> Result<i64> {
        let number = match self.of {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.wrong(&format!("write a whole number from {least} to {most}")))
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&self, most: u32) -> Result<u32> {
        Ok(self.whole(1, i64::from(most))? as u32)
    }

    /// A number.
    pub(super) fn number(&self) -> Option<f64> {
        match self.of {
            DeValue::Integer(digits) => {
                i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(|whole| whole as f64)
            }
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            _ => None,
        }
    }

    /// A span of time above 0.
    pub(super) fn span(&self) -> Result<Nanos> {
        let remedy = "write a span of time in quotes, such as \"30s\", \"10m\" or \"500ms\"";
        let span = self.as_str().and_then(|text| text.parse::<Nanos>().ok());
        span.filter(|span| span.0 > 0 && *span <= LONGEST).ok_or_else(|| self.wrong(remedy))
    }

    /// A share, as a percentage in quotes or a number from 0 to 1.
    pub(super) fn share(&self) -> Result<f64> {
        let share = match self.as_str() {
            Some(text) => text.parse().ok(),
            None => self.number().and_then(stdx::units::Ratio::new),
        };
        let share: Option<stdx::units::Ratio> = share;
        share.map(stdx::units::Ratio::get).ok_or_else(|| {
            self.wrong("write a percentage in quotes, such as \"80%\", or a number from 0 to 1")
        })
    }

    pub(super) fn rate(&self) -> Result<Rate> {
        self.number().and_then(Rate::new).ok_or_else(|| {
            self.wrong("write requests per second from 0 to 100_000_000, such as 5_000")
        })
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let found = words.iter().find(|(word, _)| self.as_str() == Some(word));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.wrong(&format!("write {}", words.join(" or ")))
        })
    }

    /// The error of this value, with what to write instead.
    pub(super) fn wrong(&self, remedy: &str) -> ScenarioError {
        let value = match self.of {
            DeValue::String(text) => format!("\"{text}\""),
            DeValue::Integer(digits) => digits.as_str().to_owned(),
            DeValue::Float(digits) => digits.as_str().to_owned(),
            DeValue::Boolean(truth) => truth.to_string(),
            other => format!("of type {}", other.type_str()),
        };
        let (line, path) = (self.line(), self.path.clone());
        ScenarioError::Value { line, path, value, remedy: remedy.to_owned() }
    }

    /// The error of a template that this value gave.
    pub(super) fn template(&self, source: TemplateError) -> ScenarioError {
        ScenarioError::Template { line: self.line(), path: self.path(), source }
    }

    pub(super) fn line(&self) -> usize {
        line(self.text, self.start)
    }

    pub(super) fn path(&self) -> String {
        self.path.clone()
    }
}

/// The longest span that a scenario names: a year, far from where sums of spans end.
const LONGEST: Nanos = Nanos::from_secs(366 * 86_400);

/// The number of the line of a place in a text.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
