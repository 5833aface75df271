//! A run that is under way as a picture: rate against plan, response times, sums, verdict so far.

use std::time::Duration;

use quipu_lab::validity::Verdict;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Chart, Dataset, Gauge, GraphType, LegendPosition, Paragraph, Widget as _,
};
use stdx::units::Nanos;

use super::seen::{Point, Seen};
use crate::figure::{grouped, lasting};

/// The greatest picture: beyond, a terminal lies.
const COLUMNS_MAX: usize = 500;
const ROWS_MAX: usize = 200;
/// At how many moments the plan is read: two for each column of dots of a usual terminal.
const PLAN_POINTS: u64 = 300;
/// Rows of the sums below the charts.
const SUMS_ROWS: u16 = 6;

/// Returns the picture for a terminal of so many columns and rows.
pub(super) fn picture(
    seen: &Seen,
    elapsed: Duration,
    (columns, rows): (usize, usize),
) -> Vec<String> {
    let area = Rect::new(0, 0, columns.min(COLUMNS_MAX) as u16, rows.min(ROWS_MAX) as u16);
    let mut buffer = Buffer::empty(area);
    let [head, gauge, rate, latency, sums] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(SUMS_ROWS),
    ])
    .areas(area);
    write_head(seen, head, &mut buffer);
    write_gauge(seen, elapsed, gauge, &mut buffer);
    write_rate(seen, rate, &mut buffer);
    write_latency(seen, latency, &mut buffer);
    Paragraph::new(sums_lines(seen)).render(sums, &mut buffer);
    (0..area.height).map(|row| line_of(&buffer, row)).collect()
}

fn bold(text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), Modifier::BOLD)
}

/// The name, the target and the phases, of which the present one stands out.
fn write_head(seen: &Seen, area: Rect, buffer: &mut Buffer) {
    let now = seen.last.as_ref().map_or(0, |window| usize::from(window.phase));
    let mut spans = vec![bold(seen.scenario.name.clone()), format!(" at {}  ", seen.target).into()];
    for (number, phase) in seen.scenario.phases.iter().enumerate() {
        let style = if number == now { Modifier::REVERSED } else { Modifier::DIM };
        spans.push(Span::styled(format!(" {} ", phase.name), style));
    }
    Line::from(spans).render(area, buffer);
}

fn write_gauge(seen: &Seen, elapsed: Duration, area: Rect, buffer: &mut Buffer) {
    let planned = Duration::from_nanos(seen.schedule.duration_ns());
    let share = elapsed.as_secs_f64() / planned.as_secs_f64().max(f64::MIN_POSITIVE);
    let label =
        format!("{} of {}, q stops and reports", lasting(elapsed.min(planned)), lasting(planned));
    Gauge::default()
        .ratio(share.clamp(0.0, 1.0))
        .label(label)
        .use_unicode(true)
        .gauge_style(Style::new().fg(Color::Blue))
        .render(area, buffer);
}

/// Points of a curve, and its color and name.
type Curve<'a> = (&'a [(f64, f64)], Color, &'a str);

fn write_chart(
    title: &str,
    curves: &[Curve<'_>],
    until_s: f64,
    (area, buffer): (Rect, &mut Buffer),
) {
    let points = curves.iter().flat_map(|(points, ..)| *points);
    let most = points.fold(f64::MIN_POSITIVE, |most, (_, y)| most.max(*y)) * 1.1;
    let sets = curves.iter().map(|(points, color, name)| {
        Dataset::default()
            .name(*name)
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(*color)
            .data(points)
    });
    let top = if most < 10.0 { format!("{most:.2}") } else { grouped(most as i128) };
    let x = Axis::default()
        .bounds([0.0, until_s])
        .labels(["0 s".to_owned(), lasting(Duration::from_secs_f64(until_s))]);
    let y = Axis::default().bounds([0.0, most]).labels(["0".to_owned(), top]);
    Chart::new(sets.collect())
        .block(Block::bordered().title(title.to_owned()))
        .x_axis(x)
        .y_axis(y)
        .legend_position(Some(LegendPosition::TopLeft))
        .render(area, buffer);
}

/// Seconds that the plan lasts.
fn planned_s(seen: &Seen) -> f64 {
    (seen.schedule.duration_ns() as f64 / 1e9).max(0.001)
}

fn write_rate(seen: &Seen, area: Rect, buffer: &mut Buffer) {
    let step_ns = seen.schedule.duration_ns() / PLAN_POINTS;
    let moment = |n: u64| n * step_ns;
    let plan: Vec<_> = (0..PLAN_POINTS)
        .map(|n| (moment(n) as f64 / 1e9, seen.schedule.rate_at(moment(n))))
        .collect();
    let done = curve(seen, |point| point.ok_per_s);
    let curves: [Curve<'_>; 2] = [(&plan, Color::DarkGray, "plan"), (&done, Color::Green, "ok")];
    write_chart("requests per second", &curves, planned_s(seen), (area, buffer));
}

fn write_latency(seen: &Seen, area: Rect, buffer: &mut Buffer) {
    let p99 = curve(seen, |point| point.p99_ms);
    let p50 = curve(seen, |point| point.p50_ms);
    let curves: [Curve<'_>; 2] = [(&p99, Color::Yellow, "p99"), (&p50, Color::Cyan, "p50")];
    write_chart("response time in ms", &curves, planned_s(seen), (area, buffer));
}

fn curve(seen: &Seen, read: impl Fn(&Point) -> f64) -> Vec<(f64, f64)> {
    seen.points.iter().map(|point| (point.at_s, read(point))).collect()
}

/// Sums since the start, the last window, and the verdict.
fn sums_lines(seen: &Seen) -> Vec<Line<'static>> {
    let counts = &seen.counts;
    let number = |count: u64| grouped(count.into());
    let mut lines = vec![Line::from(format!(
        "planned {} of {}   sent {}   ok {}",
        number(counts.planned),
        number(seen.schedule.total()),
        number(counts.sent),
        number(counts.ok)
    ))];
    let style =
        if counts.failed + counts.missed > 0 { Style::new().fg(Color::Red) } else { Style::new() };
    let bad = format!("failed {}   missed {}", number(counts.failed), number(counts.missed));
    lines.push(Line::styled(bad, style));
    if let Some(window) = &seen.last {
        let time = |ns: u64| Nanos(ns).approximate();
        let at = window.response;
        lines.push(Line::from(format!(
            "p50 {}   p90 {}   p95 {}   p99 {}   p99.9 {}   max {}",
            time(at.p50_ns),
            time(at.p90_ns),
            time(at.p95_ns),
            time(at.p99_ns),
            time(at.p999_ns),
            time(at.max_ns)
        )));
        lines.push(Line::from(format!(
            "in flight {:.1}   backlog {}   service p99 {}   lag p99 {}",
            window.in_flight_mean,
            number(window.backlog_max),
            time(window.service_p99_ns),
            time(window.lag_p99_ns)
        )));
    }
    lines.extend(verdict_lines(seen));
    lines
}

fn verdict_lines(seen: &Seen) -> Vec<Line<'static>> {
    let validity = seen.validity();
    let color = match validity.verdict {
        Verdict::Valid => Color::Green,
        Verdict::Suspect => Color::Yellow,
        Verdict::Invalid => Color::Red,
    };
    let word = Span::styled(validity.verdict.to_string(), Style::new().fg(color).bold());
    let so_far = if validity.verdict == Verdict::Valid { "" } else { "at worst " };
    let mut lines = vec![Line::from(vec![format!("run so far: {so_far}").into(), word])];
    lines.extend(validity.reasons().next().map(Line::from));
    lines
}

/// One row as text with its colors.
fn line_of(buffer: &Buffer, row: u16) -> String {
    let plain = sgr(&Cell::EMPTY);
    let (mut line, mut style) = (String::new(), plain.clone());
    for column in 0..buffer.area.width {
        let Some(cell) = buffer.cell((column, row)) else { break };
        let wanted = sgr(cell);
        if wanted != style {
            line += &wanted;
            style = wanted;
        }
        line += cell.symbol();
    }
    if style == plain { line } else { line + &plain }
}

/// What sets a terminal to the style of a cell, spec: ECMA-48, select graphic rendition.
fn sgr(cell: &Cell) -> String {
    let color = match cell.fg {
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Blue => ";34",
        Color::Cyan => ";36",
        Color::DarkGray => ";90",
        _ => "",
    };
    let mut set = String::new();
    for (modifier, code) in
        [(Modifier::BOLD, ";1"), (Modifier::DIM, ";2"), (Modifier::REVERSED, ";7")]
    {
        if cell.modifier.contains(modifier) {
            set += code;
        }
    }
    format!("\x1b[0{set}{color}m")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quipu_lab::recording::Counts;
    use quipu_lab::scenario::built_in;
    use quipu_lab::window::{Percentiles, Window};

    use super::picture;
    use crate::cmd::load::seen::Seen;

    /// A second of the phase of this number in which so many were sent and missed.
    fn window(start_s: u64, phase: u16, (sent, missed): (u64, u64)) -> Window {
        Window {
            phase,
            start_ns: start_s * 1_000_000_000,
            len_ns: 1_000_000_000,
            counts: Counts { planned: sent + missed, sent, ok: sent, missed, ..Counts::default() },
            response: Percentiles { p50_ns: 200_000, p99_ns: 3_000_000, ..Percentiles::default() },
            service_p99_ns: 2_000_000,
            planned_per_s: 5_000.0,
            lag_p99_ns: 100_000,
            in_flight_mean: 1.5,
            backlog_max: 7,
            response_hdr: String::new(),
        }
    }

    fn seen(windows: Vec<Window>) -> Seen {
        let scenario = built_in("burst", "redis://127.0.0.1:6379").expect("it is built in");
        let mut seen = Seen::new(&scenario);
        for window in windows {
            seen.add(window);
        }
        seen
    }

    /// Checks that a picture of 100 by 30 has these texts.
    fn check(windows: Vec<Window>, expected: &[&str]) {
        let lines = picture(&seen(windows), Duration::from_secs(31), (100, 30));
        assert_eq!(lines.len(), 30);
        let text = lines.join("\n");
        for part in expected {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }

    #[test]
    fn a_picture_tells_sums_times_and_the_verdict_so_far() {
        check(vec![], &["burst", "31 s of 5 min 30 s", "of 2,460,000", "VALID"]);
        let good = vec![window(30, 1, (5_000, 0)), window(31, 1, (5_000, 0))];
        check(good, &["ok 10,000", "p99 3ms", "in flight 1.5", "backlog 7", "VALID", "plan"]);
        let bad = vec![window(30, 1, (4_000, 1_000))];
        check(bad, &["missed 1,000", "INVALID", "sent of planned is"]);
    }

    #[test]
    fn what_happens_in_a_warm_up_judges_nothing() {
        check(vec![window(0, 0, (10, 1_990))], &["missed 1,990", "\x1b[0;1;32mVALID"]);
    }

    #[test]
    fn a_terminal_may_have_any_size() {
        let seen = seen((0..3_000).map(|second| window(second, 1, (5_000, 0))).collect());
        for size in [(0, 0), (1, 1), (5, 80), (80, 5), (80, 24), (9_999, 9_999)] {
            let lines = picture(&seen, Duration::from_secs(3_000), size);
            assert_eq!(lines.len(), size.1.min(200), "{size:?}");
        }
        assert!(seen.points.len() < 1_024, "a long run has a bound");
    }
}
