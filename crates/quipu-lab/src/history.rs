//! Baselines over time: one line of JSON per result, and where the series of a metric has changed.

use std::collections::BTreeMap;

use quipu_stats::change_point::{ChangePoint, Detection, change_points};
use quipu_stats::verdict::Better;
use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::metric::{Declared, Metric};
use crate::validity::Verdict;

/// The version of the form.
const VERSION: u32 = 1;

/// Results from which on a change of ordinary size is found. Source: the specification of the
/// laboratory (20 to 30 points).
pub const ENTRIES_ENOUGH: usize = 20;

/// One result in a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the form.
    pub version: u32,
    /// What was tested, in the words of whoever keeps the history, such as a commit.
    pub commit: String,
    /// When it ran, in UTC.
    pub time: String,
    /// The scenario.
    pub scenario: String,
    /// What may be said of it.
    pub verdict: Verdict,
    /// Where it ran.
    pub environment: BTreeMap<String, String>,
    /// Its metrics by name; latencies in nanoseconds.
    pub metrics: BTreeMap<String, f64>,
}

/// Why a text is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A line is none of its entries.
    #[error("line {line} is no entry of a history")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A line is of another version.
    #[error("line {line} has version {found}, and this program reads version {VERSION}")]
    Version {
        /// The number of the line, from 1.
        line: usize,
        /// The version that it has.
        found: u32,
    },
}

impl Entry {
    /// Makes the entry of a result; nothing of an INVALID one, which would poison the series.
    pub fn of(finding: &Finding, commit: &str) -> Option<Self> {
        let metric = |(name, metric): (&str, Metric)| {
            metric.of(finding).ok().map(|value| (name.to_owned(), value))
        };
        (finding.validity.verdict != Verdict::Invalid).then(|| Self {
            version: VERSION,
            commit: commit.to_owned(),
            time: finding.started.clone(),
            scenario: finding.plan.name.clone(),
            verdict: finding.validity.verdict,
            environment: finding.environment.facts(),
            metrics: Metric::ALL.into_iter().filter_map(metric).collect(),
        })
    }

    /// Returns it as a line.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("plain data with text keys has a form") + "\n"
    }
}

/// Reads a history; empty lines are nothing.
///
/// # Errors
/// A line is no entry.
pub fn parse(text: &str) -> Result<Vec<Entry>, HistoryError> {
    let lines = (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty());
    let entry = |(line, text): (usize, &str)| {
        let entry: Entry =
            serde_json::from_str(text).map_err(|source| HistoryError::Line { line, source })?;
        if entry.version != VERSION {
            return Err(HistoryError::Version { line, found: entry.version });
        }
        Ok(entry)
    };
    lines.map(entry).collect()
}

/// What a history shows of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The scenario.
    pub scenario: String,
    /// How many results it has.
    pub entries: usize,
    /// Where its metrics have changed.
    pub changes: Vec<Change>,
}

/// Where one metric has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub metric: Metric,
    /// The place of the first result after it among those of the scenario, from 1.
    pub entry: usize,
    /// What was tested there.
    pub commit: String,
    /// When that ran.
    pub time: String,
    /// The mean before, since the change before it.
    pub before: f64,
    /// The mean after, until the next change.
    pub after: f64,
    /// Student's two-sided p value of equal means.
    pub p_value: f64,
    /// Whether it became worse.
    pub is_worse: bool,
    /// What of the environment changed between the result before and this one.
    pub environment: Vec<String>,
}

/// Returns what a history shows of each of its scenarios, for the declared metrics. Changes within the
/// margin of their metric are left out.
pub fn trends(entries: &[Entry], declared: &[Declared]) -> Vec<Trend> {
    let mut scenarios: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        scenarios.entry(&entry.scenario).or_default().push(entry);
    }
    let trend = |(scenario, entries): (&str, Vec<&Entry>)| Trend {
        scenario: scenario.to_owned(),
        entries: entries.len(),
        changes: declared.iter().flat_map(|one| changes(&entries, one)).collect(),
    };
    scenarios.into_iter().map(trend).collect()
}

fn changes(entries: &[&Entry], declared: &Declared) -> Vec<Change> {
    let metric = declared.metric;
    let name = metric.to_string();
    let series: Vec<(usize, f64)> = (0..)
        .zip(entries)
        .filter_map(|(index, entry)| Some((index, *entry.metrics.get(&name)?)))
        .collect();
    let values: Vec<f64> = series.iter().map(|(_, value)| *value).collect();
    let detection =
        Detection { magnitude_min_ratio: declared.margin_ratio, ..Detection::default() };
    let found = change_points(&values, &detection).unwrap_or_default();
    let change = |point: &ChangePoint| {
        let (index, _) = *series.get(point.index)?;
        let entry = entries.get(index)?;
        let before = entries.get(index.checked_sub(1)?)?;
        let is_higher = point.mean_after > point.mean_before;
        Some(Change {
            metric,
            entry: index + 1,
            commit: entry.commit.clone(),
            time: entry.time.clone(),
            before: point.mean_before,
            after: point.mean_after,
            p_value: point.p_value,
            is_worse: is_higher == (metric.better() == Better::Lower),
            environment: moved(&before.environment, &entry.environment),
        })
    };
    found.iter().filter_map(change).collect()
}

/// What of an environment is not as it was.
fn moved(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let old = |name: &String| before.get(name).map_or("nothing", String::as_str);
    after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value))
        .map(|(name, value)| format!("{name}: {}, {value}", old(name)))
        .collect()
}

impl Trend {
    /// Returns it as text.
    pub fn page(&self) -> String {
        let mut lines = vec![format!("{}: {} results", self.scenario, self.entries)];
        if self.entries < ENTRIES_ENOUGH {
            lines
                .push(format!("  fewer than {ENTRIES_ENOUGH}: only a great change would be found"));
        }
        if self.changes.is_empty() {
            lines.push("  no change".to_owned());
        }
        for change in &self.changes {
            let Change { metric, entry, commit, time, before, after, p_value, .. } = change;
            lines.push(format!(
                "  {metric} {} at result {entry}, {} ({time}): {} to {}, {:+.2} %, p {p_value:.2e}",
                if change.is_worse { "became worse" } else { "became better" },
                if commit.is_empty() { "of no commit" } else { commit },
                metric.shown(*before),
                metric.shown(*after),
                (after / before - 1.0) * 100.0,
            ));
            let moved = change.environment.iter();
            lines.extend(moved.map(|one| format!("    the environment changed there in {one}")));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests;
