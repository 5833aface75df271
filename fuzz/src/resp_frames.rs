//! RESP frames: commands out of bytes that arrive in pieces.
//!
//! The first byte chooses the limits and the second how the rest is cut into pieces. However it is
//! cut, the same commands and the same error come out; commands that are written again as arrays
//! read back as themselves; nothing is remembered beyond the limits.

use quipu_wire::resp::error::ProtocolError;
use quipu_wire::resp::frame::{Args, FrameLimits, Parsed, parse};
use quipu_wire::resp::value;
use stdx::prng::Prng;

use crate::script::Script;

/// Limits that short inputs can meet.
const NARROW: FrameLimits =
    FrameLimits { inline_bytes: 24, bulk_bytes: 16, array_len: 6, frame_bytes: 64 };

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let limits = if script.byte() & 1 == 0 { FrameLimits::default() } else { NARROW };
    let seed = script.byte();
    let bytes = script.rest();
    let whole = commands(bytes, &limits, |left| left);
    assert_eq!(commands(bytes, &limits, |_| 1), whole, "byte by byte");
    let mut random = Prng::new(u64::from(seed));
    let pieces = commands(bytes, &limits, |left| 1 + random.below(left as u64) as usize);
    assert_eq!(pieces, whole, "in pieces");
    let again = commands(&whole.0, &FrameLimits::default(), |left| left);
    assert_eq!(again, (whole.0, None), "written again");
}

/// Reads a stream that arrives in pieces, each as long as `piece` says of what is left. Returns
/// every command written as an array, and the error that ended the stream.
fn commands(
    bytes: &[u8],
    limits: &FrameLimits,
    mut piece: impl FnMut(usize) -> usize,
) -> (Vec<u8>, Option<ProtocolError>) {
    let (mut args, mut out) = (Args::default(), Vec::with_capacity(bytes.len()));
    let (mut start, mut end) = (0, 0);
    while end < bytes.len() {
        end += piece(bytes.len() - end);
        match arrived(&bytes[start..end], limits, &mut args, &mut out) {
            Ok(consumed) => start += consumed,
            Err(error) => return (out, Some(error)),
        }
    }
    (out, None)
}

/// Takes all commands that are complete and returns how many bytes they had.
fn arrived(
    bytes: &[u8],
    limits: &FrameLimits,
    args: &mut Args,
    out: &mut Vec<u8>,
) -> Result<usize, ProtocolError> {
    let mut start = 0;
    loop {
        let buffer = &bytes[start..];
        let consumed = match parse(buffer, limits, args)? {
            Parsed::Incomplete => {
                assert!(args.needed() <= limits.frame_bytes as usize, "a bounded wish");
                return Ok(start);
            }
            Parsed::Empty { consumed } => consumed,
            Parsed::Command { consumed } => {
                let request = args.request(buffer);
                let words: usize = request.iter().map(<[u8]>::len).sum();
                assert!(!request.is_empty() && words <= consumed, "words are from the bytes");
                value::put_header(out, request.len());
                request.iter().for_each(|word| value::put_part(out, word));
                consumed
            }
        };
        assert!(0 < consumed && consumed <= buffer.len(), "a command takes its own bytes");
        start += consumed;
    }
}
