//! What a self-test found, as a page and as the sentence that later reports carry.

use std::fmt::Write as _;

use super::{Accuracy, Grid, Stall, Statement, disturbance, is_disturbed, shown};

/// Returns the page.
pub(super) fn page(accuracy: &Accuracy) -> String {
    let mut text = String::new();
    heading(&mut text, "one stall of the target: p99, reported against true");
    for stall in &accuracy.stalls {
        push(&mut text, &stall_line(stall));
    }
    heading(&mut text, "pacing, one thread: how late requests left, and came (beyond the least)");
    for grid in &accuracy.grids {
        grid_lines(grid, &mut text);
    }
    heading(&mut text, "cost, closed loop: CPU of the generator per request");
    for cost in &accuracy.costs {
        let us = cost.cpu_ns_per_request / 1e3;
        let per_s = 1e9 / cost.cpu_ns_per_request.max(1.0);
        push(&mut text, &format!("  {:<22} {us:>7.2} us  ({per_s:.0} per CPU-second)", cost.what));
    }
    push(&mut text, "");
    push(&mut text, &sentence(accuracy));
    text
}

fn push(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes text");
}

fn heading(text: &mut String, line: &str) {
    let gap = if text.is_empty() { "" } else { "\n" };
    push(text, &format!("{gap}{line}"));
}

fn stall_line(stall: &Stall) -> String {
    let verdict = if stall.is_right() { "right" } else { "NOT RIGHT" };
    let lost = if stall.lost > 0 { format!(", {} lost", stall.lost) } else { String::new() };
    format!(
        "  {:<5} {} in {} at {}/s: {} against {} ({:+.2} %{lost}) {verdict}; counted from the write: {}",
        stall.protocol,
        shown(stall.stall_ns),
        shown(stall.run_ns),
        stall.rate_per_s,
        shown(stall.reported_p99_ns),
        shown(stall.true_p99_ns()),
        stall.error_ratio() * 100.0,
        shown(stall.service_p99_ns)
    )
}

fn grid_lines(grid: &Grid, text: &mut String) {
    push(
        text,
        &format!(
            "  {}/s {}: {:.1} % of a core, {:.2} us CPU per request; run {}",
            grid.rate_per_s,
            grid.pacing,
            grid.busy_ratio * 100.0,
            grid.cpu_ns_per_request / 1e3,
            grid.verdict
        ),
    );
    for (side, p) in [("left", &grid.reported), ("came", &grid.seen)] {
        push(
            text,
            &format!(
                "    {side}  p50 {:>8}  p90 {:>8}  p99 {:>8}  p99.9 {:>8}  max {:>8}",
                shown(p.p50_ns),
                shown(p.p90_ns),
                shown(p.p99_ns),
                shown(p.p999_ns),
                shown(p.max_ns)
            ),
        );
    }
}

/// Returns the sentence.
pub(super) fn sentence(accuracy: &Accuracy) -> String {
    let mut text = String::from(match accuracy.statement() {
        Statement::Right => "accuracy: ",
        Statement::NotMeasurable => "accuracy not measurable, the machine was busy: ",
        Statement::Wrong => "accuracy NOT REACHED: ",
    });
    let stalls = accuracy.stalls.iter().map(|stall| {
        format!(
            "p99 of a {} stall over {} {} against {} true ({:+.2} %)",
            shown(stall.stall_ns),
            stall.protocol,
            shown(stall.reported_p99_ns),
            shown(stall.true_p99_ns()),
            stall.error_ratio() * 100.0
        )
    });
    let grids = accuracy.grids.iter().map(|grid| {
        let lag = &grid.reported;
        format!(
            "lag at {}/s {} p50 {} p99 {}",
            grid.rate_per_s,
            grid.pacing,
            shown(lag.p50_ns),
            shown(lag.p99_ns)
        )
    });
    text += &stalls.chain(grids).collect::<Vec<_>>().join("; ");
    let environment = &accuracy.environment;
    let busy = if is_disturbed(&accuracy.machine) { " (busy)" } else { "" };
    text + &format!(
        "; self-test of quipu {} at {} on {} x {}, Linux {}, {}{busy}",
        environment.quipu_version,
        accuracy.started,
        environment.cpus,
        environment.cpu_model,
        environment.kernel,
        disturbance(&accuracy.machine)
    )
}
