//! What a node streams to its audit: chunks with checksums, one after the other.
//!
//! ```text
//! chunk = kind u8 | length u32 | crc32c of kind and payload u32 | payload          (little-endian)
//! 1 hello    : version u32 | store id u64 | shards u16 | base position u64 | base time u32
//!            | base length u64 | log bytes u64 | counters u64
//! 2 base     : bytes of the file of the oldest snapshot, in order
//! 3 page     : shard u16 | batch u64 | from u64 | next u64, 0 at the end | counter ...
//! 4 frame    : position u64 | payload of a frame of the log
//! 5 end      : last position u64
//! 6 broken   : why, as text
//! counter    = flags u8 (1 expires, 2 touched by the open batch) | length - 1 u8 | name
//!            | value zigzag | [expiry varint]
//! ```

use quipu_core::bytes::{Reader, put_varint, put_zigzag};
use quipu_core::page::{Page, Seen};
use quipu_core::record::RecordError;
use stdx::checksum::crc32c;

/// The version that this code writes and reads.
pub const VERSION: u32 = 1;

/// Bytes before a chunk's payload.
pub const HEAD_BYTES: usize = 9;

/// Largest payload that is believed: the largest frame that a node can be set to, and its position.
pub const PAYLOAD_BYTES_MAX: usize = (256 << 20) + 8;

const EXPIRES: u8 = 1;
const OPEN: u8 = 2;

/// What the node says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The store.
    pub store_id: u64,
    /// Its shards.
    pub shards: u16,
    /// The last position folded into the oldest kept snapshot; 0 where the log is there from the
    /// beginning.
    pub base_position: u64,
    /// The newest log time in it, in seconds.
    pub base_time_s: u32,
    /// The length of its file.
    pub base_bytes: u64,
    /// Bytes of log that follow, about.
    pub log_bytes: u64,
    /// Counters that follow, about.
    pub counters: u64,
}

/// One chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// What the node says first.
    Hello(Hello),
    /// Bytes of the oldest snapshot.
    Base(&'a [u8]),
    /// Counters of the running node.
    Page(Page),
    /// A frame of the log.
    Frame {
        /// Its position.
        position: u64,
        /// Its payload.
        payload: &'a [u8],
    },
    /// All was sent.
    End {
        /// The last position.
        upto: u64,
    },
    /// The node cannot go on.
    Broken(&'a str),
}

/// Why bytes are no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The checksum does not fit, or the length cannot be.
    #[error("what the node sent is damaged")]
    Damaged,
    /// Another version.
    #[error("the node speaks version {found} of the audit, this program {VERSION}")]
    Version {
        /// The node's.
        found: u32,
    },
    /// Not understood.
    #[error("what the node sent is not understood")]
    Content(#[from] RecordError),
}

/// The head of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    kind: u8,
    checksum: u32,
    /// Bytes of payload that follow.
    pub length: usize,
}

impl Head {
    /// Reads the head of a chunk.
    ///
    /// # Errors
    /// Its length cannot be.
    pub fn decode(bytes: [u8; HEAD_BYTES]) -> Result<Self, ChunkError> {
        let mut r = Reader::new(&bytes);
        let (kind, length) = (r.u8("kind")?, r.u32("length")? as usize);
        let checksum = r.u32("checksum")?;
        if length > PAYLOAD_BYTES_MAX {
            return Err(ChunkError::Damaged);
        }
        Ok(Self { kind, checksum, length })
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// It is damaged or not understood.
    pub fn read<'a>(&self, payload: &'a [u8]) -> Result<Chunk<'a>, ChunkError> {
        if checksum(self.kind, payload) != self.checksum || payload.len() != self.length {
            return Err(ChunkError::Damaged);
        }
        let mut r = Reader::new(payload);
        match self.kind {
            1 => Ok(Chunk::Hello(read_hello(&mut r)?)),
            2 => Ok(Chunk::Base(payload)),
            3 => Ok(Chunk::Page(read_page(&mut r)?)),
            4 => {
                let position = r.u64("position")?;
                Ok(Chunk::Frame { position, payload: payload.get(r.at()..).unwrap_or_default() })
            }
            5 => Ok(Chunk::End { upto: r.u64("position")? }),
            6 => std::str::from_utf8(payload).map(Chunk::Broken).map_err(|_| ChunkError::Damaged),
            _ => Err(r.error("kind").into()),
        }
    }
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    crc32c(payload) ^ crc32c(&[kind])
}

/// Appends a chunk.
pub fn put(chunk: &Chunk<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + HEAD_BYTES, 0);
    let kind = match chunk {
        Chunk::Hello(hello) => {
            put_hello(hello, out);
            1
        }
        Chunk::Base(bytes) => {
            out.extend_from_slice(bytes);
            2
        }
        Chunk::Page(page) => {
            put_page(page, out);
            3
        }
        Chunk::Frame { position, payload } => {
            out.extend_from_slice(&position.to_le_bytes());
            out.extend_from_slice(payload);
            4
        }
        Chunk::End { upto } => {
            out.extend_from_slice(&upto.to_le_bytes());
            5
        }
        Chunk::Broken(why) => {
            out.extend_from_slice(why.as_bytes());
            6
        }
    };
    let payload = out.get(start + HEAD_BYTES..).unwrap_or_default();
    let (length, checksum) = (payload.len() as u32, checksum(kind, payload));
    let mut head = [0; HEAD_BYTES];
    head[0] = kind;
    head[1..5].copy_from_slice(&length.to_le_bytes());
    head[5..].copy_from_slice(&checksum.to_le_bytes());
    if let Some(place) = out.get_mut(start..start + HEAD_BYTES) {
        place.copy_from_slice(&head);
    }
}

fn put_hello(hello: &Hello, out: &mut Vec<u8>) {
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&hello.store_id.to_le_bytes());
    out.extend_from_slice(&hello.shards.to_le_bytes());
    out.extend_from_slice(&hello.base_position.to_le_bytes());
    out.extend_from_slice(&hello.base_time_s.to_le_bytes());
    for number in [hello.base_bytes, hello.log_bytes, hello.counters] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn read_hello(r: &mut Reader<'_>) -> Result<Hello, ChunkError> {
    let found = r.u32("version")?;
    if found != VERSION {
        return Err(ChunkError::Version { found });
    }
    Ok(Hello {
        store_id: r.u64("store id")?,
        shards: r.u16("shards")?,
        base_position: r.u64("base position")?,
        base_time_s: r.u32("base time")?,
        base_bytes: r.u64("base length")?,
        log_bytes: r.u64("log bytes")?,
        counters: r.u64("counters")?,
    })
}

fn put_page(page: &Page, out: &mut Vec<u8>) {
    out.extend_from_slice(&page.shard.to_le_bytes());
    for number in [page.batch, page.from, page.next.unwrap_or(0)] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for seen in &page.counters {
        let expires = if seen.expires_at.is_some() { EXPIRES } else { 0 };
        out.push(expires | if seen.is_open { OPEN } else { 0 });
        out.push((seen.name.len() - 1) as u8);
        out.extend_from_slice(seen.name.as_bytes());
        put_zigzag(out, seen.value);
        if let Some(at) = seen.expires_at {
            put_varint(out, at);
        }
    }
}

fn read_page(r: &mut Reader<'_>) -> Result<Page, RecordError> {
    let shard = r.u16("shard")?;
    let (batch, from, next) = (r.u64("batch")?, r.u64("from")?, r.u64("next")?);
    let mut counters = Vec::new();
    while !r.is_done() {
        counters.push(read_seen(r)?);
    }
    Ok(Page { shard, batch, from, next: (next > 0).then_some(next), counters })
}

fn read_seen(r: &mut Reader<'_>) -> Result<Seen, RecordError> {
    let flags = r.flags(EXPIRES | OPEN, "counter flags")?;
    let length = usize::from(r.u8("name length")?) + 1;
    let name = std::str::from_utf8(r.take(length, "name")?).map(str::to_owned);
    let name = name.map_err(|_| r.error("name is not UTF-8"))?;
    let value = r.zigzag("value")?;
    let expires_at = (flags & EXPIRES != 0).then(|| r.varint("expiry")).transpose()?;
    Ok(Seen { name, value, expires_at, is_open: flags & OPEN != 0 })
}

#[cfg(test)]
mod tests {
    use quipu_core::page::{Page, Seen};

    use super::{Chunk, ChunkError, HEAD_BYTES, Head, Hello, put};

    const HELLO: Hello = Hello {
        store_id: 1,
        shards: 64,
        base_position: 2,
        base_time_s: 3,
        base_bytes: 4,
        log_bytes: 5,
        counters: 6,
    };

    fn read(bytes: &[u8]) -> Result<(Head, &[u8]), ChunkError> {
        let (head, payload) = bytes.split_at(HEAD_BYTES);
        Ok((Head::decode(head.try_into().expect("a head"))?, payload))
    }

    fn check(chunk: &Chunk<'_>) {
        let mut bytes = Vec::new();
        put(chunk, &mut bytes);
        let (head, payload) = read(&bytes).expect("a head");
        assert_eq!(head.read(payload).as_ref(), Ok(chunk));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let found = read(&damaged).and_then(|(head, payload)| head.read(payload).map(drop));
            assert!(found.is_err(), "bit {bit} of {chunk:?}");
        }
    }

    #[test]
    fn chunks_come_back_as_they_were_and_every_flipped_bit_is_noticed() {
        let seen = |name: &str, expires_at, is_open| Seen {
            name: name.to_owned(),
            value: -7,
            expires_at,
            is_open,
        };
        let counters = vec![seen("a", None, false), seen("b c", Some(9), true)];
        let page = Page { shard: 3, batch: 8, from: 0, next: Some(77), counters };
        for chunk in [
            Chunk::Hello(HELLO),
            Chunk::Base(b"bytes"),
            Chunk::Page(Page { next: None, counters: Vec::new(), ..page.clone() }),
            Chunk::Page(page),
            Chunk::Frame { position: 9, payload: b"records" },
            Chunk::End { upto: 12 },
            Chunk::Broken("no room"),
        ] {
            check(&chunk);
        }
    }
}
