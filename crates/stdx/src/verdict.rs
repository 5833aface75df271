//! What a runner found: figures, texts, failures and what it had to skip, as one line of JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The result of one runner, to be added to those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Which runner.
    pub runner: &'static str,
    /// Counts by name; each name says its unit.
    pub figures: BTreeMap<Cow<'static, str>, u64>,
    /// Texts by name that a page beside the figures needs, such as the version of a program.
    pub notes: BTreeMap<String, String>,
    /// One line each, with what reproduces it.
    pub failures: Vec<String>,
    /// One line each: what was skipped, and why.
    pub skipped: Vec<String>,
}

impl Verdict {
    /// A verdict without findings.
    pub fn new(runner: &'static str) -> Self {
        Self { runner, ..Self::default() }
    }

    /// Adds to a figure.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, count: u64) {
        *self.figures.entry(name.into()).or_default() += count;
    }

    /// Keeps a text; one of the same name is replaced.
    pub fn note(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.notes.insert(name.into(), text.into());
    }

    /// Notes a failure; the line says how to see it again.
    pub fn fail(&mut self, line: impl Into<String>) {
        self.failures.push(line.into());
    }

    /// Notes what was not done, and why.
    pub fn skip(&mut self, line: impl Into<String>) {
        self.skipped.push(line.into());
    }

    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// The one line that programs read.
    #[must_use]
    pub fn to_json(&self) -> String {
        let figures = self.figures.iter().map(|(name, count)| format!("{}:{count}", quoted(name)));
        let notes =
            self.notes.iter().map(|(name, text)| format!("{}:{}", quoted(name), quoted(text)));
        format!(
            "{{\"runner\":{},\"figures\":{{{}}},\"notes\":{{{}}},\"failures\":{},\"skipped\":{}}}",
            quoted(self.runner),
            figures.collect::<Vec<_>>().join(","),
            notes.collect::<Vec<_>>().join(","),
            list(&self.failures),
            list(&self.skipped),
        )
    }
}

fn list(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
    format!("[{}]", lines.join(","))
}

/// A text as JSON has it (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\0'..='\u{1f}' => {
                write!(out, "\\u{:04x}", u32::from(letter)).expect("a string takes text");
            }
            _ => out.push(letter),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_verdict_is_one_line_of_json() {
        let mut verdict = Verdict::new("kills");
        verdict.add("kills", 2);
        verdict.add("kills", 3);
        verdict.note("version", "7");
        verdict.fail("a \"b\"\nc\\");
        let expected = r#"{"runner":"kills","figures":{"kills":5},"notes":{"version":"7"},"failures":["a \"b\"\u000ac\\"],"skipped":[]}"#;
        assert_eq!(verdict.to_json(), expected);
        assert!(!verdict.is_clean());
    }
}
