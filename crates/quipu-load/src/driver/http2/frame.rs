//! Frames of HTTP/2 (RFC 9113, sections 4 and 6): their heads, and those that are written whole.

use quipu_lab::failure::Failure;

/// What a client says first (section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of the head of a frame.
pub(super) const HEAD_BYTES: usize = 9;
/// The longest content of a frame, as long as nobody agrees on a longer one (section 6.5.2).
pub(super) const CONTENT_BYTES_MAX: usize = 16_384;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

pub(super) const SETTINGS_HEADER_TABLE_SIZE: u16 = 1;
pub(super) const SETTINGS_ENABLE_PUSH: u16 = 2;
pub(super) const SETTINGS_MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes (section 7).
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;

/// One frame, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'i> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) content: &'i [u8],
}

impl<'i> Frame<'i> {
    /// Reads the first frame of `input`; nothing if more must come.
    ///
    /// # Errors
    /// It is longer than was agreed on.
    pub(super) fn read(input: &'i [u8]) -> Result<Option<Self>, Failure> {
        let Some((head, rest)) = input.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        if len > CONTENT_BYTES_MAX {
            return Err(Failure::Protocol);
        }
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        Ok(rest.get(..len).map(|content| Self { kind, flags, stream, content }))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        HEAD_BYTES + self.content.len()
    }

    /// Returns the content without padding and priority.
    ///
    /// # Errors
    /// The padding is longer than the content.
    pub(super) fn payload(&self) -> Result<&'i [u8], Failure> {
        let mut payload = self.content;
        if self.has(PADDED) {
            let (padding, rest) = payload.split_first().ok_or(Failure::Protocol)?;
            let len = rest.len().checked_sub(usize::from(*padding)).ok_or(Failure::Protocol)?;
            payload = rest.get(..len).unwrap_or_default();
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            payload = payload.get(5..).ok_or(Failure::Protocol)?;
        }
        Ok(payload)
    }

    /// Returns the number that the content begins with.
    ///
    /// # Errors
    /// It is too short.
    pub(super) fn number(&self, at: usize) -> Result<u32, Failure> {
        let bytes = self.content.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Failure::Protocol)
    }
}

/// Appends the head of a frame.
pub(super) fn head(len: usize, kind: u8, flags: u8, stream: u32, output: &mut Vec<u8>) {
    let [_, a, b, c] = (len as u32).to_be_bytes();
    output.extend_from_slice(&[a, b, c, kind, flags]);
    output.extend_from_slice(&stream.to_be_bytes());
}

/// Appends the setting of a value.
pub(super) fn setting(name: u16, value: u32, output: &mut Vec<u8>) {
    output.extend_from_slice(&name.to_be_bytes());
    output.extend_from_slice(&value.to_be_bytes());
}

/// Appends a frame that has one number as its content.
pub(super) fn number(kind: u8, stream: u32, number: u32, output: &mut Vec<u8>) {
    head(4, kind, 0, stream, output);
    output.extend_from_slice(&number.to_be_bytes());
}

/// Appends a block of headers: a frame, and more of them if it is long.
pub(super) fn headers(block: &[u8], flags: u8, stream: u32, output: &mut Vec<u8>) {
    let mut parts = block.chunks(CONTENT_BYTES_MAX).peekable();
    let mut kind = HEADERS;
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let of_first = if kind == HEADERS { flags } else { 0 };
        let end = if is_last { END_HEADERS } else { 0 };
        head(part.len(), kind, of_first | end, stream, output);
        output.extend_from_slice(part);
        kind = CONTINUATION;
    }
}
