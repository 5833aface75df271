//! Segments: a log that was written, cut off from power, spoiled, and opened again.
//!
//! The script writes a log of small segments with the real writer, with restarts and power cuts,
//! then spoils its files, with checksums made right again or not. Opening never panics and gives the
//! same answer every time; what it serves is a prefix of what was written, and holds all that was
//! acknowledged, unless files were damaged by more than one byte or forged; what it serves it
//! serves again, and the log goes on after it.

use std::convert::Infallible;

use quipu_log::storage::memory::{Keep, Memory};
use quipu_log::wal::{Identity, Options, RecoverError, Recovered, Report, recover, replay};
use stdx::hash::hash64;

use crate::disk::{Spoiled, spoil};
use crate::script::Script;

/// Largest payload: a frame takes one block or two.
const PAYLOAD_BYTES_MAX: usize = 600;

/// Header, two frames and more.
const SEGMENT_BYTES: u64 = 4096;

/// Most steps of each phase: keeps logs small and executions many.
const STEPS_MAX: usize = 14;

/// A log on its disk, and what is known of it from outside.
struct Store {
    disk: Memory,
    open: Option<Recovered<Memory>>,
    written: Vec<Vec<u8>>,
    /// How many payloads were acknowledged.
    acknowledged: usize,
    /// Whether a mark frame is the last.
    marked: bool,
    lives: u64,
}

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut store = Store {
        disk: Memory::new(),
        open: None,
        written: Vec::new(),
        acknowledged: 0,
        marked: false,
        lives: 0,
    };
    store.restart();
    for _ in 0..STEPS_MAX {
        if script.is_done() || !store.step(&mut script) {
            break;
        }
    }
    store.open = None;
    let mut spoiled = Spoiled::default();
    for _ in 0..STEPS_MAX {
        if script.is_done() {
            break;
        }
        spoil(&store.disk, &mut script, &mut spoiled);
    }
    store.judge(spoiled);
}

fn options(seed: u64) -> Options {
    let mut drawn = 0_u64;
    let mut options = Options::new(Box::new(move || {
        drawn += 1;
        hash64(seed, &drawn.to_le_bytes())
    }));
    options.segment_bytes = SEGMENT_BYTES;
    options.frame_bytes_max = PAYLOAD_BYTES_MAX as u32;
    options.identity = Identity { store_id: 7, shards: 4 };
    options
}

/// What opening a log gave: the payloads and the report, or the error as it is said.
type Opened = Result<(Vec<Vec<u8>>, Report), String>;

fn open(disk: &Memory, life: u64) -> (Opened, Option<Recovered<Memory>>) {
    let mut payloads = Vec::new();
    let opened = recover(disk, options(life), 1, |_, payload| {
        payloads.push(payload.to_vec());
        Ok::<_, Infallible>(())
    });
    match opened {
        Ok(recovered) => (Ok((payloads, recovered.report.clone())), Some(recovered)),
        Err(error) => (Err(said(&error)), None),
    }
}

/// An error in full: an operator reads all of it.
fn said(error: &RecoverError) -> String {
    assert!(!error.to_string().is_empty());
    format!("{error:?}")
}

impl Store {
    /// One step of a life; false ends the writing.
    fn step(&mut self, script: &mut Script<'_>) -> bool {
        let Some(open) = &mut self.open else { return false };
        let kind = script.byte();
        match kind {
            0..=119 => {
                let payload = payload(script);
                if open.wal.write(&[&payload]).is_ok() {
                    self.written.push(payload);
                    self.marked = false;
                }
            }
            120..=159 => {
                open.wal.sync().expect("memory syncs");
                self.acknowledged = self.written.len();
            }
            160..=179 => {
                let before = open.wal.position();
                open.wal.mark().expect("memory syncs");
                self.acknowledged = self.written.len();
                self.marked |= open.wal.position() > before;
            }
            180..=199 => open.preparer.run().expect("memory has no limit"),
            200..=209 => _ = open.wal.seal().expect("memory syncs"),
            210..=219 => self.restart(),
            220..=249 => {
                let keep = keep(script);
                self.disk = self.disk.power_cut(keep);
                self.restart();
            }
            _ => return false,
        }
        true
    }

    /// Opens what is on the disk: all that was acknowledged, and nothing that was not written.
    fn restart(&mut self) {
        self.lives += 1;
        let (opened, recovered) = open(&self.disk, self.lives);
        let (payloads, report) = opened.expect("what crashes leave is no damage");
        self.serves(&payloads);
        assert_eq!(report.visited as usize, payloads.len());
        self.written = payloads;
        self.acknowledged = self.written.len();
        self.marked = true;
        self.open = recovered;
    }

    fn serves(&self, payloads: &[Vec<u8>]) {
        assert!(self.written.starts_with(payloads), "only what was written, in its order");
        assert!(payloads.len() >= self.acknowledged, "all that was acknowledged");
    }

    /// Opens the spoiled log in every way.
    fn judge(mut self, spoiled: Spoiled) {
        let twin = self.disk.copy();
        let seen = twin.copy();
        let (opened, recovered) = open(&self.disk, 90);
        assert_eq!(open(&twin, 90).0, opened, "the same files, the same answer");
        Self::looked_at(&seen, &opened);
        let Ok((payloads, report)) = opened else {
            assert!(spoiled != Spoiled::default(), "a log that nobody touched opens");
            return;
        };
        if spoiled.forged == 0 && spoiled.larger == 0 {
            assert!(self.written.starts_with(&payloads), "only what was written");
            if spoiled.bytes == 0 || spoiled.bytes == 1 && self.marked {
                self.serves(&payloads);
            }
        }
        drop(recovered);
        self.written = payloads;
        self.goes_on(&report);
    }

    /// Looking on without changing anything says the same.
    fn looked_at(disk: &Memory, opened: &Opened) {
        let mut payloads = Vec::new();
        let report = replay(disk, 1, |_, payload| {
            payloads.push(payload.to_vec());
            Ok::<_, Infallible>(())
        });
        match (report, opened) {
            (Ok(report), Ok((served, told))) => {
                assert_eq!((&payloads, report.visited), (served, told.visited));
                assert_eq!((&report.cut, report.proven), (&told.cut, told.proven));
            }
            (Err(error), Err(told)) => assert_eq!(&said(&error), told),
            // Only opening for writing draws on sizes and writes; it alone may fail then.
            (Ok(_), Err(told)) => assert!(!told.starts_with("Damaged"), "{told}"),
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    }

    /// What was served is served again, nothing is cut off twice, and the log takes more.
    fn goes_on(&mut self, first: &Report) {
        let (again, recovered) = open(&self.disk, 91);
        let (payloads, report) = again.expect("what recovery left opens");
        assert_eq!(payloads, self.written, "served again");
        assert_eq!(report.cut, None, "nothing is cut off twice: {first:?}");
        let mut recovered = recovered.expect("it opened");
        if recovered.wal.write(&[b"next"]).is_ok() {
            recovered.wal.sync().expect("memory syncs");
            self.written.push(b"next".to_vec());
        }
        drop(recovered);
        let (last, _) = open(&self.disk.power_cut(Keep::None), 92);
        assert_eq!(last.expect("it goes on").0, self.written, "and it went on");
    }
}

/// A payload whose length the script says; its bytes matter to nobody here.
fn payload(script: &mut Script<'_>) -> Vec<u8> {
    let length = usize::from(script.byte()) * 3 % (PAYLOAD_BYTES_MAX + 1);
    vec![script.byte(); length]
}

fn keep(script: &mut Script<'_>) -> Keep {
    let index = script.below(16);
    match script.below(6) {
        0 => Keep::None,
        1 => Keep::All,
        2 => Keep::Only(index),
        3 => Keep::AllBut(index),
        4 => Keep::Torn { index, others: script.chance(128), seed: script.number() },
        _ => Keep::Random(script.number()),
    }
}
