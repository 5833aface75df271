//! `quipu audit`: count a node or a directory again and compare.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use quipu_log::audit::{Audit, Difference, audit};
use quipu_log::storage::os::{NetworkFileSystem, Os};
use stdx::time::utc_text;
use stdx::units::Bytes;

use super::admin::Admin;
use super::audit_live;
use crate::output;

/// Fold the log again and compare with a running node, or with the snapshots of a stopped one
///
/// Every record is checked against what was there before it, so this is a recount of everything
/// that is still kept; how far back that goes is set by log.retain_bytes and log.retain_time. A
/// running node is compared counter by counter, while it works. Nothing is changed. Exits 0 where
/// all agrees, 1 where not.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// Data directory of a node that is not running, instead of a running node
    #[arg(value_name = "DIR", conflicts_with_all = ["node", "admin"])]
    data: Option<PathBuf>,

    #[command(flatten)]
    admin: Admin,

    /// Directory for what the audit of a running node writes: about the size of its oldest snapshot,
    /// of its counters and of what changed since
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,

    /// Memory for changes before they are spilled
    #[arg(long, value_name = "BYTES", default_value = "64MiB")]
    memory: Bytes,
}

/// Audits and prints what was found.
///
/// # Errors
/// The node does not answer; the directory is no store, is in use, or cannot be read.
pub(crate) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let memory_bytes = args.memory.as_usize();
    let (text, is_clean) = match &args.data {
        Some(data) => audit_directory(data, memory_bytes)?,
        None => audit_node(args, memory_bytes)?,
    };
    output::print(&text)?;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn audit_directory(data: &Path, memory_bytes: usize) -> anyhow::Result<(String, bool)> {
    let path = data.display();
    if !data.is_dir() {
        bail!("{path} is no directory; name the data directory of a node");
    }
    let storage = Os::open(data, NetworkFileSystem::Force)?;
    let found = audit(&storage, memory_bytes).with_context(|| format!("in {path}"))?;
    Ok((report(&found), found.is_clean()))
}

fn audit_node(args: &AuditArgs, memory_bytes: usize) -> anyhow::Result<(String, bool)> {
    let address = args.admin.address()?;
    let scratch = tempfile::Builder::new().prefix("quipu-audit-").tempdir_in(&args.scratch);
    let scratch = scratch.with_context(|| format!("in {}", args.scratch.display()))?;
    let found = audit_live::audit(&address, scratch.path(), memory_bytes)?;
    Ok((audit_live::report(&found), found.is_clean()))
}

fn report(audit: &Audit) -> String {
    let Audit { from, snapshot, upto, frames, counters, compared, different, .. } = audit;
    let mut lines = vec![match from {
        0 => format!("folded {frames} frames, from the beginning of the store to frame {upto}"),
        from => format!(
            "folded {frames} frames, from the snapshot at {from} ({}) to frame {upto}; older \
             history is not kept",
            utc_text(u64::from(audit.from_time_s) * 1000)
        ),
    }];
    lines.push(match (snapshot, compared) {
        (0, _) => "there is no snapshot to compare with yet".to_owned(),
        (at, 0) => format!("the snapshot at frame {at} checks; no older history is kept"),
        (at, n) => {
            format!("compared {n} items with the snapshots up to frame {at}: {different} differ")
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
