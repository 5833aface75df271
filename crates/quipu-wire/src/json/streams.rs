//! Answers about streams: one, a page of them, and one that has ended.

use quipu_core::node::StreamView;
use quipu_core::op::Ack;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::http::ask::ack_word;
use crate::http::percent::encode_bytes;
use crate::http::route::NAMESPACE;
use crate::json::reply::Body;

/// The answer about a stream.
#[derive(Debug)]
pub struct StreamReply<'a> {
    /// The stream's name.
    pub name: &'a [u8],
    /// What is known of it.
    pub view: &'a StreamView,
    /// The durability that it vouches for.
    pub ack: Ack,
}

/// A page of streams.
#[derive(Debug)]
pub struct StreamsReply<'a> {
    /// Names and what is known of them.
    pub items: Vec<(&'a [u8], &'a StreamView)>,
    /// The name after which to go on; none at the end.
    pub next: Option<&'a [u8]>,
    /// The durability that it vouches for.
    pub ack: Ack,
}

/// The answer to the end of a stream, durable.
#[derive(Debug)]
pub struct EndReply<'a> {
    /// The stream's name.
    pub name: &'a [u8],
    /// What it was.
    pub view: &'a StreamView,
}

#[derive(serde::Serialize)]
struct Mark {
    shard: u16,
    mark: u64,
}

fn put_view<M: SerializeMap>(map: &mut M, name: &[u8], view: &StreamView) -> Result<(), M::Error> {
    let marks: Vec<Mark> = view.marks.iter().map(|&(shard, mark)| Mark { shard, mark }).collect();
    map.serialize_entry("stream", &String::from_utf8_lossy(name))?;
    map.serialize_entry("checkpoint", &view.checkpoint)?;
    map.serialize_entry("marks", &marks)
}

/// One line of a page.
struct Item<'a>(&'a [u8], &'a StreamView);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(name, view) = self;
        let mut map = serializer.serialize_map(Some(6))?;
        put_view(&mut map, name, view)?;
        map.serialize_entry("held", &view.held)?;
        map.serialize_entry("used_since_start", &view.is_used)?;
        let path = format!("/v1/{NAMESPACE}/streams/{}", encode_bytes(name));
        map.serialize_entry("path", &path)?;
        map.end()
    }
}

impl Serialize for StreamReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        put_view(&mut map, self.name, self.view)?;
        map.serialize_entry("ack", ack_word(self.ack))?;
        map.end()
    }
}

impl Serialize for StreamsReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items: Vec<Item<'_>> = self.items.iter().map(|(name, view)| Item(name, view)).collect();
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("items", &items)?;
        map.serialize_entry("cursor", &self.next.map(encode_bytes))?;
        map.serialize_entry("ack", ack_word(self.ack))?;
        map.end()
    }
}

impl Serialize for EndReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(6))?;
        put_view(&mut map, self.name, self.view)?;
        map.serialize_entry("held", &self.view.held)?;
        map.serialize_entry("ended", &true)?;
        map.serialize_entry("ack", ack_word(Ack::Fsync))?;
        map.end()
    }
}

impl Body for StreamReply<'_> {}
impl Body for StreamsReply<'_> {}
impl Body for EndReply<'_> {}

#[cfg(test)]
mod tests {
    use quipu_core::node::StreamView;
    use quipu_core::op::Ack;

    use super::{EndReply, StreamReply, StreamsReply};
    use crate::json::reply::{Body, write};

    fn check(body: &impl Body, expected: &str) {
        let mut out = Vec::new();
        write(body, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    fn view() -> StreamView {
        let marks = vec![(1, 9), (3, 4)];
        StreamView { checkpoint: Some(7), marks, is_used: true, ..StreamView::default() }
    }

    #[test]
    fn one_stream_is_told_with_its_marks() {
        check(
            &StreamReply { name: b"s", view: &view(), ack: Ack::Fsync },
            "{\"stream\":\"s\",\"checkpoint\":7,\"marks\":[{\"shard\":1,\"mark\":9},\
             {\"shard\":3,\"mark\":4}],\"ack\":\"fsync\"}",
        );
        let view = StreamView { held: Some(10), ..view() };
        check(
            &EndReply { name: b"s", view: &view },
            "{\"stream\":\"s\",\"checkpoint\":7,\"marks\":[{\"shard\":1,\"mark\":9},\
             {\"shard\":3,\"mark\":4}],\"held\":10,\"ended\":true,\"ack\":\"fsync\"}",
        );
    }

    #[test]
    fn a_page_of_streams_says_where_each_is_found_and_where_to_go_on() {
        let held = StreamView { held: Some(1), ..StreamView::default() };
        let view = view();
        let reply = StreamsReply {
            items: vec![(b"a b", &view), (b"\xFF", &held)],
            next: Some(b"\xFF"),
            ack: Ack::Memory,
        };
        let first = "{\"stream\":\"a b\",\"checkpoint\":7,\"marks\":[{\"shard\":1,\"mark\":9},\
             {\"shard\":3,\"mark\":4}],\"held\":null,\"used_since_start\":true,\
             \"path\":\"/v1/default/streams/a%20b\"}";
        let second = "{\"stream\":\"\u{fffd}\",\"checkpoint\":null,\"marks\":[],\"held\":1,\
             \"used_since_start\":false,\"path\":\"/v1/default/streams/%ff\"}";
        let rest = "\"cursor\":\"%ff\",\"ack\":\"memory\"}";
        check(&reply, &format!("{{\"items\":[{first},{second}],{rest}"));
        let end = StreamsReply { items: Vec::new(), next: None, ..reply };
        check(&end, "{\"items\":[],\"cursor\":null,\"ack\":\"memory\"}");
    }
}
