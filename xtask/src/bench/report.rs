//! The results as ratios and as raw JSON, with what makes them doubtful.

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::Options;
use crate::bench::bars::{BARS, Bar, Line, Measure, PIPELINES, READER_BAR, Side};
use crate::bench::cell::Cell;
use crate::bench::options::RunOptions;
use crate::bench::reader::{EXTRA, ReaderRun};
use crate::bench::row::FOREIGN_SHARE_MAX;
use crate::bench::server::Kind;
use crate::bench::statistics::{Spread, paired_ratios};

/// Every bar at every depth, and the reader's.
const BARS_COUNT: usize = BARS.len() * PIPELINES.len() + 1;

/// Everything that a run measured.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) environment: Value,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) flags: Vec<String>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) reader: Vec<ReaderRun>,
}

impl Results {
    /// Starts without measurements.
    pub(crate) fn new(options: &Options, environment: Value) -> Self {
        let Options { run: RunOptions { rounds, .. }, seconds, flags, .. } = options;
        let (cells, reader) = (Vec::new(), Vec::new());
        Self {
            environment,
            rounds: *rounds,
            seconds: *seconds,
            flags: flags.clone(),
            cells,
            reader,
        }
    }

    /// The moment at which the run began, as a name for files.
    pub(crate) fn started(&self) -> &str {
        self.environment.get("started").and_then(Value::as_str).unwrap_or("unknown")
    }

    /// The measured values of a side at a depth, in the order of the rounds.
    pub(crate) fn values(&self, side: Side, pipeline: u32, measure: Measure) -> Vec<f64> {
        let cells = self.cells.iter();
        let of_side = cells.filter(|cell| cell.side == side && cell.pipeline == pipeline);
        of_side.map(|cell| cell.measure(measure)).collect()
    }

    /// The ratios that bars judge.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let depths = 0..PIPELINES.len();
        let of_bar = |bar| depths.clone().filter_map(move |depth| self.bar_line(bar, depth));
        let mut lines: Vec<Line> = BARS.iter().flat_map(of_bar).collect();
        lines.extend(self.reader_line());
        lines
    }

    fn bar_line(&self, bar: &Bar, depth: usize) -> Option<Line> {
        let pipeline = *PIPELINES.get(depth)?;
        let ours = self.values(bar.ours, pipeline, bar.measure);
        let theirs = self.values(bar.theirs, pipeline, bar.measure);
        let ratio = Spread::of(&paired_ratios(&ours, &theirs)?)?;
        let measure = match bar.measure {
            Measure::Throughput => "throughput",
            Measure::Cpu => "server CPU per INCR",
        };
        let (ours, theirs) = (bar.ours.name(), bar.theirs.name());
        let what = format!("{measure}, {ours} / {theirs}, P={pipeline}");
        let less_is_better = bar.measure == Measure::Cpu;
        Some(Line { what, ratio, close: bar.close[depth], aim: bar.aim[depth], less_is_better })
    }

    fn p99s(&self, kind: Kind) -> Vec<f64> {
        let runs = self.reader.iter().filter(|run| run.kind == kind);
        runs.map(|run| run.p99_us as f64).collect()
    }

    fn reader_line(&self) -> Option<Line> {
        let (ours, theirs) = (self.p99s(Kind::QuipuDurable), self.p99s(Kind::RedisAlways));
        let ratio = Spread::of(&paired_ratios(&ours, &theirs)?)?;
        let what = format!(
            "GET p99 at 1,000/s beside 8 durable writers, syncs slowed by {} ms, quipu / redis \
             appendfsync always",
            EXTRA.as_millis()
        );
        let (close, aim) = READER_BAR;
        Some(Line { what, ratio, close, aim, less_is_better: true })
    }

    /// What makes the run doubtful or invalid; empty of a clean one.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = self.fold_doubts();
        let missing = BARS_COUNT.saturating_sub(self.lines().len());
        if missing > 0 {
            doubts.push(format!("{missing} of {BARS_COUNT} bars were not measured"));
        }
        let short = self.cells.iter().filter(|cell| cell.seconds() < self.seconds).count();
        if short > 0 {
            doubts.push(format!("{short} cells ran for less than {} s", self.seconds));
        }
        let foreign = |cell: &&Cell| cell.foreign_cpu_share > FOREIGN_SHARE_MAX;
        let disturbed = self.cells.iter().filter(foreign).count();
        if disturbed > 0 {
            let share = FOREIGN_SHARE_MAX * 100.0;
            doubts.push(format!(
                "in {disturbed} of {} cells more than {share} % of the machine was stolen or used \
                 by others",
                self.cells.len()
            ));
        }
        for run in self.reader.iter().filter(|run| !run.is_slowed()) {
            doubts.push(format!(
                "INVALID reader round {} of {:?}: the syncs were not seen to take 2 ms (shim: {}; \
                 the server itself: {:.2} ms)",
                run.round + 1,
                run.kind,
                run.shim.describe(),
                run.own_sync_ms
            ));
        }
        if self.rounds < 5 || self.seconds < 5.0 {
            doubts.push("fewer than 5 rounds of 5 s: a trial, not a measurement".to_owned());
        }
        doubts
    }

    /// Every durable round must hold a whole fold.
    fn fold_doubts(&self) -> Vec<String> {
        let durable = |cell: &&Cell| matches!(cell.side, Side::QuipuDurable | Side::QuipuHot);
        let folds_in = |round: usize| -> f64 {
            let cells = self.cells.iter().filter(durable).filter(|cell| cell.round == round);
            cells.filter_map(|cell| cell.folds).sum()
        };
        if !self.cells.iter().any(|cell| durable(&cell)) {
            return Vec::new();
        }
        let without = (0..self.rounds).filter(|round| folds_in(*round) < 1.0);
        without
            .map(|round| format!("INVALID round {}: no fold started and ended in it", round + 1))
            .collect()
    }

    /// Everything as JSON.
    ///
    /// # Errors
    /// None that can happen: the values are plain.
    pub(crate) fn to_json(&self) -> Result<String> {
        let value = json!({
            "environment": self.environment,
            "rounds": self.rounds,
            "seconds_per_cell": self.seconds,
            "quipu_flags": self.flags,
            "ratios": self.lines().iter().map(Line::to_json).collect::<Vec<_>>(),
            "doubts": self.doubts(),
            "cells": self.cells.iter().map(Cell::to_json).collect::<Vec<_>>(),
            "reader": self.reader.iter().map(ReaderRun::to_json).collect::<Vec<_>>(),
        });
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(side: Side, round: usize, rate: f64, folds: Option<f64>) -> Cell {
        Cell {
            side,
            pipeline: 1,
            round,
            requests: (rate * 6.0) as u64,
            requests_per_second: rate,
            server_cpu_us: 1.0,
            threads: 1,
            folds,
            pressure: None,
            foreign_cpu_share: 0.0,
        }
    }

    fn results(cells: Vec<Cell>) -> Results {
        let (environment, flags) = (json!({ "started": "now" }), Vec::new());
        Results { environment, rounds: 5, seconds: 5.0, flags, cells, reader: Vec::new() }
    }

    fn rounds(side: Side, rate: f64, folds: Option<f64>) -> Vec<Cell> {
        (0..5).map(|round| cell(side, round, rate, folds)).collect()
    }

    #[test]
    fn a_line_is_the_ratio_of_both_sides_against_its_bar() {
        let ours = rounds(Side::QuipuDurable, 90.0, Some(1.0));
        let theirs = rounds(Side::RedisVolatile, 100.0, None);
        let lines = results([ours, theirs].concat()).lines();
        let rows: Vec<String> = lines.iter().map(Line::row).collect();
        let expected = "| throughput, quipu ack=fsync / redis without persistence, P=1 | 0.900x \
                        | 0.900 to 0.900 | >= 0.8x | >= 1x | closes |";
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn a_durable_round_without_a_fold_is_invalid() {
        let mut cells = rounds(Side::QuipuDurable, 90.0, Some(1.0));
        let expected = "INVALID round 4: no fold started and ended in it".to_owned();
        assert!(!results(cells.clone()).doubts().contains(&expected));
        cells[3].folds = Some(0.0);
        assert!(results(cells).doubts().contains(&expected));
    }

    #[test]
    fn short_and_disturbed_cells_are_named() {
        let mut cells = rounds(Side::RedisVolatile, 90.0, None);
        let clean = results(cells.clone()).doubts();
        assert_eq!(clean, ["13 of 13 bars were not measured"]);
        cells[0].requests /= 2;
        cells[1].foreign_cpu_share = 0.5;
        assert_eq!(results(cells).doubts().len(), clean.len() + 2);
    }
}
