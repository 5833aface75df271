//! What the page for people shows: figures as they are, so that two readings tell what was between.
//!
//! Numbers that may pass 2^53 are texts: a browser reads JSON's numbers as floating point.

use quipu_core::top::Top;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A distribution as upper bounds in nanoseconds and counts, without empty buckets.
pub type Buckets = Vec<(u64, u64)>;

/// The figures of a node.
#[derive(Debug)]
pub struct LiveReply<'a> {
    /// Which version runs.
    pub version: &'a str,
    /// How long it has served, in milliseconds.
    pub uptime_ms: u64,
    /// Log time, in milliseconds.
    pub now_ms: u64,
    /// The durability of writes that ask for none.
    pub ack: &'static str,
    /// Where Redis clients connect.
    pub resp_port: u16,
    /// How many counters there are.
    pub counters: u64,
    /// Adds that counted since the start.
    pub counted: u64,
    /// Operations by kind since the start.
    pub operations: Vec<(&'static str, u64)>,
    /// Levels, by name.
    pub levels: Vec<(&'static str, i64)>,
    /// Distributions since the start, by name.
    pub timings: Vec<(&'static str, Buckets)>,
    /// The newest ranking, if there is one.
    pub top: Option<&'a Top>,
    /// How many of it are shown.
    pub n: usize,
}

/// A number as a text.
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Pairs<'a, T>(&'a [(&'static str, T)]);

impl<T: std::fmt::Display> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, number)| (name, Text(number))))
    }
}

struct Timings<'a>(&'a [(&'static str, Buckets)]);

impl Serialize for Timings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, buckets)| (name, buckets)))
    }
}

#[derive(serde::Serialize)]
struct Row<'a> {
    counter: &'a str,
    value: Text<i64>,
}

struct Shown<'a>(&'a Top, usize);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(top, n) = self;
        let shown = top.items.iter().take(*n);
        let rows: Vec<Row<'_>> =
            shown.map(|r| Row { counter: &r.name, value: Text(r.value) }).collect();
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("items", &rows)?;
        map.serialize_entry("from_ms", &top.from_ms)?;
        map.serialize_entry("to_ms", &top.to_ms)?;
        map.end()
    }
}

impl Serialize for LiveReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", self.version)?;
        map.serialize_entry("uptime_ms", &self.uptime_ms)?;
        map.serialize_entry("now_ms", &self.now_ms)?;
        map.serialize_entry("ack", self.ack)?;
        map.serialize_entry("resp_port", &self.resp_port)?;
        map.serialize_entry("counters", &Text(self.counters))?;
        map.serialize_entry("counted", &Text(self.counted))?;
        map.serialize_entry("operations", &Pairs(&self.operations))?;
        map.serialize_entry("levels", &Pairs(&self.levels))?;
        map.serialize_entry("timings", &Timings(&self.timings))?;
        map.serialize_entry("top", &self.top.map(|top| Shown(top, self.n)))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::LiveReply;
    use crate::json::reply;

    #[test]
    fn great_numbers_are_texts_and_no_ranking_is_null() {
        let live = LiveReply {
            version: "1",
            uptime_ms: 5,
            now_ms: 7,
            ack: "fsync",
            resp_port: 7411,
            counters: u64::MAX,
            counted: 7,
            operations: vec![("add", 9_007_199_254_740_993)],
            levels: vec![("memory_bytes", -1)],
            timings: vec![("sync", vec![(8, 2), (16, 1)])],
            top: None,
            n: 10,
        };
        let mut out = Vec::new();
        reply::write(&live, &mut out);
        assert_eq!(
            String::from_utf8(out).expect("JSON is UTF-8"),
            "{\"version\":\"1\",\"uptime_ms\":5,\"now_ms\":7,\"ack\":\"fsync\",\
             \"resp_port\":7411,\"counters\":\"18446744073709551615\",\
             \"counted\":\"7\",\"operations\":{\"add\":\"9007199254740993\"},\"levels\":{\"memory_bytes\":\"-1\"},\
             \"timings\":{\"sync\":[[8,2],[16,1]]},\"top\":null}"
        );
    }
}
