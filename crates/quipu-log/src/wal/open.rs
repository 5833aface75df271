//! The ways to open a log: to go on writing it, or only to look at it.

use std::error::Error;

use quipu_core::failpoint::{Point, reach};

use crate::{
    storage::Storage,
    wal::{
        Options, Preparer, publish,
        recovery::{RecoverError, Recovered, Report, check_sizes, read, storage_failed},
        store::Identity,
    },
};

/// Opens the log in `storage`, creating it in an empty directory, and hands the payload of every
/// frame from position `start` on to `visit`, in order. `start` is the position after the
/// snapshot's, 1 without one. Returns when everything visited is durable. Reads the log from
/// `start` to its end and the rest of its segments, writes one segment.
///
/// # Errors
/// See [`RecoverError`]. What the visitor has been given must then be thrown away.
pub fn recover<S, E>(
    storage: &S,
    options: Options,
    start: u64,
    visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<Recovered<S>, RecoverError>
where
    S: Storage,
    E: Error + Send + Sync + 'static,
{
    recover_then(storage, options, start, visit, || Ok(()))
}

/// Opens the log like [`recover`], for a visitor that works on what it is given elsewhere: `end` is
/// called when there is no more, and returns when all of it is taken. Nothing is changed before.
///
/// # Errors
/// See [`RecoverError`]. What the visitor has been given must then be thrown away.
pub fn recover_then<S, E>(
    storage: &S,
    mut options: Options,
    start: u64,
    visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
    end: impl FnOnce() -> Result<(), E>,
) -> Result<Recovered<S>, RecoverError>
where
    S: Storage,
    E: Error + Send + Sync + 'static,
{
    check_sizes(storage, &mut options)?;
    let (chain, walk, beyond) = read(storage, options.identity, start, visit)?;
    end().map_err(|source| RecoverError::Visit {
        position: walk.expected - 1,
        source: Box::new(source),
    })?;
    let report = walk.report(&chain, &beyond);
    reach(Point::RecoverRead);
    for name in &chain.unfinished {
        storage.remove(name).map_err(storage_failed("remove", name))?;
        reach(Point::RecoverSwept);
    }
    let wal = publish::publish(storage, chain, &walk, &beyond, &mut options)?;
    let preparer = Preparer::new(wal.pool(), options.random);
    Ok(Recovered { wal, preparer, report })
}

/// Reads the log like [`recover`] and changes nothing: for looking at a store that no process has
/// open.
///
/// # Errors
/// See [`RecoverError`].
pub fn replay<S, E>(
    storage: &S,
    start: u64,
    visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<Report, RecoverError>
where
    S: Storage,
    E: Error + Send + Sync + 'static,
{
    let nothing = Identity { store_id: 0, shards: 0 };
    let (chain, walk, beyond) = read(storage, nothing, start, visit)?;
    Ok(walk.report(&chain, &beyond))
}
