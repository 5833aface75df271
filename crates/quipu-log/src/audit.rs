//! Counts again: folds the retained log from the oldest snapshot and compares with the newest.
//!
//! For a directory that no process has open. Changes nothing but files of its own, which it
//! removes.

use quipu_core::snapshot::{ItemKey, ItemValue, Place};
use thiserror::Error;

use crate::{
    fold::{Changes, FoldFailed, Merge},
    snapshot::{self, Items, Snapshot},
    sorted_file::{Header, Kind, SortedFileError},
    storage::Storage,
    wal::{Cut, Identity, RecoverError, identify, replay},
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
    /// The position of the newest snapshot that checks; 0 when there is none.
    pub snapshot: u64,
    /// The last position of the log.
    pub upto: u64,
    /// How many frames were folded.
    pub frames: u64,
    /// How many counters exist at the end.
    pub counters: u64,
    /// How many items were compared with the newest snapshot.
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
    fn note_unfit(&mut self, result: Result<(), AuditError>) -> Result<(), AuditError> {
        match result {
            Err(AuditError::Fold(unfit @ FoldFailed::Item { .. })) => {
                self.unfit.push(unfit);
                Ok(())
            }
            other => other,
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
    let newest = snapshots.last();
    audit.snapshot = newest.map_or(0, |newest| newest.position);
    if let Some(newest) = newest {
        let result = auditor.recount(&mut audit, &snapshots, newest);
        audit.note_unfit(result)?;
    }
    let result = auditor.fold_rest(&mut audit, newest);
    audit.note_unfit(result)?;
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

    /// Folds the log up to the newest snapshot and compares.
    fn recount(
        &self,
        audit: &mut Audit,
        snapshots: &[Snapshot],
        newest: &Snapshot,
    ) -> Result<(), AuditError> {
        let older = snapshots.first().filter(|oldest| oldest.position < newest.position);
        audit.from = older.map_or(0, |older| older.position);
        let mut changes = self.changes();
        let range = (audit.from, newest.position);
        match self.compose(&mut changes, older, range, audit) {
            // Without history there is nothing to recount; the snapshot itself was checked.
            Err(AuditError::Log(RecoverError::Gap { .. })) if older.is_none() => {
                audit.from = newest.position;
                return Ok(());
            }
            other => other?,
        }
        let compared = self.compare(audit, &mut changes, older, newest);
        changes.remove_runs()?;
        compared
    }

    fn compare(
        &self,
        audit: &mut Audit,
        changes: &mut Changes<S>,
        older: Option<&Snapshot>,
        newest: &Snapshot,
    ) -> Result<(), AuditError> {
        let merge = Merge::new(changes, older.map(|older| older.file.as_str()))?;
        compare(audit, merge, Items::open(self.storage, &newest.file)?)
    }

    /// Folds the log after the newest snapshot, to see that it fits.
    fn fold_rest(&self, audit: &mut Audit, newest: Option<&Snapshot>) -> Result<(), AuditError> {
        let mut changes = self.changes();
        self.compose(&mut changes, newest, (audit.snapshot, u64::MAX), audit)?;
        let counted = count(&mut changes, newest);
        changes.remove_runs()?;
        audit.counters = counted?;
        Ok(())
    }

    fn changes(&self) -> Changes<S> {
        let header = Header { kind: Kind::Run, store_id: self.store_id, position: 0 };
        Changes::new(self.storage.clone(), header, self.memory_bytes)
    }

    /// Composes the frames after the first position up to the second.
    fn compose(
        &self,
        changes: &mut Changes<S>,
        base: Option<&Snapshot>,
        (after, upto): (u64, u64),
        audit: &mut Audit,
    ) -> Result<(), AuditError> {
        if let Some(base) = base {
            for (shard, meta) in snapshot::metas(self.storage, self.store_id, base.position)? {
                changes.set_base(shard, meta);
            }
        }
        let mut frames = 0;
        let report = replay(self.storage, after + 1, |position, payload| {
            if position > upto {
                return Ok(());
            }
            frames += 1;
            changes.add(position, payload)
        })?;
        audit.frames += frames;
        audit.upto = report.position;
        audit.cut = report.cut;
        Ok(())
    }
}

/// Folds to the end and returns how many counters there are.
fn count<S: Storage>(
    changes: &mut Changes<S>,
    newest: Option<&Snapshot>,
) -> Result<u64, AuditError> {
    let mut merge = Merge::new(changes, newest.map(|newest| newest.file.as_str()))?;
    let mut counters = 0;
    while let Some(((_, key), _)) = merge.next()? {
        counters += u64::from(matches!(key, ItemKey::Counter(_)));
    }
    Ok(counters)
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
