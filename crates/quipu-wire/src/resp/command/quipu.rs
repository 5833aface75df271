//! The commands that Redis does not have: tokens, streams, bounds, acknowledgements.

use quipu_core::limits::TOP_MAX;
use quipu_core::name;
use quipu_core::op::{Ack, Action, Add, Op, ReadLevel, Token, Ttl};

use super::counter::Parsed;
use super::words::{ExpiryUnit, arg, integer_arg, is, name_arg, unsigned_arg};
use super::{Command, OpCommand, Shape};
use crate::resp::error::CommandError;
use crate::resp::frame::Request;
use crate::resp::number;

/// The options of QUIPU.ADD as they were given.
#[derive(Debug)]
struct AddOptions<'a> {
    add: Add,
    token: Token<'a>,
    ack: Option<Ack>,
}

impl<'a> AddOptions<'a> {
    /// Takes one option and its values; `next` gives the latter.
    fn take(
        &mut self,
        command: &'static str,
        word: &[u8],
        mut next: impl FnMut() -> Result<&'a [u8], CommandError>,
    ) -> Result<(), CommandError> {
        if is(word, "token") {
            self.name(Token::Key { key: next()?, item: 0 })
        } else if is(word, "stream") {
            let name = next()?;
            let sequence = number::unsigned(next()?).ok_or(CommandError::NotInteger)?;
            self.name(Token::Stream { name, sequence })
        } else if is(word, "min") {
            once(&mut self.add.min, bound(next()?)?)
        } else if is(word, "max") {
            once(&mut self.add.max, bound(next()?)?)
        } else if is(word, "saturate") {
            self.add.saturate = true;
            Ok(())
        } else if is(word, "persist") {
            self.expiry(Ttl::Clear)
        } else if is(word, "ack") {
            once(&mut self.ack, ack(next()?)?)
        } else if is(word, "ex") {
            self.expiry(ExpiryUnit::Seconds.positive_ttl(next()?, command)?)
        } else if is(word, "px") {
            self.expiry(ExpiryUnit::Millis.positive_ttl(next()?, command)?)
        } else {
            Err(CommandError::Syntax)
        }
    }

    fn name(&mut self, token: Token<'a>) -> Result<(), CommandError> {
        match std::mem::replace(&mut self.token, token) {
            Token::None => Ok(()),
            _ => Err(CommandError::Syntax),
        }
    }

    fn expiry(&mut self, ttl: Ttl) -> Result<(), CommandError> {
        match std::mem::replace(&mut self.add.ttl, ttl) {
            Ttl::Keep => Ok(()),
            _ => Err(CommandError::Syntax),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), CommandError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(CommandError::Syntax),
    }
}

fn bound(word: &[u8]) -> Result<i64, CommandError> {
    number::signed(word).ok_or(CommandError::NotInteger)
}

fn ack(word: &[u8]) -> Result<Ack, CommandError> {
    match word {
        _ if is(word, "fsync") => Ok(Ack::Fsync),
        _ if is(word, "memory") => Ok(Ack::Memory),
        _ if is(word, "quorum") => Err(CommandError::AckQuorum),
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn add<'a>(command: &'static str, request: Request<'a>) -> Parsed<'a> {
    let name = name_arg(request, 1)?;
    let add = Add::plain(integer_arg(request, 2)?);
    let mut options = AddOptions { add, token: Token::None, ack: None };
    let mut words = request.from(3).iter();
    while let Some(word) = words.next() {
        options.take(command, word, || words.next().ok_or(CommandError::Syntax))?;
    }
    let AddOptions { add, token, ack } = options;
    if add.min.zip(add.max).is_some_and(|(min, max)| min > max) {
        return Err(CommandError::Bounds);
    }
    let op = Op { name, action: Action::Add(add), token };
    Ok(Command::Op(OpCommand { op, shape: Shape::Added, ack, read: None }))
}

/// The token of a request, understood or not, if it is QUIPU.ADD with that option and no other. It
/// costs next to nothing and serves as a hint: other forms carry tokens too.
#[inline]
pub fn token(request: Request<'_>) -> Option<&[u8]> {
    let is_token = request.len() == 5 && is(request.get(3)?, "token");
    if is_token { request.get(4) } else { None }
}

/// The place in a stream that a request names, understood or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The counter that it was for.
    pub counter: &'a str,
    /// The stream.
    pub stream: &'a [u8],
    /// The place.
    pub sequence: u64,
}

/// Finds the place in a stream that a request names, so that the stream can be held where the
/// request is refused before it is decided. A request for what is no counter name has none: it has
/// no shard and can never count.
#[cold]
pub fn place(request: Request<'_>) -> Option<Place<'_>> {
    if !is(request.get(0)?, "quipu.add") {
        return None;
    }
    let counter = name::check(request.get(1)?).ok()?;
    let mut words = request.from(3).iter().skip_while(|word| !is(word, "stream")).skip(1);
    let stream = words.next()?;
    let sequence = number::unsigned(words.next()?)?;
    Some(Place { counter, stream, sequence })
}

pub(super) fn get<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let op = Op { name: name_arg(request, 1)?, action: Action::Get, token: Token::None };
    let read = match (request.get(2), request.get(3), request.len()) {
        (None, ..) => None,
        (Some(word), Some(level), 4) if is(word, "read") => Some(read_level(level)?),
        _ => return Err(CommandError::Syntax),
    };
    Ok(Command::Op(OpCommand { op, shape: Shape::Found, ack: None, read }))
}

fn read_level(word: &[u8]) -> Result<ReadLevel, CommandError> {
    match word {
        _ if is(word, "committed") => Ok(ReadLevel::Committed),
        _ if is(word, "latest") => Ok(ReadLevel::Latest),
        _ if is(word, "cached") => Err(CommandError::ReadCached),
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn take<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let token = match (request.get(2), request.get(3), request.len()) {
        (None, ..) => Token::None,
        (Some(word), Some(key), 4) if is(word, "token") => Token::Key { key, item: 0 },
        _ => return Err(CommandError::Syntax),
    };
    let op = Op { name: name_arg(request, 1)?, action: Action::Take, token };
    Ok(Command::Op(OpCommand { op, shape: Shape::Taken, ack: None, read: None }))
}

pub(super) fn stream<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(Command::Stream(arg(request, 1)?))
}

pub(super) fn checkpoint<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let name = arg(request, 1)?;
    Ok(Command::Checkpoint { name, sequence: unsigned_arg(request, 2)? })
}

pub(super) fn top<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    match unsigned_arg(request, 1)? {
        n if (1..=TOP_MAX as u64).contains(&n) => Ok(Command::Top(n as usize)),
        _ => Err(CommandError::TopRange),
    }
}

pub(super) fn r#use<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(Command::Use(arg(request, 1)?))
}
