//! What a power cut, a killed process and a damaged disk leave, and what recovery makes of it.

use quipu_core::canary::Bug;
use quipu_core::op::{Action, Add, Op, Token, Ttl};
use quipu_log::storage::fault::Faulty;
use quipu_log::storage::memory::{Keep, Memory};
use quipu_log::storage::{Storage, StorageFile};
use quipu_log::wal::frame::{HEADER_BYTES, Header, Kind};
use stdx::checksum::crc32c;

use crate::life::{Disk, Life, cut_power, disk, outcome};
use crate::{Claim, claim};

pub(crate) const CHECKS: &[(Bug, Claim)] = &[
    (Bug::SyncNothing, what_is_committed_survives_a_power_cut),
    (Bug::NoDirSync, what_is_committed_survives_a_power_cut),
    (Bug::NextSegmentEarly, what_is_committed_survives_a_power_cut),
    (Bug::TornTailAccepted, a_torn_frame_counts_whole_or_not_at_all),
    (Bug::DamageCutOff, damage_before_a_mark_is_refused),
    (Bug::TailNotRewritten, what_a_restart_served_survives_a_power_cut),
    (Bug::SegmentIdUnchecked, a_frame_of_another_use_does_not_count),
    (Bug::LinkUnchecked, a_frame_that_follows_another_does_not_count),
    (Bug::GroupSplit, a_group_is_there_whole_or_not_at_all),
    (Bug::ExpiryUnrecorded, what_expired_is_gone_from_the_log_too),
];

/// Where frames begin in the first segment: after its header and the mark of its birth.
const FIRST_SEGMENT: &str = "segment-0000000000000001.wal";

fn value_after_a_cut(disk: &Disk, name: &str) -> Result<Option<i64>, String> {
    Ok(Life::start(&cut_power(disk))?.value(name))
}

/// Over two segments; the last frame of the first is not synced by itself.
fn what_is_committed_survives_a_power_cut() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    life.append()?;
    life.seal()?;
    life.add("a", 1);
    life.commit()?;
    let found = value_after_a_cut(&disk, "a")?;
    claim(found == Some(2), "what was committed is not there after a power cut")
}

fn a_torn_frame_counts_whole_or_not_at_all() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    let names: Vec<String> = (0..9).map(|n| format!("{n:0>200}")).collect();
    for name in &names {
        life.add(name, 1);
    }
    life.append()?;
    let index = disk.inner().unsynced() - 1;
    for seed in 0..20 {
        let torn = disk.inner().power_cut(Keep::Torn { index, others: true, seed });
        let life = Life::start(&Faulty::new(torn))?;
        let there = names.iter().filter(|name| life.value(name).is_some()).count();
        claim(there == 0 || there == names.len(), "half of a torn frame counted")?;
    }
    Ok(())
}

fn damage_before_a_mark_is_refused() -> Result<(), String> {
    use quipu_log::log::Log;
    let disk = disk();
    let mut life = Life::start(&disk)?;
    for _ in 0..3 {
        life.add("a", 1);
        life.commit()?;
    }
    life.log.mark().map_err(|error| error.to_string())?;
    let image = disk.inner().power_cut(Keep::None);
    let payload = image.block_bytes() as usize * 3 + HEADER_BYTES;
    assert!(image.flip_bit(FIRST_SEGMENT, 8 * payload as u64), "the segment is there");
    let started = Life::start(&Faulty::new(image));
    claim(started.is_err(), "damage to what was acknowledged was cut off")
}

/// The pages of a failed sync are clean: the page cache shows what the device never takes.
fn what_a_restart_served_survives_a_power_cut() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    life.append()?;
    disk.lose_next_sync();
    claim(life.flush().is_err(), "a commit says durable although its sync failed")?;
    drop(life);
    let served = Life::start(&disk)?.value("a");
    let found = value_after_a_cut(&disk, "a")?;
    claim(found == served, "what a restart served is not there after a power cut")
}

/// The last frame of the first segment: its header and checksum, and where the next would begin.
fn last_frame(disk: &Memory) -> (Header, u32, u64) {
    let file = disk.open(FIRST_SEGMENT).expect("the first segment");
    let block = u64::from(disk.block_bytes());
    let length = file.length().expect("a length");
    let mut last = None;
    for offset in (block..length).step_by(block as usize) {
        let mut bytes = [0; HEADER_BYTES];
        file.read_at(&mut bytes, offset).expect("a block");
        if let Ok((header, checksum)) = Header::decode(&bytes) {
            let extent = (HEADER_BYTES as u64 + u64::from(header.length)).next_multiple_of(block);
            last = Some((header, checksum, offset + extent));
        }
    }
    last.expect("a frame")
}

/// Puts a frame after the last one, which is as `forge` makes it, and starts.
fn start_with_forged(forge: impl FnOnce(&mut Header)) -> Result<(), String> {
    const PAYLOAD: &[u8] = b"stale";
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    life.commit()?;
    let memory = disk.inner().copy();
    let (last, checksum, offset) = last_frame(&memory);
    let mut header = Header {
        kind: Kind::Data,
        length: PAYLOAD.len() as u32,
        payload_crc: crc32c(PAYLOAD),
        position: last.position + 1,
        link: checksum,
        ..last
    };
    forge(&mut header);
    let mut bytes = header.encode().0.to_vec();
    bytes.extend_from_slice(PAYLOAD);
    let file = memory.open(FIRST_SEGMENT).expect("the first segment");
    file.write_at(&bytes, offset).expect("room");
    let started = Life::start(&Faulty::new(memory));
    let life = started.map_err(|error| format!("a frame that is none was read: {error}"))?;
    claim(life.value("a") == Some(1), "a frame that is none changed a value")
}

fn a_frame_of_another_use_does_not_count() -> Result<(), String> {
    start_with_forged(|header| header.segment_id ^= 1)
}

fn a_frame_that_follows_another_does_not_count() -> Result<(), String> {
    start_with_forged(|header| header.link ^= 1)
}

fn a_group_is_there_whole_or_not_at_all() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    let names = ["a", "b", "c", "d", "e"];
    let add = |name| Op { name, action: Action::Add(Add::plain(1)), token: Token::None };
    let ops = names.map(add);
    let done = life.node.atomic(life.now_ms, &ops, &mut Vec::new());
    claim(done.is_ok(), "a group was refused")?;
    life.append()?;
    let unsynced = disk.inner().unsynced();
    let keeps = (0..unsynced).flat_map(|n| [Keep::Only(n), Keep::AllBut(n)]);
    for keep in keeps.chain([Keep::None, Keep::All]) {
        let life = Life::start(&Faulty::new(disk.inner().power_cut(keep)))?;
        let there = names.iter().filter(|name| life.value(name).is_some()).count();
        claim(there == 0 || there == names.len(), "half of a group is there after a power cut")?;
    }
    Ok(())
}

fn what_expired_is_gone_from_the_log_too() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    let add = Add { ttl: Ttl::After(10), ..Add::plain(5) };
    outcome(&life.perform("a", Action::Add(add)))?;
    life.commit()?;
    life.now_ms += 100;
    let again = outcome(&life.add("a", 1))?;
    assert_eq!(again.value, Some(1), "it begins again");
    life.commit()?;
    let found = value_after_a_cut(&disk, "a")?;
    claim(found == Some(1), "the log tells another value than the table")
}
