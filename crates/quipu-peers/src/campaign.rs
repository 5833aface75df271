//! All rows, both ways to die, and more rounds as long as there is time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quipu_proof::disk::DiskError;
use quipu_proof::probe::Probe;
use quipu_proof::trial::End;
use stdx::verdict::Verdict;

use crate::cell::{Cell, CellError, end_word, folder_of};
use crate::figures::Figures;
use crate::load::Load;
use crate::system::{System, SystemError};

/// How long the disk is asked how it syncs.
const PROBE: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Where the directories are made.
    pub folder: PathBuf,
    /// The seed of the first round.
    pub first: u64,
    /// Ends of each cell in one round.
    pub ends: u64,
    /// Rounds begin until this is over; the first always runs to its end.
    pub time: Duration,
    /// What each life gets.
    pub load: Load,
    /// Ends it in order when it is set.
    pub stop: Arc<AtomicBool>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    verdict: Verdict,
    cells: BTreeMap<(String, &'static str), Figures>,
}

impl Campaign {
    /// Runs rounds over all systems; `note` is told what happens.
    pub fn run(&self, systems: &[Box<dyn System>], note: &dyn Fn(&str)) -> Verdict {
        let until = Instant::now() + self.time;
        let mut found = Found { verdict: Verdict::new("peers"), ..Found::default() };
        let here = self.introduce(systems, &mut found.verdict);
        for round in 0.. {
            if self.is_stopped() || round > 0 && Instant::now() >= until {
                break;
            }
            for system in &here {
                self.round(*system, self.first + round, &mut found, note);
            }
            found.verdict.add("seeds", 1);
        }
        conclude(&here, found)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Notes the name, version and commands of each system that is here, and answers those.
    fn introduce<'a>(
        &self,
        systems: &'a [Box<dyn System>],
        verdict: &mut Verdict,
    ) -> Vec<&'a dyn System> {
        let mut here: Vec<&dyn System> = Vec::new();
        for system in systems {
            let key = system.key();
            match system.version() {
                Ok(version) => {
                    verdict.note(format!("{key}.title"), system.title());
                    verdict.note(format!("{key}.version"), version);
                    verdict.note(format!("{key}.commands"), system.recipe().join("\n"));
                    verdict.note(format!("{key}.operation"), system.operation());
                    here.push(&**system);
                }
                Err(error) => verdict.skip(format!("{key}: {error}")),
            }
        }
        let keys: Vec<String> = here.iter().map(|system| system.key()).collect();
        verdict.note("rows", keys.join(" "));
        self.describe(verdict);
        here
    }

    /// Notes what the figures depend on beside the systems.
    fn describe(&self, verdict: &mut Verdict) {
        let Load { clients, counters, time, spread, further_max } = self.load;
        verdict.add("clients", clients as u64);
        verdict.add("counters_per_client", counters as u64);
        verdict.add("load_ms", time.as_millis() as u64);
        verdict.add("load_spread_ms", spread.as_millis() as u64);
        verdict.add("further_acks_max", further_max as u64);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        verdict.add("cores", cores as u64);
        let made = std::fs::create_dir_all(&self.folder);
        if let Ok(probe) = made.and_then(|()| Probe::measure(&self.folder, PROBE)) {
            verdict.add("disk_sync_us_p50", probe.p50.as_micros() as u64);
            verdict.note("disk", probe.file_system);
        }
    }

    fn round(&self, system: &dyn System, seed: u64, found: &mut Found, note: &dyn Fn(&str)) {
        for end in [End::Kill, End::Cut] {
            if self.is_stopped() {
                return;
            }
            let cell = format!("{}.{}", system.key(), end_word(end));
            let before = found.verdict.failures.len();
            match self.measure(system, end, seed) {
                Ok(figures) => {
                    note(&format!("{cell}: {} ends, {:?}", figures.ends, figures.losses));
                    let broken = figures.broken(system.promise()).into_iter();
                    let lines = broken.map(|text| format!("{cell} --first {seed}: {text}"));
                    found.verdict.failures.extend(lines);
                    let total = found.cells.entry((system.key(), end_word(end))).or_default();
                    total.add(&figures);
                }
                Err(error) => refuse(&mut found.verdict, &cell, (system, &error)),
            }
            found.verdict.failures[before..].iter().for_each(|line| note(line));
        }
    }

    fn measure(&self, system: &dyn System, end: End, seed: u64) -> Result<Figures, CellError> {
        let folder = folder_of(&self.folder, system, end);
        let mut cell = Cell::new(system, self.load, end, &folder, seed)?;
        let ran = cell.run(self.ends, &self.stop);
        let figures = cell.figures().clone();
        drop(cell);
        // What cannot be removed now is in the way of nobody.
        drop(std::fs::remove_dir_all(&folder));
        ran.map(|()| figures)
    }
}

/// Tells all cells, and how many ends there were in all.
fn conclude(systems: &[&dyn System], found: Found) -> Verdict {
    let Found { mut verdict, cells } = found;
    for ((key, end), figures) in &cells {
        figures.tell(&format!("{key}.{end}"), &mut verdict);
        let is_ours = systems.iter().any(|s| s.key() == *key && s.promise().always_starts);
        let whose = if is_ours { "own" } else { "peer" };
        verdict.add(format!("{whose}_{end}s"), figures.ends);
    }
    verdict
}

/// A cell that the machine does not permit is skipped; that Quipu does not run on a new directory is
/// a failure.
fn refuse(verdict: &mut Verdict, cell: &str, (system, error): (&dyn System, &CellError)) {
    let line = format!("{cell}: {error}");
    let is_machine = matches!(
        error,
        CellError::Disk(DiskError::Mount { .. }) | CellError::System(SystemError::Missing(_))
    );
    if system.promise().always_starts && !is_machine {
        verdict.fail(line);
    } else {
        verdict.skip(line);
    }
}
