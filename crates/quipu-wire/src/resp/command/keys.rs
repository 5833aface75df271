//! Commands on several counters, or on all.

use quipu_core::name;
use quipu_core::op::Action;

use super::counter::{Parsed, plain};
use super::words::{arg, is, name_arg};
use super::{Command, Shape};
use crate::limits::{PATTERN_BYTES_MAX, SCAN_COUNT, SCAN_COUNT_MAX};
use crate::resp::error::CommandError;
use crate::resp::frame::Request;
use crate::resp::number;

/// The names of a command on several counters, all checked.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    names: Request<'a>,
}

impl<'a> Keys<'a> {
    fn read(names: Request<'a>) -> Result<Self, CommandError> {
        names.iter().try_for_each(|n| name::check(n).map(|_| ()))?;
        Ok(Self { names })
    }

    /// How many, repeated ones included; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "commands without keys are arity errors")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.names.iter().filter_map(|n| name::check(n).ok())
    }
}

/// What to do to several counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Many {
    /// MGET: an array of values or nulls.
    Get,
    /// DEL: how many there were.
    Delete,
    /// EXISTS: how many there are, repeated ones counted again.
    Exists,
}

impl Many {
    /// The operation on each.
    pub fn action(self) -> Action {
        match self {
            Self::Get | Self::Exists => Action::Get,
            Self::Delete => Action::Delete,
        }
    }
}

/// The same operation on several counters.
#[derive(Debug, Clone, Copy)]
pub struct ManyCommand<'a> {
    /// What to do.
    pub what: Many,
    /// To which.
    pub keys: Keys<'a>,
}

fn many(request: Request<'_>, what: Many) -> Parsed<'_> {
    Ok(Command::Many(ManyCommand { what, keys: Keys::read(request.from(1))? }))
}

pub(super) fn mget<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    many(request, Many::Get)
}

pub(super) fn del<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    match request.len() {
        2 => Ok(plain(name_arg(request, 1)?, Action::Delete, Shape::Flag)),
        _ => many(request, Many::Delete),
    }
}

pub(super) fn exists<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    match request.len() {
        2 => Ok(plain(name_arg(request, 1)?, Action::Get, Shape::Exists)),
        _ => many(request, Many::Exists),
    }
}

/// SCAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Where to go on; 0 begins.
    pub cursor: u64,
    /// Which names; see [`crate::resp::pattern::matches`].
    pub pattern: Option<&'a [u8]>,
    /// About how many counters to look at; 1 to [`SCAN_COUNT_MAX`].
    pub count: u64,
    /// Whether counters are wanted: false where TYPE names anything but `string`.
    pub strings: bool,
}

pub(super) fn scan<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let cursor = number::unsigned(arg(request, 1)?).ok_or(CommandError::Cursor)?;
    let mut scan = Scan { cursor, pattern: None, count: SCAN_COUNT, strings: true };
    let mut options = request.from(2).iter();
    while let Some(word) = options.next() {
        let value = options.next().ok_or(CommandError::Syntax)?;
        if is(word, "match") {
            scan.pattern = Some(pattern(value)?);
        } else if is(word, "count") {
            let count = number::signed(value).ok_or(CommandError::NotInteger)?;
            scan.count = match u64::try_from(count) {
                Ok(count @ 1..) => count.min(SCAN_COUNT_MAX),
                _ => return Err(CommandError::Syntax),
            };
        } else if is(word, "type") {
            scan.strings = is(value, "string");
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(Command::Scan(scan))
}

fn pattern(bytes: &[u8]) -> Result<&[u8], CommandError> {
    match bytes.len() {
        ..=PATTERN_BYTES_MAX => Ok(bytes),
        bytes => Err(CommandError::PatternTooLong { bytes }),
    }
}
