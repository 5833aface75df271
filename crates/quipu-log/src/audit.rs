//! Counts again: folds the retained log from the oldest snapshot and compares with each later one.
//!
//! For a directory that no process has open. Changes nothing but files of its own, which it
//! removes.

pub mod live;

use quipu_core::snapshot::{ItemKey, ItemValue, Place};
use thiserror::Error;

use crate::{
    fold::{Changes, FoldFailed, Merge},
    snapshot::{self, Items, Snapshot},
    sorted_file::{Header, Kind, SortedFileError},
    storage::Storage,
    wal::{Cut, Identity, RecoverError, begins_at_the_beginning, identify, replay},
};

/// How many differences are reported one by one.
const DIFFERENCES_MAX: usize = 10;

/// Why an audit could not be made.
#[derive(Debug, Error)]
pub enum AuditError {
    /// A snapshot cannot be read.
    #[error(transparent)]
    File(#[from] SortedFileError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] RecoverError),
    /// The recount could not be made; where the log does not fit a snapshot, that is a finding.
    #[error(transparent)]
    Fold(#[from] FoldFailed),
    /// The log of a running node does not fit what was before it; what was found so far says where.
    #[error("the log does not fit what was before it")]
    Unfit,
}

/// One item that the recount and the snapshot do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The shard.
    pub shard: u16,
    /// The counter, token, stream or shard.
    pub item: ItemKey,
    /// What the log says.
    pub log: Option<ItemValue>,
    /// What the snapshot says.
    pub snapshot: Option<ItemValue>,
}

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audit {
    /// The position after which the log was folded; 0 is the beginning of the store.
    pub from: u64,
    /// The newest log time at that position, in seconds; 0 where it is not known.
    pub from_time_s: u32,
    /// The position of the newest snapshot that checks; 0 when there is none.
    pub snapshot: u64,
    /// The last position of the log.
    pub upto: u64,
    /// How many frames were folded.
    pub frames: u64,
    /// How many counters exist at the end.
    pub counters: u64,
    /// How many items were compared with later snapshots.
    pub compared: u64,
    /// How many of them differ.
    pub different: u64,
    /// The first of these.
    pub differences: Vec<Difference>,
    /// Snapshots that do not check.
    pub damaged: Vec<SortedFileError>,
    /// Where the log does not fit the snapshot that it follows.
    pub unfit: Vec<FoldFailed>,
    /// What the next start will cut off the log.
    pub cut: Option<Cut>,
}

impl Audit {
    /// Turns a change that does not fit into a finding.
    fn note_unfit<T>(&mut self, result: Result<T, AuditError>) -> Result<Option<T>, AuditError> {
        match result {
            Err(AuditError::Fold(unfit @ FoldFailed::Item { .. })) => {
                self.unfit.push(unfit);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Says whether the log and the snapshots agree.
    pub fn is_clean(&self) -> bool {
        self.different == 0 && self.damaged.is_empty() && self.unfit.is_empty()
    }
}

/// Audits a store. Change sets take about `memory_bytes` before they are spilled into the
/// directory.
///
/// # Errors
/// See [`AuditError`]. A store whose log does not fold is an error; one whose snapshot says
/// something else than the log is a finding.
pub fn audit<S: Storage>(storage: &S, memory_bytes: usize) -> Result<Audit, AuditError> {
    let identity = identify(storage, Identity { store_id: 0, shards: 0 })?;
    let auditor = Auditor { storage, store_id: identity.store_id, memory_bytes };
    let mut audit = Audit::default();
    let snapshots = auditor.snapshots(&mut audit)?;
    audit.snapshot = snapshots.last().map_or(0, |newest| newest.position);
    match snapshots.split_first() {
        // The beginning was given up: the oldest snapshot stands for it.
        Some((oldest, later)) if !begins_at_the_beginning(storage)? => {
            auditor.count_again(&mut audit, Some(oldest), later)?;
        }
        _ => auditor.count_again(&mut audit, None, &snapshots)?,
    }
    Ok(audit)
}

struct Auditor<'a, S> {
    storage: &'a S,
    store_id: u64,
    memory_bytes: usize,
}

impl<S: Storage> Auditor<'_, S> {
    /// Reads all snapshots; returns those that check, oldest first.
    fn snapshots(&self, audit: &mut Audit) -> Result<Vec<Snapshot>, AuditError> {
        let mut snapshots = Vec::new();
        for position in snapshot::positions(self.storage)? {
            match snapshot::check(self.storage, self.store_id, position, |_, _| {}) {
                Ok(snapshot) => snapshots.push(snapshot),
                Err(error) if error.is_damage() => audit.damaged.push(error),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(snapshots)
    }

    /// Folds the log after `base` to its end and compares with each of the later snapshots.
    fn count_again(
        &self,
        audit: &mut Audit,
        base: Option<&Snapshot>,
        later: &[Snapshot],
    ) -> Result<(), AuditError> {
        let mut stage = Stage { auditor: self, audit, base, later, changes: self.changes(base)? };
        let after = base.map_or(0, |base| base.position);
        let report = replay(self.storage, after + 1, |position, payload| {
            stage.reach(position)?;
            stage.audit.frames += 1;
            Ok::<_, AuditError>(stage.changes.add(position, payload)?)
        })?;
        stage.reach(u64::MAX)?;
        let counted = stage.count();
        stage.changes.remove_runs()?;
        let counters = stage.audit.note_unfit(counted)?;
        audit.counters = counters.unwrap_or_default();
        audit.from = after;
        audit.from_time_s = base.map_or(0, |base| base.time_s);
        audit.upto = report.position;
        audit.cut = report.cut;
        Ok(())
    }

    fn changes(&self, base: Option<&Snapshot>) -> Result<Changes<S>, AuditError> {
        let header = Header { kind: Kind::Run, store_id: self.store_id, position: 0, time_s: 0 };
        let mut changes = Changes::new(self.storage.clone(), header, self.memory_bytes);
        if let Some(base) = base {
            for (shard, meta) in snapshot::metas(self.storage, self.store_id, base.position)? {
                changes.set_base(shard, meta);
            }
        }
        Ok(changes)
    }
}

/// The log between two snapshots.
struct Stage<'a, S: Storage> {
    auditor: &'a Auditor<'a, S>,
    audit: &'a mut Audit,
    /// Where it begins.
    base: Option<&'a Snapshot>,
    /// What is still to be compared with, oldest first.
    later: &'a [Snapshot],
    changes: Changes<S>,
}

impl<S: Storage> Stage<'_, S> {
    /// Compares with all snapshots before `position`, which comes next.
    fn reach(&mut self, position: u64) -> Result<(), AuditError> {
        while let [next, rest @ ..] = self.later
            && next.position < position
        {
            let compared = self.compare(next);
            self.changes.remove_runs()?;
            self.audit.note_unfit(compared)?;
            self.changes = self.auditor.changes(Some(next))?;
            (self.base, self.later) = (Some(next), rest);
        }
        Ok(())
    }

    fn merge(&mut self) -> Result<Merge<S>, AuditError> {
        Ok(Merge::new(&mut self.changes, self.base.map(|base| base.file.as_str()))?)
    }

    fn compare(&mut self, with: &Snapshot) -> Result<(), AuditError> {
        let merge = self.merge()?;
        compare(self.audit, merge, Items::open(self.auditor.storage, &with.file)?)
    }

    /// Folds to the end and returns how many counters there are.
    fn count(&mut self) -> Result<u64, AuditError> {
        let mut merge = self.merge()?;
        let mut counters = 0;
        while let Some(((_, key), _)) = merge.next()? {
            counters += u64::from(matches!(key, ItemKey::Counter(_)));
        }
        Ok(counters)
    }
}

fn compare<S: Storage>(
    audit: &mut Audit,
    mut log: Merge<S>,
    mut snapshot: Items<S>,
) -> Result<(), AuditError> {
    let (mut ours, mut theirs) = (log.next()?, snapshot.next()?);
    loop {
        let place = match (&ours, &theirs) {
            (None, None) => return Ok(()),
            (Some(a), Some(b)) => a.0.clone().min(b.0.clone()),
            (Some(one), None) | (None, Some(one)) => one.0.clone(),
        };
        let a = ours.take_if(|item| item.0 == place).map(|item| item.1);
        let b = theirs.take_if(|item| item.0 == place).map(|item| item.1);
        if a.is_some() {
            ours = log.next()?;
        }
        if b.is_some() {
            theirs = snapshot.next()?;
        }
        audit.compared += 1;
        note(audit, place, a, b);
    }
}

fn note(audit: &mut Audit, place: Place, log: Option<ItemValue>, snapshot: Option<ItemValue>) {
    if log == snapshot {
        return;
    }
    audit.different += 1;
    if audit.differences.len() < DIFFERENCES_MAX {
        let (shard, item) = place;
        audit.differences.push(Difference { shard, item, log, snapshot });
    }
}
