//! Compressed files, read as they are: gzip and Zstandard, known by their first bytes.
//!
//! Both may hold several members one after the other, as `cat a.gz b.gz` makes them. Reading is
//! from the start only. A file that is cut short or damaged gives all that is whole before that,
//! and then the error.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use thiserror::Error;

use crate::lines::READ_BYTES;

/// Compressed bytes that are read at once. Guess: many pages.
const PACKED_BYTES: usize = 64 << 10;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// A compressed file, to be read from its start on: going back means to begin again.
#[derive(Debug)]
pub struct Unpacked {
    file: Arc<File>,
    packing: Packing,
    decoder: Decoder,
    /// Where the decoder is, in unpacked bytes.
    at: u64,
    /// The bytes before it that came last: whoever looks ahead reads them again.
    last: Vec<u8>,
    /// Why nothing more comes.
    fault: Option<Damage>,
}

/// A compressed file is cut short or damaged.
#[derive(Debug, Clone, Error)]
#[error("{why}")]
pub struct Damage {
    /// Compressed bytes that were read until then.
    pub offset: u64,
    /// What is wrong.
    pub why: String,
}

/// The bytes of a compressed file as they were before.
enum Decoder {
    Gzip(Box<MultiGzDecoder<Packed>>),
    Zstd(Box<Zstd>),
}

type Packed = BufReader<Counted>;

/// A file read from its start, whatever others do with the position of its descriptor.
#[derive(Debug)]
struct Counted {
    file: Arc<File>,
    offset: u64,
}

/// The frames of a Zstandard file.
struct Zstd {
    packed: Packed,
    frame: FrameDecoder,
    in_frame: bool,
    fault: Option<std::io::Error>,
}

impl Packing {
    /// Tells from the first bytes whether, and how, `file` is compressed.
    ///
    /// # Errors
    /// Reading failed.
    pub fn of(file: &File) -> std::io::Result<Option<Packing>> {
        let mut first = [0; 4];
        let bytes = file.read_at(&mut first, 0)?;
        Ok(match first.get(..bytes).unwrap_or_default() {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] => Some(Packing::Zstd),
            _ => None,
        })
    }
}

impl Unpacked {
    /// Reads `file`, which is compressed as `packing` says.
    pub fn new(file: Arc<File>, packing: Packing) -> Unpacked {
        let decoder = decoder(Arc::clone(&file), packing);
        Unpacked { file, packing, decoder, at: 0, last: Vec::new(), fault: None }
    }

    /// Reads what comes from `offset` on, in unpacked bytes; nothing means the end.
    ///
    /// # Errors
    /// The file is [`Damage`]d there, or the operating system refused.
    pub fn read_at(&mut self, room: &mut [u8], offset: u64) -> std::io::Result<usize> {
        if offset < self.at - self.last.len() as u64 {
            *self = Unpacked::new(Arc::clone(&self.file), self.packing);
        }
        loop {
            let known = self.at - self.last.len() as u64;
            let again = self.last.get((offset - known) as usize..).unwrap_or_default();
            let bytes = again.len().min(room.len());
            if let (Some(into), Some(from)) = (room.get_mut(..bytes), again.get(..bytes)) {
                into.copy_from_slice(from);
            }
            if bytes > 0 || self.read_on()? == 0 {
                return Ok(bytes);
            }
        }
    }

    /// Unpacks the next piece into `last`.
    fn read_on(&mut self) -> std::io::Result<usize> {
        if let Some(fault) = &self.fault {
            return Err(std::io::Error::other(fault.clone()));
        }
        self.last.resize(READ_BYTES, 0);
        let read = loop {
            match self.decoder.read(&mut self.last) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.last.truncate(*read.as_ref().unwrap_or(&0));
        self.at += self.last.len() as u64;
        read.map_err(|error| {
            let fault = Damage { offset: self.decoder.offset(), why: error.to_string() };
            self.fault = Some(fault.clone());
            std::io::Error::other(fault)
        })
    }
}

fn decoder(file: Arc<File>, packing: Packing) -> Decoder {
    let packed = BufReader::with_capacity(PACKED_BYTES, Counted { file, offset: 0 });
    match packing {
        Packing::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(packed))),
        Packing::Zstd => Decoder::Zstd(Box::new(Zstd::new(packed))),
    }
}

impl Decoder {
    fn offset(&self) -> u64 {
        let packed = match self {
            Decoder::Gzip(gzip) => gzip.get_ref(),
            Decoder::Zstd(zstd) => &zstd.packed,
        };
        packed.get_ref().offset - packed.buffer().len() as u64
    }
}

impl Read for Decoder {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Decoder::Gzip(gzip) => gzip.read(room),
            Decoder::Zstd(zstd) => zstd.read(room),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a decoder at {}", self.offset())
    }
}

impl Read for Counted {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.file.read_at(room, self.offset)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}

impl Zstd {
    fn new(packed: Packed) -> Zstd {
        Zstd { packed, frame: FrameDecoder::new(), in_frame: false, fault: None }
    }

    /// Goes to the next frame; says whether there is one.
    fn begin(&mut self) -> std::io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.packed) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                // What is kept beside the content, such as an index.
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.packed).take(length.into());
                    std::io::copy(&mut skipped, &mut std::io::sink())?;
                }
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// Decodes until there is something to take or the frame ends.
    fn decode(&mut self, bytes: usize) {
        while self.frame.can_collect() == 0 && !self.frame.is_finished() {
            let most = BlockDecodingStrategy::UptoBytes(bytes);
            if let Err(error) = self.frame.decode_blocks(&mut self.packed, most) {
                self.finish(std::io::Error::other(error));
                return;
            }
        }
    }

    /// Ends the frame by an empty last block, so that its decoder gives what it still holds back.
    fn finish(&mut self, fault: std::io::Error) {
        /// A header that says: last, raw, no bytes; and room for a checksum, which is not looked at.
        const LAST: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
        drop(self.frame.decode_blocks(&LAST[..], BlockDecodingStrategy::All));
        self.fault = Some(fault);
    }

    fn check(&self) -> std::io::Result<()> {
        let (stored, found) =
            (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum());
        if stored.is_some() && stored != found {
            return Err(std::io::Error::other("the checksum of a frame does not fit"));
        }
        Ok(())
    }
}

impl Read for Zstd {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if !self.in_frame && !self.begin()? {
                return Ok(0);
            }
            if self.fault.is_none() {
                self.decode(room.len());
            }
            let bytes = self.frame.read(room)?;
            if bytes > 0 {
                return Ok(bytes);
            }
            self.in_frame = false;
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            self.check()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use crate::input::{Input, InputError};

    /// Packs `content` with a program of the system; `None` where it is not installed.
    fn pack(program: &str, content: &[u8]) -> Option<Vec<u8>> {
        let mut child = Command::new(program)
            .args(["-c", "-q"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take().expect("a pipe");
        let content = content.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&content));
        let packed = child.wait_with_output().expect("ended").stdout;
        writer.join().expect("joined").expect("written");
        Some(packed)
    }

    /// Reads a file of these bytes to its end, or to what is wrong with it.
    fn read(packed: &[u8]) -> (Vec<u8>, Option<InputError>) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(packed).expect("written");
        let mut input = Input::open(file.path()).expect("opened");
        let (mut found, mut room) = (Vec::new(), vec![0; 1000]);
        loop {
            match input.read(&mut room) {
                Ok(0) => return (found, None),
                Ok(bytes) => found.extend_from_slice(&room[..bytes]),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    fn content() -> Vec<u8> {
        (0..40_000).flat_map(|line| format!("line {} of it\n", line * 7919).into_bytes()).collect()
    }

    const PROGRAMS: [&str; 2] = ["gzip", "zstd"];

    #[test]
    fn members_one_after_the_other_are_one_file() {
        let content = content();
        for program in PROGRAMS {
            let Some(packed) = pack(program, &content) else { continue };
            let twice = [packed.as_slice(), &packed].concat();
            let (found, error) = read(&twice);
            assert!(error.is_none(), "{program}: {error:?}");
            assert!(found == [content.as_slice(), &content].concat(), "{program}");
        }
    }

    #[test]
    fn of_a_file_that_is_cut_short_all_that_is_whole_comes_first() {
        let content = content();
        for program in PROGRAMS {
            let Some(packed) = pack(program, &content) else { continue };
            let cut = packed.len() * 2 / 3;
            let (found, error) = read(&packed[..cut]);
            assert!(content.starts_with(&found), "{program}");
            assert!(found.len() > content.len() / 2, "{program}: {} bytes", found.len());
            let Some(InputError::Damaged { damage, .. }) = error else {
                panic!("{program}: {error:?}")
            };
            assert_eq!(damage.offset, cut as u64, "{program}");
        }
    }

    #[test]
    fn a_checksum_that_does_not_fit_is_damage() {
        let content = content();
        for program in PROGRAMS {
            let Some(mut packed) = pack(program, &content) else { continue };
            // gzip ends with a checksum and the length, zstd with a checksum.
            let at = packed.len() - if program == "gzip" { 6 } else { 2 };
            packed[at] ^= 1;
            let (_, error) = read(&packed);
            assert!(matches!(error, Some(InputError::Damaged { .. })), "{program}: {error:?}");
        }
    }

    #[test]
    fn what_is_not_compressed_is_read_as_it_is() {
        assert_eq!(read(b"\x1fplain\n").0, b"\x1fplain\n");
        assert_eq!(read(b"").0, b"");
    }
}
