//! What a run found, in tiles and tables.

use super::axis::{count, span};
use super::section;
use super::table::{Cell, table};
use crate::conservation::Balance;
use crate::finding::{Finding, Latency, PhaseFinding};
use crate::settle::Settlement;
use crate::slo::Outcome;
use crate::tail;

/// Returns the few figures that people look for.
pub(super) fn tiles(finding: &Finding) -> String {
    let total = &finding.total;
    let kept = finding.promises.iter().filter(|p| p.judgement.outcome == Outcome::Pass).count();
    let latency = if finding.plan.is_closed { &total.service } else { &total.response };
    let kind = if finding.plan.is_closed { "service" } else { "response" };
    let tiles = [
        ("promises kept".to_owned(), format!("{kept} of {}", finding.promises.len())),
        ("answered as expected".to_owned(), format!("{}/s", count(total.ok_per_s()))),
        ("planned".to_owned(), format!("{}/s", count(total.planned_per_s()))),
        (format!("{kind} p50"), shown(latency, 0.5)),
        (format!("{kind} p99"), shown(latency, 0.01)),
        (format!("{kind} max"), shown(latency, 0.0)),
        ("failed".to_owned(), total.counts.failed.to_string()),
        ("missed".to_owned(), total.counts.missed.to_string()),
    ];
    let tiles = tiles
        .iter()
        .map(|(name, value)| format!("<dl class=card><dt>{name}</dt><dd>{value}</dd></dl>\n"));
    format!("<section class=tiles>\n{}</section>\n", tiles.collect::<String>())
}

/// Returns a percentile by the share beyond it, or the maximum, if enough lies beyond it to say so.
fn shown(latency: &Latency, beyond: f64) -> String {
    let p = &latency.percentiles;
    let known = [
        (0.5, p.p50_ns),
        (0.1, p.p90_ns),
        (0.05, p.p95_ns),
        (0.01, p.p99_ns),
        (0.001, p.p999_ns),
        (0.0001, p.p9999_ns),
    ];
    let percentile = known.iter().find(|(share, _)| *share <= beyond);
    let (share, ns) = percentile.copied().filter(|_| beyond > 0.0).unwrap_or((1.0, p.max_ns));
    let is_told =
        if beyond > 0.0 { tail::is_told(latency.count, 1.0 - share) } else { latency.count > 0 };
    if is_told { span(ns as f64) } else { "n/a".to_owned() }
}

/// Returns whether every increment was counted once.
pub(super) fn conservation(finding: &Finding) -> String {
    let Some(found) = &finding.conservation else { return String::new() };
    let row = |name: &str, balance: &Balance| {
        let sums = [balance.sent, balance.acknowledged, balance.counted].map(|sum| sum.to_string());
        let wrong = [balance.lost, balance.doubled].map(|count| count.to_string());
        let numbers = sums.into_iter().chain(wrong).map(Cell::Number);
        std::iter::once(Cell::text(name)).chain(numbers).collect::<Vec<_>>()
    };
    let mut rows = vec![row("all keys", &found.total)];
    rows.extend(found.wrong.iter().map(|wrong| row(&wrong.key, &wrong.balance)));
    let class = if found.holds() { "good" } else { "bad" };
    let sentence = crate::markup::escaped(&found.sentence());
    let head = ["key", "sent", "acknowledged", "counted", "lost", "doubled"];
    let sums = table(&head, &rows);
    let settled = settlement(&found.settlement);
    let inside = format!("<p><b class={class}>{sentence}</b></p>\n{sums}{settled}");
    section("Conservation: was every increment counted once?", &inside)
}

/// Returns what became of the requests without an answer, if there were any.
fn settlement(found: &Settlement) -> String {
    if *found == Settlement::default() {
        return String::new();
    }
    let Settlement { unwritten, retried, settled, unsettled, .. } = *found;
    let Settlement { untokened, forgotten, outdated, .. } = *found;
    let row = [unwritten, retried, settled, unsettled, untokened, forgotten, outdated];
    let row = row.map(|count| Cell::Number(count.to_string())).to_vec();
    let head = [
        "never written",
        "sent again",
        "then settled",
        "unsettled",
        "without a token",
        "not remembered",
        "too old",
    ];
    table(&head, &[row])
}

/// Returns the phases, and all that is recorded where there are several.
fn rows(finding: &Finding) -> impl Iterator<Item = &PhaseFinding> {
    let recorded = finding.phases.iter().filter(|phase| phase.is_recorded).count();
    finding.phases.iter().chain((recorded > 1).then_some(&finding.total))
}

/// Returns how many requests of each phase came to which end.
pub(super) fn phases(finding: &Finding) -> String {
    let row = |phase: &PhaseFinding| {
        let counts = &phase.counts;
        let note = if phase.is_recorded { "" } else { " (not in the result)" };
        let numbers = [counts.planned, counts.sent, counts.ok, counts.failed, counts.missed];
        let mut row = vec![
            Cell::text(format!("{}{note}", phase.name)),
            Cell::Number(span(phase.active_ns as f64)),
        ];
        row.extend(numbers.map(|number| Cell::Number(number.to_string())));
        row.push(Cell::Number(format!("{:.1}", phase.ok_per_s())));
        row.push(Cell::Number(format!("{:.1}", phase.in_flight_mean)));
        row.push(Cell::Number(phase.backlog_max.to_string()));
        row
    };
    let rows: Vec<_> = rows(finding).map(row).collect();
    let head = [
        "phase",
        "lasted",
        "planned",
        "sent",
        "ok",
        "failed",
        "missed",
        "ok/s",
        "in flight",
        "backlog",
    ];
    section("Requests", &table(&head, &rows))
}

/// Returns the percentiles of each phase.
pub(super) fn latencies(finding: &Finding) -> String {
    let is_closed = finding.plan.is_closed;
    let kinds = |phase: &PhaseFinding| {
        let kinds = [
            ("response", !is_closed, phase.response.clone()),
            ("service", true, phase.service.clone()),
            ("lag", !is_closed, phase.lag.clone()),
        ];
        let shown = kinds.into_iter().filter(|(_, is_shown, _)| *is_shown);
        shown.map(|(kind, _, latency)| latency_row(&phase.name, kind, &latency)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = rows(finding).flat_map(kinds).collect();
    let head = ["phase", "", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"];
    let note =
        "<p class=sub>n/a: fewer than ten requests lie beyond, which is too few to say.</p>\n";
    section("Latency", &(table(&head, &rows) + note))
}

fn latency_row(place: &str, kind: &str, latency: &Latency) -> Vec<Cell> {
    let mut row = vec![Cell::text(place), Cell::text(kind)];
    let mean = if latency.count == 0 { "n/a".to_owned() } else { span(latency.mean_ns) };
    row.push(Cell::Number(mean));
    let beyond = [0.5, 0.1, 0.05, 0.01, 0.001, 0.0001, 0.0];
    row.extend(beyond.map(|share| Cell::Number(shown(latency, share))));
    row
}

/// Returns how phases that follow a burst came back.
pub(super) fn bursts(finding: &Finding) -> String {
    let row = |phase: &PhaseFinding| {
        let burst = finding.burst_before(phase)?;
        let recovery = burst.time_to_recover_ns.map_or("never".to_owned(), |ns| span(ns as f64));
        let drain = burst.drain_per_s.map_or("n/a".to_owned(), |rate| format!("{}/s", count(rate)));
        let numbers = [
            span(burst.baseline_p99_ns as f64),
            span(burst.peak_p99_ns as f64),
            recovery,
            burst.backlog_peak.to_string(),
            drain,
        ];
        Some(std::iter::once(Cell::text(&phase.name)).chain(numbers.map(Cell::Number)).collect())
    };
    let rows: Vec<Vec<_>> = finding.phases.iter().filter_map(row).collect();
    let head =
        ["phase", "p99 before", "worst p99", "recovered after", "backlog peak", "drained at"];
    section("After the burst", &table(&head, &rows))
}

/// Returns failures by phase and class.
pub(super) fn failures(finding: &Finding) -> String {
    let of_phase = |phase: &PhaseFinding| {
        let row = |(class, latency): (&String, &Latency)| {
            let mut row = latency_row(&phase.name, class, latency);
            row.insert(2, Cell::Number(latency.count.to_string()));
            row
        };
        phase.failures.iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<_> = finding.phases.iter().flat_map(of_phase).collect();
    let head =
        ["phase", "class", "count", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"];
    section("Failures, which improve no latency", &table(&head, &rows))
}
