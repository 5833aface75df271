//! The node as its HTTP surfaces see it, and the thread that serves them.

use std::net::TcpListener;
use std::sync::Arc;

use quipu_core::node::{Abort, StreamPage, StreamView};
use quipu_core::op::{Ack, Op};
use quipu_core::outcome::{Dependency, Refusal, Reply};
use quipu_core::top::Top;
use quipu_metrics::label::{self, OperationKind};
use quipu_metrics::name::{Counter, Gauge, Timing};
use quipu_metrics::settings::{self, Settings};
use quipu_wire::http::problem::Problem;
use stdx::units::Nanos;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::archive::{Answering, Ask, Desk};
use crate::http::{Event, HttpLimits, NodeApi, Surface, Unwell, serve as serve_http};
use crate::hub::{Hub, LogFailed};
use crate::live;
use crate::tally::Tally;

/// Connections of the listener of administration. They are apart from those of clients, so that a
/// full node can still be looked at. Guess: a few scrapers, health checks and persons.
const ADMIN_CONNECTIONS: usize = 16;

/// One listener and its bounds.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: TcpListener,
    limits: HttpLimits,
}

impl Listening {
    /// The listener of counters.
    pub(crate) fn counters(listener: TcpListener, settings: &Settings) -> Self {
        Self { listener, limits: limits(settings, Surface::Counters) }
    }

    /// The listener of administration.
    pub(crate) fn admin(listener: TcpListener, settings: &Settings) -> Self {
        Self { listener, limits: limits(settings, Surface::Admin) }
    }
}

fn limits(settings: &Settings, surface: Surface) -> HttpLimits {
    let (http, limits) = (&settings.http, &settings.limits);
    HttpLimits {
        surface,
        connections: match surface {
            Surface::Counters => limits.connections,
            Surface::Admin => ADMIN_CONNECTIONS,
        },
        header_timeout: http.header_timeout.as_duration(),
        body_timeout: http.body_timeout.as_duration(),
        idle_timeout: http.idle_timeout.as_duration(),
        header_bytes: limits.header_bytes.0 as usize,
        headers: limits.headers,
        body_bytes: limits.body_bytes.0 as usize,
        batch_ops: limits.batch_ops,
        inflight_bytes: limits.inflight_bytes.0 as usize,
        ..HttpLimits::default()
    }
}

/// Serves both listeners until the node stops.
pub(crate) fn serve(
    runtime: &Runtime,
    (hub, desk): (&Arc<Hub>, &Desk),
    counters: Listening,
    admin: Listening,
) {
    let gate = |surface| Arc::new(Gateway { hub: Arc::clone(hub), desk: desk.clone(), surface });
    let (of_counters, of_admin) = (gate(label::Surface::Http), gate(label::Surface::Admin));
    let served = runtime.block_on(async {
        let relaying = Arc::clone(hub);
        let mut relay = JoinSet::new();
        relay.spawn(async move { relaying.task_bell.relay().await });
        tokio::try_join!(
            serve_http(counters.listener, of_counters, counters.limits, hub.stopped()),
            serve_http(admin.listener, of_admin, admin.limits, hub.stopped()),
        )
    });
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP surface ended");
        hub.stop();
    }
}

/// The node, for one surface.
#[derive(Debug)]
struct Gateway {
    hub: Arc<Hub>,
    desk: Desk,
    surface: label::Surface,
}

impl Gateway {
    fn count(&self, ops: &[Op<'_>], replies: &[Reply]) {
        let mut tally = Tally::default();
        ops.iter().zip(replies).for_each(|(op, reply)| tally.reply(&op.action, reply));
        tally.publish(&self.hub.registry, self.surface);
    }

    /// Whether its connections have places apart from those of clients.
    fn is_admin(&self) -> bool {
        self.surface == label::Surface::Admin
    }

    fn count_one(&self, kind: OperationKind) {
        self.hub.registry.add(Counter::Operations(kind), 1);
    }
}

impl NodeApi for Gateway {
    fn archive(&self, ask: Ask) -> Result<Answering, Problem> {
        self.desk.ask(ask)
    }

    fn execute(&self, op: &Op<'_>) -> Reply {
        let reply = self.hub.node.execute(self.hub.clock.now_ms(), op);
        self.count(std::slice::from_ref(op), std::slice::from_ref(&reply));
        self.hub.relieve();
        self.hub.note_task_turn();
        reply
    }

    fn group(&self, ops: &[Op<'_>], atomic: bool, replies: &mut Vec<Reply>) -> Result<(), Abort> {
        let now_ms = self.hub.clock.now_ms();
        let start = replies.len();
        if atomic {
            self.hub.node.atomic(now_ms, ops, replies)?;
        } else {
            replies.extend(ops.iter().map(|op| self.hub.node.execute(now_ms, op)));
        }
        self.count(ops, replies.get(start..).unwrap_or(&[]));
        self.hub.relieve();
        self.hub.note_task_turn();
        Ok(())
    }

    fn scan(
        &self,
        cursor: u64,
        count: usize,
        visit: &mut dyn FnMut(&str, i64),
        depends: &mut Vec<Dependency>,
    ) -> u64 {
        let now_ms = self.hub.clock.now_ms();
        self.count_one(OperationKind::Scan);
        self.hub.node.scan(now_ms, (cursor, count), visit, depends)
    }

    async fn top(&self) -> Option<Arc<Top>> {
        self.count_one(OperationKind::Top);
        self.hub.top().await
    }

    async fn live(&self) -> Vec<u8> {
        let top = self.hub.top_lazily().await;
        live::word(&self.hub, top.as_deref())
    }

    fn stream(&self, name: &[u8]) -> StreamView {
        self.count_one(OperationKind::Stream);
        self.hub.node.stream(name)
    }

    fn streams(&self, after: &[u8], count: usize) -> StreamPage {
        self.count_one(OperationKind::Stream);
        self.hub.node.streams(after, count)
    }

    fn end_stream(&self, name: &[u8], by_force: bool) -> Result<StreamView, Refusal> {
        self.count_one(OperationKind::Stream);
        let ended = self.hub.node.end_stream(self.hub.clock.now_ms(), name, by_force)?;
        if ended.is_known() {
            let mark = ended.marks.iter().map(|(_, mark)| *mark).max().unwrap_or(0);
            let name = name.escape_ascii().to_string();
            tracing::info!(stream = name, mark, by_force, "an operator ends a stream");
        }
        self.hub.relieve();
        self.hub.note_task_turn();
        Ok(ended)
    }

    fn hold_stream(&self, counter: &str, stream: &[u8], sequence: u64) {
        self.hub.node.hold_stream(counter, stream, sequence);
    }

    fn default_ack(&self) -> Ack {
        match self.hub.settings.ack_default {
            settings::Ack::Fsync => Ack::Fsync,
            settings::Ack::Memory => Ack::Memory,
        }
    }

    fn is_durable(&self, depends: Dependency) -> bool {
        self.hub.node.is_durable(depends)
    }

    async fn durable(&self, depends: &[Dependency]) -> Result<(), LogFailed> {
        self.hub.durable(depends).await
    }

    fn health(&self) -> Result<(), Unwell> {
        if self.hub.has_failed() {
            return Err(Unwell { reason: "the log has failed".into() });
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), Unwell> {
        self.health()?;
        if self.hub.is_stopping() {
            return Err(Unwell { reason: "the node is stopping".into() });
        }
        Ok(())
    }

    fn metrics_text(&self) -> String {
        self.hub.publish_gauges();
        self.hub.registry.prometheus()
    }

    fn metrics_json(&self) -> String {
        self.hub.publish_gauges();
        self.hub.registry.json()
    }

    fn admits(&self) -> bool {
        self.is_admin() || self.hub.enter()
    }

    fn note(&self, event: Event) {
        let (registry, surface) = (&self.hub.registry, self.surface);
        match event {
            Event::Opened => {
                registry.add(Counter::ConnectionsAccepted(surface), 1);
                registry.shift(Gauge::ConnectionsOpen(surface), 1);
            }
            Event::Closed => {
                registry.shift(Gauge::ConnectionsOpen(surface), -1);
                if !self.is_admin() {
                    self.hub.leave();
                }
            }
            Event::Refused(reason) => registry.add(Counter::ConnectionsRefused(reason), 1),
            Event::Cut(reason) => registry.add(Counter::ConnectionsCut(reason), 1),
            Event::Received(bytes) => registry.add(Counter::InputBytes(surface), bytes),
            Event::Sent(bytes) => registry.add(Counter::OutputBytes(surface), bytes),
            Event::Held => registry.shift(Gauge::HeldReplies, 1),
            Event::Released(waited) => {
                registry.shift(Gauge::HeldReplies, -1);
                registry.record(Timing::CommitWait, Nanos(waited.as_nanos() as u64));
            }
            Event::Answered(took) => {
                registry.add(Counter::Commands(surface), 1);
                let took = Nanos(took.as_nanos() as u64);
                registry.record(Timing::RequestDuration(surface), took);
            }
        }
    }
}
