//! The target's own counters, read before and after a run: was every increment counted once?

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use quipu_lab::conservation::Conservation;
use quipu_lab::data::Keys;
use quipu_lab::request::{Requests, Stream};
use quipu_lab::scenario::{Counts, Protocol, Scenario};
use quipu_lab::slo::Measure;
use quipu_lab::slot::Slot;
use serde_json::{Value, json};

use crate::driver::resp::{self, bulk, length};
use crate::ledger::{Account, Ledger};
use crate::link::{Endpoint, Link};

/// How many counters are read at once: a request of some kilobytes.
const BATCH: u32 = 500;
/// The most keys that are read and kept books of: 24 MB of books per thread.
const KEYS_MAX: u32 = 1_000_000;
/// How long the target may take for one batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where a node has its counters.
const COUNTERS: &[u8] = b"/v1/default/counters/";

/// The counters of a target that a scenario adds to.
#[derive(Debug)]
pub(crate) struct Counters {
    endpoint: Endpoint,
    protocol: Protocol,
    keys: Keys,
    ledger: Ledger,
    before: Vec<i64>,
}

impl Counters {
    /// Reads the counters before a run, if a promise of the scenario speaks of them. Otherwise, or if
    /// they cannot be read, returns why not.
    ///
    /// # Errors
    /// Why nothing can be said of conservation; nothing if nobody asked.
    pub(crate) fn open(
        scenario: &Scenario,
        requests: &Requests,
        endpoint: Option<&Endpoint>,
    ) -> Result<Self, Option<String>> {
        if !is_asked_for(scenario) {
            return Err(None);
        }
        if !is_node(requests) {
            return Err(Some("only counters of a node can be read over HTTP".to_owned()));
        }
        let why = |why: &str| Some(why.to_owned());
        let source =
            source(scenario).ok_or_else(|| why("no operation adds to keys of one source"))?;
        let keys = scenario.data.get(source).map(|source| source.keys.clone());
        let keys =
            keys.filter(|keys| keys.count() <= KEYS_MAX).ok_or_else(|| why("too many keys"))?;
        let ledger = Ledger::new(requests.clone(), source, keys.count());
        let protocol = scenario.target.protocol;
        let endpoint = endpoint.cloned();
        let endpoint = endpoint.ok_or_else(|| why("counters are read over HTTP/1.1"))?;
        let mut counters = Self { endpoint, protocol, keys, ledger, before: Vec::new() };
        counters.before = counters.read()?;
        Ok(counters)
    }

    /// Returns an empty ledger for one of `threads`.
    pub(crate) fn ledger(&self, threads: u32) -> Ledger {
        self.ledger.share(threads)
    }

    /// Reads the counters again and compares them with the books of all threads.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(crate) fn compare(&self, account: &Account) -> Result<Conservation, String> {
        let after = self.read()?;
        let counted = after.iter().zip(&self.before).map(|(after, before)| after - before);
        let found = account.books.compare(counted, |index| self.keys.name(index));
        Ok(found.with(account.settlement))
    }

    fn read(&self) -> Result<Vec<i64>, String> {
        let failed = |error: io::Error| format!("the target's counters cannot be read: {error}");
        let mut stream = self.endpoint.open(PATIENCE).map_err(failed)?;
        let mut values = Vec::with_capacity(self.keys.count() as usize);
        while (values.len() as u32) < self.keys.count() {
            let from = values.len() as u32;
            let until = self.keys.count().min(from + BATCH);
            let names: Vec<String> = (from..until).map(|index| self.keys.name(index)).collect();
            let batch = match self.protocol {
                Protocol::Resp => read_resp(&mut stream, &names),
                Protocol::Http(_) => read_http(&mut stream, &names),
            };
            values.extend(batch.map_err(failed)?);
        }
        Ok(values)
    }
}

fn is_asked_for(scenario: &Scenario) -> bool {
    let checks = scenario.slos.iter().flat_map(|slo| &slo.checks);
    checks.flat_map(|check| check.measures().cloned().collect::<Vec<_>>()).any(|measure| {
        matches!(
            measure,
            Measure::Conserved
                | Measure::Acknowledged
                | Measure::Counted
                | Measure::Asked
                | Measure::Retried
                | Measure::Unsettled
        )
    })
}

/// Returns the one source whose keys all operations that count add to.
fn source(scenario: &Scenario) -> Option<usize> {
    let counting = scenario.operations.iter().filter(|op| op.counts != Counts::Nothing);
    let mut sources = counting.map(|operation| operation.source().map(usize::from));
    let first = sources.next()??;
    sources.all(|source| source == Some(first)).then_some(first)
}

/// Whether the slots of a scenario go where a node has its counters.
fn is_node(requests: &Requests) -> bool {
    let drawn = requests.draw(Slot { number: 0, phase: 0, due_ns: 0 });
    let filling = requests.filling(drawn, Stream::of(0));
    requests.operations().iter().all(|operation| match &operation.request {
        quipu_lab::scenario::Request::Resp(_) => true,
        quipu_lab::scenario::Request::Http(request) => {
            let mut path = Vec::new();
            request.path.render(&filling, &mut path);
            path.starts_with(COUNTERS)
        }
    })
}

fn read_resp(stream: &mut Link, names: &[String]) -> io::Result<Vec<i64>> {
    let mut ask = Vec::new();
    length(b'*', names.len() + 1, &mut ask);
    bulk(b"MGET", &mut ask);
    for name in names {
        bulk(name.as_bytes(), &mut ask);
    }
    stream.write_all(&ask)?;
    let answer = read_until(stream, resp::is_complete)?;
    let values = resp::integers(&answer).filter(|values| values.len() == names.len());
    values.ok_or_else(|| strange(&answer))
}

fn read_http(stream: &mut Link, names: &[String]) -> io::Result<Vec<i64>> {
    let ops: Vec<Value> = names.iter().map(|name| json!({"counter": name, "get": true})).collect();
    let body = json!({ "ops": ops }).to_string();
    let head =
        "POST /v1/default/batch HTTP/1.1\r\nHost: quipu\r\nContent-Type: application/json\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
    let answer = read_until(stream, |bytes| http_body(bytes).is_some())?;
    let body = http_body(&answer).unwrap_or_default();
    let value = |result: &Value| match result.get("value") {
        Some(Value::Null) => Some(0),
        value => value?.as_i64(),
    };
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let results = parsed.get("results").and_then(Value::as_array);
    let values: Option<Vec<i64>> = results.and_then(|all| all.iter().map(value).collect());
    values.filter(|values| values.len() == names.len()).ok_or_else(|| strange(&answer))
}

fn strange(answer: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(answer.get(..80).unwrap_or(answer)).into_owned();
    io::Error::other(format!("it answers {:?}", text.lines().next().unwrap_or_default()))
}

/// Returns the body of an answer with a length once it is complete.
fn http_body(bytes: &[u8]) -> Option<&[u8]> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else { return None };
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length?.value).ok()?.trim().parse().ok()?;
    bytes.get(head..head.checked_add(length)?)
}

/// Reads until the answer is complete.
fn read_until(stream: &mut Link, is_complete: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut part = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut part)?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        answer.extend_from_slice(part.get(..count).unwrap_or_default());
        if is_complete(&answer) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::http_body;

    #[test]
    fn a_body_is_there_once_all_of_it_has_come() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(http_body(answer), Some(&b"{}"[..]));
        assert_eq!(http_body(&answer[..answer.len() - 1]), None);
    }
}
