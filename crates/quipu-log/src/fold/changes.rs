//! A log composed without its base, in bounded memory: what does not fit is spilled as sorted runs.

use quipu_core::{
    failpoint::{Point, reach},
    record::{self, Item},
    snapshot::{ChangeSet, ShardMeta, Taken, put_change},
};

use crate::{
    fold::FoldFailed,
    sorted_file::{Header, Kind, SortedFileError, Writer, failed},
    storage::Storage,
};

/// Changes in memory and in runs, oldest first.
#[derive(Debug)]
pub(crate) struct Changes<S: Storage> {
    storage: S,
    header: Header,
    memory_bytes: usize,
    set: ChangeSet,
    runs: Vec<String>,
    spilled_bytes: u64,
}

fn run_name(number: usize) -> String {
    format!("fold-{number:04}.run")
}

/// Says whether a file is a run of some fold.
pub(crate) fn is_run(name: &str) -> bool {
    name.strip_prefix("fold-").is_some_and(|rest| rest.strip_suffix(".run").is_some())
}

impl<S: Storage> Changes<S> {
    pub(crate) fn new(storage: S, header: Header, memory_bytes: usize) -> Self {
        let header = Header { kind: Kind::Run, ..header };
        Self {
            storage,
            header,
            memory_bytes,
            set: ChangeSet::new(header.store_id),
            runs: Vec::new(),
            spilled_bytes: 0,
        }
    }

    /// Notes what the base says of a shard.
    pub(crate) fn set_base(&mut self, shard: u16, meta: ShardMeta) {
        self.set.set_base(shard, meta);
    }

    /// Composes the payload of a frame.
    pub(crate) fn add(&mut self, position: u64, payload: &[u8]) -> Result<(), FoldFailed> {
        self.add_where(position, payload, |_, _| true)
    }

    /// Composes those items of a frame that `keeps` says.
    pub(crate) fn add_where(
        &mut self,
        position: u64,
        payload: &[u8],
        keeps: impl FnMut(&record::Header, &Item<'_>) -> bool,
    ) -> Result<(), FoldFailed> {
        let folded = self.set.fold_payload_where(payload, keeps);
        folded.map_err(|source| FoldFailed::Frame { position, source })?;
        if self.set.bytes() > self.memory_bytes { Ok(self.spill()?) } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), SortedFileError> {
        let name = run_name(self.runs.len());
        // Noted first, so that it is removed also when it fails half way.
        self.runs.push(name.clone());
        let mut writer = Writer::create(&self.storage, &name, &self.header)?;
        for (place, change) in self.set.take() {
            writer.put(|out| put_change(out, &place, &change))?;
        }
        self.spilled_bytes += writer.finish()?.1;
        reach(Point::FoldSpilled);
        Ok(())
    }

    /// Returns the newest log time of all shards, in milliseconds.
    pub(crate) fn time_ms(&self) -> u64 {
        self.set.time_ms()
    }

    /// Returns how many runs were spilled.
    pub(crate) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Returns how many bytes the runs take.
    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }

    /// Takes the changes in memory, which are newer than all runs.
    pub(crate) fn take(&mut self) -> Taken {
        self.set.take()
    }

    pub(crate) fn run_names(&self) -> &[String] {
        &self.runs
    }

    pub(crate) fn storage(&self) -> &S {
        &self.storage
    }

    /// Removes the runs; what is left after a failure goes at the next fold.
    pub(crate) fn remove_runs(&mut self) -> Result<(), SortedFileError> {
        for name in std::mem::take(&mut self.runs) {
            self.storage.remove(&name).map_err(failed("remove", &name))?;
        }
        Ok(())
    }
}
