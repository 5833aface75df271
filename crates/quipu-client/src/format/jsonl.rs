//! One JSON value per line; a field is a path into it: `request.method`, `tags.0`.
//!
//! Only what some path asks for is kept. Strings count without their quotes, numbers as they are
//! written; null, objects and arrays are no values.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::record::Record;

/// The paths that are asked for, as a tree.
#[derive(Debug, Default)]
pub(super) struct Jsonl {
    root: Node,
    /// The paths in the order of their fields.
    paths: Vec<String>,
}

#[derive(Debug, Default)]
struct Node {
    /// The field that a value here has.
    field: Option<usize>,
    children: Vec<(String, Node)>,
}

impl Jsonl {
    pub(super) fn resolve(&mut self, path: &str) -> usize {
        if let Some(known) = self.paths.iter().position(|known| known == path) {
            return known;
        }
        let field = self.paths.len();
        self.paths.push(path.to_owned());
        let node = path.split('.').fold(&mut self.root, Node::child);
        node.field = Some(field);
        field
    }

    /// Finds the fields of a line that is an object or an array.
    pub(super) fn parse(&self, line: &[u8], record: &mut Record) -> bool {
        record.clear();
        let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(first, Some(b'{' | b'[')) {
            return false;
        }
        let mut json = serde_json::Deserializer::from_slice(line);
        let read = Walk { node: &self.root, record }.deserialize(&mut json);
        read.is_ok() && json.end().is_ok()
    }
}

impl Node {
    fn child(&mut self, key: &str) -> &mut Node {
        let known = self.children.iter().position(|(name, _)| name == key);
        let at = known.unwrap_or_else(|| {
            self.children.push((key.to_owned(), Node::default()));
            self.children.len() - 1
        });
        &mut self.children.get_mut(at).expect("it was found or was just put there").1
    }

    fn find(&self, key: &str) -> Option<&Node> {
        self.children.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }
}

/// Reads the value at one node.
struct Walk<'t, 'r> {
    node: &'t Node,
    record: &'r mut Record,
}

impl Walk<'_, '_> {
    fn keep(&mut self, value: &[u8]) {
        if let Some(field) = self.node.field {
            self.record.put_decoded(field, value);
        }
    }

    /// Keeps a value as it is written, a string without its quotes.
    fn keep_raw(&mut self, raw: &str) -> serde_json::Result<()> {
        match raw.as_bytes() {
            [b'{' | b'[', ..] | b"null" => {}
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => self.keep(text),
            [b'"', ..] => self.keep(serde_json::from_str::<String>(raw)?.as_bytes()),
            other => self.keep(other),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, json: D) -> Result<(), D::Error> {
        if !self.node.children.is_empty() {
            return json.deserialize_any(self);
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(json)?;
        self.keep_raw(raw.get()).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(child) = map.next_key_seed(Key(self.node))? {
            match child {
                Some(node) => map.next_value_seed(Walk { node, record: &mut *self.record })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let more = match self.node.find(itoa::Buffer::new().format(index)) {
                Some(node) => {
                    let walk = Walk { node, record: &mut *self.record };
                    elements.next_element_seed(walk)?.is_some()
                }
                None => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.keep(value.as_bytes());
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.keep(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.keep(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.keep(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.keep(value.to_string().as_bytes());
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Finds the node of a key, without a copy of the key.
struct Key<'t>(&'t Node);

impl<'de, 't> DeserializeSeed<'de> for Key<'t> {
    type Value = Option<&'t Node>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'t> Visitor<'_> for Key<'t> {
    type Value = Option<&'t Node>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(key))
    }
}
