//! What is sent: the operation of `[target]`, or those of `[mix]`.

use crate::scenario::read::Result;
use crate::scenario::read::data::AMOUNT_MAX;
use crate::scenario::read::target::{Ends, is_path};
use crate::scenario::table::{Table, Value};
use crate::scenario::{
    Counts, Expect, HttpRequest, Operation, Protocol, ReplyType, Request, Source,
};
use crate::template::{Hole, Template};

/// The most operations: each has series of its own in reports.
const OPERATIONS_MAX: usize = 64;

/// What operations take from the target where they do not say otherwise.
struct Defaults<'a> {
    protocol: Protocol,
    method: Option<String>,
    path: String,
    headers: Vec<(String, Template)>,
    expect: Expect,
    sources: Vec<&'a str>,
}

/// Reads the operations out of both tables.
pub(super) fn read(
    target: &mut Table<'_>,
    mix: Option<Table<'_>>,
    ends: &Ends,
    data: &[Source],
) -> Result<Vec<Operation>> {
    let sources: Vec<&str> = data.iter().map(|source| source.name.as_str()).collect();
    let protocol = ends.target.protocol;
    let mut defaults = Defaults {
        protocol,
        method: None,
        path: ends.path.clone().unwrap_or_else(|| "/".to_owned()),
        headers: Vec::new(),
        expect: expect(target.table("expect")?, protocol)?,
        sources,
    };
    let Some(mix) = mix else {
        return Ok(vec![operation("request", target, &defaults)?]);
    };
    if matches!(protocol, Protocol::Http(_)) {
        defaults.method = method(target)?;
        defaults.headers = headers(target, &defaults)?;
    }
    mixed(mix, &defaults)
}

fn mixed(mix: Table<'_>, defaults: &Defaults<'_>) -> Result<Vec<Operation>> {
    let empty = mix.missing("NAME", "write at least one operation, such as [mix.add]");
    let named = mix.named();
    if let Some((_, value)) = named.get(OPERATIONS_MAX) {
        return Err(value.wrong(&format!("there may be {OPERATIONS_MAX} operations, not more")));
    }
    let operations = named.into_iter().map(|(name, value)| {
        let mut table = value.table()?;
        let mut operation = operation(name, &mut table, defaults)?;
        if let Some(weight) = table.get("weight") {
            operation.weight = weight.count(1_000_000)?;
        }
        if let Some(own) = table.table("expect")? {
            operation.expect = expect(Some(own), defaults.protocol)?;
        }
        table.finish()?;
        Ok(operation)
    });
    let operations: Vec<Operation> = operations.collect::<Result<_>>()?;
    if operations.is_empty() { Err(empty) } else { Ok(operations) }
}

fn operation(name: &str, table: &mut Table<'_>, defaults: &Defaults<'_>) -> Result<Operation> {
    let request = match defaults.protocol {
        Protocol::Http(_) => Request::Http(http(table, defaults)?),
        Protocol::Resp => Request::Resp(command(table, defaults)?),
    };
    let counts = counts(table.get("counts"), &request)?;
    let expect = defaults.expect.clone();
    Ok(Operation { name: name.to_owned(), weight: 1, request, counts, expect })
}

fn http(table: &mut Table<'_>, defaults: &Defaults<'_>) -> Result<HttpRequest> {
    let body = table.get("body").map(|body| template(&body, &defaults.sources)).transpose()?;
    let body = body.unwrap_or_default();
    let method = method(table)?.or_else(|| defaults.method.clone());
    let method = method
        .unwrap_or_else(|| if body.is_empty() { "GET".to_owned() } else { "POST".to_owned() });
    let mut all = defaults.headers.clone();
    all.extend(headers(table, defaults)?);
    Ok(HttpRequest { method, path: path(table, defaults)?, headers: all, body })
}

fn path(table: &mut Table<'_>, defaults: &Defaults<'_>) -> Result<Template> {
    let Some(value) = table.get("path") else {
        let compiled = Template::compile_path(&defaults.path, &defaults.sources);
        return compiled.map_err(|source| table.template("url", source));
    };
    let path = value.string()?;
    if !path.starts_with('/') || !is_path(path) {
        return Err(value.wrong("a path begins with a slash and has no spaces"));
    }
    let compiled = Template::compile_path(path, &defaults.sources);
    compiled.map_err(|source| value.template(source))
}

fn method(table: &mut Table<'_>) -> Result<Option<String>> {
    let Some(value) = table.get("method") else { return Ok(None) };
    let method = value.string()?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_method { Ok(Some(method.to_owned())) } else { Err(value.wrong("write such as \"POST\"")) }
}

/// Headers that the driver writes itself.
const OWN_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

fn headers(table: &mut Table<'_>, defaults: &Defaults<'_>) -> Result<Vec<(String, Template)>> {
    let named = table.table("headers")?.map(Table::named).unwrap_or_default();
    let headers = named.into_iter().map(|(name, value)| {
        if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(value.wrong("this header follows from the request: remove it"));
        }
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
        let has_break = value.string()?.contains(['\r', '\n', '\0']);
        if !name.bytes().all(is_token) || has_break {
            return Err(value.wrong("this is no header of HTTP"));
        }
        Ok((name.to_owned(), template(&value, &defaults.sources)?))
    });
    headers.collect()
}

fn template(value: &Value<'_>, sources: &[&str]) -> Result<Template> {
    Template::compile(value.string()?, sources).map_err(|source| value.template(source))
}

/// A command: words between spaces, or a list of arguments.
fn command(table: &mut Table<'_>, defaults: &Defaults<'_>) -> Result<Vec<Template>> {
    let remedy = "write such as command = \"INCRBY {{key}} 1\", or a list of arguments";
    let value = table.need("command", remedy)?;
    let compile = |text: &str| {
        Template::compile(text, &defaults.sources).map_err(|source| value.template(source))
    };
    let arguments: Vec<Template> = if let Some(text) = value.as_str() {
        words(text).into_iter().map(compile).collect::<Result<_>>()?
    } else {
        let items = value.array()?;
        items.iter().map(|item| template(item, &defaults.sources)).collect::<Result<_>>()?
    };
    if arguments.is_empty() { Err(value.wrong(remedy)) } else { Ok(arguments) }
}

/// The words of a text; spaces within braces do not part them.
fn words(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = text.split(move |letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        depth <= 0 && letter.is_whitespace()
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// What a request adds: as it says, else `{{delta}}` where there is one, else what Redis means by it.
fn counts(value: Option<Value<'_>>, request: &Request) -> Result<Counts> {
    if let Some(value) = value {
        return match value.as_str() {
            Some("delta") => Ok(Counts::Delta),
            Some(_) => Err(value.wrong("write \"delta\" or a whole number")),
            None => Ok(match value.whole(-AMOUNT_MAX, AMOUNT_MAX)? {
                0 => Counts::Nothing,
                amount => Counts::Fixed(amount),
            }),
        };
    }
    let of_command = match request {
        Request::Resp(arguments) => redis_counts(arguments),
        Request::Http(HttpRequest { body, .. }) => {
            body.holes().any(|hole| hole == Hole::Delta).then_some(Counts::Delta)
        }
    };
    Ok(of_command.unwrap_or(Counts::Nothing))
}

fn redis_counts(arguments: &[Template]) -> Option<Counts> {
    let (name, rest) = arguments.split_first()?;
    let name = name.as_text()?.to_ascii_uppercase();
    let amount = rest.get(1);
    let is_drawn = amount.is_some_and(|amount| amount.holes().eq([Hole::Delta]));
    let fixed = amount.and_then(Template::as_text).and_then(|text| text.parse::<i64>().ok());
    let fixed = fixed.filter(|amount| amount.unsigned_abs() <= AMOUNT_MAX as u64);
    match name.as_str() {
        "INCR" => Some(Counts::Fixed(1)),
        "DECR" => Some(Counts::Fixed(-1)),
        "INCRBY" | "QUIPU.ADD" if is_drawn => Some(Counts::Delta),
        "INCRBY" | "QUIPU.ADD" => fixed.map(Counts::Fixed),
        "DECRBY" => fixed.map(|amount| Counts::Fixed(-amount)),
        _ => None,
    }
}

const REPLIES: [(&str, ReplyType); 5] = [
    ("simple", ReplyType::Simple),
    ("integer", ReplyType::Integer),
    ("bulk", ReplyType::Bulk),
    ("array", ReplyType::Array),
    ("null", ReplyType::Null),
];

fn expect(table: Option<Table<'_>>, protocol: Protocol) -> Result<Expect> {
    let Some(mut table) = table else { return Ok(Expect::default()) };
    let mut expect = Expect::default();
    if let Protocol::Http(_) = protocol {
        let status = table.get("status").map(|status| status.items()).transpose()?;
        let statuses = status.unwrap_or_default().into_iter();
        expect.statuses =
            statuses.map(|status| Ok(status.whole(100, 599)? as u16)).collect::<Result<_>>()?;
    } else {
        expect.reply = table.get("reply").map(|reply| reply.word(&REPLIES)).transpose()?;
    }
    expect.contains =
        table.get("contains").map(|text| text.string()).transpose()?.map(str::to_owned);
    table.finish()?;
    Ok(expect)
}
