//! Many lives of one node on one directory, each ended by a kill or by a cut of the power.

use std::path::{Path, PathBuf};

use crate::Violation;
use crate::disk::{Counts, DiskError, Keep, LossyDisk, Names};
use crate::kills::{Crew, Figures, audit, small_segments};
use crate::node::Start;

/// Replies of one life, at most: many short lives find more than few long ones.
const ACKNOWLEDGED_MAX: usize = 300;

/// One life of so many on a lossy disk ends without a cut. What it left in the page cache must be
/// made durable by the life that reads it there, which the next cut shows.
const KILLS_ONLY: u64 = 4;

/// How lives end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGKILL: the page cache stays.
    Kill,
    /// SIGKILL, and mostly the power goes: what was not synced is gone, torn or garbled.
    Cut,
}

/// Whose lives these are and how they end.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program `quipu`.
    pub program: PathBuf,
    /// What is added to its environment.
    pub environment: Vec<(String, String)>,
    /// How lives end.
    pub end: End,
}

/// Why a trial could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A promise was broken.
    #[error("{0}")]
    Broken(Violation),
    /// There is no disk to cut: the machine does not let us mount one.
    #[error(transparent)]
    NoDisk(DiskError),
    /// The disk was lost on the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The directory cannot be made.
    #[error("cannot make {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<Violation> for TrialError {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

/// One node, its directory and the clients that know what must be there.
#[derive(Debug)]
pub struct Trial {
    start: Start,
    crew: Crew,
    disk: Option<LossyDisk>,
    seed: u64,
    lives: u64,
    /// Whether the last life ended with a cut.
    was_cut: bool,
    cuts: u64,
}

impl Trial {
    /// Begins in an empty folder.
    ///
    /// # Errors
    /// The folder cannot be made, or no disk be mounted in it.
    pub fn new(setup: &Setup, folder: &Path, seed: u64) -> Result<Self, TrialError> {
        let mounted = folder.join("disk");
        std::fs::create_dir_all(&mounted)
            .map_err(|source| TrialError::Folder { path: mounted.clone(), source })?;
        let mount = || LossyDisk::mount(&mounted, Names::WhenSynced).map_err(TrialError::NoDisk);
        let disk = match setup.end {
            End::Kill => None,
            End::Cut => Some(mount()?),
        };
        let start = small_segments(Start::new(&setup.program, &mounted.join("data")))
            .in_own_group()
            .stderr_to(&folder.join("stderr"))
            .flag("log.allow_network_fs", "true");
        let variable = |start: Start, (name, value): &(String, String)| start.variable(name, value);
        let start = setup.environment.iter().fold(start, variable);
        let crew = Crew::new(seed, ACKNOWLEDGED_MAX);
        Ok(Self { start, crew, disk, seed, lives: 0, was_cut: false, cuts: 0 })
    }

    /// One life, ended under load.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn life(&mut self) -> Result<(), TrialError> {
        let served = self.crew.figures().ends;
        let lived = self.crew.cycle(&self.start, |node, _| node.kill());
        self.note_cut(served);
        lived?;
        self.lives += 1;
        let draw = stdx::hash::hash64(self.seed, &self.lives.to_le_bytes());
        if let Some(disk) = self.disk.as_mut().filter(|_| !draw.is_multiple_of(KILLS_ONLY)) {
            disk.cut(keep(draw / KILLS_ONLY))?;
            self.was_cut = true;
        }
        Ok(())
    }

    /// The last start, and an audit of all that is there.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn finish(&mut self) -> Result<(), TrialError> {
        let served = self.crew.figures().ends;
        let node = self.crew.serve(&self.start);
        self.note_cut(served);
        drop(node?);
        audit(&self.start)?;
        Ok(())
    }

    /// Counts the cut before a start when that start reached serving.
    fn note_cut(&mut self, served: u64) {
        if self.was_cut && self.crew.figures().ends > served {
            self.cuts += 1;
        }
        self.was_cut = false;
    }

    /// What was done so far.
    pub fn figures(&self) -> &Figures {
        self.crew.figures()
    }

    /// Cuts after each of which the node reached serving again; they are among the ends of
    /// [`Trial::figures`], and the others are kills.
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// What the cuts took; zeros where there were none.
    pub fn counts(&self) -> Counts {
        self.disk.as_ref().map(LossyDisk::counts).unwrap_or_default()
    }
}

/// What a cut leaves: nothing at all as often as some of it, everything sometimes.
fn keep(draw: u64) -> Keep {
    match draw % 6 {
        0 | 1 => Keep::Nothing,
        2 => Keep::Everything,
        3 => Keep::Some(draw),
        _ => Keep::Garbled(draw),
    }
}
