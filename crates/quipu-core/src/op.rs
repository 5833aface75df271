//! What a client asks of one counter, as a value.

use stdx::hash::hash128;

/// One operation on one counter.
#[derive(Debug, Clone, Copy)]
pub struct Op<'a> {
    /// The counter; checked by [`crate::name::check`].
    pub name: &'a str,
    /// What to do.
    pub action: Action,
    /// What makes a repeat of it recognisable.
    pub token: Token<'a>,
}

/// What to do to a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look: value and expiry.
    Get,
    /// Add.
    Add(Add),
    /// Replace.
    Set(Set),
    /// Answer the value and leave 0; keeps the expiry; creates nothing.
    Take,
    /// Remove.
    Delete,
    /// Change the expiry alone.
    Expire(Expire),
}

/// An addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Add {
    /// What to add.
    pub delta: i64,
    /// Smallest value allowed.
    pub min: Option<i64>,
    /// Largest value allowed.
    pub max: Option<i64>,
    /// Go to the bound instead of refusing; a value that is beyond it already is moved back to it,
    /// whatever the sign of the delta.
    pub saturate: bool,
    /// What becomes of the expiry.
    pub ttl: Ttl,
}

impl Add {
    /// An addition without bounds that leaves the expiry alone.
    #[inline]
    pub fn plain(delta: i64) -> Self {
        Self { delta, min: None, max: None, saturate: false, ttl: Ttl::Keep }
    }
}

/// A replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// The new value.
    pub value: i64,
    /// What becomes of the expiry.
    pub ttl: Ttl,
    /// When to do it.
    pub when: Presence,
}

/// A condition on the existence of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Always.
    Any,
    /// Only where there is none.
    Absent,
    /// Only where there is one.
    Present,
}

/// A change of the expiry that an add or a set brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// As it is.
    Keep,
    /// None.
    Clear,
    /// This many milliseconds from the operation's log time.
    After(u64),
    /// At this time, in milliseconds since the Unix epoch.
    At(u64),
    /// As [`Ttl::After`] where there is no expiry, else as it is.
    AfterIfNone(u64),
    /// As [`Ttl::At`] where there is no expiry, else as it is.
    AtIfNone(u64),
}

/// A change of the expiry alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expire {
    /// The new expiry; [`Ttl::Keep`] changes nothing. A time that has passed deletes the counter.
    pub ttl: Ttl,
    /// When to do it.
    pub when: ExpireWhen,
}

/// The conditions of EXPIRE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpireWhen {
    /// Always.
    Any,
    /// Only where there is no expiry (NX).
    None,
    /// Only where there is one (XX).
    Some,
    /// Only to a later time; no expiry counts as never (GT).
    Later,
    /// Only to an earlier time (LT).
    Earlier,
    /// Only where there is one, and to an earlier time (XX LT).
    SomeEarlier,
}

/// What makes a repeat recognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Nothing: a repeat counts again.
    None,
    /// An opaque key or a UUIDv7.
    Key {
        /// 1 to 64 bytes.
        key: &'a [u8],
        /// Which of the items that carry this key on this counter, from 0.
        item: u32,
    },
    /// A place in a stream.
    Stream {
        /// 1 to 64 bytes.
        name: &'a [u8],
        /// From 1, rising.
        sequence: u64,
    },
}

/// When an answer to a write may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// At once; durable within the flush interval.
    Memory,
    /// When it is on stable storage.
    Fsync,
}

/// What a read shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadLevel {
    /// Only what is durable: waits for undurable changes of its own counter.
    Committed,
    /// What is there now.
    Latest,
}

impl Action {
    /// Whether it may change something.
    #[inline]
    pub fn is_write(&self) -> bool {
        !matches!(self, Self::Get)
    }

    /// The 128-bit fingerprint by which the same token with another operation is found out: kind,
    /// numbers, bounds and expiry.
    pub fn fingerprint(&self) -> u128 {
        let mut text = Canonical::new();
        match *self {
            Self::Get => text.tag(0),
            Self::Add(a) => {
                text.tag(1);
                text.number(a.delta);
                text.optional(a.min);
                text.optional(a.max);
                text.tag(u8::from(a.saturate));
                text.ttl(a.ttl);
            }
            Self::Set(s) => {
                text.tag(2);
                text.number(s.value);
                text.tag(s.when as u8);
                text.ttl(s.ttl);
            }
            Self::Take => text.tag(3),
            Self::Delete => text.tag(4),
            Self::Expire(e) => {
                text.tag(5);
                text.tag(e.when as u8);
                text.ttl(e.ttl);
            }
        }
        hash128(0, text.as_bytes())
    }
}

/// Most bytes that are fingerprinted: those of an add are a tag, a number, two optional numbers, a
/// flag and an expiry.
const CANONICAL_BYTES_MAX: usize = 1 + 8 + 2 * 9 + 1 + 9;

/// The bytes that are fingerprinted. They are part of the format: outcomes outlive a version.
#[derive(Debug)]
struct Canonical {
    bytes: [u8; CANONICAL_BYTES_MAX],
    len: usize,
}

impl Canonical {
    fn new() -> Self {
        Self { bytes: [0; CANONICAL_BYTES_MAX], len: 0 }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        let place = self.bytes.get_mut(self.len..end).expect("no action has more bytes");
        place.copy_from_slice(bytes);
        self.len = end;
    }

    fn tag(&mut self, tag: u8) {
        self.put(&[tag]);
    }

    fn number(&mut self, n: i64) {
        self.put(&n.to_le_bytes());
    }

    fn optional(&mut self, n: Option<i64>) {
        self.tag(u8::from(n.is_some()));
        self.number(n.unwrap_or(0));
    }

    fn ttl(&mut self, ttl: Ttl) {
        let (tag, ms) = match ttl {
            Ttl::Keep => (0, 0),
            Ttl::Clear => (1, 0),
            Ttl::After(ms) => (2, ms),
            Ttl::At(ms) => (3, ms),
            Ttl::AfterIfNone(ms) => (4, ms),
            Ttl::AtIfNone(ms) => (5, ms),
        };
        self.tag(tag);
        self.put(&ms.to_le_bytes());
    }
}
