//! A row: its ratios against bars, what was measured for them, and the page of all rows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::bars::Line;
use crate::bench::machine::{self, Load};
use crate::bench::statistics::{Spread, paired_ratios};

/// Beyond this share of the machine used by others a cell is doubtful. Guess: a core of two taken
/// for a tenth of the time moves a ratio by about as much.
pub(crate) const FOREIGN_SHARE_MAX: f64 = 0.05;

/// Beyond this CPU pressure, in percent, a cell that does not say what others used is doubtful. Source:
/// the rule of the pacing bar.
const PRESSURE_MAX: f64 = 10.0;

/// What a row measured.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) lines: Vec<Line>,
    /// Lines of a table, where there is more to show than ratios.
    pub(crate) table: Vec<String>,
    /// How it was measured, and what has to be known to read it.
    pub(crate) notes: Vec<String>,
    pub(crate) cells: Vec<Value>,
}

impl Row {
    /// What makes its figures doubtful.
    fn doubts(&self) -> Vec<String> {
        let number = |cell: &Value, name: &str| cell.get(name).and_then(Value::as_f64);
        let share = |cell: &Value| number(cell, "foreign_cpu_share");
        let is_disturbed = |cell: &&Value| share(cell) > Some(FOREIGN_SHARE_MAX);
        let is_pressed = |cell: &&Value| {
            share(cell).is_none() && number(cell, "psi_cpu_some_avg10") > Some(PRESSURE_MAX)
        };
        let (disturbed, pressed) = (
            self.cells.iter().filter(is_disturbed).count(),
            self.cells.iter().filter(is_pressed).count(),
        );
        let cells = self.cells.len();
        let told = |count: usize, what: String| {
            (count > 0).then(|| format!("{}: in {count} of {cells} cells {what}", self.name))
        };
        let share = FOREIGN_SHARE_MAX * 100.0;
        [
            told(
                disturbed,
                format!("more than {share} % of the machine was stolen or used by others"),
            ),
            told(pressed, format!("CPU pressure was above {PRESSURE_MAX} % at the end")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A bar: what a ratio is of, what closes, what is aimed at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    pub(crate) what: &'static str,
    pub(crate) close: f64,
    pub(crate) aim: f64,
    pub(crate) less_is_better: bool,
}

impl Bar {
    /// The line of the ratios of paired rounds.
    ///
    /// # Errors
    /// A side lacks a round, or a value is zero.
    pub(crate) fn line(&self, ours: &[f64], theirs: &[f64]) -> Result<Line> {
        let ratios = paired_ratios(ours, theirs);
        let ratio = ratios.and_then(|ratios| Spread::of(&ratios));
        let ratio = ratio.with_context(|| format!("{}: a round is missing", self.what))?;
        let Self { close, aim, less_is_better, .. } = *self;
        Ok(Line { what: self.what.to_owned(), ratio, close, aim, less_is_better })
    }
}

/// How busy the machine was with other things during a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noise(Load);

impl Noise {
    /// Begins to watch.
    ///
    /// # Errors
    /// The kernel does not show its counters.
    pub(crate) fn watch() -> Result<Self> {
        Load::now().map(Self)
    }

    /// What others used since, beside servers that used `ticks`.
    ///
    /// # Errors
    /// The kernel does not show its counters.
    pub(crate) fn end(self, ticks: u64) -> Result<Value> {
        let foreign = Load::now()?.foreign_share_since(self.0, ticks);
        Ok(json!({ "foreign_cpu_share": foreign, "psi_cpu_some_avg10": machine::pressure() }))
    }
}

/// All rows of a run.
#[derive(Debug)]
pub(crate) struct Page {
    title: &'static str,
    environment: Value,
    options: Value,
    rows: Vec<Row>,
    failures: Vec<(String, String)>,
}

impl Page {
    /// A page without rows.
    pub(crate) fn new(title: &'static str, environment: Value, options: Value) -> Self {
        Self { title, environment, options, rows: Vec::new(), failures: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Shows and adds what a row measured, or notes why it could not.
    pub(crate) fn take(&mut self, name: &str, measured: Result<Row>) {
        match measured {
            Ok(row) => {
                row.lines.iter().for_each(|line| println!("{}", line.row()));
                self.add(row);
            }
            Err(error) => {
                println!("row {name} FAILED: {error:#}");
                self.failures.push((name.to_owned(), format!("{error:#}")));
            }
        }
    }

    /// Says whether every row was measured.
    ///
    /// # Errors
    /// Names those that were not.
    pub(crate) fn check(&self) -> Result<()> {
        let failed: Vec<&str> = self.failures.iter().map(|(name, _)| name.as_str()).collect();
        if failed.is_empty() { Ok(()) } else { bail!("rows that failed: {}", failed.join(", ")) }
    }

    /// Prints the page and writes it with the raw results.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn keep(&self, out: &Path, name: &str) -> Result<()> {
        let page = self.render();
        println!("\n{page}");
        fs::create_dir_all(out)?;
        let started = self.environment.get("started").and_then(Value::as_str).unwrap_or("unknown");
        let stem = out.join(format!("{name}-{started}"));
        let json = serde_json::to_string_pretty(&self.to_json())? + "\n";
        for (extension, text) in [("json", json), ("md", page)] {
            let path = stem.with_extension(extension);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            println!("wrote {}", path.display());
        }
        Ok(())
    }

    fn render(&self) -> String {
        let mut lines = vec![format!("# {}", self.title), String::new()];
        for (name, value) in self.environment.as_object().into_iter().flatten() {
            lines.push(format!("- {name}: {value}"));
        }
        lines.push(format!("- options: {}", self.options));
        let ratios: Vec<String> =
            self.rows.iter().flat_map(|row| &row.lines).map(Line::row).collect();
        if !ratios.is_empty() {
            lines.extend(["", "## Ratios", ""].map(str::to_owned));
            lines.push("| what | median | range | to close | aim | verdict |".to_owned());
            lines.push("|---|---|---|---|---|---|".to_owned());
            lines.extend(ratios);
        }
        for row in &self.rows {
            lines.extend([String::new(), format!("## {}", row.name), String::new()]);
            lines.extend(row.notes.iter().map(|note| format!("- {note}")));
            lines.push(String::new());
            if !row.table.is_empty() {
                lines.extend(row.table.iter().cloned());
                lines.push(String::new());
            }
            lines.extend(row.cells.iter().map(|cell| format!("- `{}`", brief(cell))));
        }
        lines.extend(["", "## Doubts", ""].map(str::to_owned));
        let doubts = self.doubts();
        if doubts.is_empty() {
            lines.push("None: what the run checks about itself held.".to_owned());
        }
        lines.extend(doubts.iter().map(|doubt| format!("- {doubt}")));
        lines.join("\n") + "\n"
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts: Vec<String> =
            self.failures.iter().map(|(row, why)| format!("{row} FAILED: {why}")).collect();
        doubts.extend(self.rows.iter().flat_map(Row::doubts));
        if self.options.get("is_trial") == Some(&Value::Bool(true)) {
            doubts.push("a trial, not a measurement".to_owned());
        }
        doubts
    }

    fn to_json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "row": row.name,
                "notes": row.notes,
                "ratios": row.lines.iter().map(Line::to_json).collect::<Vec<_>>(),
                "cells": row.cells,
            })
        };
        json!({
            "title": self.title,
            "environment": self.environment,
            "options": self.options,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "doubts": self.doubts(),
        })
    }
}

/// A cell on one line, numbers rounded for a reader; the raw results keep them whole.
fn brief(cell: &Value) -> String {
    let field = |(name, value): (&String, &Value)| match value.as_f64() {
        Some(number) if number.fract() != 0.0 => format!("{name}={number:.3}"),
        _ => format!("{name}={}", value.to_string().trim_matches('"')),
    };
    cell.as_object().into_iter().flatten().map(field).collect::<Vec<_>>().join(" ")
}

/// Shows a cell and keeps it.
pub(crate) fn keep(cells: &mut Vec<Value>, cell: Value) {
    println!("   {}", brief(&cell));
    cells.push(cell);
}

/// Puts the fields of `more` into a cell.
pub(crate) fn with(mut cell: Value, more: Value) -> Value {
    if let (Some(cell), Value::Object(more)) = (cell.as_object_mut(), more) {
        cell.extend(more);
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAR: Bar = Bar { what: "w", close: 1.0, aim: 0.5, less_is_better: true };

    #[test]
    fn a_bar_judges_paired_rounds_and_refuses_a_missing_one() {
        let line = BAR.line(&[1.0, 3.0], &[2.0, 4.0]).unwrap();
        assert!((line.ratio.median - 0.625).abs() < 1e-9);
        assert!(BAR.line(&[1.0], &[]).is_err());
    }

    #[test]
    fn a_cell_is_brief_and_takes_more_fields() {
        let cell = with(json!({ "a": 1.0 / 3.0 }), json!({ "b": 2, "c": "d" }));
        assert_eq!(brief(&cell), "a=0.333 b=2 c=d");
    }

    #[test]
    fn cells_of_a_busy_machine_are_doubted() {
        let row = |cells: &[Value]| Row {
            name: "r",
            lines: Vec::new(),
            table: Vec::new(),
            notes: Vec::new(),
            cells: cells.to_vec(),
        };
        let pressed = json!({ "psi_cpu_some_avg10": 12.0 });
        // Where it is known what others used, the pressure is of the load itself.
        let own = json!({ "psi_cpu_some_avg10": 90.0, "foreign_cpu_share": 0.01 });
        let disturbed = json!({ "foreign_cpu_share": 0.2 });
        assert_eq!(row(std::slice::from_ref(&own)).doubts(), [] as [&str; 0]);
        assert_eq!(
            row(&[pressed, own, disturbed]).doubts(),
            [
                "r: in 1 of 3 cells more than 5 % of the machine was stolen or used by others",
                "r: in 1 of 3 cells CPU pressure was above 10 % at the end"
            ]
        );
    }
}
