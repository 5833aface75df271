//! `quipu prove`: kills and power cuts on the user's own disk.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use quipu_proof::probe::Probe;
use quipu_proof::prove::{Ask, Proof};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use stdx::verdict::Verdict;

use crate::output::{self, FAILURE, USAGE, fail};

/// Prove the promises on this machine: how the disk syncs, kills, and power cuts
///
/// Starts nodes of this program in a new directory under DIR, drives them, and ends them under load
/// again and again: by SIGKILL on this disk, and, where FUSE is permitted, by a power cut on a disk in
/// memory that forgets what was not synced. After each end all that was acknowledged must be there,
/// and no token may count twice. The directory is removed at the end. Exits 0 where every promise
/// that could be tried held, 1 where one was broken, 2 where DIR cannot be used.
#[derive(Debug, clap::Args)]
pub(crate) struct ProveArgs {
    /// A directory on the disk in question
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// How long it may take, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// The first seed: another one tries other moments
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// One line of JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// The file that makes a directory a store.
const STORE_FILE: &str = "STORE";

/// A new directory, removed when it goes.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the way of nobody.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Folder {
    /// Makes a directory of our own in `dir`.
    ///
    /// # Errors
    /// It cannot be made there, or `dir` belongs to a node.
    fn within(dir: &Path) -> Result<Self, String> {
        if dir.join(STORE_FILE).exists() {
            let path = dir.display();
            return Err(format!("{path} is the data directory of a node; name one beside it"));
        }
        let folder = dir.join(format!("quipu-prove-{}", std::process::id()));
        let failed = |error| format!("cannot make {}: {error}", folder.display());
        std::fs::create_dir(&folder).map_err(failed)?;
        Ok(Self(folder))
    }
}

/// Proves, and prints what was found.
///
/// # Errors
/// The directory cannot be written to.
pub(crate) fn run(args: &ProveArgs) -> anyhow::Result<ExitCode> {
    let folder = match Folder::within(&args.dir) {
        Ok(folder) => folder,
        Err(line) => return fail(USAGE, line),
    };
    let ask = Ask {
        program: std::env::current_exe().context("cannot find this program")?,
        folder: folder.0.clone(),
        time: Duration::from_secs(args.seconds),
        seed: args.seed,
        stop: stopped_by_signal()?,
    };
    let proof = Proof::of(&ask, &|_| {}).with_context(|| format!("in {}", folder.0.display()))?;
    drop(folder);
    if args.json {
        output::say(all(&proof).to_json())?;
    } else {
        output::print(&report(&proof, &args.dir))?;
    }
    if ask.stop.load(Ordering::Relaxed) {
        return fail(FAILURE, "ended early by a signal");
    }
    Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

/// A switch that the first Ctrl-C or SIGTERM turns on; a second one ends the process.
fn stopped_by_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("cannot listen for signals")?;
    }
    Ok(stop)
}

/// All that was found, as one verdict; what both parts have is named after its part.
fn all(proof: &Proof) -> Verdict {
    let mut all = Verdict::new("prove");
    for part in [&proof.kills, &proof.cuts] {
        for (name, count) in &part.figures {
            all.add(of_part(part.runner, name), *count);
        }
        all.failures.extend(part.failures.clone());
        all.skipped.extend(part.skipped.clone());
    }
    all.skipped.extend(proof.probe.doubt().map(|why| format!("trust in this disk: {why}")));
    all.add("syncs", proof.probe.samples as u64);
    all.add("sync_us_min", proof.probe.least.as_micros() as u64);
    all.add("sync_us_p50", proof.probe.p50.as_micros() as u64);
    all.add("sync_us_p99", proof.probe.p99.as_micros() as u64);
    all
}

/// Figures that both parts have.
const OF_BOTH: [&str; 7] = [
    "acked",
    "histories_checked",
    "histories_undecided",
    "history_events",
    "repeats_checked",
    "restart_ms_median",
    "seeds",
];

fn of_part(runner: &str, name: &str) -> String {
    if runner == "cuts" && OF_BOTH.contains(&name) {
        format!("cuts_{name}")
    } else {
        name.to_owned()
    }
}

fn report(proof: &Proof, dir: &Path) -> String {
    let rows = [
        ["a sync takes plausibly long".to_owned(), syncs(&proof.probe), plausible(&proof.probe)],
        row("nothing acknowledged is lost or doubled by a kill", "kills", &proof.kills),
        row("nothing acknowledged is lost or doubled by a power cut", "cuts", &proof.cuts),
    ];
    let table = output::table(["promise", "tried", "verdict"], &rows);
    let Probe { file_system, .. } = &proof.probe;
    let lost = proof.cuts.figures.get("pages_lost").copied().unwrap_or(0);
    let vanished = match lost {
        0 => String::new(),
        pages => format!("the power cuts took {pages} pages that were not synced\n"),
    };
    format!("{} is on {file_system}\n\n{table}\n{vanished}{}", dir.display(), failures(proof))
}

fn syncs(probe: &Probe) -> String {
    let Probe { samples, least, p50, p99, .. } = probe;
    let [least, p50, p99] = [least, p50, p99].map(|time| time.as_secs_f64() * 1e3);
    format!("{samples} syncs, in ms: least {least:.3}, p50 {p50:.3}, p99 {p99:.3}")
}

fn plausible(probe: &Probe) -> String {
    probe.doubt().map_or_else(|| "plausible".to_owned(), |why| format!("DOUBTFUL: {why}"))
}

fn row(promise: &str, ends: &str, verdict: &Verdict) -> [String; 3] {
    let figure = |name: &str| verdict.figures.get(name).copied().unwrap_or(0);
    let [acked, repeats] = [figure("acked"), figure("repeats_checked")];
    let tried = format!("{} {ends}, {acked} acknowledged, {repeats} repeated", figure(ends));
    let judged = match (verdict.is_clean(), verdict.skipped.first(), figure(ends)) {
        (false, ..) => "BROKEN".to_owned(),
        (true, Some(why), _) => format!("skipped: {why}"),
        (true, None, 0) => "skipped: there was no time for one".to_owned(),
        (true, None, _) => "held".to_owned(),
    };
    [promise.to_owned(), tried, judged]
}

fn failures(proof: &Proof) -> String {
    let lines = proof.kills.failures.iter().chain(&proof.cuts.failures).map(String::as_str);
    lines.flat_map(|line| [line, "\n"]).collect()
}
