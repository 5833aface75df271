//! `quipu audit`: count a directory again and compare.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use quipu_log::audit::{Audit, Difference, audit};
use quipu_log::storage::os::{NetworkFileSystem, Os};
use stdx::units::Bytes;

use crate::output;

/// Fold the log of a stopped node again and compare with its newest snapshot
///
/// Every record is checked against what was there before it, so this is a recount of everything
/// that the directory still holds. Nothing is changed. Exits 0 where all agrees, 1 where not.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// Data directory of a node that is not running
    #[arg(value_name = "DIR")]
    data: PathBuf,

    /// Memory for changes before they are spilled into the directory
    #[arg(long, value_name = "BYTES", default_value = "64MiB")]
    memory: Bytes,
}

/// Audits a directory and prints what was found.
///
/// # Errors
/// The directory is no store, is in use, or cannot be read.
pub(crate) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let path = args.data.display();
    if !args.data.is_dir() {
        bail!("{path} is no directory; name the data directory of a node");
    }
    let storage = Os::open(&args.data, NetworkFileSystem::Force)?;
    let found = audit(&storage, args.memory.as_usize()).with_context(|| format!("in {path}"))?;
    output::print(&report(&found))?;
    Ok(if found.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(audit: &Audit) -> String {
    let Audit { from, snapshot, upto, frames, counters, compared, different, .. } = audit;
    let mut lines = vec![match from {
        0 => format!("folded {frames} frames, from the beginning of the store to frame {upto}"),
        from => format!("folded {frames} frames, from the snapshot at {from} to frame {upto}"),
    }];
    lines.push(match (snapshot, compared) {
        (0, _) => "there is no snapshot to compare with yet".to_owned(),
        (at, 0) => format!("the snapshot at frame {at} checks; no older history is kept"),
        (at, n) => {
            format!("compared {n} items with the snapshot at frame {at}: {different} differ")
        }
    });
    lines.extend(audit.differences.iter().map(difference));
    lines.extend(audit.damaged.iter().map(|error| format!("damaged: {error}")));
    lines.extend(audit.unfit.iter().map(|error| format!("does not fit: {error}")));
    if let Some(cut) = &audit.cut {
        lines.push(format!(
            "the next start will cut off {} byte(s) that were never acknowledged, from offset {} \
             of {} on",
            cut.bytes, cut.offset, cut.file
        ));
    }
    let verdict = if audit.is_clean() { "consistent" } else { "NOT consistent" };
    lines.push(format!("{verdict}: {counters} counters"));
    lines.join("\n") + "\n"
}

fn difference(difference: &Difference) -> String {
    let Difference { shard, item, log, snapshot } = difference;
    format!("shard {shard}, {item:?}: the log says {log:?}, the snapshot says {snapshot:?}")
}
