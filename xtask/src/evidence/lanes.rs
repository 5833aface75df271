//! Running the runners: all are built first, then two run at a time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result};

use crate::bench::build_folder;
use crate::checkout;
use crate::ci::cargo;
use crate::evidence::record::Record;
use crate::evidence::report::Report;
use crate::evidence::runner::{self, Runner, Start};
use crate::evidence::{coverage, mutants};
use crate::fuzz;

/// Runners at a time. Measured: machines of continuous integration have two cores.
const LANES: u64 = 2;

/// Runs all of them within about `time`.
///
/// # Errors
/// One cannot be built.
pub(crate) fn run(runners: &[&Runner], time: Duration, record: &Record) -> Result<Vec<Report>> {
    runners.iter().try_for_each(|runner| prepare(runner))?;
    let weights: u64 = runners.iter().map(|runner| runner.weight).sum();
    let waiting = Mutex::new(runners.iter());
    let reports = Mutex::new(Vec::new());
    let lane = || {
        while let Some(runner) = next(&waiting) {
            let lanes = LANES.min(runners.len() as u64);
            let seconds = time.as_secs() * lanes * runner.weight / weights.max(1);
            let report = run_one(runner, seconds.max(1), record.first_seed(runner.name));
            reports.lock().expect("no lane panics").push(report);
        }
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(lane);
        }
    });
    Ok(reports.into_inner().expect("no lane panics"))
}

fn next<'a>(waiting: &Mutex<std::slice::Iter<'_, &'a Runner>>) -> Option<&'a Runner> {
    waiting.lock().expect("no lane panics").next().copied()
}

/// Builds what a runner needs, so that no build runs beside a measurement of time.
fn prepare(runner: &Runner) -> Result<()> {
    match runner.start {
        Start::Binary { binary, has_canaries, drives_node, .. } => {
            runner::build(binary, has_canaries)?;
            if drives_node {
                runner::build(runner::NODE, false)?;
            }
        }
        Start::Tests(_) => checkout::run(&cargo(), &[&TESTS[..], &["--no-run"]].concat(), &[])?,
        Start::Fuzz => fuzz::prepare()?,
        Start::Coverage => coverage::prepare()?,
        Start::Mutants(_) => mutants::prepare()?,
    }
    Ok(())
}

/// The black-box suite.
const TESTS: [&str; 8] =
    ["test", "--locked", "--profile", "test-release", "--package", "quipu", "--test", "it"];

fn run_one(runner: &Runner, seconds: u64, first: u64) -> Report {
    println!("== {} for {seconds} s", runner.name);
    let started = Instant::now();
    let ran = match runner.start {
        Start::Binary { .. } => run_binary(runner, seconds, first),
        Start::Tests(prefix) => run_tests(runner.name, prefix, seconds),
        Start::Fuzz => fuzz::run_for(seconds, first),
        Start::Coverage => coverage::run(),
        Start::Mutants(scope) => mutants::run(runner.name, scope, seconds),
    };
    let report = ran.unwrap_or_else(|error| Report::failed(runner.name, format!("{error:#}")));
    let took = started.elapsed().as_secs();
    println!("== {} took {took} s: {:?}", runner.name, report.figures);
    report.failures.iter().for_each(|text| println!("   FAILED {text}"));
    report
}

fn run_binary(runner: &Runner, seconds: u64, first: u64) -> Result<Report> {
    let Start::Binary { binary, has_canaries, arguments, drives_node } = runner.start else {
        unreachable!("only binaries come here");
    };
    let program = runner::binary_path(binary, has_canaries);
    let mut command = Command::new(&program);
    command.current_dir(checkout::root()).args(arguments);
    if runner.is_endless {
        command.args(["--seconds", &seconds.to_string()]);
    }
    if runner.is_seeded {
        command.args(["--first", &first.to_string()]);
    }
    if drives_node {
        command.arg("--binary").arg(runner::binary_path(runner::NODE, false));
    }
    let output = command.stdin(Stdio::null()).stderr(log_file(runner.name)?).output();
    let output = output.with_context(|| format!("starting {}", program.display()))?;
    let report = Report::parse(runner.name, &String::from_utf8_lossy(&output.stdout))?;
    Ok(with_status(report, output.status.success()))
}

/// A runner that ends badly and names no failure has failed all the same.
fn with_status(mut report: Report, is_success: bool) -> Report {
    if !is_success && report.failures.is_empty() {
        report.failures.push("it ended badly and named no failure".to_owned());
    }
    report
}

/// Where the progress of a runner goes.
fn log_file(name: &str) -> Result<fs::File> {
    let folder = build_folder().join("evidence");
    fs::create_dir_all(&folder)?;
    Ok(fs::File::create(folder.join(format!("{name}.log")))?)
}

/// Runs tests of the black-box suite, which leave their figures in a file.
fn run_tests(name: &str, prefix: &str, seconds: u64) -> Result<Report> {
    let folder = build_folder().join("evidence");
    let (figures, skipped) = (folder.join("figures"), folder.join("skipped"));
    fs::create_dir_all(&folder)?;
    for path in [&figures, &skipped] {
        fs::write(path, "")?;
    }
    // One multiple of the share of the test suite is about a minute.
    let times = (seconds / 60).max(1).to_string();
    let mut command = Command::new(cargo());
    command.current_dir(checkout::root()).args(TESTS).args(["--", prefix]);
    command.env("QUIPU_FIGURES", &figures).env("QUIPU_SKIPPED", &skipped);
    command.env("QUIPU_FAULTS", times).stdout(log_file(name)?).stderr(Stdio::null());
    let is_success = command.status().context("starting cargo")?.success();
    let mut report = gather(name, &figures)?;
    report.skipped = fs::read_to_string(&skipped)?.lines().map(str::to_owned).collect();
    if !is_success {
        report.failures.push(format!("see {}", folder.join(format!("{name}.log")).display()));
    }
    Ok(report)
}

/// Adds up the lines of figures that tests left.
fn gather(name: &str, path: &Path) -> Result<Report> {
    let mut sum = Report { runner: name.to_owned(), ..Report::default() };
    for line in read(path)?.lines() {
        for (figure, value) in Report::parse(name, line)?.figures {
            *sum.figures.entry(figure).or_default() += value;
        }
    }
    Ok(sum)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
