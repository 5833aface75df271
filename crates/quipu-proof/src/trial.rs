//! Many lives of one node on one directory, each ended by a kill or by a cut of the power.

use std::path::{Path, PathBuf};

use crate::Violation;
use crate::disk::{Counts, DiskError, Keep, LossyDisk, Names};
use crate::kills::{Crew, Figures, audit, small_segments};
use crate::node::Start;

/// How lives end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGKILL: the page cache stays.
    Kill,
    /// SIGKILL, and the power goes: what was not synced is gone or torn.
    Cut,
}

/// Why a trial could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A promise was broken.
    #[error("{0}")]
    Broken(Violation),
    /// There is no disk to cut.
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
}

impl Trial {
    /// Begins in an empty folder; `acknowledged_max` bounds the replies of one life.
    ///
    /// # Errors
    /// The folder cannot be made, or no disk be mounted in it.
    pub fn new(
        (program, folder): (&Path, &Path),
        end: End,
        seed: u64,
        acknowledged_max: usize,
    ) -> Result<Self, TrialError> {
        let mounted = folder.join("disk");
        std::fs::create_dir_all(&mounted)
            .map_err(|source| TrialError::Folder { path: mounted.clone(), source })?;
        let disk = match end {
            End::Kill => None,
            End::Cut => Some(LossyDisk::mount(&mounted, Names::WhenSynced)?),
        };
        let start = small_segments(Start::new(program, &mounted.join("data")))
            .stderr_to(&folder.join("stderr"))
            .flag("log.allow_network_fs", "true");
        Ok(Self { start, crew: Crew::new(seed, acknowledged_max), disk, seed, lives: 0 })
    }

    /// One life, ended under load.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn life(&mut self) -> Result<(), TrialError> {
        self.crew.cycle(&self.start, |node, _| node.kill())?;
        self.lives += 1;
        if let Some(disk) = &mut self.disk {
            disk.cut(keep(self.seed, self.lives))?;
        }
        Ok(())
    }

    /// The last start, and an audit of all that is there.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn finish(mut self) -> Result<Figures, TrialError> {
        drop(self.crew.serve(&self.start)?);
        audit(&self.start)?;
        Ok(self.crew.figures().clone())
    }

    /// What the cuts took; zeros where there were none.
    pub fn counts(&self) -> Counts {
        self.disk.as_ref().map(LossyDisk::counts).unwrap_or_default()
    }

    /// What was done so far.
    pub fn figures(&self) -> &Figures {
        self.crew.figures()
    }
}

/// What a cut leaves: nothing at all as often as some of it, everything sometimes.
fn keep(seed: u64, life: u64) -> Keep {
    let draw = stdx::hash::hash64(seed, &life.to_le_bytes());
    match draw % 5 {
        0 | 1 => Keep::Nothing,
        2 => Keep::Everything,
        _ => Keep::Some(draw),
    }
}
