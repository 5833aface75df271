//! The file that says what a backup holds: lines of text for people, closed by a checksum.
//!
//! ```text
//! quipu-backup 1
//! store 0102030405060708             the identity of the store, hexadecimal
//! position 1234                      the last log position in it
//! time 1790000000                    the newest log time in it, Unix seconds
//! taken 1790000001                   when it was taken, Unix seconds
//! file snapshot-00000000000000001234.items
//! bytes 4711
//! items 70
//! counters 5
//! tokens 1
//! streams 0
//! digest 000102030405060708090a0b0c0d0e0f
//! shard 0 3 17                       shard, epoch, batch: one line each
//! crc32c 01020304                    of all bytes before this line
//! ```

use std::fmt::Write as _;
use std::str::FromStr;

use quipu_core::snapshot::ItemValue;
use stdx::checksum::crc32c;

use crate::{
    backup::{BackupError, MANIFEST},
    snapshot::{self, Snapshot},
    sorted_file::{SortedFileError, failed},
    storage::{Storage, StorageFile},
};

/// Largest manifest that is read: 1,024 shards and their longest numbers fit twice.
const BYTES_MAX: u64 = 128 << 10;

/// Up to where a shard is in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardAt {
    /// The shard.
    pub shard: u16,
    /// The life of its owner.
    pub epoch: u64,
    /// Its newest batch.
    pub batch: u64,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The identity of the store.
    pub store_id: u64,
    /// The last log position in it.
    pub position: u64,
    /// The newest log time in it, Unix seconds.
    pub time_s: u64,
    /// When it was taken, Unix seconds.
    pub taken_s: u64,
    /// The snapshot.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its items.
    pub items: u64,
    /// How many of them are counters.
    pub counters: u64,
    /// How many of them are tokens.
    pub tokens: u64,
    /// How many of them are streams.
    pub streams: u64,
    /// The digest of all items.
    pub digest: u128,
    /// Up to where each shard is.
    pub shards: Vec<ShardAt>,
}

impl Manifest {
    /// Reads the snapshot of a backup whole and says what it holds.
    pub(super) fn of<S: Storage>(
        storage: &S,
        (store_id, position): (u64, u64),
        taken_s: u64,
    ) -> Result<Self, SortedFileError> {
        let (mut shards, mut counts) = (Vec::new(), [0; 3]);
        let found =
            snapshot::check(storage, store_id, position, |(shard, _), value| match value {
                ItemValue::Shard(meta) => {
                    let (epoch, batch) = (meta.epoch, meta.batch);
                    shards.push(ShardAt { shard: *shard, epoch, batch });
                }
                ItemValue::Counter(_) => counts[0] += 1,
                ItemValue::Token(_) => counts[1] += 1,
                ItemValue::Stream { .. } => counts[2] += 1,
            })?;
        let Snapshot { position, file, bytes, footer, time_s } = found;
        let [counters, tokens, streams] = counts;
        Ok(Self {
            store_id,
            position,
            time_s: u64::from(time_s),
            taken_s,
            file,
            bytes,
            items: footer.items,
            counters,
            tokens,
            streams,
            digest: footer.digest,
            shards,
        })
    }

    pub(super) fn encode(&self) -> String {
        let mut text = String::from("quipu-backup 1\n");
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{key} {value}").expect("a string takes text");
        };
        line("store", &format!("{:016x}", self.store_id));
        line("position", &self.position);
        line("time", &self.time_s);
        line("taken", &self.taken_s);
        line("file", &self.file);
        line("bytes", &self.bytes);
        line("items", &self.items);
        line("counters", &self.counters);
        line("tokens", &self.tokens);
        line("streams", &self.streams);
        line("digest", &format!("{:032x}", self.digest));
        for ShardAt { shard, epoch, batch } in &self.shards {
            line("shard", &format!("{shard} {epoch} {batch}"));
        }
        let checksum = crc32c(text.as_bytes());
        writeln!(text, "crc32c {checksum:08x}").expect("a string takes text");
        text
    }

    fn decode(bytes: &[u8]) -> Result<Self, BackupError> {
        let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.valid_up_to()))?;
        let version = text.lines().next().and_then(|line| line.strip_prefix("quipu-backup "));
        let at = text.rfind("crc32c ").ok_or_else(|| damaged(text.len()))?;
        let (body, close) = text.split_at(at);
        if close != format!("crc32c {:08x}\n", crc32c(body.as_bytes())) {
            return Err(damaged(at));
        }
        match version {
            Some("1") => {}
            Some(other) => return Err(BackupError::UnknownVersion { found: other.to_owned() }),
            None => return Err(damaged(0)),
        }
        Lines { text: body }.manifest().ok_or_else(|| damaged(0))
    }
}

/// The lines of a manifest whose checksum is right.
struct Lines<'a> {
    text: &'a str,
}

impl<'a> Lines<'a> {
    fn all(&self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(' '))
    }

    fn number<N: FromStr>(&self, key: &'a str) -> Option<N> {
        self.all(key).next()?.parse().ok()
    }

    fn manifest(&self) -> Option<Manifest> {
        Some(Manifest {
            store_id: u64::from_str_radix(self.all("store").next()?, 16).ok()?,
            position: self.number("position")?,
            time_s: self.number("time")?,
            taken_s: self.number("taken")?,
            file: self.number("file")?,
            bytes: self.number("bytes")?,
            items: self.number("items")?,
            counters: self.number("counters")?,
            tokens: self.number("tokens")?,
            streams: self.number("streams")?,
            digest: u128::from_str_radix(self.all("digest").next()?, 16).ok()?,
            shards: self.all("shard").map(shard).collect::<Option<_>>()?,
        })
    }
}

fn shard(text: &str) -> Option<ShardAt> {
    let mut numbers = text.split(' ');
    let shard = numbers.next()?.parse().ok()?;
    let epoch = numbers.next()?.parse().ok()?;
    let batch = numbers.next()?.parse().ok()?;
    Some(ShardAt { shard, epoch, batch })
}

fn damaged(offset: usize) -> BackupError {
    let (file, offset, what) = (MANIFEST.to_owned(), offset as u64, "the text");
    SortedFileError::Damaged { file, offset, what }.into()
}

fn read<S: Storage>(storage: &S) -> Result<Manifest, BackupError> {
    let names = storage.list().map_err(failed("list", "the backup"))?;
    if !names.iter().any(|name| name == MANIFEST) {
        return Err(BackupError::Missing);
    }
    let file = storage.open(MANIFEST).map_err(failed("open", MANIFEST))?;
    let length = file.length().map_err(failed("measure", MANIFEST))?;
    if length > BYTES_MAX {
        return Err(damaged(BYTES_MAX as usize));
    }
    let mut bytes = vec![0; length as usize];
    let count = file.read_at(&mut bytes, 0).map_err(failed("read", MANIFEST))?;
    Manifest::decode(bytes.get(..count).unwrap_or_default())
}

/// Reads a backup whole and says what it holds.
///
/// # Errors
/// It is none, is damaged, or its parts do not belong together.
pub fn verify<S: Storage>(storage: &S) -> Result<Manifest, BackupError> {
    let said = read(storage)?;
    let found = Manifest::of(storage, (said.store_id, said.position), said.taken_s)?;
    let other = |what| BackupError::Other { file: found.file.clone(), what };
    if found.digest != said.digest {
        return Err(other("the digest"));
    }
    if found.shards != said.shards {
        return Err(other("the position of a shard"));
    }
    if found != said { Err(other("a count")) } else { Ok(said) }
}
