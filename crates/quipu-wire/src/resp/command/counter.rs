//! The commands of Redis on one counter: reading, adding, setting.

use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};

use super::words::{ExpiryUnit, arg, integer_arg, is, name_arg};
use super::{Command, OpCommand, Shape};
use crate::resp::error::CommandError;
use crate::resp::frame::Request;
use crate::resp::number;

pub(super) type Parsed<'a> = Result<Command<'a>, CommandError>;

/// An operation without token, acknowledged and read as the namespace says.
#[inline]
pub(super) fn plain(name: &str, action: Action, shape: Shape) -> Command<'_> {
    let op = Op { name, action, token: Token::None };
    Command::Op(OpCommand { op, shape, ack: None, read: None })
}

#[inline]
fn add(request: Request<'_>, delta: i64) -> Parsed<'_> {
    Ok(plain(name_arg(request, 1)?, Action::Add(Add::plain(delta)), Shape::Integer))
}

pub(super) fn incr<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    add(request, 1)
}

pub(super) fn decr<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    add(request, -1)
}

pub(super) fn incrby<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    add(request, integer_arg(request, 2)?)
}

pub(super) fn decrby<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let delta = integer_arg(request, 2)?.checked_neg().ok_or(CommandError::DecrementOverflow)?;
    add(request, delta)
}

pub(super) fn get<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(plain(name_arg(request, 1)?, Action::Get, Shape::Value))
}

pub(super) fn getdel<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(plain(name_arg(request, 1)?, Action::Delete, Shape::Previous))
}

pub(super) fn r#type<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(plain(name_arg(request, 1)?, Action::Get, Shape::Type))
}

/// A number to store.
fn value_arg(request: Request<'_>, index: usize) -> Result<i64, CommandError> {
    number::signed(arg(request, index)?).ok_or(CommandError::NotCounter)
}

pub(super) fn getset<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let value = value_arg(request, 2)?;
    let set = Set { value, ttl: Ttl::Clear, when: Presence::Any };
    Ok(plain(name_arg(request, 1)?, Action::Set(set), Shape::Previous))
}

pub(super) fn setnx<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let value = value_arg(request, 2)?;
    let set = Set { value, ttl: Ttl::Clear, when: Presence::Absent };
    Ok(plain(name_arg(request, 1)?, Action::Set(set), Shape::Flag))
}

fn set_for<'a>(command: &'static str, request: Request<'a>, unit: ExpiryUnit) -> Parsed<'a> {
    let ttl = unit.positive_ttl(arg(request, 2)?, command)?;
    let set = Set { value: value_arg(request, 3)?, ttl, when: Presence::Any };
    Ok(plain(name_arg(request, 1)?, Action::Set(set), Shape::Ok))
}

pub(super) fn setex<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    set_for(command, request, ExpiryUnit::Seconds)
}

pub(super) fn psetex<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    set_for(command, request, ExpiryUnit::Millis)
}

/// The options of SET as they were given.
#[derive(Debug, Default)]
struct SetOptions<'a> {
    when: Option<Presence>,
    get: bool,
    keep: bool,
    expiry: Option<(ExpiryUnit, &'a [u8])>,
}

impl<'a> SetOptions<'a> {
    fn read(mut options: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut set = Self::default();
        while let Some(word) = options.next() {
            if is(word, "nx") && set.when != Some(Presence::Present) {
                set.when = Some(Presence::Absent);
            } else if is(word, "xx") && set.when != Some(Presence::Absent) {
                set.when = Some(Presence::Present);
            } else if is(word, "get") {
                set.get = true;
            } else if is(word, "keepttl") && set.expiry.is_none() {
                set.keep = true;
            } else {
                // The same unit again is allowed, and the last one counts.
                let other = |unit: &ExpiryUnit| set.expiry.is_some_and(|(u, _)| u != *unit);
                let unit = ExpiryUnit::of(word).filter(|unit| !set.keep && !other(unit));
                set.expiry = unit.zip(options.next());
                set.expiry.ok_or(CommandError::Syntax)?;
            }
        }
        Ok(set)
    }

    fn ttl(&self, command: &'static str) -> Result<Ttl, CommandError> {
        match self.expiry {
            Some((unit, count)) => unit.positive_ttl(count, command),
            None if self.keep => Ok(Ttl::Keep),
            None => Ok(Ttl::Clear),
        }
    }
}

pub(super) fn set<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    let options = SetOptions::read(request.from(3).iter())?;
    let ttl = options.ttl(command)?;
    let when = options.when.unwrap_or(Presence::Any);
    let set = Set { value: value_arg(request, 2)?, ttl, when };
    let shape = if options.get { Shape::Previous } else { Shape::Ok };
    Ok(plain(name_arg(request, 1)?, Action::Set(set), shape))
}
