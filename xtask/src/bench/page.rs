//! The results as a page of Markdown for a person.

use crate::bench::bars::{Line, Measure, PIPELINES, Side};
use crate::bench::cell::Cell;
use crate::bench::reader::ReaderRun;
use crate::bench::report::Results;
use crate::bench::statistics::Spread;

/// Returns the page.
pub(crate) fn render(results: &Results) -> String {
    let mut lines = vec![format!("# Bench {}", results.started()), String::new()];
    lines.extend(environment(results));
    lines.extend(table(
        "Ratios (medians of paired rounds)",
        "what | median | range | to close | aim | verdict",
        results.lines().iter().map(Line::row).collect(),
    ));
    lines.extend(table(
        "INCR, redis-benchmark -c 50 -r 100000",
        "side | P | requests/s | range | CPU us/op | range | threads | PSI avg10 | folds",
        cell_rows(results),
    ));
    lines.extend(table(
        "GET at 1,000/s beside 8 durable writers, slowed syncs",
        "server | round | p50 us | p99 us | max us | writes/s | sync, shim | sync, server's own",
        results.reader.iter().map(reader_row).collect(),
    ));
    lines.extend(doubts(results));
    lines.join("\n") + "\n"
}

fn environment(results: &Results) -> Vec<String> {
    let fields = results.environment.as_object().into_iter().flatten();
    let mut lines: Vec<String> = fields.map(|(name, value)| format!("- {name}: {value}")).collect();
    let (rounds, seconds) = (results.rounds, results.seconds);
    lines.push(format!("- rounds: {rounds} of at least {seconds} s per cell"));
    lines.push(format!("- flags of quipu ack=fsync: `{}` (so that folds fall into each round; ack=memory runs with the defaults)", results.flags.join(" ")));
    lines
}

/// A heading and a table, or nothing without rows.
fn table(heading: &str, columns: &str, rows: Vec<String>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let rule = "---|".repeat(columns.split(" | ").count());
    let head = [String::new(), format!("## {heading}"), String::new()];
    let top = [format!("| {columns} |"), format!("|{rule}")];
    head.into_iter().chain(top).chain(rows).collect()
}

fn cell_rows(results: &Results) -> Vec<String> {
    let of_side = |side| PIPELINES.into_iter().map(move |pipeline| (side, pipeline));
    let rows = Side::ALL.into_iter().flat_map(of_side);
    rows.filter_map(|(side, pipeline)| cell_row(results, side, pipeline)).collect()
}

fn cell_row(results: &Results, side: Side, pipeline: u32) -> Option<String> {
    let spread = |measure| Spread::of(&results.values(side, pipeline, measure));
    let (rate, cpu) = (spread(Measure::Throughput)?, spread(Measure::Cpu)?);
    let cells = results.cells.iter();
    let cells: Vec<&Cell> =
        cells.filter(|cell| cell.side == side && cell.pipeline == pipeline).collect();
    let pressures: Vec<f64> = cells.iter().filter_map(|cell| cell.pressure).collect();
    let pressure = Spread::of(&pressures).map(|pressure| format!("{:.1} %", pressure.median));
    let folds: Option<f64> = cells.iter().map(|cell| cell.folds).sum();
    let columns = [
        side.name().to_owned(),
        pipeline.to_string(),
        format!("{:.0}", rate.median),
        format!("{:.0} to {:.0}", rate.least, rate.most),
        format!("{:.3}", cpu.median),
        format!("{:.3} to {:.3}", cpu.least, cpu.most),
        cells.iter().map(|cell| cell.threads).max()?.to_string(),
        pressure.unwrap_or("-".to_owned()),
        folds.map_or("-".to_owned(), |folds| folds.to_string()),
    ];
    Some(format!("| {} |", columns.join(" | ")))
}

fn reader_row(run: &ReaderRun) -> String {
    let columns = [
        format!("{:?}", run.kind),
        (run.round + 1).to_string(),
        run.p50_us.to_string(),
        run.p99_us.to_string(),
        run.max_us.to_string(),
        format!("{:.0}", run.writes_per_second),
        run.shim.describe(),
        format!("{:.2} ms", run.own_sync_ms),
    ];
    format!("| {} |", columns.join(" | "))
}

fn doubts(results: &Results) -> Vec<String> {
    let mut lines = vec![String::new(), "## Doubts".to_owned(), String::new()];
    let doubts = results.doubts();
    if doubts.is_empty() {
        lines.push("None: what the run checks about itself held.".to_owned());
    }
    lines.extend(doubts.into_iter().map(|doubt| format!("- {doubt}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_rule_as_wide_as_its_head_and_is_absent_without_rows() {
        let rows = vec!["| 1 | 2 |".to_owned()];
        let expected = ["", "## H", "", "| a | b |", "|---|---|", "| 1 | 2 |"];
        assert_eq!(table("H", "a | b", rows), expected);
        assert_eq!(table("H", "a | b", Vec::new()), Vec::<String>::new());
    }
}
