//! Trials one after the other, several at a time, until a time or a count is over.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use stdx::verdict::Verdict;

use crate::trial::{End, Setup, Trial, TrialError};

/// Lives of one directory before another begins. Guess: enough to fold often.
const LIVES: u64 = 100;

/// Longer than anybody waits: the time of a run that is bounded by its count.
const EVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// What to run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Whose lives, and how they end.
    pub setup: Setup,
    /// Where the directories are made.
    pub folder: PathBuf,
    /// The first seed.
    pub first: u64,
    /// Most lives.
    pub count: u64,
    /// Most time.
    pub time: Duration,
    /// Trials at a time.
    pub jobs: usize,
    /// Ends it in order when it is set.
    pub stop: Arc<AtomicBool>,
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
    /// A campaign from seed 1 on, one trial at a time, without an end.
    pub fn new(program: &Path, folder: &Path, end: End) -> Self {
        Self {
            setup: Setup { program: program.to_path_buf(), environment: Vec::new(), end },
            folder: folder.to_path_buf(),
            first: 1,
            count: u64::MAX,
            time: EVER,
            jobs: 1,
            stop: Arc::default(),
        }
    }

    /// Runs it; `note` is told what happens.
    pub fn run(&self, note: &(dyn Fn(&str) + Sync)) -> Verdict {
        let found = Found { verdict: Verdict::new(ends(self.setup.end)), starts: Vec::new() };
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

/// The name of a runner, and of what it counts.
fn ends(end: End) -> &'static str {
    match end {
        End::Kill => "kills",
        End::Cut => "cuts",
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
            match ended {
                Err(error @ TrialError::NoDisk(_)) => {
                    verdict.skip(format!("{}: {error}", verdict.runner));
                    return;
                }
                // The directory of a failure stays for whoever looks into it.
                Err(error) => {
                    verdict.fail(format!("{} --first {seed} --jobs 1: {error}", verdict.runner));
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
        Instant::now() >= self.until
            || self.lives_left.load(Ordering::Relaxed) == 0
            || self.campaign.stop.load(Ordering::Relaxed)
    }

    fn trial(&self, seed: u64, folder: &Path) -> Result<(), TrialError> {
        let mut trial = Trial::new(&self.campaign.setup, folder, seed)?;
        let ended = self.lives(&mut trial);
        self.count(&trial);
        ended
    }

    fn lives(&self, trial: &mut Trial) -> Result<(), TrialError> {
        for _ in 0..LIVES {
            let one_less = |left: u64| left.checked_sub(1);
            let order = Ordering::Relaxed;
            if self.is_over() || self.lives_left.fetch_update(order, order, one_less).is_err() {
                break;
            }
            trial.life()?;
        }
        trial.finish()
    }

    fn count(&self, trial: &Trial) {
        let (figures, cuts, counts) = (trial.figures(), trial.cuts(), trial.counts());
        let mut found = self.found.lock().expect("no job panics while it counts");
        let verdict = &mut found.verdict;
        verdict.add("seeds", 1);
        verdict.add("acked", figures.acknowledged);
        verdict.add("repeats_checked", figures.repeats_checked);
        verdict.add("histories_checked", figures.histories.checked);
        verdict.add("history_events", figures.histories.events);
        verdict.add("histories_undecided", figures.histories.undecided);
        match self.campaign.setup.end {
            End::Kill => verdict.add("kills", figures.ends),
            End::Cut => {
                verdict.add("cuts", cuts);
                verdict.add("kills_between", figures.ends - cuts);
                verdict.add("pages_lost", counts.pages_lost);
                verdict.add("pages_torn", counts.pages_torn);
                verdict.add("names_lost", counts.names_lost);
            }
        }
        found.starts.extend(&figures.starts);
    }
}
