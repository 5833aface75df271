//! The results as a page for a person and as JSON.

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::bars::Line;
use crate::bench::ingest::side::{Cell, Side};
use crate::bench::statistics::{Spread, paired_ratios};

/// As for the other bench. Guess: a core of two taken for a tenth of the time moves a ratio by
/// about as much.
const FOREIGN_SHARE_MAX: f64 = 0.05;

/// What is compared: lines per second of the first against the second, to close and aimed at.
const BARS: [(Side, Side, f64, f64); 3] = [
    (Side::Quipu, Side::Mawk, 2.0, 5.0),
    (Side::Quipu, Side::Gawk, 2.0, 5.0),
    (Side::WithStreams, Side::WithoutStreams, 0.95, 0.98),
];

/// Everything that a run measured.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) environment: Value,
    pub(super) lines: u64,
    pub(super) rounds: usize,
    pub(super) cells: Vec<Cell>,
}

impl Results {
    /// The moment at which the run began, as a name for files.
    pub(super) fn started(&self) -> &str {
        self.environment.get("started").and_then(Value::as_str).unwrap_or("unknown")
    }

    fn of(&self, side: Side, value: impl Fn(&Cell) -> f64) -> Vec<f64> {
        self.cells.iter().filter(|cell| cell.side == side).map(value).collect()
    }

    fn bars(&self) -> Vec<Line> {
        let rate = |side| self.of(side, |cell| self.lines as f64 / cell.seconds);
        let line = |(ours, theirs, close, aim): (Side, Side, f64, f64)| {
            let ratio = Spread::of(&paired_ratios(&rate(ours), &rate(theirs))?)?;
            let what = format!("lines per second, {} / {}", ours.name(), theirs.name());
            Some(Line { what, ratio, close, aim, less_is_better: false })
        };
        BARS.into_iter().filter_map(line).collect()
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let foreign = |cell: &&Cell| cell.foreign_cpu_share > FOREIGN_SHARE_MAX;
        let disturbed = self.cells.iter().filter(foreign).count();
        if disturbed > 0 {
            doubts.push(format!(
                "in {disturbed} of {} cells more than {} % of the machine was stolen or used by \
                 others",
                self.cells.len(),
                FOREIGN_SHARE_MAX * 100.0
            ));
        }
        if self.rounds < 5 || self.lines < 1_000_000 {
            doubts.push("fewer than 5 rounds of a million lines: a trial".to_owned());
        }
        doubts
    }

    /// Everything as JSON.
    ///
    /// # Errors
    /// None that can happen: the values are plain.
    pub(super) fn to_json(&self) -> Result<String> {
        let bar = |line: &Line| {
            json!({
                "what": line.what,
                "ratio": line.ratio.to_json(),
                "to_close": line.close,
                "aim": line.aim,
                "verdict": line.verdict().word(),
            })
        };
        let value = json!({
            "environment": self.environment,
            "rounds": self.rounds,
            "ratios": self.bars().iter().map(bar).collect::<Vec<_>>(),
            "doubts": self.doubts(),
            "cells": self.cells.iter().map(Cell::to_json).collect::<Vec<_>>(),
        });
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }
}

/// Returns the page.
pub(super) fn render(results: &Results) -> String {
    let mut lines = vec![format!("# Ingest bench {}", results.started()), String::new()];
    let fields = results.environment.as_object().into_iter().flatten();
    lines.extend(fields.map(|(name, value)| format!("- {name}: {value}")));
    lines.push(format!("- rounds: {}; every side counted the same", results.rounds));
    lines.extend(["", "## Ratios (medians of paired rounds)", ""].map(str::to_owned));
    lines.push("| what | median | range | to close | aim | verdict |".to_owned());
    lines.push("|---|---|---|---|---|---|".to_owned());
    lines.extend(results.bars().iter().map(Line::row));
    lines.extend(["", "## Sides", ""].map(str::to_owned));
    lines.push("| side | lines/s | range | CPU us/line | program | node |".to_owned());
    lines.push("|---|---|---|---|---|---|".to_owned());
    lines.extend(Side::ALL.into_iter().filter_map(|side| row(results, side)));
    lines.extend(["", "## Doubts", ""].map(str::to_owned));
    let doubts = results.doubts();
    if doubts.is_empty() {
        lines.push("None: what the run checks about itself held.".to_owned());
    }
    lines.extend(doubts.into_iter().map(|doubt| format!("- {doubt}")));
    lines.join("\n") + "\n"
}

fn row(results: &Results, side: Side) -> Option<String> {
    let lines = results.lines as f64;
    let rate = Spread::of(&results.of(side, |cell| lines / cell.seconds))?;
    let us = |value: fn(&Cell) -> f64| {
        Spread::of(&results.of(side, |cell| value(cell) / lines * 1e6)).map(|spread| spread.median)
    };
    Some(format!(
        "| {} | {:.0} | {:.0} to {:.0} | {:.3} | {:.3} | {:.3} |",
        side.name(),
        rate.median,
        rate.least,
        rate.most,
        us(Cell::cpu_seconds)?,
        us(|cell| cell.client_cpu)?,
        us(|cell| cell.node_cpu)?
    ))
}
