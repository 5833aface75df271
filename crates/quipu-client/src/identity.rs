//! Which source a file is: one that the node has counted some of, or a new one.
//!
//! The node keeps two kinds of streams for that, which count nothing and whose checkpoints are
//! the facts: the *print* of each source, and for each *path* and first line the inodes of the
//! files that were found there. So
//!
//! - a file whose inode and first line are known is that source, if its first lines are; else it
//!   was cut and filled again, and is the next generation;
//! - a file with the name of a rotated one and an inode that is not known is a copy, perhaps
//!   compressed, of the file that had that path, if its first lines are; so what was not counted
//!   of that one is counted from the copy;
//! - any other is new.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::client::{Client, ClientError};
use crate::ingest::IngestError;
use crate::print::Print;
use crate::resume::{Known, Replaced, known, streams};
use crate::rotation::{earlier_names, first_name, is_rotated};
use crate::source::Source;
use crate::tail::Tail;

/// Files with the same path and first line that are remembered. Guess: years of daily rotation of
/// files that all begin with the same header.
const SAME_PATH_MAX: u32 = 4096;

/// A source that was found: which one, and which of its generations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The source.
    pub source: Source,
    /// How often its file was filled again before.
    pub generation: u32,
}

/// What is known of a file before its content is looked at.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Rules {
    /// It was seen to be cut: it is none of what the node knows under its inode.
    pub was_cut: bool,
    /// Only what continues a known source is wanted.
    pub successor_only: bool,
    /// The file has not the name any more under which it was written.
    pub is_put_away: bool,
    /// It may still be written as a copy of another.
    pub may_be_unfinished: bool,
    /// Whole lines were seen in it: if it has none it was cut.
    pub has_lines: bool,
    /// It begins as the file does that has its earlier name, and that one was not identified since
    /// it was cut: once it is, this one is known to be a copy of it.
    pub copies_unknown: bool,
}

/// What a file was found to be.
#[derive(Debug)]
pub enum Found {
    /// This source; the other is set where it took the place of something that was counted.
    Source(Identity, Option<Replaced>),
    /// Nothing that was counted, and new ones are not wanted.
    Stranger,
    /// It has fewer lines than the source that it may be a copy of, or that source is not known
    /// yet: to be asked again later.
    Short,
    /// It was cut meanwhile.
    Cut,
}

/// What the node knows of one generation of a source.
struct Kept {
    known: Known,
    print: Option<Print>,
}

/// Finds out which source `file` is, and lets the node know a new one.
///
/// # Errors
/// The node or the file cannot be read.
pub fn identify(
    client: &mut Client,
    file: &Tail,
    identities: &[String],
    rules: Rules,
) -> Result<Found, IngestError> {
    // Its first lines are taken between two looks at the very first. That there was none twice
    // would not tell what was there in between.
    let (first, is_whole) = file.first_line()?;
    if rules.has_lines && !is_whole {
        return Ok(Found::Cut);
    }
    file.print_to_keep()?;
    let source = Source::of_file(file.inode(), &first);
    let (identity, replaced) = match find(client, file, &source, (identities, rules))? {
        Found::Source(identity, replaced) => (identity, replaced),
        found => return Ok(found),
    };
    // What was found is of no use if the file became another meanwhile.
    let (again, is_still_whole) = file.first_line()?;
    if file.is_cut() || again != first || is_whole && !is_still_whole {
        return Ok(Found::Cut);
    }
    remember(client, file, &identity)?;
    Ok(Found::Source(identity, replaced))
}

fn find(
    client: &mut Client,
    file: &Tail,
    source: &Source,
    (identities, rules): (&[String], Rules),
) -> Result<Found, IngestError> {
    let mut replaced = None;
    let newest = newest(client, source, identities)?;
    if let Some((generation, kept)) = &newest {
        if !rules.was_cut && is_continued(file, kept)? {
            let identity = Identity { source: source.clone(), generation: *generation };
            return Ok(Found::Source(identity, None));
        }
        let counted = kept.known.highest.unwrap_or(0);
        replaced = Some(Replaced { counted, lines: file.go_after(counted)?.lines });
    }
    let origin = if rules.was_cut { Origin::None } else { origin(client, file, source, rules)? };
    match origin {
        Origin::Known(identity) => return continued(client, file, identity, (identities, rules)),
        Origin::Short if rules.may_be_unfinished => return Ok(Found::Short),
        Origin::None | Origin::Short if rules.copies_unknown => return Ok(Found::Short),
        Origin::None | Origin::Short if rules.successor_only => return Ok(Found::Stranger),
        Origin::None | Origin::Short => {}
    }
    let generation = newest.map_or(0, |(generation, _)| generation + 1);
    Ok(Found::Source(Identity { source: source.clone(), generation }, replaced))
}

/// Goes on with a source from a copy of its file, which may lack the last lines that were read of
/// the file itself: they are lost with it, and the block that they were in ends before them.
fn continued(
    client: &mut Client,
    file: &Tail,
    identity: Identity,
    (identities, rules): (&[String], Rules),
) -> Result<Found, IngestError> {
    let end =
        known(client, &streams(&identity.source, identities, identity.generation))?.last_end();
    let lines = file.terminated_lines(end)?;
    if lines < end && rules.may_be_unfinished {
        return Ok(Found::Short);
    }
    if lines < end {
        file.has_at_most(lines);
    }
    Ok(Found::Source(identity, None))
}

/// Stores the print of `file` if it covers more lines than the one that was stored.
pub(crate) fn keep_print(
    client: &mut Client,
    file: &Tail,
    identity: &Identity,
) -> Result<(), IngestError> {
    let name = identity.source.print_stream(identity.generation);
    let (Some(name), Some(print)) = (name, file.print_to_keep()?) else { return Ok(()) };
    let stored = stored_print(client, &name)?;
    if stored.is_none_or(|stored| stored.lines() < print.lines()) {
        client.checkpoint(&name, print.encode())?;
    }
    file.printed(print.lines());
    Ok(())
}

/// Lets the node know under which path the source is found, and by what it is recognised, before
/// anything of it is counted.
fn remember(client: &mut Client, file: &Tail, identity: &Identity) -> Result<(), IngestError> {
    keep_print(client, file, identity)?;
    let Source::File { inode, .. } = identity.source else { return Ok(()) };
    let path = lasting_path(&absolute(&file.path()));
    for number in 0..SAME_PATH_MAX {
        let name = identity.source.path_stream(path.as_os_str().as_bytes(), number);
        let Some(name) = name else { break };
        match client.stream(&name)?.checkpoint {
            Some(stored) if stored == inode => break,
            Some(_) => {}
            None => {
                client.checkpoint(&name, inode)?;
                break;
            }
        }
    }
    Ok(())
}

/// Returns the newest generation of `source` that the node knows.
fn newest(
    client: &mut Client,
    source: &Source,
    identities: &[String],
) -> Result<Option<(u32, Kept)>, ClientError> {
    let mut newest = None;
    for generation in 0.. {
        let Some(kept) = kept(client, source, identities, generation)? else { break };
        newest = Some((generation, kept));
    }
    Ok(newest)
}

fn kept(
    client: &mut Client,
    source: &Source,
    identities: &[String],
    generation: u32,
) -> Result<Option<Kept>, ClientError> {
    let known = known(client, &streams(source, identities, generation))?;
    let print = match source.print_stream(generation) {
        Some(name) => stored_print(client, &name)?,
        None => None,
    };
    let exists = known.highest.is_some() || print.is_some();
    Ok(exists.then_some(Kept { known, print }))
}

fn stored_print(client: &mut Client, name: &str) -> Result<Option<Print>, ClientError> {
    Ok(client.stream(name)?.checkpoint.and_then(Print::decode))
}

/// Says whether `file` has all that was counted of it, as far as that can be told.
fn is_continued(file: &Tail, kept: &Kept) -> Result<bool, IngestError> {
    if let Some(print) = kept.print
        && file.matches(print)? != Some(true)
    {
        return Ok(false);
    }
    let counted = kept.known.highest.unwrap_or(0);
    Ok(file.go_after(counted)?.lines >= counted)
}

enum Origin {
    Known(Identity),
    Short,
    None,
}

/// Looks for a source that had one of the paths that `file` may have had, and has its first lines.
fn origin(
    client: &mut Client,
    file: &Tail,
    own: &Source,
    rules: Rules,
) -> Result<Origin, IngestError> {
    let mut short = false;
    let path = absolute(&file.path());
    let mut paths = earlier_names(&path);
    // A copy of this one may have been identified before it.
    paths.extend(rules.is_put_away.then(|| first_name(&path)));
    for path in paths {
        for number in 0..SAME_PATH_MAX {
            let name = own.path_stream(path.as_os_str().as_bytes(), number);
            let Some(name) = name else { break };
            let Some(inode) = client.stream(&name)?.checkpoint else { break };
            let source = own.with_inode(inode);
            match generation_of(client, file, &source)? {
                Matching::Generation(generation) => {
                    return Ok(Origin::Known(Identity { source, generation }));
                }
                Matching::Short => short = true,
                Matching::None => {}
            }
        }
    }
    Ok(if short { Origin::Short } else { Origin::None })
}

enum Matching {
    Generation(u32),
    Short,
    None,
}

/// Returns the newest generation of `source` that has the first lines of `file`.
fn generation_of(
    client: &mut Client,
    file: &Tail,
    source: &Source,
) -> Result<Matching, IngestError> {
    let mut matching = Matching::None;
    for generation in 0.. {
        let Some(name) = source.print_stream(generation) else { break };
        let Some(print) = stored_print(client, &name)? else { break };
        match file.matches(print)? {
            Some(true) => matching = Matching::Generation(generation),
            None if !matches!(matching, Matching::Generation(_)) => matching = Matching::Short,
            Some(false) | None => {}
        }
    }
    Ok(matching)
}

/// Returns the path under which successors of the file at `path` will look for it: that of the
/// file that took its place if it was rotated away already.
fn lasting_path(path: &Path) -> PathBuf {
    if is_rotated(path) { first_name(path) } else { path.to_owned() }
}

/// Returns `path` with its folder as the file system calls it.
fn absolute(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Client, Found, Rules, Tail, identify};
    use crate::tail::Until;

    #[test]
    fn a_file_that_lost_its_lines_is_no_source_without_a_first_line() {
        // What is there now tells enough: nobody is asked.
        let nobody = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = nobody.local_addr().expect("bound").to_string();
        let mut client = Client::connect(&address, Duration::from_secs(1)).expect("connected");
        for content in ["", "the begin of a line"] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), content).expect("written");
            let open = Arc::new(File::open(file.path()).expect("opened"));
            let tail = Tail::new(open, file.path(), Until::End).expect("a regular file");
            let rules = Rules { has_lines: true, ..Rules::default() };
            let found = identify(&mut client, &tail, &[], rules).expect("read");
            assert!(matches!(found, Found::Cut), "{content}: {found:?}");
        }
    }
}
