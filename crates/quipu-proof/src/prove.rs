//! The bounded proof for a user's own disk: how it syncs, kills, and power cuts.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use stdx::verdict::Verdict;

use crate::campaign::Campaign;
use crate::probe::Probe;
use crate::trial::End;

/// The part of the time that goes to looking at syncs: one of so many.
const PROBE_PART: u32 = 20;

/// What is to be proved.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The program `quipu`.
    pub program: PathBuf,
    /// An empty folder on the disk in question.
    pub folder: PathBuf,
    /// How long it may take.
    pub time: Duration,
    /// The seed of the first life.
    pub seed: u64,
    /// Ends it in order, and early, when it is set.
    pub stop: Arc<AtomicBool>,
}

/// What was found.
#[derive(Debug)]
pub struct Proof {
    /// How the disk syncs.
    pub probe: Probe,
    /// Nodes that were killed, on that disk.
    pub kills: Verdict,
    /// Nodes whose power was cut, on a disk in memory that forgets what was not synced.
    pub cuts: Verdict,
}

impl Proof {
    /// Measures, kills, and cuts.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn of(ask: &Ask, note: &(dyn Fn(&str) + Sync)) -> io::Result<Self> {
        let probe = Probe::measure(&ask.folder, ask.time / PROBE_PART)?;
        let half = ask.time.saturating_sub(ask.time / PROBE_PART) / 2;
        let campaign = |end, name| Campaign {
            first: ask.seed,
            time: half,
            stop: Arc::clone(&ask.stop),
            ..Campaign::new(&ask.program, &ask.folder.join(name), end)
        };
        let kills = campaign(End::Kill, "kills").run(note);
        let cuts = campaign(End::Cut, "cuts").run(note);
        Ok(Self { probe, kills, cuts })
    }

    /// Whether no promise was broken.
    pub fn holds(&self) -> bool {
        self.kills.is_clean() && self.cuts.is_clean()
    }
}
