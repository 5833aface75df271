//! Claims about the page.

use super::html;
use crate::finding::{Finding, Latency, sample};
use crate::window::{WINDOW_NS, Window};

#[test]
fn no_name_becomes_markup_and_nothing_is_fetched() {
    let page = html(&sample::finding());
    // The name that the page shows has such an attribute, as text.
    let markup = page.replace("&lt;img src=x&gt;", "");
    for forbidden in ["<img", "<script", "http://", "https://", "url(", "@import", "src="] {
        assert!(!markup.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_verdict_comes_first_and_every_figure_has_its_place() {
    let page = html(&sample::finding());
    let at = |what: &str| page.find(what).unwrap_or_else(|| panic!("no {what}"));
    let places = [
        "id=verdict",
        "<h2>Promises",
        "<h2>Conservation",
        "<h2>Latency over time",
        "<h2>Response against service time",
        "<h2>Rate against plan",
        "<h2>Lag of the generator",
        "<h2>In flight and backlog",
        "<h2>Latency by percentile",
        "<h2>Requests",
        "<h2>Failures",
        "<h2>What the verdict rests on",
        "<h2>Accuracy",
    ]
    .map(at);
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("NOT conserved"), "a loss is said");
    assert!(page.contains("3 without an answer were sent again, 2 settled"));
    assert!(page.contains("never written"), "and what became of each of them");
}

#[test]
fn a_closed_loop_is_called_so_and_has_no_lag() {
    let mut finding = sample::finding();
    finding.plan.is_closed = true;
    let page = html(&finding);
    assert!(page.contains("a throughput test, latency = service time"));
    assert!(!page.contains("<h2>Lag of the generator"));
}

/// A run of many windows, each a copy of one that was made up.
fn long(windows: u64) -> Finding {
    let mut finding = sample::finding();
    let window = finding.windows[2].clone();
    let of = |n| Window { start_ns: n * WINDOW_NS, ..window.clone() };
    finding.windows = (0..windows).map(of).collect();
    finding
}

#[test]
fn a_long_run_makes_no_large_page() {
    let (short, long) = (html(&long(280)).len(), html(&long(600)).len());
    assert!(long < short * 3 / 2, "{short} {long}");
    assert!(short < 400_000, "{short}");
}

#[test]
fn a_run_without_answers_still_has_a_page() {
    let mut finding = sample::finding();
    finding.windows.clear();
    finding.total.response = Latency::default();
    finding.total.service = Latency::default();
    let page = html(&finding);
    assert!(page.contains("<h2>Latency over time") && page.contains("n/a"));
}
