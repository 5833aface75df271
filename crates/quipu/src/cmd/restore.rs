//! `quipu restore`: a data directory from a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use quipu_log::backup::{Restored, restore, verify};
use quipu_log::storage::os::{NetworkFileSystem, Os};
use quipu_log::wal::Options;
use quipu_server::clock::read;

use super::backup::{describe, json};
use crate::output;

/// Bits of an epoch below the time of the restore: a random number, so that two restores in one
/// millisecond differ. Guess.
const RANDOM_BITS: u32 = 10;

/// Make a data directory of a backup
///
/// The backup is verified first. The new store begins epochs of its own, so that none of its
/// positions is one that the old store has given, or will give.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Directory of the backup
    backup: PathBuf,
    /// Directory of the new store; new, or empty
    #[arg(required_unless_present = "verify")]
    data_dir: Option<PathBuf>,
    /// Verify the backup and write nothing
    #[arg(long, conflicts_with = "data_dir")]
    verify: bool,
    /// Print what it holds as JSON
    #[arg(long)]
    json: bool,
}

/// Restores a backup and prints what it held.
///
/// # Errors
/// The backup does not verify, or the directory is not empty or cannot be written.
pub(crate) fn run(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let path = args.backup.display();
    if !args.backup.is_dir() {
        bail!("{path} is no directory; name the directory of a backup");
    }
    let from = Os::read_only(&args.backup)?;
    let manifest = match &args.data_dir {
        None => verify(&from).with_context(|| format!("in {path}"))?,
        Some(data_dir) => {
            let to = Os::open(data_dir, NetworkFileSystem::Refuse)?;
            let restored = restore(&from, &to, epoch()?, options()?);
            let context = || format!("from {path} to {}", data_dir.display());
            let Restored { manifest, epoch } = restored.with_context(context)?;
            output::note(&format!("restored; the first epoch will be {}", epoch + 1));
            manifest
        }
    };
    if args.json {
        output::say(json(&manifest))?;
    } else {
        output::print(&describe(&manifest))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A life of shards that no other has: by the time of now, beyond any that starts count.
fn epoch() -> anyhow::Result<u64> {
    let now_ms = read().wall_ms;
    Ok((now_ms << RANDOM_BITS) + (random()? >> (u64::BITS - RANDOM_BITS)))
}

fn options() -> anyhow::Result<Options> {
    let mut seed = random()?;
    Ok(Options::new(Box::new(move || {
        seed = seed.wrapping_add(1);
        stdx::hash::hash64(seed, b"quipu restore")
    })))
}

fn random() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| anyhow::anyhow!("the machine gives no random bits: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}
