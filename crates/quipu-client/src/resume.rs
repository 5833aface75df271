//! Where an ingest begins: which streams are its own, and after which line it goes on.

use crate::client::{Client, ClientError, StreamState};
use crate::identity::{Found, Rules, identify, keep_print};
use crate::ingest::IngestError;
use crate::input::Input;
use crate::lines::Position;
use crate::request::StreamNames;
use crate::source::Source;
use crate::tail::Tail;
use crate::window::{Cut, Stored};

/// The streams of an ingest and where it goes on.
#[derive(Debug)]
pub struct Start {
    /// One stream per template, in their order.
    pub streams: Vec<StreamNames>,
    /// What the node has stored of each.
    pub stored: Vec<Stored>,
    /// Where to read on.
    pub from: Position,
    /// The smallest checkpoint: lines up to here are not sent. For a pipe they are still to be
    /// read; for a file `from` is after them.
    pub checkpoint: u64,
    /// Set when the file is not what the node has counted under its inode and first line.
    pub replaced: Option<Replaced>,
}

/// A file that is not the one that was counted under its inode and first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The highest line that the node has counted.
    pub counted: u64,
    /// Lines that the file has now, at most as many.
    pub lines: u64,
}

/// What a node knows of all streams of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// What it has stored of each stream.
    pub(crate) stored: Vec<Stored>,
    /// The highest line of any checkpoint, mark or cut; `None` if it knows no stream.
    pub(crate) highest: Option<u64>,
}

impl Known {
    /// Returns the line that ends the last block that is cut and not confirmed; 0 without one.
    pub(crate) fn last_end(&self) -> u64 {
        let open = |stored: &Stored| {
            stored.cut.filter(|cut| cut.upto > stored.checkpoint).map(|cut| cut.upto)
        };
        self.stored.iter().filter_map(open).max().unwrap_or(0)
    }

    /// Lets every block that is cut and not confirmed end after line `lines` at the latest.
    pub(crate) fn clip(&mut self, lines: u64) {
        let beyond = |stored: &&mut Stored| stored.cut.is_some_and(|cut| cut.upto > lines);
        for stored in self.stored.iter_mut().filter(beyond) {
            let from = stored.cut.map(|cut| cut.from).filter(|from| *from < lines);
            let from = from.unwrap_or(stored.checkpoint).min(lines);
            stored.cut = Some(Cut { from, upto: lines });
        }
    }
}

/// Reads what the node has stored of the stream with `names`.
pub(crate) fn stored(client: &mut Client, names: &StreamNames) -> Result<Stored, ClientError> {
    Ok(combine(&client.stream(&names.stream)?, &client.stream(&names.companion)?).0)
}

pub(crate) fn known(client: &mut Client, streams: &[StreamNames]) -> Result<Known, ClientError> {
    let mut known = Known::default();
    for names in streams {
        let (stream, companion) = (client.stream(&names.stream)?, client.stream(&names.companion)?);
        let (stored, highest) = combine(&stream, &companion);
        known.stored.push(stored);
        known.highest = known.highest.max(highest);
    }
    Ok(known)
}

/// Returns what is stored of one stream, and its highest line, if there is any.
fn combine(stream: &StreamState, companion: &StreamState) -> (Stored, Option<u64>) {
    let cut = companion.checkpoint.and_then(Cut::decode);
    let highest = stream.checkpoint.max(stream.highest_mark).max(cut.map(|cut| cut.upto));
    (Stored { checkpoint: stream.checkpoint.unwrap_or(0), cut }, highest)
}

fn smallest(stored: &[Stored]) -> u64 {
    stored.iter().map(|stored| stored.checkpoint).min().unwrap_or(0)
}

/// Finds where to begin with `input`, counted in the ways that `identities` tell apart.
pub(crate) fn start(
    client: &mut Client,
    input: &Input,
    identities: &[String],
) -> Result<Start, IngestError> {
    match input {
        Input::File(file) => start_file(client, file, identities),
        Input::Pipe(_, source) => start_first(client, source, identities),
    }
}

/// What can only be read from its start has one generation.
fn start_first(
    client: &mut Client,
    source: &Source,
    identities: &[String],
) -> Result<Start, IngestError> {
    let streams = streams(source, identities, 0);
    let stored = known(client, &streams)?.stored;
    let checkpoint = smallest(&stored);
    Ok(Start { streams, stored, from: Position::default(), checkpoint, replaced: None })
}

/// A file that nobody has identified yet is new unless the node knows it.
fn start_file(
    client: &mut Client,
    file: &Tail,
    identities: &[String],
) -> Result<Start, IngestError> {
    let (identity, replaced) = match file.identity() {
        Some(identity) => (identity, None),
        None => match identify(client, file, identities, Rules::default())? {
            Found::Source(identity, replaced) => (identity, replaced),
            Found::Stranger | Found::Short | Found::Cut => return Err(IngestError::NotIdentified),
        },
    };
    keep_print(client, file, &identity)?;
    let streams = streams(&identity.source, identities, identity.generation);
    let mut known = known(client, &streams)?;
    if let Some(lines) = file.lines_at_most() {
        known.clip(lines);
    }
    let checkpoint = smallest(&known.stored);
    let from = file.go_after(checkpoint)?;
    file.read_at_least(known.last_end());
    Ok(Start { streams, stored: known.stored, from, checkpoint, replaced })
}

pub(crate) fn streams(source: &Source, identities: &[String], generation: u32) -> Vec<StreamNames> {
    let names = |identity: &String| StreamNames {
        stream: source.stream(identity, generation),
        companion: source.stream(&format!("cuts of {identity}"), generation),
    };
    identities.iter().map(names).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cut, Stored, StreamState, combine, smallest};

    fn state(checkpoint: Option<u64>, highest_mark: Option<u64>) -> StreamState {
        StreamState { checkpoint, highest_mark }
    }

    fn check(stream: &StreamState, cut: Option<Cut>, checkpoint: u64, highest: Option<u64>) {
        let companion = state(cut.map(Cut::encode), None);
        assert_eq!(combine(stream, &companion), (Stored { checkpoint, cut }, highest));
    }

    #[test]
    fn the_highest_line_is_that_of_checkpoint_mark_or_cut() {
        let cut = Some(Cut { from: 5, upto: 12 });
        check(&state(Some(5), Some(9)), None, 5, Some(9));
        check(&state(Some(5), Some(9)), cut, 5, Some(12));
        check(&state(None, None), Some(Cut { from: 0, upto: 3 }), 0, Some(3));
        check(&state(None, None), None, 0, None);
    }

    #[test]
    fn the_smallest_checkpoint_decides_and_a_stream_without_one_begins_at_the_start() {
        let stored = |checkpoint| Stored { checkpoint, cut: None };
        assert_eq!(smallest(&[stored(5), stored(7)]), 5);
        assert_eq!(smallest(&[stored(5), Stored::default()]), 0);
    }
}
