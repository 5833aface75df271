//! Text with holes, compiled once and filled in without allocation.
//!
//! `{{key}}` (or the name of any source of `[data]`), `{{delta}}`, `{{n}}` (the number of the slot),
//! `{{uuid}}` (version 7), `{{uuid4}}`, `{{token}}` (32 hexadecimal digits that only this slot of this
//! run has), `{{stream}}` and `{{sequence}}` (a stream of this run and a place in it).

use crate::request::Filling;

/// A text with holes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
    /// Whether keys are percent-encoded.
    is_path: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole(Hole),
}

/// What a hole is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// The key drawn from the source of this number.
    Key(u8),
    /// The drawn delta.
    Delta,
    /// The number of the slot.
    Number,
    /// A UUID of version 7, by the moment at which the slot is due.
    Uuid7,
    /// A UUID of version 4.
    Uuid4,
    /// A token of this slot.
    Token,
    /// The name of the stream.
    Stream,
    /// The place in the stream.
    Sequence,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Two braces that nothing closes.
    #[error("`{rest}` is not closed: write two braces after the name, or one brace before it")]
    Open {
        /// From the braces on.
        rest: String,
    },
    /// A hole that nothing fills.
    #[error("nothing is called `{name}`: write one of {known}, or define [data.{name}]")]
    Unknown {
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
}

/// The holes that need no source.
const HOLES: [(&str, Hole); 7] = [
    ("delta", Hole::Delta),
    ("n", Hole::Number),
    ("uuid", Hole::Uuid7),
    ("uuid4", Hole::Uuid4),
    ("token", Hole::Token),
    ("stream", Hole::Stream),
    ("sequence", Hole::Sequence),
];

impl Template {
    /// Compiles a text whose holes may name these sources.
    ///
    /// # Errors
    /// A hole that is not closed, or whose name is neither a source nor one that is built in.
    pub fn compile(text: &str, sources: &[&str]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, tail) = after
                .split_once("}}")
                .ok_or_else(|| TemplateError::Open { rest: format!("{{{{{after}") })?;
            push_text(&mut parts, before);
            parts.push(Part::Hole(hole(name.trim(), sources)?));
            rest = tail;
        }
        push_text(&mut parts, rest);
        Ok(Self { parts, is_path: false })
    }

    /// Compiles the path of a URL: keys that fill it are percent-encoded, as one segment or one value
    /// of a query.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_path(text: &str, sources: &[&str]) -> Result<Self, TemplateError> {
        Ok(Self { is_path: true, ..Self::compile(text, sources)? })
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns its holes from left to right.
    pub fn holes(&self) -> impl Iterator<Item = Hole> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Hole(hole) => Some(*hole),
        })
    }

    /// Returns the whole text if it has no holes.
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Writes the filled text at the end of `out`; allocates nothing where `out` has room.
    pub fn render(&self, filling: &Filling<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Hole(hole) if self.is_path => {
                    let start = out.len();
                    fill(*hole, filling, out);
                    percent_encode(start, out);
                }
                Part::Hole(hole) => fill(*hole, filling, out),
            }
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

fn hole(name: &str, sources: &[&str]) -> Result<Hole, TemplateError> {
    if let Some(number) = sources.iter().position(|source| *source == name) {
        return Ok(Hole::Key(number as u8));
    }
    let found = HOLES.iter().find(|(known, _)| *known == name);
    found.map(|(_, hole)| *hole).ok_or_else(|| {
        let known = sources.iter().copied().chain(HOLES.map(|(known, _)| known));
        let known = known.collect::<Vec<_>>().join(", ");
        TemplateError::Unknown { name: name.to_owned(), known }
    })
}

fn fill(hole: Hole, filling: &Filling<'_>, out: &mut Vec<u8>) {
    match hole {
        Hole::Key(source) => filling.write_key(source, out),
        Hole::Delta => write_whole(filling.drawn.delta, out),
        Hole::Number => write_whole(filling.drawn.slot.number, out),
        Hole::Uuid7 => write_uuid(filling.uuid7(), out),
        Hole::Uuid4 => write_uuid(filling.uuid4(), out),
        Hole::Token => write_hex(&filling.token().to_be_bytes(), out),
        Hole::Stream => {
            out.extend_from_slice(b"lab-");
            write_hex(&filling.run().to_be_bytes(), out);
            out.push(b'-');
            write_whole(filling.stream.connection, out);
            if filling.stream.turn > 0 {
                out.push(b'-');
                write_whole(filling.stream.turn, out);
            }
        }
        Hole::Sequence => write_whole(filling.drawn.slot.number + 1, out),
    }
}

fn write_whole(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Percent-encodes what `out` holds from `start` on; unreserved characters stay (RFC 3986, 2.3), and
/// so does the colon, which is allowed in a segment and a query.
fn percent_encode(start: usize, out: &mut Vec<u8>) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let mut at = start;
    while let Some(byte) = out.get(at).copied() {
        if !is_plain(byte) {
            let [high, low] = hex(byte);
            out.splice(at..=at, [b'%', high, low]);
            at += 2;
        }
        at += 1;
    }
}

fn write_uuid(uuid: u128, out: &mut Vec<u8>) {
    for (at, byte) in uuid.to_be_bytes().iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        write_hex(std::slice::from_ref(byte), out);
    }
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend(hex(*byte));
    }
}

fn hex(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests;
