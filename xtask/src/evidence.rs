//! The evidence: every check that can run for long, run for a bounded time, counted and kept.
//!
//! Each runner is a program of its own that ends with one line of figures. Here they are built, run
//! two at a time, added up in `evidence.json` and printed as the table of the README. A failure of
//! any of them fails the whole. Read `runner` for what runs, `record` for what is kept.

mod coverage;
mod lanes;
mod mutants;
mod page;
mod peers;
mod record;
pub(crate) mod report;
mod runner;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::checkout;
use crate::evidence::record::Record;

/// How to call it.
pub(crate) const USAGE: &str = "usage: cargo xtask evidence [options] [RUNNER...]

  --seconds N      time of all runners together (default 480)
  --long HOURS     as long as that, and keep what is found as --record does
  --record         add to docs/evidence/evidence.json and write the table of the README
  --add FILE       the last line that a runner printed elsewhere, in place of running it; again for
                   more; with --record it is kept
  --at COMMIT      what was checked out where the added reports were made
  --list           the runners, and what each is for
  RUNNER...        only these; `mutants`, `mutants_rest`, `peers`, and `faults`, which the tests run
                   too, run only when they are named or with --long; `peers` takes 15 minutes or, if
                   asked, longer";

/// Time of all runners together in continuous integration. Spec: about 8 minutes.
const SECONDS: u64 = 480;

/// What a run does.
#[derive(Debug, PartialEq)]
struct Options {
    time: Duration,
    is_long: bool,
    is_recorded: bool,
    is_list: bool,
    only: Vec<String>,
    added: Vec<PathBuf>,
    at: Option<String>,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            time: Duration::from_secs(SECONDS),
            is_long: false,
            is_recorded: false,
            is_list: false,
            only: Vec::new(),
            added: Vec::new(),
            at: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--seconds" => {
                    options.time = Duration::from_secs(value()?.parse().context("--seconds")?);
                }
                "--long" => {
                    let hours: f64 = value()?.parse().context("--long")?;
                    options.time = Duration::try_from_secs_f64(hours * 3600.0).context("--long")?;
                    (options.is_long, options.is_recorded) = (true, true);
                }
                "--record" => options.is_recorded = true,
                "--add" => options.added.push(PathBuf::from(value()?)),
                "--at" => options.at = Some(commit(value()?)?),
                "--list" => options.is_list = true,
                option if option.starts_with('-') => bail!("unknown option {option}\n{USAGE}"),
                name => options.only.push(runner::find(name)?.name.to_owned()),
            }
        }
        Ok(options)
    }

    /// Whether a runner takes part.
    fn takes(&self, runner: &runner::Runner) -> bool {
        if self.only.is_empty() {
            return self.is_long || !runner.is_on_demand;
        }
        self.only.iter().any(|name| name == runner.name)
    }
}

/// The short name of a commit; of the present one, whether files differ from it.
fn commit(name: &str) -> Result<String> {
    let of: &[&str] = if name == "HEAD" { &["--dirty"] } else { &[name] };
    let describe = [&["describe", "--always", "--abbrev=12"], of].concat();
    Ok(checkout::output("git", &describe)?.trim().to_owned())
}

/// Where what was found is kept.
fn kept_path() -> PathBuf {
    checkout::root().join("docs/evidence/evidence.json")
}

/// Runs the runners and says what they found.
///
/// # Errors
/// A runner cannot be built or run, or found something.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let options = Options::parse(words)?;
    if options.is_list {
        for runner in runner::RUNNERS {
            println!("{:<12} {}", runner.name, runner.about);
        }
        return Ok(());
    }
    let mut record = Record::read(&kept_path())?;
    let reports = if options.added.is_empty() {
        let chosen: Vec<_> = runner::RUNNERS.iter().filter(|r| options.takes(r)).collect();
        lanes::run(&chosen, options.time, &record)?
    } else {
        options.added.iter().map(|path| report::Report::read(path)).collect::<Result<_>>()?
    };
    let run = record::Run::of(&reports, options.at.map_or_else(|| commit("HEAD"), Ok)?);
    if options.is_recorded {
        peers::write(&reports, run.commit())?;
    }
    let fresh = Record::of(&run);
    record.add(run);
    let path = if options.is_recorded { kept_path() } else { scratch_path() };
    (if options.is_recorded { &record } else { &fresh }).write(&path)?;
    println!("\n{}", page::table(&fresh));
    if let Some(tables) = peers::tables(&reports) {
        println!("{tables}");
    }
    if options.is_recorded {
        page::write(&record)?;
    }
    println!("wrote {}", path.display());
    verdict(&reports)
}

fn scratch_path() -> PathBuf {
    crate::bench::build_folder().join("evidence/evidence.json")
}

fn verdict(reports: &[report::Report]) -> Result<()> {
    for (runner, skipped) in reports.iter().flat_map(|r| r.skipped.iter().map(move |s| (r, s))) {
        println!("skipped in {}: {skipped}", runner.runner);
    }
    let failures: Vec<String> = reports
        .iter()
        .flat_map(|report| report.failures.iter().map(|text| format!("{}: {text}", report.runner)))
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{} failures\n{}", failures.len(), failures.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> Vec<&'static str> {
        let options = Options::parse(words).unwrap();
        runner::RUNNERS.iter().filter(|r| options.takes(r)).map(|r| r.name).collect()
    }

    #[test]
    fn what_takes_long_runs_only_when_it_is_asked_for() {
        for name in ["mutants", "mutants_rest", "faults"] {
            assert!(!chosen(&[]).contains(&name), "{name}");
            assert!(chosen(&["--long", "1"]).contains(&name), "{name}");
        }
        assert_eq!(chosen(&["mutants"]), ["mutants"]);
    }

    #[test]
    fn a_long_run_is_kept() {
        let options = Options::parse(&["--long", "0.5"]).unwrap();
        assert_eq!((options.time.as_secs(), options.is_recorded), (1800, true));
    }

    #[test]
    fn wrong_options_are_refused() {
        for words in [
            &["--second"][..],
            &["--seconds"],
            &["--long", "x"],
            &["--long", "-1"],
            &["--at", "no commit"],
            &["x"],
        ] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
