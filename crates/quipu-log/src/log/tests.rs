//! What every log must do, shown on each of them.

use crate::{
    log::{
        Cut, Log,
        local::WalLog,
        memory::{Manner, MemoryLog},
    },
    storage::memory::Memory,
    wal::{Options, recover},
};

fn wal_log() -> WalLog<Memory> {
    let mut next = 0;
    let mut options = Options::new(Box::new(move || {
        next += 1;
        next
    }));
    options.segment_bytes = 64 << 10;
    options.frame_bytes_max = 4096;
    let visit = |_, _: &[u8]| Ok::<(), std::convert::Infallible>(());
    WalLog::new(recover(&Memory::new(), options, 1, visit).unwrap().wal)
}

fn check_all(check: impl Fn(&mut dyn Log)) {
    check(&mut wal_log());
    check(&mut MemoryLog::new(Manner::InTurn));
    for seed in 0..20 {
        check(&mut MemoryLog::new(Manner::Late(seed)));
    }
}

fn cut(batches: &[(u16, u64)]) -> Cut {
    let mut cut = Cut::default();
    for (shard, batch) in batches {
        cut.push(*shard, *batch, &batch.to_le_bytes());
    }
    cut
}

#[test]
fn everything_appended_becomes_durable_once_and_in_order() {
    check_all(|log| {
        let mut newest = [0_u64; 3];
        let mut durable = Vec::new();
        for batch in 1..=10 {
            log.append(&cut(&[(0, batch), (1, batch), (2, batch)])).unwrap();
            drain(log, &mut durable, &mut newest);
        }
        for _ in 0..1000 {
            drain(log, &mut durable, &mut newest);
        }
        assert_eq!(newest, [10; 3]);
    });
}

fn drain(log: &mut dyn Log, durable: &mut Vec<(u16, u64)>, newest: &mut [u64; 3]) {
    durable.clear();
    log.flush(durable).unwrap();
    let mut seen = Vec::new();
    for (shard, batch) in durable.iter().copied() {
        assert!(!seen.contains(&shard), "a shard is reported once per flush");
        seen.push(shard);
        assert!(batch > newest[usize::from(shard)], "only news are reported");
        newest[usize::from(shard)] = batch;
    }
}

#[test]
fn nothing_is_durable_before_a_flush_says_so() {
    check_all(|log| {
        let mut durable = Vec::new();
        log.flush(&mut durable).unwrap();
        assert_eq!(durable, []);
        assert!(log.room() >= 16);
        log.append(&cut(&[(7, 1)])).unwrap();
        log.mark().unwrap();
    });
}

#[test]
fn a_log_says_what_it_wrote_and_what_it_needs() {
    check_all(|log| {
        let before = log.written();
        log.append(&cut(&[(1, 1)])).unwrap();
        log.flush(&mut Vec::new()).unwrap();
        let after = log.written();
        // A log in memory has no bytes on a disk, and nothing to prepare or to close.
        let is_memory = after.bytes == 0;
        assert!(is_memory || after.bytes > before.bytes);
        assert!(!is_memory || !log.needs_segment() && !log.seal().unwrap());
    });
}

#[test]
fn a_log_that_groups_reports_whole_cuts() {
    check_all(|log| {
        let mut durable = Vec::new();
        for batch in 1..=20 {
            log.append(&cut(&[(0, batch), (1, batch)])).unwrap();
            durable.clear();
            log.flush(&mut durable).unwrap();
            let whole = durable.iter().filter(|(_, b)| *b == batch).count();
            assert!(!log.groups() || whole == 2, "{durable:?}");
        }
    });
}

#[test]
fn a_late_log_has_several_batches_in_flight_and_shards_out_of_step() {
    let mut log = MemoryLog::new(Manner::Late(1));
    for batch in 1..=20 {
        log.append(&cut(&[(0, batch), (1, batch)])).unwrap();
        log.flush(&mut Vec::new()).unwrap();
    }
    assert!(!log.is_idle());
    assert!(log.order().windows(3).any(|w| w[0].0 == w[1].0 && w[1].0 == w[2].0));
    let batches: Vec<u64> = log.durable(0).iter().map(|(batch, _)| *batch).collect();
    assert!(batches.iter().copied().eq(1..=batches.len() as u64));
}

#[test]
fn an_emptied_cut_keeps_its_memory() {
    let mut cut = cut(&[(0, 1), (1, 2)]);
    assert_eq!(cut.bytes(&cut.batches[1]), 2_u64.to_le_bytes());
    let (bytes, batches) = (cut.payload.capacity(), cut.batches.capacity());
    cut.clear();
    assert_eq!((cut.payload.capacity(), cut.batches.capacity()), (bytes, batches));
    assert!(cut.payload.is_empty() && cut.batches.is_empty());
}
