//! INCREX of Redis 8.8: an addition with bounds and expiry, answered with what was really added.
//!
//! As in Redis the words are read first, each at most once and in any order, and the numbers in
//! them only when all words are understood.

use quipu_core::op::{Action, Add, Ttl};

use super::Shape;
use super::counter::{Parsed, plain};
use super::words::{ExpiryUnit, is, name_arg};
use crate::resp::error::CommandError;
use crate::resp::frame::Request;
use crate::resp::number;

/// The options as they were given.
#[derive(Debug, Default)]
struct Options<'a> {
    by_int: Option<&'a [u8]>,
    by_float: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    expiry: Option<(ExpiryUnit, &'a [u8])>,
    saturate: bool,
    persist: bool,
    enx: bool,
}

impl<'a> Options<'a> {
    fn read(mut words: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match options.flag(word) {
                Some(flag) if *flag => return Err(CommandError::Syntax),
                Some(flag) => *flag = true,
                None => options.valued(word, words.next().ok_or(CommandError::Syntax)?)?,
            }
        }
        let excluded = options.by_int.is_some() && options.by_float.is_some()
            || options.persist && (options.enx || options.expiry.is_some());
        if excluded { Err(CommandError::Syntax) } else { Ok(options) }
    }

    /// The place of an option without a value.
    fn flag(&mut self, word: &[u8]) -> Option<&mut bool> {
        match word {
            _ if is(word, "saturate") => Some(&mut self.saturate),
            _ if is(word, "persist") => Some(&mut self.persist),
            _ if is(word, "enx") => Some(&mut self.enx),
            _ => None,
        }
    }

    fn valued(&mut self, word: &[u8], value: &'a [u8]) -> Result<(), CommandError> {
        let place = match word {
            _ if is(word, "byint") => &mut self.by_int,
            _ if is(word, "byfloat") => &mut self.by_float,
            _ if is(word, "lbound") => &mut self.lower,
            _ if is(word, "ubound") => &mut self.upper,
            _ => {
                let unit = ExpiryUnit::of(word).ok_or(CommandError::Syntax)?;
                return once(&mut self.expiry, (unit, value));
            }
        };
        once(place, value)
    }

    fn ttl(&self, command: &'static str) -> Result<Ttl, CommandError> {
        let Some((unit, count)) = self.expiry else {
            return Ok(if self.persist { Ttl::Clear } else { Ttl::Keep });
        };
        Ok(match unit.positive_ttl(count, command)? {
            Ttl::After(ms) if self.enx => Ttl::AfterIfNone(ms),
            Ttl::At(ms) if self.enx => Ttl::AtIfNone(ms),
            ttl => ttl,
        })
    }

    /// The addition. Both bounds are always there, so that a sum beyond 64 bits is out of bounds
    /// like any other.
    fn add(&self, command: &'static str) -> Result<Add, CommandError> {
        let integer = |given: Option<&[u8]>, option, absent| match given {
            None => Ok(absent),
            Some(word) => number::signed(word).ok_or(CommandError::IncrExNumber { option }),
        };
        let delta = integer(self.by_int, "Increment", 1)?;
        let min = integer(self.lower, "LBOUND", i64::MIN)?;
        let max = integer(self.upper, "UBOUND", i64::MAX)?;
        if min > max {
            return Err(CommandError::IncrExBounds);
        }
        let ttl = self.ttl(command)?;
        Ok(Add { delta, min: Some(min), max: Some(max), saturate: self.saturate, ttl })
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), CommandError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(CommandError::Syntax),
    }
}

pub(super) fn increx<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    let options = Options::read(request.from(2).iter())?;
    if options.enx && options.expiry.is_none() {
        return Err(CommandError::IncrExEnx);
    }
    if options.by_float.is_some() {
        return Err(CommandError::IncrExFloat);
    }
    let add = options.add(command)?;
    Ok(plain(name_arg(request, 1)?, Action::Add(add), Shape::Increased))
}
