//! Streams as an operator sees them: listed, shown and ended over the admin listener.

use std::time::Duration;

use quipu_wire::http::percent;
use serde_json::Value;
use thiserror::Error;

use crate::archive::{ArchiveError, ask};

/// How long a node may take to answer. Guess: an end waits for a sync, which a busy disk delays.
const PATIENCE: Duration = Duration::from_secs(60);

/// Streams of one page: the most that a node gives.
const PAGE: usize = quipu_wire::http::query::LIMIT_MAX;

/// Longest answer in bytes. Guess: a page of streams that are known to hundreds of shards.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Why there is no answer about streams.
#[derive(Debug, Error)]
pub enum StreamsError {
    /// Nobody answers, or the node refuses.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The answer is none that we know.
    #[error("what the node answers about streams is not understood")]
    Unexpected,
}

/// What a node knows of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownStream {
    /// Its name as one segment of a path: bytes other than letters, digits and `-._~` as `%XX`.
    pub segment: String,
    /// What its sender stored.
    pub checkpoint: Option<u64>,
    /// The mark of each shard that has one.
    pub marks: Vec<(u16, u64)>,
    /// The sequence that was refused and must come again, where the node says so.
    pub held: Option<u64>,
    /// Whether it was used since the node started, where the node says so.
    pub is_used: Option<bool>,
    /// What the node said, word for word.
    pub told: Value,
}

impl KnownStream {
    /// The highest sequence that was counted on any shard; 0 where none was.
    pub fn mark(&self) -> u64 {
        self.marks.iter().map(|(_, mark)| *mark).max().unwrap_or(0)
    }

    fn read(segment: String, told: Value) -> Option<Self> {
        let marks = told.get("marks")?.as_array()?.iter();
        let mark = |mark: &Value| {
            let shard = u16::try_from(mark.get("shard")?.as_u64()?).ok()?;
            Some((shard, mark.get("mark")?.as_u64()?))
        };
        Some(Self {
            segment,
            checkpoint: told.get("checkpoint")?.as_u64(),
            marks: marks.map(mark).collect::<Option<_>>()?,
            held: told.get("held").and_then(Value::as_u64),
            is_used: told.get("used_since_start").and_then(Value::as_bool),
            told,
        })
    }
}

/// Lists the streams of the node whose admin listener is at `address`, in the order of their names;
/// `pattern` is that of `SCAN`.
///
/// # Errors
/// Nobody answers there, or what is no list.
pub fn list(
    address: &str,
    pattern: &str,
    mut visit: impl FnMut(KnownStream),
) -> Result<(), StreamsError> {
    let pattern = percent::encode_segment(pattern);
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/default/streams?match={pattern}&limit={PAGE}{cursor}");
        let page = call(address, ("GET", &path))?;
        let items = page.get("items").and_then(Value::as_array).ok_or(StreamsError::Unexpected)?;
        for item in items {
            let path = item.get("path").and_then(Value::as_str).unwrap_or_default();
            let segment = path.rsplit('/').next().unwrap_or_default().to_owned();
            let known = KnownStream::read(segment, item.clone());
            visit(known.ok_or(StreamsError::Unexpected)?);
        }
        match page.get("cursor") {
            Some(Value::String(next)) => cursor = format!("&cursor={next}"),
            _ => return Ok(()),
        }
    }
}

/// What the node at `address` knows of the stream with this name, as a segment of a path.
///
/// # Errors
/// It knows none, or nobody answers there.
pub fn show(address: &str, segment: &str) -> Result<KnownStream, StreamsError> {
    let told = call(address, ("GET", &format!("/v1/default/streams/{segment}")))?;
    KnownStream::read(segment.to_owned(), told).ok_or(StreamsError::Unexpected)
}

/// Ends a stream of the node at `address`, `by_force` also one that is held; returns what it was.
///
/// # Errors
/// There is none, it is held, or nobody answers there.
pub fn end(address: &str, segment: &str, by_force: bool) -> Result<KnownStream, StreamsError> {
    let path = format!("/v1/default/streams/{segment}?force={by_force}");
    let told = call(address, ("DELETE", &path))?;
    KnownStream::read(segment.to_owned(), told).ok_or(StreamsError::Unexpected)
}

fn call(address: &str, request: (&str, &str)) -> Result<Value, StreamsError> {
    let mut answer = ask(address, request, PATIENCE)?;
    let mut body = Vec::new();
    answer.bytes(|part| {
        body.extend_from_slice(part);
        if body.len() > ANSWER_BYTES_MAX { Err(StreamsError::Unexpected) } else { Ok(()) }
    })?;
    serde_json::from_slice(&body).map_err(|_| StreamsError::Unexpected)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::KnownStream;

    #[test]
    fn a_stream_is_read_as_the_node_tells_it() {
        let told = json!({"stream": "s", "checkpoint": 7, "held": null, "used_since_start": true,
            "marks": [{"shard": 1, "mark": 9}, {"shard": 3, "mark": 4}]});
        let known = KnownStream::read("s".to_owned(), told.clone()).expect("it is whole");
        assert_eq!((known.mark(), known.checkpoint, known.held), (9, Some(7), None));
        assert_eq!((known.marks, known.is_used), (vec![(1, 9), (3, 4)], Some(true)));
        for part in ["checkpoint", "marks"] {
            let mut less = told.clone();
            less.as_object_mut().expect("an object").remove(part);
            assert_eq!(KnownStream::read("s".to_owned(), less), None, "{part}");
        }
    }
}
