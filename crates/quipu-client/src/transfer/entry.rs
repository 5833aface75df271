//! One counter on its way: its name, its value, and when it expires.

use crate::matcher::check_name;

/// A counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; checked.
    pub name: String,
    /// Its value.
    pub value: i64,
    /// When it expires, if it does.
    pub expiry: Option<Expiry>,
}

/// When a counter expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At this Unix time, in milliseconds.
    At(u64),
    /// So many milliseconds from when it arrives.
    After(u64),
}

/// What cannot be imported, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The kind, in the words of the report.
    pub kind: Kind,
    /// A sentence for a person.
    pub why: String,
}

/// Kinds of what cannot be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A line that is no entry, or a name that no counter can have.
    Bad,
    /// A value that is no integer: not asked for.
    NotInteger,
    /// Something else than a value: not asked for.
    OtherType,
}

impl Entry {
    /// An entry of bytes that may be a counter's name.
    ///
    /// # Errors
    /// They are no name.
    pub fn new(name: Vec<u8>, value: i64, expiry: Option<Expiry>) -> Result<Self, Unfit> {
        check_name(&name).map_err(|why| Unfit::bad(why.to_string()))?;
        let name = String::from_utf8(name).map_err(|_| Unfit::bad("the name is not UTF-8"))?;
        Ok(Self { name, value, expiry })
    }

    /// Whether its time is over at the Unix time `now_ms`.
    pub fn is_over(&self, now_ms: u64) -> bool {
        matches!(self.expiry, Some(Expiry::At(at)) if at <= now_ms)
    }
}

impl Unfit {
    /// What should have been an entry.
    pub fn bad(why: impl Into<String>) -> Self {
        Self { kind: Kind::Bad, why: why.into() }
    }
}
