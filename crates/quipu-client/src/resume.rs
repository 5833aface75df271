//! Where an ingest begins: which streams are its own, and after which line it goes on.

use crate::client::{Client, ClientError, StreamState};
use crate::ingest::IngestError;
use crate::input::{FileInput, Input};
use crate::lines::Position;
use crate::source::Source;

/// The streams of an ingest and where it goes on.
#[derive(Debug)]
pub struct Start {
    /// One stream per template, in their order.
    pub streams: Vec<String>,
    /// Where to read on.
    pub from: Position,
    /// The smallest checkpoint: lines up to here are not sent. For a pipe they are still to be
    /// read; for a file `from` is after them.
    pub checkpoint: u64,
    /// Set when the file had fewer lines than the node has counted of it.
    pub replaced: Option<Replaced>,
}

/// A file that is not the one that was counted under its inode and first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The highest line that the node has counted.
    pub counted: u64,
    /// Lines that the file has now.
    pub lines: u64,
}

/// What a node knows of all streams of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The smallest checkpoint.
    pub(crate) checkpoint: u64,
    /// The highest sequence of any checkpoint or mark; `None` if it knows no stream.
    highest: Option<u64>,
}

/// Reads what the node knows of `streams`.
pub(crate) fn known(client: &mut Client, streams: &[String]) -> Result<Known, ClientError> {
    let states = streams.iter().map(|stream| client.stream(stream)).collect::<Result<Vec<_>, _>>();
    Ok(combine(&states?))
}

fn combine(states: &[StreamState]) -> Known {
    let checkpoints = states.iter().map(|state| state.checkpoint.unwrap_or(0));
    let highest = states.iter().filter_map(|state| state.checkpoint.max(state.highest_mark));
    Known { checkpoint: checkpoints.min().unwrap_or(0), highest: highest.max() }
}

/// Finds where to begin with `input`, counted by `templates`.
pub(crate) fn start(
    client: &mut Client,
    input: &Input,
    templates: &[&str],
) -> Result<Start, IngestError> {
    match input {
        Input::File(file) => start_file(client, file, templates),
        Input::Pipe(_, source) => {
            let streams = streams(source, templates, 0);
            let checkpoint = known(client, &streams)?.checkpoint;
            Ok(Start { streams, from: Position::default(), checkpoint, replaced: None })
        }
    }
}

/// The newest generation that the node knows is the file's own, unless it counted more lines
/// than the file has: then the file was replaced, and the next generation begins.
fn start_file(
    client: &mut Client,
    file: &FileInput,
    templates: &[&str],
) -> Result<Start, IngestError> {
    let source = file.source()?;
    let (mut generation, mut newest) = (0, known(client, &streams(&source, templates, 0))?);
    while newest.highest.is_some() {
        let next = known(client, &streams(&source, templates, generation + 1))?;
        if next.highest.is_none() {
            break;
        }
        (generation, newest) = (generation + 1, next);
    }
    let counted = newest.highest.unwrap_or(0);
    let lines = file.after(counted)?.lines;
    if lines < counted {
        let streams = streams(&source, templates, generation + 1);
        let replaced = Some(Replaced { counted, lines });
        return Ok(Start { streams, from: Position::default(), checkpoint: 0, replaced });
    }
    let streams = streams(&source, templates, generation);
    let from = file.after(newest.checkpoint)?;
    Ok(Start { streams, from, checkpoint: newest.checkpoint, replaced: None })
}

fn streams(source: &Source, templates: &[&str], generation: u32) -> Vec<String> {
    templates.iter().map(|template| source.stream(template, generation)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Known, StreamState, combine};

    fn check(states: &[(Option<u64>, Option<u64>)], checkpoint: u64, highest: Option<u64>) {
        let states: Vec<_> = states
            .iter()
            .map(|&(checkpoint, highest_mark)| StreamState { checkpoint, highest_mark })
            .collect();
        assert_eq!(combine(&states), Known { checkpoint, highest });
    }

    #[test]
    fn the_smallest_checkpoint_decides_and_a_stream_without_one_begins_at_the_start() {
        check(&[(Some(5), Some(9)), (Some(7), None)], 5, Some(9));
        check(&[(Some(5), None), (None, None)], 0, Some(5));
        check(&[(None, Some(3))], 0, Some(3));
        check(&[(None, None)], 0, None);
    }
}
