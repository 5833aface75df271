//! The log as a whole: write, crash, recover, write on.

mod basic;
mod crash;
mod damage;
mod fault;
mod report;

use std::convert::Infallible;

use crate::{
    storage::Storage,
    wal::{Options, RecoverError, Recovered, recover},
};

/// Small segments: a header, then frames of one block.
const SEGMENT_BYTES: u64 = 8 * 512;

fn options(seed: u64) -> Options {
    let mut drawn = 0_u64;
    let mut options = Options::new(Box::new(move || {
        drawn += 1;
        stdx::hash::hash64(seed, &drawn.to_le_bytes())
    }));
    options.segment_bytes = SEGMENT_BYTES;
    options.frame_bytes_max = 900;
    options
}

type Frames = Vec<Vec<u8>>;

fn open<S: Storage>(storage: &S, seed: u64) -> Result<(Recovered<S>, Frames), RecoverError> {
    open_from(storage, seed, 1)
}

fn open_from<S: Storage>(
    storage: &S,
    seed: u64,
    start: u64,
) -> Result<(Recovered<S>, Frames), RecoverError> {
    let mut frames = Frames::new();
    let mut last = 0;
    let recovered = recover(storage, options(seed), start, |position, payload| {
        assert!(position > last && position >= start, "positions rise");
        last = position;
        frames.push(payload.to_vec());
        Ok::<(), Infallible>(())
    })?;
    Ok((recovered, frames))
}

/// The payload of the n-th frame: some take two blocks.
fn payload(number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(3) { 700 } else { 20 + number as usize % 50 };
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length, number as u8);
    bytes
}

/// Returns the numbers of frames, whose payloads must be whole.
fn numbers(frames: &Frames) -> Vec<u64> {
    let number = |frame: &Vec<u8>| {
        let number = u64::from_le_bytes(frame[..8].try_into().unwrap());
        assert_eq!(*frame, payload(number), "a payload comes back as it was");
        number
    };
    frames.iter().map(number).collect()
}
