//! A finding as one page for a browser: no script, nothing fetched, light and dark, wide and narrow.
//!
//! The verdict comes first, then the promises, the figures, the charts, and what the run rests on.

mod axis;
mod chart;
mod facts;
mod figures;
mod series;
mod spread;
mod table;

use self::series::Series;
use self::spread::Spread;
use self::table::{Cell, table};
use crate::finding::{Finding, Promise};
use crate::markup::escaped;
use crate::slo::Outcome;
use crate::validity::Verdict;

/// How everything looks.
const STYLE: &str = include_str!("html/style.css");

/// What the page may do: nothing but show its own styles and an empty picture for the tab.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'none'";

/// Returns the page.
pub fn html(finding: &Finding) -> String {
    let name = escaped(&finding.plan.name);
    let head = format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta http-equiv=Content-Security-Policy content=\"{POLICY}\">\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <link rel=icon href=\"data:,\">\n<title>{name}: {verdict}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n",
        verdict = finding.validity.verdict,
    );
    let (series, spread) = (Series::of(finding), Spread::of(finding));
    let charts = series.charts().into_iter().chain(spread.charts());
    let charts: Vec<_> = charts.map(|chart| chart.figure()).collect();
    let body = [
        header(finding),
        verdict(finding),
        promises(&finding.promises),
        figures::tiles(finding),
        figures::conservation(finding),
        format!("<section class=charts>\n{}</section>\n", charts.concat()),
        figures::phases(finding),
        figures::latencies(finding),
        figures::bursts(finding),
        figures::failures(finding),
        facts::gates(finding),
        facts::accuracy(finding),
        facts::about(finding),
    ];
    head + &body.concat() + "</body>\n</html>\n"
}

/// Returns a part of the page under its title; nothing if there is nothing in it.
fn section(title: &str, inside: &str) -> String {
    if inside.is_empty() {
        return String::new();
    }
    format!("<section class=card>\n<h2>{title}</h2>\n{inside}</section>\n")
}

fn header(finding: &Finding) -> String {
    let plan = &finding.plan;
    let kind = if plan.is_closed {
        "closed loop: a throughput test, latency = service time"
    } else {
        "open loop: latency counts from the planned moment"
    };
    format!(
        "<header>\n<h1>{} <span class=sub>against</span> {}</h1>\n<p class=sub>{}, {}; {kind}</p>\n</header>\n",
        escaped(&plan.name),
        escaped(&plan.target),
        escaped(&finding.started),
        axis::span(finding.lasted_ns as f64),
    )
}

fn verdict(finding: &Finding) -> String {
    let verdict = finding.validity.verdict;
    let (class, meaning) = match verdict {
        Verdict::Valid => {
            ("good", "the generator did what was planned, so the figures are the target's")
        }
        Verdict::Suspect => ("unsure", "the figures may not be those of the target alone"),
        Verdict::Invalid => ("bad", "the figures are not those of the target"),
    };
    let reasons =
        finding.validity.reasons().map(|reason| format!("<li>{}</li>\n", escaped(&reason)));
    let reasons = reasons.collect::<String>();
    let stopped =
        if finding.stopped { "<p>It was stopped before the end of its plan.</p>\n" } else { "" };
    format!(
        "<section class=\"card verdict {class}\">\n<p id=verdict><b>{verdict}</b> {meaning}</p>\n\
         {stopped}<ul>\n{reasons}</ul>\n</section>\n"
    )
}

fn promises(promises: &[Promise]) -> String {
    let row = |promise: &Promise| {
        let judgement = &promise.judgement;
        let state = match judgement.outcome {
            Outcome::Pass => Cell::State("good", "kept".to_owned()),
            Outcome::Fail => Cell::State("bad", "broken".to_owned()),
            Outcome::Unknown => Cell::State("unsure", "unknown".to_owned()),
        };
        let why = judgement.reason.as_deref().unwrap_or_default();
        let cells = [promise.place(), &judgement.check];
        let mut row = vec![state];
        row.extend(cells.map(Cell::text));
        row.push(Cell::Number(judgement.left.clone()));
        row.push(Cell::text(why));
        row
    };
    let rows: Vec<_> = promises.iter().map(row).collect();
    section("Promises", &table(&["", "phase", "promise", "found", ""], &rows))
}

#[cfg(test)]
mod tests;
