//! `quipu load fit`: what many runs say together.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, anyhow};
use quipu_lab::fit::{Measured, ModelAsk, Run, Workload, fit};
use quipu_load::levels::levels;
use stdx::units::Nanos;

use super::INVALID;
use super::results;
use super::runner::RunnerArgs;
use super::scenario::ScenarioArgs;
use crate::output::{self, USAGE, fail};

/// What the draws of the bootstrap follow from; any number does.
const SEED: u64 = 1;

/// Fit laws to runs: how throughput grows with users, latency with the rate, nodes for a target
///
/// Runs closed loops of several numbers of users, or reads saved results, or both. Closed loops get the
/// Universal Scalability Law, with a peak only where the data show it, and Little's law; open loops of
/// several rates the curve to their knee. With --measure, --known or --target-rate the plain model of
/// memory, disk and network is fitted, and said where it fails. Exits 98 where no run is usable.
#[derive(Debug, clap::Args)]
pub(crate) struct FitArgs {
    /// A scenario to be run: a file, or the name of one that is built in; its load is replaced
    #[arg(value_name = "SCENARIO")]
    scenario: Option<String>,
    /// The target, in place of the scenario's
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The numbers of users
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: Vec<u32>,
    /// How often each number of users is run, upwards and downwards in turn
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    passes: u32,
    /// For how long each run records
    #[arg(long, value_name = "SPAN", default_value = "5s")]
    slice: Nanos,
    /// Saved results: a file, the folder of a run or a folder of those
    #[arg(long, value_name = "RESULT")]
    from: Vec<PathBuf>,
    /// A measurement for the model: single, writes:NODES or reads:NODES, and a rate, LOW..HIGH or a
    /// saved result, such as writes:3=10000 or single=run/finding.json
    #[arg(long, value_name = "KIND=VALUE")]
    measure: Vec<Measure>,
    /// A time that the model need not find: memory, disk or network, such as disk=2ms
    #[arg(long, value_name = "PART=SPAN")]
    known: Vec<KnownTime>,
    /// Updates per second for which nodes are counted
    #[arg(long, value_name = "PER_S")]
    target_rate: Option<f64>,
    #[command(flatten)]
    runner: RunnerArgs,
    /// Save the result in this folder: fit.json and fit.txt
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The result as JSON instead of the page
    #[arg(long)]
    json: bool,
}

/// A measurement as it was written.
#[derive(Debug, Clone)]
struct Measure {
    workload: Workload,
    value: String,
}

impl FromStr for Measure {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, value) = text.split_once('=').context("write such as writes:3=10000")?;
        Ok(Self { workload: kind.parse()?, value: value.to_owned() })
    }
}

impl Measure {
    /// Returns what it says, from its file if it names one.
    fn read(&self) -> anyhow::Result<Measured> {
        let number = |text: &str| {
            let number = text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0);
            number.with_context(|| format!("`{text}` is no rate above 0"))
        };
        if let Some((low, high)) = self.value.split_once("..") {
            let (low, high) = (number(low)?, number(high)?);
            let per_s = f64::midpoint(low, high);
            return Ok(Measured { workload: self.workload, per_s, interval: (low, high) });
        }
        if let Ok(per_s) = number(&self.value) {
            return Ok(Measured::figure(self.workload, per_s));
        }
        let results = results::read(self.value.as_ref())?;
        let [result] = results.as_slice() else {
            return Err(anyhow!("{} holds more than one result", self.value));
        };
        Ok(Measured::of(self.workload, &result.finding))
    }
}

/// Which time of the model.
#[derive(Debug, Clone, Copy)]
enum Part {
    Memory,
    Disk,
    Network,
}

/// A time that is known.
#[derive(Debug, Clone, Copy)]
struct KnownTime {
    part: Part,
    lasts: Nanos,
}

impl FromStr for KnownTime {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (part, lasts) = text.split_once('=').context("write such as disk=2ms")?;
        let part = match part {
            "memory" => Part::Memory,
            "disk" => Part::Disk,
            "network" => Part::Network,
            _ => return Err(anyhow!("`{part}` is none of memory, disk, network")),
        };
        Ok(Self { part, lasts: lasts.parse()? })
    }
}

/// Runs what there is to run, and prints what all of it says.
///
/// # Errors
/// Standard output cannot be written, or the result cannot be saved.
pub(super) fn run(args: &FitArgs) -> anyhow::Result<ExitCode> {
    if args.scenario.is_none() && args.from.is_empty() && args.measure.is_empty() {
        return fail(USAGE, "name a scenario, --from a saved result, or --measure");
    }
    let read = args.ask().and_then(|ask| Ok((ask, args.saved()?)));
    let (ask, mut runs) = match read {
        Ok(read) => read,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    if let Some(name) = &args.scenario {
        let base = match ScenarioArgs::named(name, args.target.as_deref()).read() {
            Ok(base) => base,
            Err(error) => return fail(USAGE, format_args!("{error:#}")),
        };
        let mut runner = args.runner.runner()?;
        let plan = (args.users.as_slice(), args.passes);
        match levels(&base, plan, args.slice, &mut runner, &mut |run| output::note(&line(run))) {
            Ok(more) => runs.extend(more),
            Err(error) => return fail(INVALID, format_args!("{:#}", anyhow::Error::from(error))),
        }
    }
    let found = fit(&runs, &ask, SEED);
    let json = serde_json::to_string_pretty(&found).context("the result has no form")? + "\n";
    if let Some(folder) = &args.out {
        output::save(folder, &[("fit.json", json.as_str()), ("fit.txt", &found.page())])?;
    }
    output::print(if args.json { json } else { found.page() }.as_str())?;
    let has_any = found.scaling.is_some() || found.knee.is_some() || !args.measure.is_empty();
    Ok(if has_any { ExitCode::SUCCESS } else { ExitCode::from(INVALID) })
}

fn line(run: &Run) -> String {
    let total = &run.finding.total;
    let verdict = run.finding.validity.verdict;
    format!("{}: {verdict}, {:.0}/s", run.name, total.ok_per_s())
}

impl FitArgs {
    fn ask(&self) -> anyhow::Result<ModelAsk> {
        let time = |wanted: fn(Part) -> bool| {
            let known = self.known.iter().find(|known| wanted(known.part));
            known.map(|known| known.lasts.as_secs_f64())
        };
        Ok(ModelAsk {
            measured: self.measure.iter().map(Measure::read).collect::<Result<_, _>>()?,
            memory_s: time(|part| matches!(part, Part::Memory)),
            disk_s: time(|part| matches!(part, Part::Disk)),
            network_s: time(|part| matches!(part, Part::Network)),
            target_per_s: self.target_rate,
        })
    }

    fn saved(&self) -> anyhow::Result<Vec<Run>> {
        let results = results::read_all(&self.from)?;
        Ok(results.into_iter().map(|named| Run::saved(named.name, named.finding)).collect())
    }
}
