//! Every target on its corpus, and on seeded mutations of it, without instrumentation.

use std::fs;
use std::path::Path;

use quipu_fuzz::{TARGETS, Target};
use stdx::prng::Prng;

/// Mutations of each target. Enough to notice a broken body; the search itself is libFuzzer's.
const MUTATIONS: u64 = 3000;

/// Longest mutation, in bytes.
const BYTES_MAX: usize = 2048;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One of the corpus with some of it spoiled, cut, repeated or joined with another.
fn mutation(corpus: &[Vec<u8>], random: &mut Prng) -> Vec<u8> {
    let mut bytes = random.pick(corpus).unwrap().clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next_u64() as u8),
            2 => bytes.extend_from_slice(random.pick(corpus).unwrap()),
            3 => {
                let part = bytes[at..].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = random.next_u64() as u8),
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn check(name: &str) {
    let Target { run, .. } = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(name);
    for input in &corpus {
        run(input);
    }
    for seed in 0..MUTATIONS {
        let input = mutation(&corpus, &mut Prng::new(seed));
        run(&input);
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_replay() {
            let names = TARGETS.iter().map(|target| target.name);
            assert!(names.eq([$(stringify!($name)),*]));
        }
    };
}

replays! {
    config fold http2_answers http_plain http_requests ingest record resp_commands resp_frames resp_replies segment snapshot
    texts
}
