//! `quipu load ab`: two scenarios, or one against two targets, in slices that take turns.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use quipu_lab::metric::Declared;
use quipu_lab::pairs::{Claim, Ending, PILOT_PAIRS, PairsResult, Settings, slice_line};
use quipu_lab::scenario::Scenario;
use quipu_lab::schedule::Schedule;
use quipu_load::pairs::{Event, compare};
use stdx::units::Nanos;

use super::runner::RunnerArgs;
use super::scenario::ScenarioArgs;
use super::{INVALID, REGRESSED};
use crate::output::{self, USAGE, fail};

/// Compare two scenarios, or one on two targets, in pairs of slices
///
/// Slices of A and B take turns in the order A B B A or B A A B, each behind a warm-up, both sides of a
/// pair from the same seed. The first six pairs are a pilot: from their spread follows how many pairs
/// there are, which is printed with what they can find before it goes on. Exits 3 where B is worse than
/// A by more than a margin, 98 where too many slices said nothing, 0 else.
#[derive(Debug, clap::Args)]
pub(crate) struct AbArgs {
    /// Scenario A, what is compared with: a file, or the name of one that is built in
    #[arg(value_name = "A")]
    baseline: String,
    /// Scenario B, what is judged [default: A, for two targets]
    #[arg(value_name = "B")]
    candidate: Option<String>,
    /// The target of A, in place of its scenario's
    #[arg(long, value_name = "URL")]
    target_a: Option<String>,
    /// The target of B, in place of its scenario's
    #[arg(long, value_name = "URL")]
    target_b: Option<String>,
    /// What is judged, declared before: throughput, mean, p50, p95, p99, p99.9, server_cpu; each with
    /// its margin and the difference to be found, such as p99=10%:20%
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    metrics: Vec<Declared>,
    /// How many pairs, in place of as many as the pilot says are needed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(PILOT_PAIRS..=2_000))]
    pairs: Option<u64>,
    /// The most time that all of it may take; the pilot is run in any case
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    max_time: Nanos,
    /// For how long a slice records
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    slice: Nanos,
    /// What the order and everything drawn follows from, in place of A's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    runner: RunnerArgs,
    /// Save the result in this folder: pairs.json and pairs.txt
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The result as JSON instead of the page
    #[arg(long)]
    json: bool,
}

/// Runs the comparison and prints what was found.
///
/// # Errors
/// Standard output cannot be written, or the result cannot be saved.
pub(super) fn run(args: &AbArgs) -> anyhow::Result<ExitCode> {
    let [baseline, candidate] = match args.sides() {
        Ok(sides) => sides,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    if baseline.phases_as_loads() != candidate.phases_as_loads() {
        output::note("A and B ask for different load: what is compared includes that");
    }
    let pair_ns = [&baseline, &candidate].map(|side| Schedule::of(side).duration_ns()).iter().sum();
    output::note(&format!(
        "pilot: {PILOT_PAIRS} pairs of about {} each",
        Nanos(pair_ns).approximate()
    ));
    let settings = args.settings(baseline.seed);
    let declared = settings.declared.clone();
    let mut runner = args.runner.runner()?;
    let mut watch = |event: Event<'_>| match event {
        Event::Slice(slice, sample) => output::note(&slice_line(slice, sample, &declared)),
        Event::Plan(plan) => output::note(plan.page().trim_end()),
    };
    let result = match compare([&baseline, &candidate], settings, &mut runner, &mut watch) {
        Ok(result) => result,
        Err(error) => return fail(INVALID, format_args!("{:#}", anyhow::Error::from(error))),
    };
    let json = serde_json::to_string_pretty(&result).context("the result has no form")? + "\n";
    if let Some(folder) = &args.out {
        let files = [("pairs.json", json.as_str()), ("pairs.txt", &result.page())];
        output::save(folder, &files)?;
    }
    output::print(if args.json { json } else { result.page() }.as_str())?;
    Ok(code(&result))
}

fn code(result: &PairsResult) -> ExitCode {
    match (result.ending, result.claim) {
        (Ending::TooManyUnusable | Ending::Unmeasurable, _) => ExitCode::from(INVALID),
        (_, Claim::Regressed) => ExitCode::from(REGRESSED),
        _ => ExitCode::SUCCESS,
    }
}

impl AbArgs {
    fn sides(&self) -> anyhow::Result<[Scenario; 2]> {
        let read = |name: &str, target: &Option<String>, side: &str| {
            let scenario = ScenarioArgs::named(name, target.as_deref()).read();
            scenario.with_context(|| format!("side {side}"))
        };
        let name = self.candidate.as_ref().unwrap_or(&self.baseline);
        let mut baseline = read(&self.baseline, &self.target_a, "A")?;
        let mut candidate = read(name, &self.target_b, "B")?;
        for scenario in [&baseline, &candidate] {
            anyhow::ensure!(
                scenario.search.is_none(),
                "{} is a search: compare scenarios with phases",
                scenario.name
            );
        }
        baseline.seed = self.seed.unwrap_or(baseline.seed);
        candidate.seed = baseline.seed;
        Ok([baseline.slice(self.slice), candidate.slice(self.slice)])
    }

    fn settings(&self, seed: u64) -> Settings {
        let declared =
            if self.metrics.is_empty() { Declared::usual_all() } else { self.metrics.clone() };
        Settings { declared, seed, pairs: self.pairs, time_max_ns: self.max_time.0 }
    }
}
