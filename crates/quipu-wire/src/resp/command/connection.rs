//! Commands about the connection and the server.

use super::Command;
use super::counter::Parsed;
use super::words::{arg, integer_arg, is};
use crate::resp::error::{CommandError, Echo};
use crate::resp::frame::Request;
use crate::resp::number;
use crate::resp::reply::Proto;

/// HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The version to speak from this reply on; none keeps it.
    pub proto: Option<Proto>,
    /// User and password.
    pub auth: Option<(&'a [u8], &'a [u8])>,
    /// The connection's name; checked.
    pub name: Option<&'a [u8]>,
}

/// COMMAND and its subcommands.
#[derive(Debug, Clone, Copy)]
pub enum CommandInfo<'a> {
    /// All there is to know of all commands.
    All,
    /// How many there are.
    Count,
    /// The names, those that match a pattern.
    List(Option<&'a [u8]>),
    /// All there is to know of these; of all where none is named.
    Info(Request<'a>),
    /// What these are for; all where none is named.
    Docs(Request<'a>),
    /// The keys of this command line.
    GetKeys(Request<'a>),
}

/// CLIENT and its subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client<'a> {
    /// Names the connection; the name is checked, empty takes it away.
    SetName(&'a [u8]),
    /// The connection's name.
    GetName,
    /// The client library's name; checked.
    SetLibName(&'a [u8]),
    /// The client library's version; checked.
    SetLibVersion(&'a [u8]),
    /// The connection's number.
    Id,
    /// A line about this connection.
    Info,
    /// A line about each connection.
    List,
    /// Answered with OK and without meaning here: no client is evicted for its size before others.
    NoEvict,
    /// Answered with OK and without meaning here: reads do not change any order of eviction.
    NoTouch,
}

pub(super) fn ping<'a>(name: &'static str, request: Request<'a>) -> Parsed<'a> {
    match request.len() {
        ..=2 => Ok(Command::Ping(request.get(1))),
        _ => Err(CommandError::Arity { name }),
    }
}

pub(super) fn echo<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    Ok(Command::Echo(arg(request, 1)?))
}

pub(super) fn select<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    match integer_arg(request, 1)? {
        0 => Ok(Command::Select),
        _ => Err(CommandError::DbIndex),
    }
}

pub(super) fn auth<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    match (request.get(1), request.get(2), request.len()) {
        (Some(password), None, _) => Ok(Command::Auth { user: None, password }),
        (Some(user), Some(password), 3) => Ok(Command::Auth { user: Some(user), password }),
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn hello<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let mut hello = Hello { proto: None, auth: None, name: None };
    if let Some(version) = request.get(1) {
        hello.proto = Some(match number::signed(version) {
            None => return Err(CommandError::HelloNotInteger),
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(CommandError::HelloVersion),
        });
    }
    let mut options = request.from(2).iter();
    while let Some(word) = options.next() {
        let unknown = || CommandError::HelloOption { option: Echo::of(word) };
        if is(word, "auth") {
            let user = options.next().ok_or_else(unknown)?;
            hello.auth = Some((user, options.next().ok_or_else(unknown)?));
        } else if is(word, "setname") {
            hello.name = Some(client_word(options.next().ok_or_else(unknown)?)?);
        } else {
            return Err(unknown());
        }
    }
    Ok(Command::Hello(hello))
}

/// Checks what will stand in a line of CLIENT LIST.
fn client_word(word: &[u8]) -> Result<&[u8], CommandError> {
    let is_printed = word.iter().all(|b| (b'!'..=b'~').contains(b));
    if is_printed { Ok(word) } else { Err(CommandError::ClientName) }
}

pub(super) fn config<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    match (arg(request, 1)?, request.len()) {
        (sub, 3..) if is(sub, "get") => Ok(Command::ConfigGet(request.from(2))),
        (sub, _) if is(sub, "get") => Err(CommandError::Arity { name: "config|get" }),
        (sub, _) => Err(CommandError::UnknownSub { command: "CONFIG", sub: Echo::of(sub) }),
    }
}

pub(super) fn command<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let Some(sub) = request.get(1) else { return Ok(Command::Command(CommandInfo::All)) };
    let rest = request.from(2);
    let info = match sub {
        _ if is(sub, "count") && rest.is_empty() => CommandInfo::Count,
        _ if is(sub, "count") => return Err(CommandError::Arity { name: "command|count" }),
        _ if is(sub, "list") => CommandInfo::List(list_filter(rest)?),
        _ if is(sub, "info") => CommandInfo::Info(rest),
        _ if is(sub, "docs") => CommandInfo::Docs(rest),
        _ if is(sub, "getkeys") && rest.len() >= 2 => CommandInfo::GetKeys(rest),
        _ if is(sub, "getkeys") => return Err(CommandError::Arity { name: "command|getkeys" }),
        _ => return Err(CommandError::UnknownSub { command: "COMMAND", sub: Echo::of(sub) }),
    };
    Ok(Command::Command(info))
}

fn list_filter(rest: Request<'_>) -> Result<Option<&[u8]>, CommandError> {
    match (rest.get(0), rest.get(1), rest.get(2), rest.len()) {
        (None, ..) => Ok(None),
        (Some(by), Some(kind), Some(pattern), 3) if is(by, "filterby") && is(kind, "pattern") => {
            Ok(Some(pattern))
        }
        _ => Err(CommandError::Syntax),
    }
}

/// The subcommands of CLIENT: name, name in errors, number of words.
const CLIENT_SUBS: &[(&str, &str, usize)] = &[
    ("setname", "client|setname", 3),
    ("getname", "client|getname", 2),
    ("setinfo", "client|setinfo", 4),
    ("id", "client|id", 2),
    ("info", "client|info", 2),
    ("list", "client|list", 2),
    ("no-evict", "client|no-evict", 3),
    ("no-touch", "client|no-touch", 3),
];

pub(super) fn client<'a>(_: &'static str, request: Request<'a>) -> Parsed<'a> {
    let sub = arg(request, 1)?;
    let Some(&(name, full, words)) = CLIENT_SUBS.iter().find(|(name, ..)| is(sub, name)) else {
        return Err(CommandError::UnknownSub { command: "CLIENT", sub: Echo::of(sub) });
    };
    if request.len() != words {
        return Err(CommandError::Arity { name: full });
    }
    let client = match name {
        "setname" => Client::SetName(client_word(arg(request, 2)?)?),
        "getname" => Client::GetName,
        "setinfo" => client_info(arg(request, 2)?, arg(request, 3)?)?,
        "id" => Client::Id,
        "info" => Client::Info,
        "list" => Client::List,
        "no-evict" => switch(request, Client::NoEvict)?,
        _ => switch(request, Client::NoTouch)?,
    };
    Ok(Command::Client(client))
}

fn client_info<'a>(attribute: &[u8], value: &'a [u8]) -> Result<Client<'a>, CommandError> {
    match attribute {
        _ if is(attribute, "lib-name") => Ok(Client::SetLibName(client_word(value)?)),
        _ if is(attribute, "lib-ver") => Ok(Client::SetLibVersion(client_word(value)?)),
        _ => Err(CommandError::ClientInfo { option: Echo::of(attribute) }),
    }
}

fn switch<'a>(request: Request<'a>, client: Client<'a>) -> Result<Client<'a>, CommandError> {
    let word = arg(request, 2)?;
    if is(word, "on") || is(word, "off") { Ok(client) } else { Err(CommandError::Syntax) }
}
