//! `[target]`: where it is and how it is reached.

use stdx::units::Nanos;

use crate::scenario::read::Result;
use crate::scenario::table::{Table, Value};
use crate::scenario::{HttpVersion, Phase, Protocol, Reuse, ScenarioError, Target, Tls};

/// Connections of an open loop that does not say how many (guess).
const CONNECTIONS_DEFAULT: u32 = 64;

/// A stall of the target during which requests over HTTP/1.1, of which each takes a connection, still
/// find one at the peak rate. Measured: most syncs of a disk that others use too are shorter.
const STALL: Nanos = Nanos::from_millis(250);

/// The most connections that nobody asked for by number: with its files, a process gets by with the
/// 1,024 that are commonly allowed, here and at the target.
const CONNECTIONS_UNASKED_MAX: u32 = 900;

/// The most connections: about as many as one client address has ports for.
const CONNECTIONS_MAX: u32 = 60_000;

/// The most requests on the way on one connection.
const PIPELINE_MAX: u32 = 10_000;

/// After how long a request has failed that does not say.
const TIMEOUT_DEFAULT: Nanos = Nanos::from_secs(2);

/// The target, and the path of its URL.
pub(super) struct Ends {
    pub(super) target: Target,
    pub(super) path: Option<String>,
}

/// A URL in its parts.
struct Url {
    protocol: Protocol,
    is_encrypted: bool,
    host: String,
    port: u16,
    path: Option<String>,
}

/// Schemes, what they speak, whether encrypted, and the port when none is given.
const SCHEMES: [(&str, Protocol, bool, u16); 4] = [
    ("http", Protocol::Http(HttpVersion::Http1), false, 80),
    ("https", Protocol::Http(HttpVersion::Http1), true, 443),
    ("redis", Protocol::Resp, false, 6379),
    ("rediss", Protocol::Resp, true, 6379),
];

const VERSIONS: [(&str, HttpVersion); 3] =
    [("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2), ("auto", HttpVersion::Auto)];

pub(super) fn table<'t>(top: &mut Table<'t>) -> Result<Table<'t>> {
    let table = top.table("target")?;
    table.ok_or_else(|| top.missing("target", "write a table [target]"))
}

/// Reads where the target is; what is sent to it is left in the table.
pub(super) fn read(table: &mut Table<'_>, phases: &[Phase], url: Option<&str>) -> Result<Ends> {
    let protocol = protocol(table)?;
    let written = written_url(table, protocol)?;
    let Url { is_encrypted, host, port, path, .. } = match url {
        Some(url) => over(url, protocol, written)?,
        None => written.ok_or_else(|| missing_url(table, protocol))?,
    };
    let tls = tls(table, is_encrypted)?;
    let pipeline = pipeline(table, protocol)?;
    let connections = match connections(table, phases, pipeline)? {
        Some(connections) => connections,
        None if protocol == Protocol::Http(HttpVersion::Http1) => one_by_one(phases),
        None => CONNECTIONS_DEFAULT,
    };
    let target = Target {
        protocol,
        host,
        port,
        tls,
        connections,
        pipeline,
        reuse: table.get("reuse").map(reuse).transpose()?.unwrap_or_default(),
        timeout: table
            .get("timeout")
            .map(|value| value.span())
            .transpose()?
            .unwrap_or(TIMEOUT_DEFAULT),
    };
    Ok(Ends { target, path })
}

fn protocol(table: &mut Table<'_>) -> Result<Protocol> {
    let remedy = "write kind = \"http\" or kind = \"resp\"";
    let kind = table.need("kind", remedy)?;
    match kind.as_str() {
        Some("http") => {
            let version =
                table.get("version").map(|version| version.word(&VERSIONS)).transpose()?;
            Ok(Protocol::Http(version.unwrap_or_default()))
        }
        Some("resp") => Ok(Protocol::Resp),
        Some("kafka") => {
            Err(kind.wrong("targets of kafka come later; there are \"http\" and \"resp\""))
        }
        _ => Err(kind.wrong(remedy)),
    }
}

fn missing_url(table: &Table<'_>, protocol: Protocol) -> ScenarioError {
    let example = match protocol {
        Protocol::Http(_) => "url = \"http://127.0.0.1:8080/\"",
        Protocol::Resp => "address = \"127.0.0.1:6379\"",
    };
    table.missing("url", &format!("write such as {example}"))
}

fn written_url(table: &mut Table<'_>, protocol: Protocol) -> Result<Option<Url>> {
    let (url, address) = (table.get("url"), table.get("address"));
    let (value, text) = match (url, address) {
        (None, None) => return Ok(None),
        (Some(url), None) => (url.clone(), url.string()?.to_owned()),
        (None, Some(address)) => {
            let scheme = if protocol == Protocol::Resp { "redis" } else { "http" };
            (address.clone(), format!("{scheme}://{}", address.string()?))
        }
        (Some(_), Some(address)) => return Err(address.wrong("write url or address, not both")),
    };
    let url = parse(&text).map_err(|remedy| value.wrong(remedy))?;
    if !is_same_kind(url.protocol, protocol) {
        return Err(value.wrong("its scheme is not that of `target.kind`"));
    }
    Ok(Some(url))
}

/// A URL that was given apart from the file, over the one in it.
fn over(text: &str, protocol: Protocol, written: Option<Url>) -> Result<Url> {
    let refused = |remedy: &str| {
        let (url, remedy) = (text.to_owned(), remedy.to_owned());
        ScenarioError::Url { url, remedy }
    };
    let mut url = parse(text).map_err(refused)?;
    if !is_same_kind(url.protocol, protocol) {
        return Err(refused("the scenario is written for another kind of target"));
    }
    if url.path.as_deref().is_none_or(|path| path == "/") {
        url.path = written.and_then(|written| written.path).or(url.path);
    }
    Ok(url)
}

fn is_same_kind(one: Protocol, other: Protocol) -> bool {
    (one == Protocol::Resp) == (other == Protocol::Resp)
}

/// Takes a URL apart, or says what to write.
fn parse(text: &str) -> std::result::Result<Url, &'static str> {
    let remedy = "write such as http://127.0.0.1:8080/path, https://..., redis://127.0.0.1:6379 or \
                  rediss://...";
    let (scheme, rest) = text.split_once("://").ok_or(remedy)?;
    let known = SCHEMES.iter().find(|(name, ..)| *name == scheme).ok_or(remedy)?;
    let (_, protocol, is_encrypted, port_default) = *known;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = host_and_port(authority, port_default).ok_or(remedy)?;
    if !path.is_empty() && protocol == Protocol::Resp {
        return Err("a target that speaks RESP has no path");
    }
    if !is_path(path) {
        return Err("a path has no spaces: write %20");
    }
    let path = (!path.is_empty()).then(|| format!("/{}", path.strip_prefix('/').unwrap_or(path)));
    Ok(Url { protocol, is_encrypted, host, port, path })
}

/// Whether all of a path may stand in a request line; holes may be spaced.
pub(super) fn is_path(path: &str) -> bool {
    let mut depth = 0_i32;
    path.bytes().all(|byte| {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        byte.is_ascii_graphic() || (depth > 1 && byte == b' ')
    })
}

fn host_and_port(authority: &str, port_default: u16) -> Option<(String, u16)> {
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port =
        port.map_or(Some(port_default), |port| port.parse().ok().filter(|port| *port > 0))?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| (host.to_owned(), port))
}

fn tls(table: &mut Table<'_>, is_encrypted: bool) -> Result<Option<Tls>> {
    let Some(value) = table.get("tls") else { return Ok(is_encrypted.then(Tls::default)) };
    if !is_encrypted {
        return Err(
            value.wrong("only https and rediss are encrypted: remove it, or change the url")
        );
    }
    let mut table = value.table()?;
    let ca = table.get("ca").map(|value| value.string()).transpose()?.map(str::to_owned);
    let name = table.get("server_name").map(|value| value.string()).transpose()?;
    let insecure = table.get("insecure").map(|value| value.truth()).transpose()?.unwrap_or(false);
    table.finish()?;
    Ok(Some(Tls { ca, server_name: name.map(str::to_owned), insecure }))
}

fn pipeline(table: &mut Table<'_>, protocol: Protocol) -> Result<u32> {
    let Some(value) = table.get("pipeline") else { return Ok(1) };
    let pipeline = value.count(PIPELINE_MAX)?;
    if protocol == Protocol::Http(HttpVersion::Http1) && pipeline > 1 {
        return Err(value.wrong("HTTP/1.1 answers one request at a time: more connections instead"));
    }
    Ok(pipeline)
}

/// A closed loop needs a place for each user; an open one that says nothing decides nothing.
fn connections(table: &mut Table<'_>, phases: &[Phase], pipeline: u32) -> Result<Option<u32>> {
    let users = phases.iter().map(|phase| phase.load.users()).max().unwrap_or(0);
    let needed = users.div_ceil(pipeline);
    let Some(value) = table.get("connections") else {
        return Ok((users > 0).then_some(needed));
    };
    let connections = value.count(CONNECTIONS_MAX)?;
    if connections < needed {
        return Err(value.wrong(&format!("{users} users need at least {needed}")));
    }
    Ok(Some(connections))
}

/// Returns the connections of an open loop with one request at a time on each: what falls due in a stall
/// at the peak rate. A search has no phases yet, and may go anywhere.
fn one_by_one(phases: &[Phase]) -> u32 {
    let peak = phases.iter().map(|phase| phase.load.peak().per_second()).reduce(f64::max);
    peak.map_or(CONNECTIONS_UNASKED_MAX, |per_s| {
        let stalled = (per_s * STALL.as_secs_f64()).ceil() as u32;
        stalled.clamp(CONNECTIONS_DEFAULT, CONNECTIONS_UNASKED_MAX)
    })
}

fn reuse(value: Value<'_>) -> Result<Reuse> {
    if value.is_table() {
        let mut table = value.table()?;
        let every =
            table.need("every", "write such as reuse = { every = 1000 }")?.count(u32::MAX)?;
        table.finish()?;
        return Ok(Reuse::Every(every));
    }
    let words = [("keepalive", Reuse::KeepAlive), ("per-request", Reuse::PerRequest)];
    value
        .word(&words)
        .map_err(|_| value.wrong("write \"keepalive\", \"per-request\" or { every = 1000 }"))
}
