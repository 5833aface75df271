//! Which source a line comes from, and under which stream its sequence is kept.
//!
//! A file is known by its inode and its first line, so a file that was rotated away and one that
//! took its place are two sources, and a renamed file is still the same. A file that was cut and
//! filled again with the same first line is noticed by having fewer lines than the node has
//! counted; it becomes the next *generation* of its source, with a stream of its own.
//! One stream serves one source and one template: a stream has at most one operation per
//! sequence, and the sequence is the number of the line, from 1.

use thiserror::Error;

/// Longest name of a stream, in bytes. Spec: DESIGN section 4, tokens.
pub const STREAM_BYTES_MAX: usize = 64;
/// Longest name that a person may give to a source: room for the prefix and the template's hash.
pub const NAME_BYTES_MAX: usize = 40;

const _: () = assert!("named/".len() + NAME_BYTES_MAX + 1 + 16 <= STREAM_BYTES_MAX);
// A file's stream: prefix, inode, first line, template, and ten digits of generation.
const _: () = assert!("file/".len() + 16 + 1 + 16 + 1 + 16 + 1 + 8 <= STREAM_BYTES_MAX);

/// What makes a source the same one when it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    identity: String,
}

/// Why a name cannot stand for a source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a source's name is 1 to {NAME_BYTES_MAX} printable ASCII characters without blanks")]
pub struct SourceNameError;

impl Source {
    /// Returns the source of the file with `inode` whose first line is `first_line`.
    pub fn of_file(inode: u64, first_line: &[u8]) -> Source {
        Source { identity: format!("file/{inode:x}-{:016x}", stdx::hash::hash64(0, first_line)) }
    }

    /// Returns the source that a person named, for input that has no inode of its own.
    ///
    /// # Errors
    /// The name is empty, too long, or not printable ASCII.
    pub fn named(name: &str) -> Result<Source, SourceNameError> {
        let printable = name.bytes().all(|byte| byte.is_ascii_graphic());
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !printable {
            return Err(SourceNameError);
        }
        Ok(Source { identity: format!("named/{name}") })
    }

    /// Returns the name that a person gave, or what stands for a file.
    pub fn label(&self) -> &str {
        self.identity.strip_prefix("named/").unwrap_or(&self.identity)
    }

    /// Returns the stream of this source for `template`, in its `generation` (0 is the first).
    pub fn stream(&self, template: &str, generation: u32) -> String {
        let hash = stdx::hash::hash64(0, template.as_bytes());
        let first = format!("{}-{hash:016x}", self.identity);
        if generation == 0 { first } else { format!("{first}.{generation:x}") }
    }
}

#[cfg(test)]
mod tests {
    use super::{STREAM_BYTES_MAX, Source, SourceNameError};

    #[test]
    fn inode_first_line_template_and_generation_each_make_another_stream() {
        let streams = [
            Source::of_file(7, b"a").stream("t", 0),
            Source::of_file(8, b"a").stream("t", 0),
            Source::of_file(7, b"b").stream("t", 0),
            Source::of_file(7, b"a").stream("u", 0),
            Source::of_file(7, b"a").stream("t", 1),
        ];
        let distinct: std::collections::BTreeSet<_> = streams.iter().collect();
        assert_eq!(distinct.len(), streams.len());
        assert_eq!(streams[0], Source::of_file(7, b"a").stream("t", 0));
    }

    #[test]
    fn streams_are_never_longer_than_a_node_takes() {
        let file = Source::of_file(u64::MAX, b"a").stream("t", u32::MAX);
        let named = Source::named(&"x".repeat(40)).expect("a name").stream("t", 0);
        assert!(file.len() <= STREAM_BYTES_MAX && named.len() <= STREAM_BYTES_MAX);
    }

    #[test]
    fn names_that_would_not_survive_a_shell_are_refused() {
        for name in ["", "a b", "a\n", "\u{e9}", &"x".repeat(41)] {
            assert_eq!(Source::named(name), Err(SourceNameError), "{name}");
        }
    }
}
