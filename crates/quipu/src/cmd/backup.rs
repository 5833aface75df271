//! `quipu backup`: a consistent copy of a running node.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use quipu_client::archive::{self, ArchiveError};
use quipu_log::backup::{BackupError, Manifest, Receiver};
use quipu_log::storage::os::{NetworkFileSystem, Os};
use quipu_server::clock::read;
use serde_json::json;
use stdx::time::utc_text;
use stdx::units::Bytes;

use super::admin::Admin;
use crate::bar::{Bar, Unit};
use crate::output;

/// How long a node may take to fold its log before the first byte comes. Guess: a fold writes at
/// least some megabytes a second, and a snapshot has hardly more than gigabytes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Copy everything that a running node holds into a new directory
///
/// The node folds its log into a snapshot beside its work, and the copy is read back and checked.
/// It holds all that was answered before the command began: counters, tokens, streams and expiries.
/// `quipu restore` makes a data directory of it.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// Directory of the backup; new, or empty
    #[arg(value_name = "DIR")]
    backup: PathBuf,
    #[command(flatten)]
    admin: Admin,
    /// Print what it holds as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Takes a backup and prints what it holds.
///
/// # Errors
/// The node does not answer, or the directory cannot be written; then there is no backup.
pub(crate) fn run(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let path = args.backup.display();
    let address = args.admin.address()?;
    let storage = Os::open(&args.backup, NetworkFileSystem::Force)?;
    let manifest = take(&storage, &address).with_context(|| format!("no backup in {path}"))?;
    if args.json {
        output::say(json(&manifest))?;
    } else {
        output::print(&describe(&manifest))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn take(storage: &Os, address: &str) -> Result<Manifest, Failed> {
    let mut receiver = Receiver::begin(storage)?;
    if receiver.replaced {
        output::note("what an interrupted backup left was removed");
    }
    let bar = Bar::new(Some(0), Unit::Pieces);
    bar.next("the node folds its log", 0);
    let taken_s = read().wall_ms / 1000;
    let mut answer = archive::ask(address, ("POST", "/v1/backup"), PATIENCE)?;
    bar.next("copying", answer.length.unwrap_or_default());
    answer.bytes(|part| {
        bar.add(part.len() as u64);
        receiver.put(part).map_err(Failed::from)
    })?;
    bar.next("reading back", 0);
    Ok(receiver.finish(taken_s)?)
}

/// What a backup holds, for people.
pub(super) fn describe(manifest: &Manifest) -> String {
    let Manifest { store_id, position, taken_s, time_s, counters, tokens, streams, .. } = manifest;
    let shards = manifest.shards.iter();
    let newest: Vec<String> =
        shards.map(|at| format!("{}:{}:{}", at.shard, at.epoch, at.batch)).collect();
    format!(
        "store    {store_id:016x}\n\
         taken    {}\n\
         newest   {} (log time)\n\
         upto     frame {position}\n\
         holds    {counters} counters, {tokens} tokens, {streams} streams in {}\n\
         shards   {}\n",
        utc_text(taken_s * 1000),
        utc_text(time_s * 1000),
        Bytes(manifest.bytes).approximate(),
        newest.join(" "),
    )
}

/// What a backup holds, for programs.
pub(super) fn json(manifest: &Manifest) -> serde_json::Value {
    let shards = manifest.shards.iter();
    let positions: Vec<String> =
        shards.map(|at| format!("{}:{}:{}", at.shard, at.epoch, at.batch)).collect();
    json!({
        "store_id": format!("{:016x}", manifest.store_id),
        "taken_s": manifest.taken_s,
        "time_s": manifest.time_s,
        "frame": manifest.position,
        "counters": manifest.counters,
        "tokens": manifest.tokens,
        "streams": manifest.streams,
        "bytes": manifest.bytes,
        "positions": positions,
    })
}
