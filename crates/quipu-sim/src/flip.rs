//! Every single-bit flip of a small store, and damaged blocks: refused, or without any effect.
//!
//! The store is what one life of a [`Plan`] left, closed or crashed. A
//! flip is harmless only when the node that starts on it says the same as the one that starts on
//! the intact store: the same values, marks, and outcomes of every repeat. Of a crashed store the
//! frames beyond the newest one that is provably durable may be gone, from the end.

mod damage;
mod state;

use std::collections::HashSet;

use quipu_log::snapshot;
use quipu_log::storage::Storage as _;
use quipu_log::storage::StorageFile as _;
use quipu_log::storage::fault::Faulty;
use quipu_log::storage::memory::{Keep, Memory};
use quipu_log::wal::{Report, replay};
use stdx::hash::hash64;
use stdx::prng::Prng;

use crate::checks::{Check, Checked, Violation};
use crate::crash::ledger::Ledger;
use crate::crash::life::{End, Life, with_causes};
use crate::crash::plan::Plan;

pub use self::damage::Damage;

/// What became of a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The start was refused, with an error.
    Refused,
    /// The node says the same as without it.
    Harmless,
}

/// A store to be damaged.
#[derive(Debug)]
pub struct Subject {
    plan: Plan,
    disk: Memory,
    /// All that may be said after a start.
    allowed: HashSet<u64>,
}

impl Subject {
    /// What a life left that ended cleanly, with a mark.
    ///
    /// # Errors
    /// The intact store breaks a promise.
    pub fn closed(seed: u64) -> Checked<Self> {
        let plan = Plan::draw(seed);
        let disk = Memory::with_blocks(plan.block_bytes);
        let ended = worked(&disk, &plan).and_then(|mut life| life.close());
        ended.map_err(refused)?;
        Self::new(plan, disk.power_cut(Keep::None))
    }

    /// What a life left that crashed at a changing call, drawn from the seed, with nothing of what
    /// was not synced.
    ///
    /// # Errors
    /// The intact store breaks a promise.
    pub fn crashed(seed: u64) -> Checked<Self> {
        let plan = Plan::draw(seed);
        let disk = Memory::with_blocks(plan.block_bytes);
        let faulty = Faulty::new(disk.clone());
        faulty.crash_at(60 + hash64(seed, b"crash") % 60);
        drop(worked(&faulty, &plan));
        Self::new(plan, disk.power_cut(Keep::None))
    }

    fn new(plan: Plan, disk: Memory) -> Checked<Self> {
        let report = report(&disk, &plan)?;
        let mut allowed = HashSet::new();
        for position in report.proven..=report.position {
            allowed.insert(state::upto(&disk, &plan, position)?);
        }
        let subject = Self { plan, disk, allowed };
        match subject.start(&subject.disk.fork()) {
            Ok(Verdict::Harmless) => Ok(subject),
            other => Err(Violation::new(Check::RefusedStart, format!("intact: {other:?}"))),
        }
    }

    /// The files of the store, with their lengths in bytes.
    pub fn files(&self) -> Vec<(String, u64)> {
        let mut names = self.disk.list().unwrap_or_default();
        names.sort_unstable();
        let length = |name: &String| self.disk.open(name).and_then(|file| file.length());
        names.into_iter().filter_map(|name| length(&name).ok().map(|bytes| (name, bytes))).collect()
    }

    /// Bits of all files.
    pub fn bits(&self) -> u64 {
        self.files().iter().map(|(_, bytes)| bytes * 8).sum()
    }

    /// Flips one bit, counted over all files, and starts.
    ///
    /// # Errors
    /// The node says something else and says it silently.
    pub fn flip(&self, bit: u64) -> Checked<Verdict> {
        let mut left = bit;
        for (name, bytes) in self.files() {
            if left < bytes * 8 {
                let disk = self.disk.fork();
                disk.flip_bit(&name, left);
                return self.start(&disk).map_err(|violation| at(&violation, &name, left / 8));
            }
            left -= bytes * 8;
        }
        Ok(Verdict::Harmless)
    }

    /// Damages a block and starts; none where the damage changes nothing.
    ///
    /// # Errors
    /// The node says something else and says it silently.
    pub fn damage(&self, seed: u64) -> Checked<Option<Verdict>> {
        let mut random = Prng::new(seed);
        let disk = self.disk.fork();
        let Some(damage) = Damage::draw(&self.files(), self.plan.block_bytes, &mut random) else {
            return Ok(None);
        };
        if !damage.inflict(&disk) {
            return Ok(None);
        }
        let started = self.start(&disk);
        started.map(Some).map_err(|violation| {
            Violation::new(violation.check, format!("{damage:?}: {}", violation.what))
        })
    }

    fn start(&self, disk: &Memory) -> Checked<Verdict> {
        let mut life = match Life::open(disk, &self.plan, 2) {
            Ok(life) => life,
            Err(End::Storage(_)) => return Ok(Verdict::Refused),
            Err(End::Broken(violation)) => return Err(violation),
        };
        let said = state::of(&mut life.driver, &self.plan);
        if self.allowed.contains(&said) {
            return Ok(Verdict::Harmless);
        }
        Err(Violation::new(Check::RecoveredState, "the node silently says something else"))
    }
}

fn at(violation: &Violation, name: &str, byte: u64) -> Violation {
    Violation::new(violation.check, format!("{name} byte {byte}: {}", violation.what))
}

/// A life that has done its requests.
fn worked<S: quipu_log::storage::Storage>(storage: &S, plan: &Plan) -> Result<Life<S>, End> {
    let mut life: Life<S> = Life::open(storage, plan, 1)?;
    Ledger::new(plan).work(&mut life, plan.requests)?;
    Ok(life)
}

fn refused(end: End) -> Violation {
    match end {
        End::Broken(violation) => violation,
        End::Storage(text) => Violation::new(Check::RefusedStart, text),
    }
}

/// What recovery says of the intact log.
fn report(disk: &Memory, plan: &Plan) -> Checked<Report> {
    let refused = |error: &dyn std::error::Error| {
        Violation::new(Check::RefusedStart, format!("intact: {}", with_causes(error)))
    };
    let newest = snapshot::newest(disk, plan.store_id()).map_err(|error| refused(&error))?;
    let nothing = |_, _: &[u8]| Ok::<(), std::convert::Infallible>(());
    replay(disk, newest.start(), nothing).map_err(|error| refused(&error))
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn a_subject_has_files_to_damage_and_starts_intact() {
        let subject = Subject::closed(1).unwrap();
        assert!(subject.files().len() > 2, "{:?}", subject.files());
        assert!(subject.bits() > 8 * 1024);
    }
}
