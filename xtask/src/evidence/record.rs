//! What is kept: one entry for each run, and the sums over all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::bench::timestamp;
use crate::evidence::report::Report;
use crate::evidence::runner;

/// Figures by runner.
type Figures = BTreeMap<String, BTreeMap<String, u64>>;

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// When it ended, UTC.
    ended: String,
    /// What was checked out.
    commit: String,
    figures: Figures,
    failures: Vec<String>,
    skipped: Vec<String>,
}

impl Run {
    /// The run that these reports are of, made at a commit.
    pub(crate) fn of(reports: &[Report], commit: String) -> Self {
        let named = |report: &Report, text: &String| format!("{}: {text}", report.runner);
        let all = |list: fn(&Report) -> &Vec<String>| -> Vec<String> {
            reports.iter().flat_map(|r| list(r).iter().map(move |text| named(r, text))).collect()
        };
        Self {
            ended: timestamp(),
            commit,
            figures: sum(reports.iter().map(|report| (&report.runner, &report.figures))),
            failures: all(|report| &report.failures),
            skipped: all(|report| &report.skipped),
        }
    }

    /// What was checked out.
    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    fn to_json(&self) -> Value {
        json!({
            "ended": self.ended,
            "commit": self.commit,
            "figures": self.figures,
            "failures": self.failures,
            "skipped": self.skipped,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |field: &str| Some(value.get(field)?.as_str()?.to_owned());
        let texts = |field: &str| {
            let list = value.get(field)?.as_array()?.iter();
            Some(list.filter_map(Value::as_str).map(str::to_owned).collect())
        };
        Some(Self {
            ended: text("ended")?,
            commit: text("commit")?,
            figures: figures(value.get("figures")?.as_object()?),
            failures: texts("failures")?,
            skipped: texts("skipped")?,
        })
    }
}

fn figures(object: &Map<String, Value>) -> Figures {
    let of_runner = |value: &Value| {
        let pairs = value.as_object().into_iter().flatten();
        pairs.filter_map(|(name, figure)| Some((name.clone(), figure.as_u64()?))).collect()
    };
    object.iter().map(|(runner, value)| (runner.clone(), of_runner(value))).collect()
}

/// Adds up figures by runner, in the order of time; of those that describe one run the last stays.
fn sum<'a>(reports: impl Iterator<Item = (&'a String, &'a BTreeMap<String, u64>)>) -> Figures {
    let mut totals = Figures::new();
    for (name, figures) in reports {
        let runner = runner::find(name).ok();
        let total = totals.entry(name.clone()).or_default();
        for (figure, value) in figures {
            let sum = total.entry(figure.clone()).or_insert(0);
            let is_newest = runner.is_some_and(|runner| runner.is_newest(figure));
            *sum = *value + u64::from(!is_newest) * *sum;
        }
    }
    totals
}

/// All runs that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    runs: Vec<Run>,
}

impl Record {
    /// A record of one run.
    pub(crate) fn of(run: &Run) -> Self {
        Self { runs: vec![run.clone()] }
    }

    /// Reads what is kept; nothing where there is no file.
    ///
    /// # Errors
    /// The file is not a record.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let Ok(text) = fs::read_to_string(path) else { return Ok(Self::default()) };
        let value: Value =
            serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        let runs = value.get("runs").and_then(Value::as_array);
        let runs = runs.with_context(|| format!("{} has no runs", path.display()))?;
        let read = |run| Run::from_json(run).with_context(|| format!("not a run: {run}"));
        Ok(Self { runs: runs.iter().map(read).collect::<Result<_>>()? })
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let runs: Vec<Value> = self.runs.iter().map(Run::to_json).collect();
        let value = json!({ "totals": self.totals(), "runs": runs });
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&value)? + "\n";
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Adds a run.
    pub(crate) fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// The figures over all runs: sums, and the newest of those that describe one run.
    pub(crate) fn totals(&self) -> Figures {
        sum(self.runs.iter().flat_map(|run| &run.figures))
    }

    /// One figure over all runs.
    pub(crate) fn total(&self, runner: &str, figure: &str) -> Option<u64> {
        self.totals().get(runner)?.get(figure).copied()
    }

    /// The first seed of a runner that no kept run has used.
    pub(crate) fn first_seed(&self, runner: &str) -> u64 {
        self.total(runner, "seeds").unwrap_or(0)
    }

    /// Failures that the newest run of each runner left.
    pub(crate) fn open_failures(&self) -> usize {
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for run in &self.runs {
            for name in run.figures.keys() {
                let prefix = format!("{name}: ");
                let count = run.failures.iter().filter(|text| text.starts_with(&prefix)).count();
                open.insert(name, count);
            }
        }
        open.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(runner: &str, figures: &[(&str, u64)], failures: &[&str]) -> Run {
        let of_runner = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Run {
            figures: BTreeMap::from([(runner.to_owned(), of_runner)]),
            failures: failures.iter().map(|&text| text.to_owned()).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn counts_add_up_and_descriptions_are_the_newest() {
        let mut record = Record::default();
        record.add(run("kills", &[("kills", 3), ("restart_ms_median", 40)], &[]));
        record.add(run("kills", &[("kills", 4), ("restart_ms_median", 30)], &[]));
        assert_eq!(record.total("kills", "kills"), Some(7));
        assert_eq!(record.total("kills", "restart_ms_median"), Some(30));
    }

    #[test]
    fn reports_of_one_runner_add_up_within_a_run() {
        let report = |count| Report {
            runner: "fuzz".to_owned(),
            figures: BTreeMap::from([("fold.executions".to_owned(), count)]),
            ..Report::default()
        };
        let run = Run::of(&[report(3), report(4)], "c".to_owned());
        assert_eq!(run.figures["fuzz"]["fold.executions"], 7);
    }

    #[test]
    fn a_failure_is_open_until_its_runner_runs_without_one() {
        let mut record = Record::default();
        record.add(run("cuts", &[], &["cuts: seed 4"]));
        record.add(run("kills", &[], &[]));
        assert_eq!(record.open_failures(), 1);
        record.add(run("cuts", &[], &[]));
        assert_eq!(record.open_failures(), 0);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut record = Record::default();
        record.add(run("seeds", &[("seeds", 9)], &["seeds: 4"]));
        let path = crate::bench::build_folder().join(format!("record-{}", std::process::id()));
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), record);
        assert_eq!(record.first_seed("seeds"), 9);
        fs::remove_file(path).unwrap();
    }
}
