//! The commands on a counter's time to live.

use quipu_core::op::{Action, Expire, ExpireWhen, Ttl};

use super::Shape;
use super::counter::{Parsed, plain};
use super::words::{ExpiryUnit, integer_arg, is, name_arg};
use crate::resp::error::{CommandError, Echo};
use crate::resp::frame::Request;

pub(super) fn ttl<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(plain(name_arg(request, 1)?, Action::Get, Shape::TtlSeconds))
}

pub(super) fn pttl<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(plain(name_arg(request, 1)?, Action::Get, Shape::TtlMillis))
}

pub(super) fn expiretime<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(plain(name_arg(request, 1)?, Action::Get, Shape::ExpirySeconds))
}

pub(super) fn pexpiretime<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(plain(name_arg(request, 1)?, Action::Get, Shape::ExpiryMillis))
}

pub(super) fn persist<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let clear = Expire { ttl: Ttl::Clear, when: ExpireWhen::Some };
    Ok(plain(name_arg(request, 1)?, Action::Expire(clear), Shape::Flag))
}

pub(super) fn expire<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    change(command, request, ExpiryUnit::Seconds)
}

pub(super) fn pexpire<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    change(command, request, ExpiryUnit::Millis)
}

pub(super) fn expireat<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    change(command, request, ExpiryUnit::AtSeconds)
}

pub(super) fn pexpireat<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    change(command, request, ExpiryUnit::AtMillis)
}

fn change<'a>(command: &'static str, request: Request<'a>, unit: ExpiryUnit) -> Parsed<'a> {
    let when = condition(request.from(3))?;
    let ttl =
        unit.ttl(integer_arg(request, 2)?).ok_or(CommandError::InvalidExpire { name: command })?;
    Ok(plain(name_arg(request, 1)?, Action::Expire(Expire { ttl, when }), Shape::Flag))
}

/// Reads NX, XX, GT and LT.
fn condition(options: Request<'_>) -> Result<ExpireWhen, CommandError> {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for word in options.iter() {
        match word {
            _ if is(word, "nx") => nx = true,
            _ if is(word, "xx") => xx = true,
            _ if is(word, "gt") => gt = true,
            _ if is(word, "lt") => lt = true,
            _ => return Err(CommandError::ExpireOption { option: Echo::of(word) }),
        }
    }
    match (nx, xx, gt, lt) {
        (true, false, false, false) => Ok(ExpireWhen::None),
        (true, ..) => Err(CommandError::ExpireNx),
        (_, _, true, true) => Err(CommandError::ExpireGtLt),
        // No expiry counts as never, so a later time already demands that there is one.
        (_, _, true, false) => Ok(ExpireWhen::Later),
        (_, true, false, true) => Ok(ExpireWhen::SomeEarlier),
        (_, false, false, true) => Ok(ExpireWhen::Earlier),
        (_, true, false, false) => Ok(ExpireWhen::Some),
        (false, false, false, false) => Ok(ExpireWhen::Any),
    }
}
