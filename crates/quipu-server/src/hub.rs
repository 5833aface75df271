//! What all threads of a node share: the shards, the log, the clock, the metrics.
//!
//! A commit takes the open batches of all dirty shards, writes one frame, syncs once, and then
//! everybody's held replies may leave. Who commits is a choice made by measurement: see
//! `docs/decisions/`. Here is the mechanism: whoever holds the commit lock commits for all.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use quipu_core::failpoint::{Point, reach};
use quipu_core::node::Node;
use quipu_core::outcome::Dependency;
use quipu_log::log::{Cut, Log, Written};
use quipu_metrics::name::{Counter, Gauge, Timing};
use quipu_metrics::registry::Registry;
use quipu_metrics::settings::{CommitStrategy, Settings};
use stdx::units::Nanos;
use tokio::sync::Notify;

use crate::bell::Bell;
use crate::cells::SharedShards;
use crate::clock::{Clock, Stopwatch};
use crate::ranker::Ranker;
use crate::task_bell::TaskBell;
use crate::waker::Waker;

/// What a frame takes beyond its payload, at most: header, checksum and padding to a block. Spec:
/// blocks are at most 64 KiB.
const FRAME_OVERHEAD_BYTES: u64 = 64 * 1024 + 256;

/// Weight of the newest sync in the running mean: 1/8, a few milliseconds of memory at common sync
/// times. Guess.
const SYNC_MEAN_SHIFT: u32 = 3;

/// Steps that tasks may take while one waits for a commit that its own thread will make: two for a
/// request, so some 3 ms of work. Guess; a power of two, so that the count may wrap.
const TASK_TURNS_MAX: u32 = 512;

/// The log has failed while something waited for it: whether that is durable is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log has failed")]
pub struct LogFailed;

/// What all threads share.
#[derive(Debug)]
pub struct Hub {
    /// The shards.
    pub node: Node<SharedShards>,
    /// The metrics.
    pub registry: Registry,
    /// What the node runs with.
    pub settings: Settings,
    /// Log time.
    pub clock: Clock,
    /// Where administration is served, once it is.
    pub admin: OnceLock<SocketAddr>,
    /// Since when this process serves.
    pub started: Stopwatch,
    /// Rung when somebody waits for a commit by the committer.
    pub commit_bell: Bell,
    /// Rung when there is a segment to prepare.
    pub upkeep_bell: Bell,
    /// Paces the folder.
    pub fold_bell: Bell,
    /// Paces the housekeeper.
    pub tick_bell: Bell,
    /// Makes rankings of all counters.
    pub ranker: Ranker,
    /// Rung for HTTP tasks that wait for a commit.
    pub(crate) task_bell: TaskBell,
    /// How often tasks began to wait, or went on beside one that waits, since their thread last saw
    /// to their commit; 0 where none waits.
    task_turns: AtomicU32,
    /// What `task_turns` was when their thread last looked again before a commit.
    task_turns_seen: AtomicU32,
    /// Wakes tasks that wait for the end.
    ended: Notify,
    /// Whether somebody asked for a commit while the last one was made: by its end two groups of
    /// clients take turns.
    was_asked_meanwhile: AtomicBool,
    commit: Mutex<Commit>,
    wakers: Vec<Waker>,
    failed: AtomicBool,
    no_space: AtomicBool,
    stopping: AtomicBool,
    sync_mean_ns: AtomicU64,
    log_bytes: AtomicU64,
    inflight_bytes: AtomicI64,
    /// Connections of clients, over RESP and HTTP.
    connections: AtomicUsize,
    /// Bytes of the frame that is being written and synced.
    committing_bytes: AtomicU64,
    /// Bytes used of the segment that is being written to.
    open_segment_bytes: AtomicU64,
}

/// What a commit uses, under its lock.
struct Commit {
    log: Box<dyn Log>,
    cut: Cut,
    durable: Vec<(u16, u64)>,
    failure: Option<String>,
    /// Whether something was appended since the last mark.
    unmarked: bool,
    /// What the metrics know of.
    written: Written,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commit").field("failure", &self.failure).finish_non_exhaustive()
    }
}

/// Who commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// An event loop.
    Loop(usize),
    /// The thread of tasks.
    Tasks,
    /// Another thread.
    Other,
}

/// Whether a commit found something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It wrote and synced.
    Wrote,
    /// Nothing was open.
    Nothing,
}

impl Hub {
    /// Puts the parts together. `wakers` are those of the event loops.
    pub fn new(
        node: Node<SharedShards>,
        log: Box<dyn Log>,
        clock: Clock,
        settings: Settings,
        wakers: Vec<Waker>,
    ) -> Self {
        node.set_room(log.room(), false);
        let commit = Commit {
            written: log.written(),
            log,
            cut: Cut::default(),
            durable: Vec::new(),
            failure: None,
            unmarked: true,
        };
        Self {
            node,
            registry: Registry::new(env!("CARGO_PKG_VERSION")),
            settings,
            clock,
            admin: OnceLock::new(),
            started: Stopwatch::start(),
            commit_bell: Bell::default(),
            upkeep_bell: Bell::default(),
            fold_bell: Bell::default(),
            tick_bell: Bell::default(),
            ranker: Ranker::default(),
            task_bell: TaskBell::default(),
            task_turns: AtomicU32::new(0),
            task_turns_seen: AtomicU32::new(0),
            ended: Notify::new(),
            was_asked_meanwhile: AtomicBool::new(false),
            commit: Mutex::new(commit),
            wakers,
            failed: AtomicBool::new(false),
            no_space: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            sync_mean_ns: AtomicU64::new(0),
            log_bytes: AtomicU64::new(0),
            inflight_bytes: AtomicI64::new(0),
            connections: AtomicUsize::new(0),
            committing_bytes: AtomicU64::new(0),
            open_segment_bytes: AtomicU64::new(0),
        }
    }

    /// The waker of one event loop.
    pub fn waker(&self, worker: usize) -> &Waker {
        self.wakers.get(worker).expect("each worker has its waker")
    }

    /// Wakes all event loops.
    pub fn wake_loops(&self) {
        self.wakers.iter().for_each(Waker::wake);
    }

    /// Asks for a commit if open batches fill up although nobody waits for them.
    #[inline]
    pub fn relieve(&self) {
        if self.node.is_pressed() {
            self.commit_bell.ring();
        }
    }

    /// Whether the event loop itself should sync, as things are.
    pub fn loop_commits(&self) -> bool {
        match self.settings.commit.strategy {
            CommitStrategy::Loop => true,
            CommitStrategy::Committer => false,
            CommitStrategy::Auto => {
                let mean = self.sync_mean_ns.load(Ordering::Relaxed);
                mean <= self.settings.commit.loop_sync_max.0 && self.settings.linger.0 == 0
            }
        }
    }

    /// Commits on behalf of the event loop `worker` if no other thread is at it; the other one will
    /// see to those who wait.
    pub fn try_commit(&self, worker: usize) -> Option<Result<Committed, LogFailed>> {
        let guard = self.commit.try_lock()?;
        Some(self.commit_and_wake(guard, By::Loop(worker)))
    }

    /// Commits, after any commit that is under way.
    ///
    /// # Errors
    /// The log has failed.
    pub fn commit(&self) -> Result<Committed, LogFailed> {
        let guard = self.commit.lock();
        self.commit_and_wake(guard, By::Other)
    }

    /// Commits and wakes all that wait but the loop that does it.
    fn commit_and_wake(
        &self,
        mut commit: MutexGuard<'_, Commit>,
        by: By,
    ) -> Result<Committed, LogFailed> {
        let result = self.commit_once(&mut commit);
        // Unlock first: a loop that failed to lock has said before that it waits.
        drop(commit);
        let others = self.wakers.iter().enumerate().filter(|(index, _)| By::Loop(*index) != by);
        others.for_each(|(_, waker)| waker.wake_if_waiting());
        match by {
            By::Tasks => self.task_bell.ring(),
            By::Loop(_) | By::Other => self.task_bell.ring_from_afar(),
        }
        result
    }

    fn commit_once(&self, commit: &mut Commit) -> Result<Committed, LogFailed> {
        if self.failed.load(Ordering::Acquire) {
            return Err(LogFailed);
        }
        commit.cut.clear();
        let room = commit.log.room();
        self.node.cut(&mut commit.cut.payload, &mut commit.cut.batches, |bytes| {
            room.saturating_sub(bytes + FRAME_OVERHEAD_BYTES)
        });
        if commit.cut.batches.is_empty() {
            self.node.set_room(room, self.no_space.load(Ordering::Relaxed));
            return Ok(Committed::Nothing);
        }
        reach(Point::CommitCut);
        commit.durable.clear();
        self.committing_bytes.store(commit.cut.payload.len() as u64, Ordering::Relaxed);
        let Commit { log, cut, durable, .. } = commit;
        let written = log.append(cut).and_then(|()| {
            reach(Point::CommitAppended);
            let syncing = Stopwatch::start();
            let flushed = log.flush(durable);
            self.note_sync(syncing.elapsed());
            flushed
        });
        if let Err(error) = written {
            return Err(self.fail(commit, &error));
        }
        reach(Point::CommitFlushed);
        // Before anybody is answered: who asks now was not in this commit.
        self.was_asked_meanwhile.store(self.commit_bell.has_rung(), Ordering::Relaxed);
        self.note_commit(commit);
        reach(Point::CommitKnown);
        Ok(Committed::Wrote)
    }

    /// Whether somebody asked the committer for a commit while the last one was made.
    pub fn was_asked_meanwhile(&self) -> bool {
        self.was_asked_meanwhile.load(Ordering::Relaxed)
    }

    /// Starts the running mean of sync times with a measured one.
    pub fn seed_sync_mean(&self, time: Duration) {
        self.sync_mean_ns.store(time.as_nanos() as u64, Ordering::Relaxed);
    }

    fn note_sync(&self, elapsed: Duration) {
        let ns = elapsed.as_nanos() as u64;
        let mean = self.sync_mean_ns.load(Ordering::Relaxed);
        let next = mean - (mean >> SYNC_MEAN_SHIFT) + (ns >> SYNC_MEAN_SHIFT);
        self.sync_mean_ns.store(next, Ordering::Relaxed);
        self.registry.record(Timing::SyncDuration, Nanos(ns));
    }

    fn note_commit(&self, commit: &mut Commit) {
        commit.unmarked = true;
        for (shard, batch) in &commit.durable {
            self.node.set_durable(*shard, *batch);
        }
        let bytes = commit.cut.payload.len() as u64;
        self.registry.add(Counter::Frames, 1);
        self.registry.add(Counter::PayloadBytes, bytes);
        self.registry.add(Counter::Batches, commit.cut.batches.len() as u64);
        let slots: usize = commit.cut.batches.iter().map(|batch| batch.slots).sum();
        self.registry.add(Counter::BatchSlots, slots as u64);
        self.committing_bytes.store(0, Ordering::Relaxed);
        self.note_written(commit);
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = commit.log.room();
        self.node.set_room(room, self.no_space.load(Ordering::Relaxed));
        if commit.log.needs_segment() {
            self.upkeep_bell.ring();
        }
    }

    /// Brings the metrics up to what the log has written.
    fn note_written(&self, commit: &mut Commit) {
        let now = commit.log.written();
        let before = std::mem::replace(&mut commit.written, now);
        self.registry.add(Counter::FrameBytes, now.bytes - before.bytes);
        self.open_segment_bytes.store(now.open_bytes, Ordering::Relaxed);
    }

    /// Ends the node: the log cannot go on, and only a restart tells what is on disk.
    pub fn give_up(&self, error: &dyn std::error::Error) {
        let mut commit = self.commit.lock();
        let _stopped = self.fail(&mut commit, error);
    }

    fn fail(&self, commit: &mut Commit, error: &dyn std::error::Error) -> LogFailed {
        self.registry.add(Counter::SyncFailures, 1);
        commit.failure = Some(with_causes(error));
        self.failed.store(true, Ordering::Release);
        self.node.stop();
        self.stop();
        LogFailed
    }

    /// Why the log failed, if it did.
    pub fn failure(&self) -> Option<String> {
        if !self.has_failed() {
            return None;
        }
        self.commit.lock().failure.clone()
    }

    /// Whether the log has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Says that the node is to stop, and wakes everybody.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_loops();
        self.commit_bell.ring();
        self.upkeep_bell.ring();
        self.fold_bell.ring();
        self.tick_bell.ring();
        self.ranker.stop();
        self.task_bell.ring_from_afar();
        self.ended.notify_waiters();
    }

    /// Whether the node is to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Resolves when the node is to stop.
    pub async fn stopped(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.is_stopping() {
                return;
            }
            ended.await;
        }
    }

    /// Is set when the node is to stop: what takes long looks at it.
    pub fn stop_flag(&self) -> &AtomicBool {
        &self.stopping
    }

    /// Says whether the disk has no room for the next segment.
    pub fn set_no_space(&self, no_space: bool) {
        self.no_space.store(no_space, Ordering::Relaxed);
        let commit = self.commit.lock();
        self.node.set_room(commit.log.room(), no_space);
    }

    /// Says in the log what is durable, if something was written since it was last said.
    pub fn mark(&self) {
        let mut commit = self.commit.lock();
        if self.has_failed() || !std::mem::take(&mut commit.unmarked) {
            return;
        }
        if let Err(error) = commit.log.mark() {
            let _stopped = self.fail(&mut commit, &error);
            return;
        }
        self.note_written(&mut commit);
    }

    /// Closes the segment that is being written to, so that it can be folded; says whether it did.
    pub fn seal(&self) -> bool {
        let mut commit = self.commit.lock();
        // The rest of a closed segment is lost: not while the disk has no room for another.
        if self.has_failed() || self.no_space.load(Ordering::Relaxed) {
            return false;
        }
        match commit.log.seal() {
            Ok(sealed) => {
                self.note_written(&mut commit);
                self.node.set_room(commit.log.room(), self.no_space.load(Ordering::Relaxed));
                self.upkeep_bell.ring();
                sealed
            }
            Err(error) => {
                let _stopped = self.fail(&mut commit, &error);
                false
            }
        }
    }

    /// Bytes used of the segment that is being written to.
    pub fn open_segment_bytes(&self) -> u64 {
        self.open_segment_bytes.load(Ordering::Relaxed)
    }

    /// Takes a place for one more connection of a client, over RESP or HTTP; false where there is
    /// none. Administration has places of its own. Each place taken is given back by [`Hub::leave`].
    pub fn enter(&self) -> bool {
        let most = self.settings.limits.connections;
        let one_more = |open: usize| (open < most).then_some(open + 1);
        self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Gives the place of a connection back.
    pub fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Books bytes of requests and held answers that came or went. Beyond the limit, writes are
    /// refused until some have left.
    pub fn note_inflight(&self, by: i64) {
        if by == 0 {
            return;
        }
        let now = self.inflight_bytes.fetch_add(by, Ordering::Relaxed) + by;
        self.registry.set(Gauge::InflightBytes, now);
        self.node.set_overloaded(now > self.settings.limits.inflight_bytes.0 as i64);
    }

    /// Payload bytes written since the start.
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// Mean sync time of late, in nanoseconds.
    pub fn sync_mean_ns(&self) -> u64 {
        self.sync_mean_ns.load(Ordering::Relaxed)
    }

    /// Whether a reply must wait for this.
    #[inline]
    pub fn must_wait(&self, depends: Dependency) -> bool {
        !self.node.is_durable(depends)
    }

    /// Resolves when all of these are durable.
    ///
    /// # Errors
    /// The log failed first.
    pub async fn durable(&self, depends: &[Dependency]) -> Result<(), LogFailed> {
        let is_durable = || depends.iter().all(|d| !self.must_wait(*d));
        while !is_durable() {
            let mut committed = std::pin::pin!(self.task_bell.listen());
            // Registered before the look, so that a commit in between is not missed.
            committed.as_mut().enable();
            self.task_bell.note_listener();
            if is_durable() {
                return Ok(());
            }
            if self.has_failed() {
                return Err(LogFailed);
            }
            self.wait_as_task();
            committed.await;
        }
        Ok(())
    }

    /// Says that a task waits for a commit, or that one goes on beside it. A thread that always finds
    /// something to do never comes to [`Hub::commit_for_tasks`]: then it is the committer's.
    fn wait_as_task(&self) {
        let turns = self.task_turns.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if turns.is_multiple_of(TASK_TURNS_MAX) {
            self.commit_bell.ring();
        }
    }

    /// Notes a request that is answered, in case that another one waits.
    pub fn note_task_turn(&self) {
        if self.task_turns.load(Ordering::Relaxed) > 0 {
            self.wait_as_task();
        }
    }

    /// Commits for tasks that wait, if any does: to be called when no task of their thread can go
    /// on, so that one sync covers all that were ready. What has become ready meanwhile is taken
    /// along: the thread looks again until no task has gone on since. Where a sync is long the
    /// committer does it, and the thread goes on.
    pub fn commit_for_tasks(&self) {
        let turns = self.task_turns.load(Ordering::Relaxed);
        if turns == 0 {
            return;
        }
        if self.task_turns_seen.swap(turns, Ordering::Relaxed) != turns {
            self.task_bell.look_again();
            return;
        }
        self.task_turns_seen.store(0, Ordering::Relaxed);
        self.task_turns.store(0, Ordering::Relaxed);
        let guard = if self.loop_commits() { self.commit.try_lock() } else { None };
        match guard {
            // A failure is seen by the tasks themselves; all of them are woken.
            Some(guard) => _ = self.commit_and_wake(guard, By::Tasks),
            // Also where somebody holds the lock: it need not be for a commit of what they wait for.
            None => self.commit_bell.ring(),
        }
    }

    /// Publishes gauges of the shards.
    pub fn publish_gauges(&self) {
        use quipu_core::node::Cells;
        let cells = self.node.cells();
        let mut sums = [0_i64; 4];
        let mut fullest = 0;
        for id in 0..cells.count() {
            let shard = cells.shard(id);
            fullest = fullest.max(shard.streams());
            let each = [shard.counters(), shard.tokens(), shard.streams(), shard.tombstones()];
            sums.iter_mut().zip(each).for_each(|(sum, n)| *sum += n as i64);
        }
        let gauges = [Gauge::Counters, Gauge::Tokens, Gauge::Streams, Gauge::Tombstones];
        gauges.into_iter().zip(sums).for_each(|(gauge, sum)| self.registry.set(gauge, sum));
        self.registry.set(Gauge::StreamsFullest, fullest as i64);
        self.registry.set(Gauge::StreamsMax, self.settings.tokens.streams_max as i64);
        let at_risk = self.node.open_bytes() + self.committing_bytes.load(Ordering::Relaxed);
        self.registry.set(Gauge::BytesAtRisk, at_risk as i64);
        let deviation_ns = self.clock.deviation_ms() as i64 * 1_000_000;
        self.registry.set(Gauge::TimeDeviation, deviation_ns);
        self.registry.set(Gauge::LogRoomBytes, self.node.room_bytes() as i64);
        self.registry.set(Gauge::Uptime, self.started.elapsed().as_nanos() as i64);
    }
}

/// An error and its causes as one sentence.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
