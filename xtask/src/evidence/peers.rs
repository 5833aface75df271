//! The page about Quipu and its peers: what was measured stands between two marks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use crate::checkout;
use crate::evidence::page::{grouped, with_table};
use crate::evidence::report::Report;

/// The runner whose report this page shows.
const RUNNER: &str = "peers";

/// Where the page is.
const PAGE: &str = "docs/peers.md";

const BEGIN: &str = "<!-- peers: written by `cargo xtask evidence peers --record` -->";
const END: &str = "<!-- end of peers -->";

/// A column: its head, and what of a cell stands in it.
type Column = (&'static str, fn(&Cell<'_>) -> Option<String>);

const FOUND: [Column; 7] = [
    ("ended", |cell| cell.number("ends")),
    ("acknowledged", |cell| cell.number("acked")),
    ("**lost** (part)", |cell| cell.lost()),
    ("**doubled by a retry**", |cell| cell.number("doubled_by_retry")),
    ("doubled by itself", |cell| cell.number("doubled_by_system")),
    ("refused starts", |cell| cell.number("refused_starts")),
    ("recovery, ms", |cell| cell.number("recovery_ms_median")),
];

const SPEED: [Column; 2] = [
    ("acknowledged per second, median (range)", |cell| {
        let [median, min, max] =
            ["median", "min", "max"].map(|part| cell.number(&format!("ops_per_s_{part}")));
        Some(format!("{} ({} to {})", median?, min?, max?))
    }),
    ("CPU, us each", |cell| cell.number("cpu_us_per_op")),
];

/// One system that died in one way.
struct Cell<'a> {
    figures: &'a BTreeMap<String, u64>,
    name: String,
}

impl Cell<'_> {
    fn number(&self, figure: &str) -> Option<String> {
        self.figure(figure).map(grouped)
    }

    fn figure(&self, figure: &str) -> Option<u64> {
        self.figures.get(&format!("{}.{figure}", self.name)).copied()
    }

    /// What is lost, and which part of what was acknowledged that is.
    fn lost(&self) -> Option<String> {
        let (lost, acked) = (self.figure("lost")?, self.figure("acked")?.max(1));
        let part =
            || format!("{} ({}.{} %)", grouped(lost), lost * 100 / acked, lost * 1000 / acked % 10);
        Some(if lost == 0 { "0".to_owned() } else { part() })
    }
}

/// The tables of a report, if it is of this runner.
pub(crate) fn tables(reports: &[Report]) -> Option<String> {
    let report = reports.iter().find(|report| report.runner == RUNNER)?;
    let mut text = String::from("**SIGKILL under load**, data on the disk of the machine:\n\n");
    text += &table(report, "kill", &[&FOUND[..], &SPEED].concat());
    text += "\n**Power cut under load**, data on a disk in memory that forgets what was not \
             synced:\n\n";
    text += &table(report, "cut", &FOUND);
    Some(text)
}

fn rows(report: &Report) -> impl Iterator<Item = &str> {
    report.notes.get("rows").into_iter().flat_map(|rows| rows.split(' '))
}

fn table(report: &Report, end: &str, columns: &[Column]) -> String {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut text = format!("| | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for key in rows(report) {
        let cell = Cell { figures: &report.figures, name: format!("{key}.{end}") };
        let shown = |(_, show): &Column| show(&cell).unwrap_or_else(|| "not measured".to_owned());
        let shown: Vec<String> = columns.iter().map(shown).collect();
        let _infallible = writeln!(text, "| {} | {} |", title(report, key), shown.join(" | "));
    }
    text
}

fn title<'a>(report: &'a Report, key: &'a str) -> &'a str {
    report.notes.get(&format!("{key}.title")).map_or(key, String::as_str)
}

/// Writes what was measured at a commit into the page.
///
/// # Errors
/// The page has no place for it, or cannot be written.
pub(crate) fn write(reports: &[Report], commit: &str) -> Result<()> {
    let Some(report) = reports.iter().find(|report| report.runner == RUNNER) else {
        return Ok(());
    };
    let path = checkout::root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("reading {PAGE}"))?;
    let measured = measured(report, &machine(commit)?);
    let written = with_table(&page, (BEGIN, END), &measured).with_context(|| PAGE.to_owned())?;
    fs::write(&path, written).with_context(|| format!("writing {PAGE}"))
}

/// What the figures depend on beside the systems.
fn machine(commit: &str) -> Result<String> {
    let kernel = checkout::output("uname", &["-sr"])?;
    Ok(format!("{}, commit {commit}, {}", crate::bench::timestamp(), kernel.trim()))
}

fn measured(report: &Report, machine: &str) -> String {
    let figure = |name: &str| report.figures.get(name).copied().unwrap_or_default();
    let disk = report.notes.get("disk").map_or("unknown", String::as_str);
    let mut text = format!(
        "Recorded {machine}, {} cores; a sync of 4 KiB on its disk ({disk}) took {} us (median).\n\
         {} clients with {} counters each, one operation in flight each; every life had {} to {} ms \
         of load and then up to {} acknowledgements more.\n\n",
        figure("cores"),
        figure("disk_sync_us_p50"),
        figure("clients"),
        figure("counters_per_client"),
        figure("load_ms"),
        figure("load_ms") + figure("load_spread_ms"),
        figure("further_acks_max"),
    );
    text += &tables(std::slice::from_ref(report)).unwrap_or_default();
    text += "\n### Versions and commands\n";
    text += &commands(report);
    text += &list("Refused starts", &refusals(report));
    text += &list("Skipped", &report.skipped);
    text += &list("Broken promises of Quipu", &report.failures);
    text
}

fn commands(report: &Report) -> String {
    let mut text = String::new();
    for key in rows(report) {
        let note = |part| report.notes.get(&format!("{key}.{part}")).map_or("", String::as_str);
        let _infallible = write!(
            text,
            "\n**{}**: {}; {}\n\n```\n{}\n```\n",
            title(report, key),
            note("version"),
            note("operation"),
            note("commands")
        );
    }
    text
}

fn refusals(report: &Report) -> Vec<String> {
    let words = |(name, text): (&String, &String)| {
        Some(format!("`{}`: {text}", name.strip_suffix(".refusals")?))
    };
    report.notes.iter().filter_map(words).collect()
}

fn list(head: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("\n### {head}\n\n- {}\n", lines.join("\n- "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figures = [
            ("b.kill.lost", 1200),
            ("b.kill.acked", 9600),
            ("b.kill.ops_per_s_median", 5),
            ("a.cut.lost", 0),
        ];
        let notes = [("rows", "b a"), ("b.title", "Bee"), ("b.kill.refusals", "bad file")];
        let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        Report {
            runner: RUNNER.to_owned(),
            figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
            notes: notes.map(owned).into(),
            ..Report::default()
        }
    }

    #[test]
    fn rows_stand_in_their_order_and_a_hole_is_said() {
        let text = tables(&[report()]).unwrap();
        let (bee, a) = (text.find("| Bee |").unwrap(), text.find("| a |").unwrap());
        assert!(
            bee < a && text.contains("1,200 (12.5 %)") && text.contains("not measured"),
            "{text}"
        );
    }

    #[test]
    fn the_words_of_a_refused_start_are_on_the_page() {
        let text = measured(&report(), "today");
        assert!(text.contains("- `b.kill`: bad file") && !text.contains("Skipped"), "{text}");
    }

    #[test]
    fn other_reports_change_nothing() {
        assert_eq!(tables(&[Report { runner: "kills".to_owned(), ..report() }]), None);
    }
}
