//! Snapshots: sorted files that are right, forged or spoiled, and what a start makes of them.
//!
//! The script writes files by the layout that `docs/formats.md` states, in an encoder of its own,
//! each field mostly right and sometimes not, with checksums over what stands there. Finding
//! the newest never panics and gives the same answer every time; a file in which nothing is wrong
//! is found, and its items come back; one that fails its checks is passed over; what is loaded is
//! a shard that a node can go on from.

use quipu_core::bytes::put_varint;
use quipu_core::effect::Counter;
use quipu_core::name::Name;
use quipu_core::outcome::Verdict;
use quipu_core::replay::FoldError;
use quipu_core::snapshot::{ItemKey, ItemValue, Place, ShardMeta, put_item, read_item};
use quipu_core::token::TokenRecord;
use quipu_log::snapshot::{Newest, Snapshot, load, name, newest};
use quipu_log::storage::Storage;
use quipu_log::storage::memory::Memory;
use stdx::checksum::crc32c;
use stdx::hash::hash128;

use crate::disk::{Spoiled, spoil, write};
use crate::script::Script;
use crate::shards::{live, recovering};

const STORE_ID: u64 = 7;

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let disk = Memory::new();
    let mut right = None;
    for _ in 0..=script.below(2) {
        let file = File::new(&mut script);
        if disk.create(&file.name).is_err() {
            continue;
        }
        write(&disk, &file.name, 0, &file.bytes);
        if file.is_right && right.as_ref().is_none_or(|other: &File| other.name < file.name) {
            right = Some(file);
        }
    }
    let mut spoiled = Spoiled::default();
    while !script.is_done() {
        spoil(&disk, &mut script, &mut spoiled);
    }
    let found = newest(&disk, STORE_ID);
    assert_eq!(format!("{found:?}"), format!("{:?}", newest(&disk, STORE_ID)), "every time");
    let Ok(Newest { snapshot, damaged }) = found else { return };
    assert!(damaged.iter().all(|error| error.is_damage() && !error.to_string().is_empty()));
    if let Some(file) = right.filter(|_| spoiled == Spoiled::default()) {
        let found = snapshot.as_ref().expect("a right file is found");
        assert!(found.file >= file.name);
        if found.file == file.name {
            assert_eq!(items(&disk, found), file.items);
        }
    }
    if let Some(snapshot) = snapshot {
        start(&disk, &snapshot);
    }
}

fn items(disk: &Memory, snapshot: &Snapshot) -> Vec<(Place, ItemValue)> {
    let mut items = Vec::new();
    let loaded = load(disk, snapshot, |place, value| {
        items.push((place.clone(), *value));
        Ok::<_, FoldError>(())
    });
    loaded.expect("what was checked loads");
    items
}

/// A node starts from a snapshot, if its shards can be.
fn start(disk: &Memory, snapshot: &Snapshot) {
    let mut shards = recovering();
    let loaded = load(disk, snapshot, |place, value| shards.load(place, value));
    assert_eq!(snapshot.footer.items as usize, items(disk, snapshot).len());
    if loaded.is_ok() {
        live(shards.finish(1), &["a", "b"]);
    }
}

/// A sorted file of this encoder.
struct File {
    name: String,
    bytes: Vec<u8>,
    /// What is in it, and whether nothing in it is wrong.
    items: Vec<(Place, ItemValue)>,
    is_right: bool,
}

impl File {
    fn new(script: &mut Script<'_>) -> Self {
        let position = script.number();
        let mut file =
            Self { name: name(position), bytes: Vec::new(), items: Vec::new(), is_right: true };
        file.header(script, position);
        let mut digest = (0, 0, 0);
        for _ in 0..script.below(4) {
            file.block(script, &mut digest);
        }
        file.footer(script, digest);
        file
    }

    /// Says mostly `right`, and sometimes what the script says instead.
    fn twist(&mut self, script: &mut Script<'_>, right: u64) -> u64 {
        if !script.chance(6) {
            return right;
        }
        let said = script.number();
        self.is_right &= said == right;
        said
    }

    /// Ends a part with the checksum of all of it.
    fn seal(&mut self, script: &mut Script<'_>, from: usize) {
        self.bytes.extend_from_slice(&[0; 4]);
        let right = u64::from(crc32c(&self.bytes[from..]));
        let checksum = self.twist(script, right) as u32;
        self.is_right &= u64::from(checksum) == right;
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
    }

    fn header(&mut self, script: &mut Script<'_>, position: u64) {
        self.bytes.extend_from_slice(b"QUIPUSRT");
        let version = self.twist(script, 1) as u16;
        let kind = self.twist(script, 1) as u16;
        self.bytes.extend_from_slice(&version.to_le_bytes());
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        for right in [STORE_ID, position] {
            let said = self.twist(script, right);
            self.bytes.extend_from_slice(&said.to_le_bytes());
        }
        // The checksum's own padding is part of the header.
        self.seal(script, 0);
    }

    fn block(&mut self, script: &mut Script<'_>, digest: &mut (u64, u64, u128)) {
        let mut body = Vec::new();
        for _ in 0..=script.below(5) {
            self.item(script, &mut body);
            digest.0 += 1;
        }
        let number = self.twist(script, digest.1);
        let mut checked = number.to_le_bytes().to_vec();
        checked.extend_from_slice(&body);
        let length = self.twist(script, body.len() as u64) as u32;
        let checksum = self.twist(script, u64::from(crc32c(&checked))) as u32;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes.extend_from_slice(&checked);
        digest.1 += 1;
        digest.2 = hash128(digest.2 as u64, &body);
    }

    fn footer(&mut self, script: &mut Script<'_>, (items, blocks, digest): (u64, u64, u128)) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(b"QUIPUEND");
        for right in [items, blocks, digest as u64, (digest >> 64) as u64] {
            let said = self.twist(script, right);
            self.bytes.extend_from_slice(&said.to_le_bytes());
        }
        self.seal(script, from);
    }

    /// An item that follows the last one, or bytes that may be none.
    fn item(&mut self, script: &mut Script<'_>, out: &mut Vec<u8>) {
        if script.chance(16) {
            let body = script.bytes(64);
            let length = self.twist(script, body.len() as u64);
            put_varint(out, length);
            out.extend_from_slice(body);
            self.is_right = false;
            if let Ok((place, value)) = read_item(body) {
                let mut again = Vec::new();
                put_item(&mut again, &place, &value);
                assert!(read_item(&again[1..]).is_ok_and(|read| read == (place, value)));
            }
            return;
        }
        let item = item(script);
        put_item(out, &item.0, &item.1);
        self.is_right &= self.items.last().is_none_or(|last| last.0 < item.0);
        if let ItemValue::Shard(meta) = item.1 {
            let counts = [meta.epoch, meta.batch, meta.time_ms];
            self.is_right &= counts.iter().all(|count| *count <= u64::MAX >> 1);
        }
        self.items.push(item);
    }
}

fn item(script: &mut Script<'_>) -> (Place, ItemValue) {
    let shard = script.number() as u16;
    let (key, value) = match script.below(4) {
        0 => (ItemKey::Shard, ItemValue::Shard(meta(script))),
        1 => {
            let name = [b'a' + script.byte() % 26];
            let expires_at = script.chance(60).then(|| script.number());
            let counter = Counter { value: Some(script.signed()), expires_at };
            let name = str::from_utf8(&name).expect("a letter");
            (ItemKey::Counter(Name::new(name)), ItemValue::Counter(counter))
        }
        2 => {
            let record = token(script);
            (ItemKey::Token(record.key), ItemValue::Token(record))
        }
        _ => {
            let checkpoint = script.chance(128).then(|| script.number());
            let value = ItemValue::Stream { mark: script.number(), checkpoint };
            (ItemKey::Stream(script.bytes(2).into()), value)
        }
    };
    ((shard, key), value)
}

fn meta(script: &mut Script<'_>) -> ShardMeta {
    ShardMeta {
        epoch: script.number(),
        batch: script.number(),
        time_ms: script.number(),
        window_ms: script.number(),
    }
}

fn token(script: &mut Script<'_>) -> TokenRecord {
    TokenRecord {
        key: u128::from(script.number()) << 64,
        fingerprint: u128::from(script.number()),
        verdict: Verdict::from_byte(script.byte() & 3).expect("two bits are a verdict"),
        value: script.chance(128).then(|| script.signed()),
        previous: script.chance(128).then(|| script.signed()),
        applied: script.signed(),
        expires_at: script.chance(60).then(|| script.number()),
        epoch: script.number(),
        batch: script.number(),
        deadline_ms: script.number(),
    }
}
