//! A node of real shards whose syncs the test makes, and a server on it.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use quipu_core::limits::TOP_MAX;
use quipu_core::node::{Abort, Nature, Node, StreamPage, StreamView};
use quipu_core::op::{Ack, Op};
use quipu_core::outcome::{Dependency, Refusal, Reply};
use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::top::{Pass, Top};
use quipu_wire::http::problem::{Kind, Problem};
use tokio::sync::Notify;

use crate::cells::SharedShards;
use crate::http::api::{Event, NodeApi, Unwell};
use crate::http::limits::HttpLimits;
use crate::http::serve::serve;
use crate::http::tests::client::Client;
use crate::hub::LogFailed;

/// Longest wait for anything that must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Tokens that the node remembers.
pub(super) const TOKENS_MAX: u64 = 6;

const SEED: u64 = 7;
const ROOM: u64 = 1 << 30;
const NOW_MS: u64 = 1_000_000;

/// Real shards; a batch is durable when the test says so.
#[derive(Debug)]
pub(super) struct TestNode {
    node: Node<SharedShards>,
    committed: Notify,
    failed: AtomicBool,
    frozen: AtomicBool,
    ack: Ack,
    events: Mutex<Vec<Event>>,
    heard: Condvar,
}

impl TestNode {
    fn new(ack: Ack) -> Self {
        let limits = ShardLimits { streams_max: 4 };
        let nature = Nature { groups: true, tokens_max: TOKENS_MAX };
        let mut log = Vec::new();
        let shards = (0..8).map(|id| {
            let mut shard = Shard::new(id, SEED, limits);
            shard.begin_epoch(NOW_MS, 60_000, &mut log);
            shard
        });
        let node = Node::new(SharedShards::new(shards.collect()), SEED, nature);
        node.set_room(ROOM, false);
        Self {
            node,
            committed: Notify::new(),
            failed: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            ack,
            events: Mutex::new(Vec::new()),
            heard: Condvar::new(),
        }
    }

    /// From now on nothing becomes durable.
    pub(super) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// All that was decided is durable, and so is what comes.
    pub(super) fn thaw(&self) {
        self.frozen.store(false, Ordering::SeqCst);
        self.sync();
    }

    /// The log fails under what waits.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.committed.notify_waiters();
    }

    /// Refuses all writes.
    pub(super) fn stop(&self) {
        self.node.stop();
    }

    /// Has no more log space.
    pub(super) fn fill(&self, no_space: bool) {
        self.node.set_room(0, no_space);
    }

    /// Has log space again.
    pub(super) fn empty(&self) {
        self.node.set_room(ROOM, false);
    }

    fn sync(&self) {
        let (mut payload, mut sealed) = (Vec::new(), Vec::new());
        self.node.cut(&mut payload, &mut sealed, |_| ROOM);
        for batch in sealed {
            self.node.set_durable(batch.shard, batch.batch);
        }
        self.committed.notify_waiters();
    }

    /// Waits until the listener has said this so many times.
    pub(super) fn hear(&self, times: usize, is_it: impl Fn(&Event) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.lock();
        while events.iter().filter(|event| is_it(event)).count() < times {
            let late = self.heard.wait_until(&mut events, deadline).timed_out();
            assert!(!late, "not heard: {events:?}");
        }
    }

    /// How many times the listener has said this.
    pub(super) fn heard(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().iter().filter(|event| is_it(event)).count()
    }
}

impl NodeApi for TestNode {
    fn archive(&self, _: crate::archive::Ask) -> Result<crate::archive::Answering, Problem> {
        Err(Problem::new(Kind::Unready, "there is no disk"))
    }

    fn is_durable(&self, depends: Dependency) -> bool {
        self.node.is_durable(depends)
    }

    fn execute(&self, op: &Op<'_>) -> Reply {
        self.node.execute(NOW_MS, op)
    }

    fn group(&self, ops: &[Op<'_>], atomic: bool, replies: &mut Vec<Reply>) -> Result<(), Abort> {
        if atomic {
            return self.node.atomic(NOW_MS, ops, replies);
        }
        replies.extend(ops.iter().map(|op| self.node.execute(NOW_MS, op)));
        Ok(())
    }

    fn scan(
        &self,
        cursor: u64,
        count: usize,
        visit: &mut dyn FnMut(&str, i64),
        depends: &mut Vec<Dependency>,
    ) -> u64 {
        self.node.scan(NOW_MS, (cursor, count), visit, depends)
    }

    async fn top(&self) -> Option<Arc<Top>> {
        let mut pass = Pass::new(1, TOP_MAX, NOW_MS);
        while pass.step(&self.node, NOW_MS) {}
        Some(Arc::new(pass.finish()))
    }

    async fn live(&self) -> Vec<u8> {
        b"{}".to_vec()
    }

    fn stream(&self, name: &[u8]) -> StreamView {
        self.node.stream(name)
    }

    fn streams(&self, after: &[u8], count: usize) -> StreamPage {
        self.node.streams(after, count)
    }

    fn end_stream(&self, name: &[u8], by_force: bool) -> Result<StreamView, Refusal> {
        self.node.end_stream(NOW_MS, name, by_force)
    }

    fn hold_stream(&self, counter: &str, stream: &[u8], sequence: u64) {
        self.node.hold_stream(counter, stream, sequence);
    }

    fn default_ack(&self) -> Ack {
        self.ack
    }

    async fn durable(&self, depends: &[Dependency]) -> Result<(), LogFailed> {
        loop {
            let mut committed = std::pin::pin!(self.committed.notified());
            committed.as_mut().enable();
            if self.failed.load(Ordering::SeqCst) {
                return Err(LogFailed);
            }
            if !self.frozen.load(Ordering::SeqCst) {
                self.sync();
            }
            if depends.iter().all(|d| self.node.is_durable(*d)) {
                return Ok(());
            }
            committed.await;
        }
    }

    fn health(&self) -> Result<(), Unwell> {
        Ok(())
    }

    fn ready(&self) -> Result<(), Unwell> {
        let reason = Cow::Borrowed("the log has failed");
        if self.failed.load(Ordering::SeqCst) { Err(Unwell { reason }) } else { Ok(()) }
    }

    fn metrics_text(&self) -> String {
        quipu_metrics::registry::Registry::new("1").prometheus()
    }

    fn metrics_json(&self) -> String {
        quipu_metrics::registry::Registry::new("1").json()
    }

    fn admits(&self) -> bool {
        true
    }

    fn note(&self, event: Event) {
        self.events.lock().push(event);
        self.heard.notify_all();
    }
}

/// A server on its own thread; it ends with the test.
#[derive(Debug)]
pub(super) struct Server {
    /// The node behind it.
    pub(super) node: Arc<TestNode>,
    address: SocketAddr,
    shutdown: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server with generous bounds, and replies that wait for syncs.
    pub(super) fn start() -> Self {
        Self::with(HttpLimits::default(), Ack::Fsync)
    }

    /// A server with these bounds.
    pub(super) fn with(limits: HttpLimits, ack: Ack) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (node, shutdown) = (Arc::new(TestNode::new(ack)), Arc::new(Notify::new()));
        let (served, stop) = (Arc::clone(&node), Arc::clone(&shutdown));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let end = serve(listener, served, limits, async move { stop.notified().await });
            runtime.expect("a thread may have a runtime").block_on(end).expect("it listens");
        });
        Self { node, address, shutdown, thread: Some(thread) }
    }

    /// A new client.
    pub(super) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Begins to stop.
    pub(super) fn shut_down(&self) {
        self.shutdown.notify_one();
    }

    /// Waits until it has stopped.
    pub(super) fn join(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().expect("the server does not panic");
        }
    }
}
