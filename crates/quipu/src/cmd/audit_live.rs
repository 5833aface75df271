//! `quipu audit` of a node that runs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use quipu_client::archive::{self, ArchiveError};
use quipu_log::audit::AuditError;
use quipu_log::audit::live::{Arriving, LiveAudit, LiveFound};
use quipu_log::storage::os::{NetworkFileSystem, Os};
use quipu_wire::archive::{Chunk, Hello};
use stdx::time::utc_text;

use crate::bar::{Bar, Unit};

/// How long a node may take to begin. Guess: another reading comes first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Audits the node whose admin listener is at `address`; files go into `scratch`, which is empty.
pub(super) fn audit(
    address: &str,
    scratch: &Path,
    memory_bytes: usize,
) -> anyhow::Result<LiveFound> {
    let storage = Os::open(scratch, NetworkFileSystem::Force)?;
    let mut answer = archive::ask(address, ("GET", "/v1/audit"), PATIENCE)?;
    let mut payload = Vec::new();
    let mut arrived: Option<Arrived> = None;
    while let Some(head) = answer.chunk(&mut payload)? {
        let chunk = head.read(&payload)?;
        let Some(arrived) = &mut arrived else {
            let Chunk::Hello(hello) = chunk else { bail!("the node does not say what it holds") };
            arrived = Some(Arrived::new(&storage, hello, memory_bytes)?);
            continue;
        };
        match arrived.take(chunk) {
            Ok(false) => {}
            Ok(true) => break,
            // What was found so far says what does not fit.
            Err(error) if matches!(error.downcast_ref(), Some(AuditError::Unfit)) => break,
            Err(error) => return Err(error),
        }
    }
    let Some(Arrived { audit, has_ended, .. }) = arrived else {
        return Err(ArchiveError::CutShort.into());
    };
    let found = audit.finish()?;
    if !has_ended && found.is_clean() {
        return Err(ArchiveError::CutShort.into());
    }
    Ok(found)
}

/// What arrives, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Base,
    Pages,
    Frames,
}

/// An audit and how far it is.
struct Arrived {
    audit: LiveAudit<Os>,
    hello: Hello,
    base: Option<Arriving<std::fs::File>>,
    bar: Bar,
    stage: Stage,
    has_ended: bool,
}

impl Arrived {
    fn new(storage: &Os, hello: Hello, memory_bytes: usize) -> anyhow::Result<Self> {
        let Hello { store_id, shards, base_position, .. } = hello;
        let audit = LiveAudit::new(storage.clone(), (store_id, shards), memory_bytes)?;
        let base = (base_position > 0).then(|| Arriving::snapshot(storage, base_position));
        let bar = Bar::new(Some(hello.base_bytes), Unit::Pieces);
        bar.next("oldest snapshot", hello.base_bytes);
        Ok(Self {
            audit,
            hello,
            base: base.transpose()?,
            bar,
            stage: Stage::Base,
            has_ended: false,
        })
    }

    /// Takes a chunk; says whether it was the last.
    fn take(&mut self, chunk: Chunk<'_>) -> anyhow::Result<bool> {
        match chunk {
            Chunk::Hello(_) => bail!("the node says twice what it holds"),
            Chunk::Base(bytes) => {
                self.bar.add(bytes.len() as u64);
                let Some(base) = &mut self.base else { bail!("the node sends what is not there") };
                base.put(bytes)?;
            }
            Chunk::Page(page) => {
                self.begin_pages()?;
                self.bar.add(page.counters.len() as u64);
                self.audit.page(page)?;
            }
            Chunk::Frame { position, payload } => {
                self.begin_frames();
                self.bar.add(payload.len() as u64);
                self.audit.frame(position, payload)?;
            }
            Chunk::Broken(why) => bail!("the node cannot go on: {why}"),
            Chunk::End { .. } => {
                self.has_ended = true;
                self.bar.next("comparing", 0);
            }
        }
        Ok(self.has_ended)
    }

    /// The first page: the oldest snapshot is there.
    fn begin_pages(&mut self) -> anyhow::Result<()> {
        if self.stage == Stage::Base {
            self.stage = Stage::Pages;
            if self.base.take().is_some() {
                let checked = self.audit.base(self.hello.base_position);
                checked.context("the oldest snapshot that the node keeps")?;
            }
            self.bar.next("counters of the node", self.hello.counters);
        }
        Ok(())
    }

    fn begin_frames(&mut self) {
        if self.stage != Stage::Frames {
            self.stage = Stage::Frames;
            self.bar.next("log", self.hello.log_bytes);
        }
    }
}

/// What was found, for people.
pub(super) fn report(found: &LiveFound) -> String {
    let LiveFound { from, from_time_s, upto, frames, counters, different, .. } = found;
    let mut lines = vec![match from {
        0 => format!("folded {frames} frames, from the beginning of the store to frame {upto}"),
        from => format!(
            "folded {frames} frames, from the snapshot at {from} ({}) to frame {upto}; older \
             history is not kept",
            utc_text(u64::from(*from_time_s) * 1000)
        ),
    }];
    lines
        .push(format!("compared with {counters} counters of the running node: {different} differ"));
    lines.extend(found.differences.iter().map(|(difference, position)| {
        let quipu_log::audit::Difference { item, log, snapshot, .. } = difference;
        format!("as of {position}, {item:?}: the log says {log:?}, the node says {snapshot:?}")
    }));
    lines.extend(found.unfit.iter().map(|error| {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        format!("does not fit: {error}: {source}")
    }));
    let verdict = if found.is_clean() { "consistent" } else { "NOT consistent" };
    lines.push(format!("{verdict}: {counters} counters"));
    lines.join("\n") + "\n"
}
