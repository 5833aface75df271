//! The run over time, as the charts of a page show it: few enough columns, whatever it lasted.

use super::axis::{Axis, span};
use super::chart::{Band, Chart, Line};
use crate::finding::Finding;
use crate::window::{Percentiles, Window};

/// The most columns of a chart: on a wide screen, two pixels each.
const COLUMNS_MAX: usize = 280;

/// What the charts over time share.
#[derive(Debug)]
pub(super) struct Series {
    columns: Vec<Window>,
    places: Vec<f64>,
    bands: Vec<Band>,
    x: Axis,
    is_closed: bool,
}

/// What a column has, if anything.
type Read<'r> = &'r dyn Fn(&Window) -> Option<f64>;

impl Series {
    /// Reads the windows of a run.
    pub(super) fn of(finding: &Finding) -> Self {
        let columns = columns(&finding.windows);
        let end_s = columns.last().map_or(1.0, |last| seconds(last.start_ns + last.len_ns));
        Self {
            places: columns.iter().map(|one| seconds(one.start_ns + one.len_ns / 2)).collect(),
            bands: bands(finding, &columns),
            x: Axis::moments(0.0, end_s),
            is_closed: finding.plan.is_closed,
            columns,
        }
    }

    /// Returns the charts.
    pub(super) fn charts(&self) -> Vec<Chart<'_>> {
        let mut charts = vec![self.latency(), self.against_service(), self.rate()];
        if !self.is_closed {
            charts.push(self.lag());
        }
        charts.push(self.queue());
        charts
    }

    fn line(&self, name: &str, class: &'static str, read: Read<'_>) -> Line {
        Line { name: name.to_owned(), class, values: self.columns.iter().map(read).collect() }
    }

    fn chart(&self, (title, note): (&'static str, String), y: Axis, lines: Vec<Line>) -> Chart<'_> {
        let (x, bands, places) = (self.x.clone(), &self.bands, &self.places);
        Chart { title, note, x, y, bands, places, lines }
    }

    /// Percentiles of response times. One is drawn where at least one request lies beyond it.
    fn latency(&self) -> Chart<'_> {
        let at = |name: &str, class, beyond: f64, read: fn(&Percentiles) -> u64| {
            self.line(name, class, &|column| {
                let is_known = column.counts.ok as f64 * beyond >= 1.0;
                is_known.then(|| read(&column.response) as f64)
            })
        };
        let lines = vec![
            at("max", "m", 1.0, |p| p.max_ns),
            at("p99.9", "d", 0.001, |p| p.p999_ns),
            at("p99", "c", 0.01, |p| p.p99_ns),
            at("p90", "b", 0.1, |p| p.p90_ns),
            at("p50", "a", 0.5, |p| p.p50_ns),
        ];
        let from = if self.is_closed { "From the write" } else { "From the planned moment" };
        let note =
            format!("{from} to the answer, by percentile, {} at a time; log scale.", self.each());
        self.chart(("Latency over time", note), spans(&lines), lines)
    }

    fn against_service(&self) -> Chart<'_> {
        let known = |column: &Window, ns: u64| (column.counts.ok > 0).then_some(ns as f64);
        let lines = vec![
            self.line("response p99", "c", &|column| known(column, column.response.p99_ns)),
            self.line("service p99", "a", &|column| known(column, column.service_p99_ns)),
        ];
        let note = "Response counts from the planned moment, service from the write: where they part, \
                    requests waited before they left, which a tool that counts from the write hides.";
        self.chart(("Response against service time", note.to_owned()), spans(&lines), lines)
    }

    fn rate(&self) -> Chart<'_> {
        let rate = |name: &str, class, read: fn(&Window) -> u64| {
            let per_s = |column: &Window| read(column) as f64 / seconds(column.len_ns.max(1));
            self.line(name, class, &|column| Some(per_s(column)))
        };
        let mut lines = Vec::new();
        if !self.is_closed {
            lines.push(self.line("planned/s", "plan", &|column| Some(column.planned_per_s)));
        }
        lines.push(rate("sent/s", "b", |column| column.counts.sent));
        lines.push(rate("ok/s", "a", |column| column.counts.ok));
        for (name, class, read) in [
            ("failed/s", "bad", (|column| column.counts.failed) as fn(&Window) -> u64),
            ("missed/s", "d", |column| column.counts.missed),
        ] {
            if self.columns.iter().any(|column| read(column) > 0) {
                lines.push(rate(name, class, read));
            }
        }
        let note = "Requests per second: what the plan asked for, what left, what was answered.";
        let y = Axis::counts(greatest(&lines));
        self.chart(("Rate against plan", note.to_owned()), y, lines)
    }

    fn lag(&self) -> Chart<'_> {
        let is_known = |column: &Window| column.counts.sent > 0 && column.lag_p99_ns > 0;
        let read = |column: &Window| is_known(column).then_some(column.lag_p99_ns as f64);
        let lines = vec![self.line("lag p99", "b", &read)];
        let note = "How late requests left, from the planned moment to the write; log scale.";
        self.chart(("Lag of the generator", note.to_owned()), spans(&lines), lines)
    }

    fn queue(&self) -> Chart<'_> {
        let lines = vec![
            self.line("due and not sent, at most", "d", &|column| Some(column.backlog_max as f64)),
            self.line("in flight, on average", "a", &|column| Some(column.in_flight_mean)),
        ];
        let note = "Requests under way, and slots of the plan that waited to leave.";
        let y = Axis::counts(greatest(&lines));
        self.chart(("In flight and backlog", note.to_owned()), y, lines)
    }

    /// How long a column is, in words.
    fn each(&self) -> String {
        let len_ns = self.columns.iter().map(|column| column.len_ns).max().unwrap_or(0);
        span(len_ns as f64)
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn greatest(lines: &[Line]) -> f64 {
    lines.iter().flat_map(|line| line.values.iter().copied().flatten()).fold(0.0, f64::max)
}

fn spans(lines: &[Line]) -> Axis {
    Axis::spans(lines.iter().flat_map(|line| line.values.iter().copied().flatten()))
}

/// Merges neighbours of one phase until there are few enough. A rest that is much shorter than its
/// neighbour, such as the last answers of a run, belongs to it: rates over it would say nothing.
fn columns(windows: &[Window]) -> Vec<Window> {
    let each = windows.len().div_ceil(COLUMNS_MAX).max(1);
    let phases = windows.chunk_by(|one, next| one.phase == next.phase);
    let groups = phases.flat_map(|phase| phase.chunks(each));
    let mut columns: Vec<Window> = Vec::new();
    for group in groups {
        let Some((first, rest)) = group.split_first() else { continue };
        let column = if rest.is_empty() { first.clone() } else { first.and_all(rest) };
        match columns.last_mut() {
            Some(last) if last.phase == column.phase && column.len_ns < last.len_ns / 4 => {
                *last = last.and_all(&[column]);
            }
            _ => columns.push(column),
        }
    }
    columns
}

/// Returns the stretches of one phase each.
fn bands(finding: &Finding, columns: &[Window]) -> Vec<Band> {
    let stretches = columns.chunk_by(|one, next| one.phase == next.phase);
    let band = |stretch: &[Window]| {
        let (first, last) = (stretch.first()?, stretch.last()?);
        let phase = finding.phases.get(usize::from(first.phase));
        Some(Band {
            name: finding.phase_name(first.phase).to_owned(),
            from: seconds(first.start_ns),
            until: seconds(last.start_ns + last.len_ns),
            is_recorded: phase.is_none_or(|phase| phase.is_recorded),
        })
    };
    stretches.filter_map(band).collect()
}
