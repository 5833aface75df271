//! Which source a line comes from, and under which stream its sequence is kept.
//!
//! A file is known by its inode and its first line, so a file that was rotated away and one that
//! took its place are two sources, and a renamed file is still the same. A file that was cut and
//! filled again with the same first line becomes the next *generation* of its source, with a
//! stream of its own. [`crate::identity`] finds out which one it is.
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A regular file.
    File {
        /// Its inode.
        inode: u64,
        /// The hash of its first line.
        first_line: u64,
    },
    /// What a person named.
    Named(String),
}

/// Why a name cannot stand for a source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a source's name is 1 to {NAME_BYTES_MAX} printable ASCII characters without blanks")]
pub struct SourceNameError;

impl Source {
    /// Returns the source of the file with `inode` whose first line is `first_line`.
    pub fn of_file(inode: u64, first_line: &[u8]) -> Source {
        Source::File { inode, first_line: stdx::hash::hash64(0, first_line) }
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
        Ok(Source::Named(name.to_owned()))
    }

    /// Returns the name that a person gave, or what stands for a file.
    pub fn label(&self) -> String {
        match self {
            Source::File { inode, first_line } => format!("file/{inode:x}-{first_line:016x}"),
            Source::Named(name) => name.clone(),
        }
    }

    /// Returns the stream of this source for `template`, in its `generation` (0 is the first).
    pub fn stream(&self, template: &str, generation: u32) -> String {
        let hash = stdx::hash::hash64(0, template.as_bytes());
        let first = match self {
            Source::File { inode, first_line } => format!("file/{inode:x}-{first_line:016x}"),
            Source::Named(name) => format!("named/{name}"),
        };
        with_generation(format!("{first}-{hash:016x}"), generation)
    }

    /// Returns the stream whose checkpoint is the print of this file in its `generation`;
    /// `None` of what is no file.
    pub fn print_stream(&self, generation: u32) -> Option<String> {
        let Source::File { inode, first_line } = self else { return None };
        Some(with_generation(format!("print/{inode:x}-{first_line:016x}"), generation))
    }

    /// Returns the stream whose checkpoint is the inode of file number `number`, from 0, of those
    /// that had the path `path` and the first line of this file; `None` of what is no file.
    pub fn path_stream(&self, path: &[u8], number: u32) -> Option<String> {
        let Source::File { first_line, .. } = self else { return None };
        let path = stdx::hash::hash64(0, path);
        Some(with_generation(format!("path/{path:016x}-{first_line:016x}"), number))
    }

    /// Returns the file with another `inode` and the same first line.
    #[must_use]
    pub fn with_inode(&self, inode: u64) -> Source {
        match self {
            Source::File { first_line, .. } => Source::File { inode, first_line: *first_line },
            Source::Named(name) => Source::Named(name.clone()),
        }
    }
}

fn with_generation(name: String, generation: u32) -> String {
    if generation == 0 { name } else { format!("{name}.{generation:x}") }
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
        let source = Source::of_file(u64::MAX, b"a");
        let print = source.print_stream(u32::MAX).expect("a file");
        let path = source.path_stream(b"/a", u32::MAX).expect("a file");
        for name in [file, named, print, path] {
            assert!(name.len() <= STREAM_BYTES_MAX, "{name}");
        }
    }

    #[test]
    fn names_that_would_not_survive_a_shell_are_refused() {
        for name in ["", "a b", "a\n", "\u{e9}", &"x".repeat(41)] {
            assert_eq!(Source::named(name), Err(SourceNameError), "{name}");
        }
    }
}
