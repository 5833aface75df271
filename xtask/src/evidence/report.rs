//! What one runner found: the last line that it printed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What one runner found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The runner.
    pub(crate) runner: String,
    /// Its figures.
    pub(crate) figures: BTreeMap<String, u64>,
    /// Texts by name that a page beside the figures needs; most runners have none.
    pub(crate) notes: BTreeMap<String, String>,
    /// What went wrong, each with what reproduces it.
    pub(crate) failures: Vec<String>,
    /// What this machine does not permit, and why.
    pub(crate) skipped: Vec<String>,
}

impl Report {
    /// Reads a file that holds what a runner printed.
    ///
    /// # Errors
    /// It cannot be read, or does not end with the line of figures.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let printed = fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
        let report = Self::parse(&shown.to_string(), &printed)?;
        let line = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let value: Value = serde_json::from_str(line)?;
        let runner = value.get("runner").and_then(Value::as_str);
        let runner = runner.with_context(|| format!("{shown} names no runner"))?;
        Ok(Self { runner: runner.to_owned(), ..report })
    }

    /// Reads the last line of what a runner printed.
    ///
    /// # Errors
    /// It is not the line of figures.
    pub(crate) fn parse(runner: &str, printed: &str) -> Result<Self> {
        let line = printed.lines().rev().find(|line| !line.trim().is_empty());
        let line = line.with_context(|| format!("{runner} printed nothing"))?;
        let value: Value = serde_json::from_str(line)
            .with_context(|| format!("{runner} did not end with its figures but with: {line}"))?;
        let Some(figures) = value.get("figures").and_then(Value::as_object) else {
            bail!("{runner} ended without figures: {line}");
        };
        let read = |(name, figure): (&String, &Value)| {
            let figure =
                figure.as_u64().with_context(|| format!("{runner}: {name} is {figure}"))?;
            Ok((name.clone(), figure))
        };
        Ok(Self {
            runner: runner.to_owned(),
            figures: figures.iter().map(read).collect::<Result<_>>()?,
            notes: notes(&value),
            failures: texts(&value, "failures"),
            skipped: texts(&value, "skipped"),
        })
    }

    /// The line that ends a runner.
    pub(crate) fn line(&self) -> String {
        let Self { runner, figures, notes, failures, skipped } = self;
        json!({ "runner": runner, "figures": figures, "notes": notes, "failures": failures,
                "skipped": skipped })
        .to_string()
    }

    /// The report of a runner that could not say anything.
    pub(crate) fn failed(runner: &str, why: String) -> Self {
        Self { runner: runner.to_owned(), failures: vec![why], ..Self::default() }
    }
}

fn notes(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.get("notes").and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_report() {
        let text = "going\n{\"runner\":\"kills\",\"figures\":{\"kills\":3},\"failures\":[\"seed 1\"],\
                    \"notes\":{\"a\":\"7\"},\"skipped\":[]}\n\n";
        let report = Report::parse("kills", text).unwrap();
        assert_eq!(report.figures["kills"], 3);
        assert_eq!(report.failures, ["seed 1"]);
        assert_eq!(report.notes["a"], "7");
        assert_eq!(Report::parse("kills", &report.line()).unwrap(), report);
    }

    #[test]
    fn anything_else_is_an_error_that_shows_it() {
        for text in ["", "panicked at x", "{}", "{\"figures\":{\"a\":-1}}"] {
            assert!(Report::parse("kills", text).is_err(), "{text}");
        }
    }
}
