//! What a runner found: figures, failures and what it had to skip, as one line of JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The result of one runner, to be added to those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Which runner.
    pub runner: &'static str,
    /// Counts by name; each name says its unit.
    pub figures: BTreeMap<&'static str, u64>,
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
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.figures.entry(name).or_default() += count;
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
        format!(
            "{{\"runner\":{},\"figures\":{{{}}},\"failures\":{},\"skipped\":{}}}",
            quoted(self.runner),
            figures.collect::<Vec<_>>().join(","),
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
        verdict.fail("a \"b\"\nc\\");
        let expected = r#"{"runner":"kills","figures":{"kills":5},"failures":["a \"b\"\u000ac\\"],"skipped":[]}"#;
        assert_eq!(verdict.to_json(), expected);
        assert!(!verdict.is_clean());
    }
}
