//! How latencies are spread: charts of a value by percentile, for each kind of latency and each phase.

use super::axis::Axis;
use super::chart::{Chart, Line};
use crate::finding::{Finding, Latency};
use crate::window::decode;

/// Points of a line from one nine to the next: smooth to the eye.
const POINTS_PER_NINE: u32 = 20;

/// The classes of lines, in their order; more phases than that begin again.
const CLASSES: [&str; 5] = ["a", "c", "b", "d", "m"];

/// Charts of values by percentile, which share their places.
#[derive(Debug)]
pub(super) struct Spread {
    /// How many values there are to one beyond.
    places: Vec<f64>,
    most: f64,
    kinds: Vec<Line>,
    phases: Vec<Line>,
}

impl Spread {
    /// Reads the histograms of a run.
    pub(super) fn of(finding: &Finding) -> Self {
        let total = &finding.total;
        let most = [&total.response, &total.service].map(|latency| latency.count);
        let most = most.into_iter().max().unwrap_or(0).max(100) as f64;
        let steps = (most.log10() * f64::from(POINTS_PER_NINE)).floor() as u32;
        let place = |step| 10_f64.powf(f64::from(step) / f64::from(POINTS_PER_NINE));
        let places: Vec<f64> = (0..=steps).map(place).collect();
        let line = |name: &str, class, latency| line(name, class, latency, &places);
        let mut kinds = vec![line("response", "c", &total.response)];
        if !finding.plan.is_closed {
            kinds.push(line("service", "a", &total.service));
            kinds.push(line("lag", "m", &total.lag));
        }
        let recorded = finding.phases.iter().filter(|phase| phase.is_recorded);
        let phases = recorded
            .zip(CLASSES.iter().cycle())
            .map(|(phase, class)| line(&phase.name, class, &phase.response));
        let phases = phases.collect();
        Self { places, most, kinds, phases }
    }

    /// Returns the charts: of all that is recorded, and of each phase where there are more.
    pub(super) fn charts(&self) -> Vec<Chart<'_>> {
        let note =
            "Nine of ten are at most the value at p90. Each line ends where one request is left.";
        let mut charts = vec![self.chart("Latency by percentile", note, &self.kinds)];
        if self.phases.len() > 1 {
            let note = "Response times of each recorded phase.";
            charts.push(self.chart("Latency by percentile and phase", note, &self.phases));
        }
        charts
    }

    fn chart(&self, title: &'static str, note: &str, lines: &[Line]) -> Chart<'_> {
        let values = lines.iter().flat_map(|line| line.values.iter().copied().flatten());
        Chart {
            title,
            note: note.to_owned(),
            x: Axis::percentiles(self.most),
            y: Axis::spans(values),
            bands: &[],
            places: &self.places,
            lines: lines.to_vec(),
        }
    }
}

fn line(name: &str, class: &'static str, latency: &Latency, places: &[f64]) -> Line {
    let all = decode(&latency.hdr).filter(|all| !all.is_empty());
    let value = |one_of: &f64| {
        let all = all.as_ref()?;
        let is_known = *one_of <= all.len() as f64;
        is_known.then(|| all.value_at_quantile(1.0 - 1.0 / one_of) as f64)
    };
    Line { name: name.to_owned(), class, values: places.iter().map(value).collect() }
}
