//! From a backup to a store: the snapshot with a new life of every shard, and a log that goes on
//! after it.

use quipu_core::snapshot::{ItemValue, ShardMeta, put_item};

use crate::{
    backup::{BackupError, Manifest, verify},
    snapshot::{self, Items, UNFINISHED},
    sorted_file::{Header, Kind, Writer, failed},
    storage::Storage,
    wal::{Identity, Options, RESTORING, RecoverError, establish},
};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// The life before the first one of the restored shards.
    pub epoch: u64,
}

/// Verifies the backup in `from` and makes a store of it in the empty directory `to`. The first
/// start of the store opens an epoch after `epoch`, which must be later than any that the store of
/// the backup has had or will have.
///
/// # Errors
/// The backup is none, damaged, or does not belong together; the directory is not empty or cannot be
/// written. What was written until then is no store: nothing starts from it.
pub fn restore<S: Storage, T: Storage>(
    from: &S,
    to: &T,
    epoch: u64,
    mut options: Options,
) -> Result<Restored, BackupError> {
    let manifest = verify(from)?;
    refuse_full(to)?;
    to.create(RESTORING).map_err(failed("create", RESTORING))?;
    to.sync_dir().map_err(failed("sync", "the data directory"))?;
    let newest = manifest.shards.iter().map(|at| at.epoch).max().unwrap_or(0);
    let epoch = epoch.max(newest + 1);
    write_snapshot(from, to, &manifest, epoch)?;
    let shards = u16::try_from(manifest.shards.len()).unwrap_or(u16::MAX);
    options.identity = Identity { store_id: manifest.store_id, shards };
    establish(to, manifest.position, options)?;
    to.remove(RESTORING).map_err(failed("remove", RESTORING))?;
    to.sync_dir().map_err(failed("sync", "the data directory"))?;
    Ok(Restored { manifest, epoch })
}

fn refuse_full<T: Storage>(to: &T) -> Result<(), BackupError> {
    let names = to.list().map_err(failed("list", "the data directory"))?;
    match names.into_iter().find(|name| name != crate::storage::os::LOCK_FILE) {
        Some(file) if file == RESTORING => Err(RecoverError::HalfRestored.into()),
        Some(file) => Err(BackupError::NotEmpty { file }),
        None => Ok(()),
    }
}

fn write_snapshot<S: Storage, T: Storage>(
    from: &S,
    to: &T,
    manifest: &Manifest,
    epoch: u64,
) -> Result<(), BackupError> {
    let Manifest { store_id, position, .. } = *manifest;
    let time_s = u32::try_from(manifest.time_s).unwrap_or(u32::MAX);
    let header = Header { kind: Kind::Snapshot, store_id, position, time_s };
    let mut items = Items::open(from, &manifest.file)?;
    let mut writer = Writer::create(to, UNFINISHED, &header)?;
    while let Some((place, value)) = items.next()? {
        let value = match value {
            ItemValue::Shard(meta) => ItemValue::Shard(ShardMeta { epoch, ..meta }),
            other => other,
        };
        writer.put(|out| put_item(out, &place, &value))?;
    }
    writer.finish()?;
    let name = snapshot::name(position);
    to.rename(UNFINISHED, &name).map_err(failed("name", &name))?;
    to.sync_dir().map_err(failed("sync", "the data directory"))?;
    let written = Manifest::of(to, (store_id, position), manifest.taken_s)?;
    let same = (written.items, written.counters, written.tokens, written.streams)
        == (manifest.items, manifest.counters, manifest.tokens, manifest.streams);
    if same { Ok(()) } else { Err(BackupError::Other { file: name, what: "a count" }) }
}
