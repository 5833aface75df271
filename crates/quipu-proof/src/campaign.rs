//! Trials one after the other, several at a time, until a time or a count is over.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stdx::verdict::Verdict;

use crate::trial::{End, Trial, TrialError};

/// Lives of one directory before another begins. Guess: enough to fold often.
const LIVES: u64 = 100;

/// Replies of one life, at most: many short lives find more than few long ones.
const ACKNOWLEDGED_MAX: usize = 300;

/// What to run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The program `quipu`.
    pub program: PathBuf,
    /// Where the directories are made.
    pub folder: PathBuf,
    /// How lives end.
    pub end: End,
    /// The first seed.
    pub first: u64,
    /// Most lives.
    pub count: u64,
    /// Most time.
    pub time: Duration,
    /// Trials at a time.
    pub jobs: usize,
}

/// What all jobs share.
struct Shared<'a> {
    campaign: &'a Campaign,
    until: Instant,
    next_seed: AtomicU64,
    lives_left: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    verdict: Verdict,
    starts: Vec<Duration>,
}

impl Campaign {
    /// Runs it; `note` is told what happens.
    pub fn run(&self, note: &(dyn Fn(&str) + Sync)) -> Verdict {
        let runner = match self.end {
            End::Kill => "kills",
            End::Cut => "cuts",
        };
        let found = Found { verdict: Verdict::new(runner), starts: Vec::new() };
        let shared = Shared {
            campaign: self,
            until: Instant::now() + self.time,
            next_seed: AtomicU64::new(self.first),
            lives_left: AtomicU64::new(self.count),
            found: Mutex::new(found),
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| shared.job(note));
            }
        });
        let Found { mut verdict, mut starts } =
            shared.found.into_inner().expect("no job panics while it counts");
        starts.sort_unstable();
        if let Some(median) = starts.get(starts.len() / 2) {
            verdict.add("restart_ms_median", median.as_millis() as u64);
        }
        verdict
    }
}

impl Shared<'_> {
    fn job(&self, note: &(dyn Fn(&str) + Sync)) {
        while !self.is_over() {
            let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
            let folder = self.campaign.folder.join(format!("seed-{seed}"));
            let ended = self.trial(seed, &folder);
            let mut found = self.found.lock().expect("no job panics while it counts");
            let verdict = &mut found.verdict;
            verdict.add("seeds", 1);
            match ended {
                // The directory of a failure stays for whoever looks into it.
                Err(TrialError::Broken(violation)) => {
                    verdict.fail(format!("--first {seed} --jobs 1: {violation}"));
                    return;
                }
                Err(error) => {
                    verdict.skip(format!("{}: {error}", verdict.runner));
                    return;
                }
                Ok(()) => note(&format!("seed {seed}: {:?}", verdict.figures)),
            }
            drop(found);
            // What cannot be removed now is in the way of nobody.
            drop(std::fs::remove_dir_all(&folder));
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.lives_left.load(Ordering::Relaxed) == 0
    }

    fn trial(&self, seed: u64, folder: &Path) -> Result<(), TrialError> {
        let Campaign { program, end, .. } = self.campaign;
        let mut trial = Trial::new((program, folder), *end, seed, ACKNOWLEDGED_MAX)?;
        for _ in 0..LIVES {
            let one_less = |left: u64| left.checked_sub(1);
            let order = Ordering::Relaxed;
            if self.is_over() || self.lives_left.fetch_update(order, order, one_less).is_err() {
                break;
            }
            trial.life()?;
        }
        let counts = trial.counts();
        let figures = trial.finish()?;
        let mut found = self.found.lock().expect("no job panics while it counts");
        let ends = if *end == End::Kill { "kills" } else { "cuts" };
        found.verdict.add(ends, figures.ends);
        found.verdict.add("acked", figures.acknowledged);
        found.verdict.add("repeats_checked", figures.repeats_checked);
        if *end == End::Cut {
            found.verdict.add("pages_lost", counts.pages_lost);
            found.verdict.add("pages_torn", counts.pages_torn);
            found.verdict.add("names_lost", counts.names_lost);
        }
        found.starts.extend(figures.starts);
        Ok(())
    }
}
