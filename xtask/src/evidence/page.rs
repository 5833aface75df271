//! The table of the README, between its two marks.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use crate::checkout;
use crate::evidence::record::Record;

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

const BEGIN: &str = "<!-- evidence: written by `cargo xtask evidence --record` -->";
const END: &str = "<!-- end of evidence -->";

/// A row: what it says, and from which figures.
type Row = (&'static str, fn(&Record) -> Option<String>);

const ROWS: &[Row] = &[
    ("kills of a real node, each restart reached serving", |r| {
        sum(r, &[("kills", "kills"), ("faults", "failpoint_kills")])
    }),
    ("power cuts of a real node", |r| sum(r, &[("cuts", "cuts")])),
    ("kills and power cuts of Quipu and its peers, by one harness", |r| {
        sum(r, &["own_kills", "own_cuts", "peer_kills", "peer_cuts"].map(|f| ("peers", f)))
    }),
    ("failing calls, limits, stops and clock shifts of a real node", |r| {
        sum(
            r,
            &[
                ("faults", "faults_injected"),
                ("faults", "limits"),
                ("faults", "stops"),
                ("faults", "clock_shifts"),
            ],
        )
    }),
    ("crash images recovered, each crashed again", |r| sum(r, &[("crashes", "crash_images")])),
    ("of these, distinct", |r| sum(r, &[("crashes", "crash_images_distinct")])),
    ("simulated hours, and operations in them", |r| {
        let hours = r.total("seeds", "sim_ms")? / HOUR_MS;
        Some(format!("{hours} h, {}", grouped(r.total("seeds", "ops")?)))
    }),
    ("histories judged linearizable: simulated, of a real node", |r| {
        let simulated = sum(r, &[("seeds", "histories_checked")])?;
        let real = sum(r, &[("kills", "histories_checked"), ("cuts", "histories_checked")])?;
        Some(format!("{simulated}, {real}"))
    }),
    ("single-bit flips refused or harmless", |r| sum(r, &[("flips", "flips")])),
    ("fuzz executions, all targets", |r| fuzz(r, |all| all.sum())),
    ("fuzz executions, the least of any target", |r| fuzz(r, |all| all.min().unwrap_or(0))),
    ("deliberate bugs caught", |r| of(r, "canaries", ("canaries_caught", "canaries_total"))),
    ("mutations caught: fold, composition, tokens, recovery", |r| {
        of(r, "mutants", ("mutants_caught", "mutants_total"))
    }),
    ("mutations caught: the rest of core and log", |r| {
        of(r, "mutants_rest", ("mutants_caught", "mutants_total"))
    }),
    ("lines covered: core", |r| percent(r, "core_lines")),
    ("lines covered: log", |r| percent(r, "log_lines")),
    ("regions covered: core", |r| percent(r, "core_regions")),
    ("regions covered: log", |r| percent(r, "log_regions")),
    ("open failures", |r| Some(grouped(r.open_failures() as u64))),
];

/// The sum of figures; none where no runner gave any of them.
fn sum(record: &Record, figures: &[(&str, &str)]) -> Option<String> {
    let found: Vec<u64> =
        figures.iter().filter_map(|(runner, figure)| record.total(runner, figure)).collect();
    (!found.is_empty()).then(|| grouped(found.iter().sum()))
}

fn of(record: &Record, runner: &str, (part, whole): (&str, &str)) -> Option<String> {
    let (part, whole) = (record.total(runner, part)?, record.total(runner, whole)?);
    Some(format!("{} of {}", grouped(part), grouped(whole)))
}

fn percent(record: &Record, figure: &str) -> Option<String> {
    let covered = record.total("coverage", &format!("{figure}_covered"))?;
    let count = record.total("coverage", figure)?.max(1);
    Some(format!("{}.{} %", covered * 100 / count, covered * 1000 / count % 10))
}

/// Something of the executions of all fuzz targets.
fn fuzz(record: &Record, fold: fn(Box<dyn Iterator<Item = u64> + '_>) -> u64) -> Option<String> {
    let totals = record.totals();
    let targets = totals.get("fuzz")?.iter().filter(|(name, _)| name.ends_with(".executions"));
    Some(grouped(fold(Box::new(targets.map(|(_, count)| *count)))))
}

/// A number with a comma after every third digit.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The table of a record; rows without figures are left out.
pub(crate) fn table(record: &Record) -> String {
    let mut text = String::from("| what | how often |\n|---|---|\n");
    for (about, figure) in ROWS {
        if let Some(figure) = figure(record) {
            let _infallible = writeln!(text, "| {about} | {figure} |");
        }
    }
    text
}

/// Writes the table into the README.
///
/// # Errors
/// The README has no place for it, or cannot be written.
pub(crate) fn write(record: &Record) -> Result<()> {
    let path = checkout::root().join("README.md");
    let page = fs::read_to_string(&path).context("reading README.md")?;
    let written = with_table(&page, (BEGIN, END), &table(record)).context("README.md")?;
    fs::write(&path, written).context("writing README.md")
}

/// A page with something else between its two marks.
///
/// # Errors
/// It has not both.
pub(crate) fn with_table(page: &str, (begin, end): (&str, &str), table: &str) -> Result<String> {
    let (before, rest) = page.split_once(begin).context("no mark of the table")?;
    let (_, after) = rest.split_once(end).context("no mark of the table's end")?;
    Ok(format!("{before}{begin}\n\n{table}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_grouped(number: u64, expected: &str) {
        assert_eq!(grouped(number), expected);
    }

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        check_grouped(7, "7");
        check_grouped(1_000, "1,000");
        check_grouped(20_123_456, "20,123,456");
    }

    #[test]
    fn the_table_replaces_what_was_between_the_marks() {
        let page = format!("a\n{BEGIN}old{END}\nb");
        let written = with_table(&page, (BEGIN, END), "| x |\n").unwrap();
        assert!(written.starts_with("a\n") && written.ends_with("\nb"), "{written}");
        assert!(written.contains("| x |") && !written.contains("old"), "{written}");
        assert_eq!(with_table(&written, (BEGIN, END), "| x |\n").unwrap(), written);
    }
}
