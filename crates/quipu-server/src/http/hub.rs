//! The hub as the node behind HTTP.

use std::borrow::Cow;
use std::time::Duration;

use quipu_core::canary::{self, Bug};
use quipu_core::execute::Context;
use quipu_core::node::{Abort, Cells as _, StreamView};
use quipu_core::op::{self, Action, Add, Op, Token};
use quipu_core::outcome::{Dependency, Refusal, Reply, Verdict};
use quipu_metrics::label::{self, OperationKind};
use quipu_metrics::name::{Counter, Gauge, Timing};
use quipu_metrics::settings::{Ack, Settings};
use stdx::hash::hash64;
use stdx::units::Nanos;

use crate::http::api::{Event, NodeApi, Unwell};
use crate::http::limits::{HttpLimits, Surface};
use crate::hub::{Hub, LogFailed};
use crate::tally::Tally;

impl HttpLimits {
    /// The bounds that a node's settings give a listener.
    pub fn new(surface: Surface, settings: &Settings) -> Self {
        let (http, limits) = (&settings.http, &settings.limits);
        Self {
            surface,
            connections: limits.connections,
            header_timeout: Duration::from_nanos(http.header_timeout.0),
            body_timeout: Duration::from_nanos(http.body_timeout.0),
            idle_timeout: Duration::from_nanos(http.idle_timeout.0),
            header_bytes: limits.header_bytes.0 as usize,
            headers: limits.headers,
            body_bytes: limits.body_bytes.0 as usize,
            batch_ops: limits.batch_ops,
            inflight_bytes: limits.inflight_bytes.0 as usize,
            ..Self::default()
        }
    }
}

impl Hub {
    fn tallied(&self, count: impl FnOnce(&mut Tally)) {
        let mut tally = Tally::default();
        count(&mut tally);
        tally.publish(&self.registry, label::Surface::Http);
    }
}

impl NodeApi for Hub {
    fn execute(&self, op: &Op<'_>) -> Reply {
        let reply = self.node.execute(self.clock.now_ms(), op);
        self.tallied(|tally| tally.reply(&op.action, &reply));
        if canary::is(Bug::RejectionNotHeld)
            && reply.result.is_ok_and(|outcome| outcome.verdict == Verdict::Rejected)
        {
            return Reply { depends: Dependency::default(), ..reply };
        }
        reply
    }

    fn group(&self, ops: &[Op<'_>], atomic: bool, replies: &mut Vec<Reply>) -> Result<(), Abort> {
        let now_ms = self.clock.now_ms();
        if atomic {
            self.node.atomic(now_ms, ops, replies)?;
        } else {
            replies.extend(ops.iter().map(|op| self.node.execute(now_ms, op)));
        }
        self.tallied(|tally| {
            ops.iter().zip(&*replies).for_each(|(op, reply)| tally.reply(&op.action, reply));
        });
        Ok(())
    }

    fn scan(
        &self,
        cursor: u64,
        count: usize,
        visit: &mut dyn FnMut(&str, i64),
        depends: &mut Vec<Dependency>,
    ) -> u64 {
        self.tallied(|tally| tally.operation(OperationKind::Scan));
        self.node.scan(self.clock.now_ms(), (cursor, count), visit, depends)
    }

    fn stream(&self, name: &[u8]) -> StreamView {
        self.tallied(|tally| tally.operation(OperationKind::Stream));
        self.node.stream(name)
    }

    /// A shard holds the stream of an operation that it refuses, so it is given one to refuse.
    fn hold_stream(&self, counter: &str, stream: &[u8], sequence: u64) {
        let cx = Context {
            now_ms: self.clock.now_ms(),
            no_room: Some(Refusal::Busy),
            memory_full: false,
        };
        let token = Token::Stream { name: stream, sequence };
        let op = Op { name: counter, action: Action::Add(Add::plain(0)), token };
        let hash = hash64(self.node.seed(), counter.as_bytes());
        let mut shard = self.node.cells().shard(self.node.shard_of(counter.as_bytes()));
        let refused = shard.execute(&cx, hash, &op);
        debug_assert!(
            refused.result.is_err() || refused.result.is_ok_and(|o| o.applied == 0),
            "without room nothing is counted"
        );
    }

    fn default_ack(&self) -> op::Ack {
        match self.settings.ack_default {
            Ack::Memory => op::Ack::Memory,
            Ack::Fsync => op::Ack::Fsync,
        }
    }

    fn durable(
        &self,
        depends: &[Dependency],
    ) -> impl Future<Output = Result<(), LogFailed>> + Send {
        self.durable(depends)
    }

    fn health(&self) -> Result<(), Unwell> {
        if self.has_failed() {
            return Err(Unwell {
                reason: Cow::Borrowed("the log has failed; the node is stopping"),
            });
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), Unwell> {
        self.health()?;
        if self.is_stopping() {
            return Err(Unwell { reason: Cow::Borrowed("the node is stopping") });
        }
        Ok(())
    }

    fn metrics_text(&self) -> String {
        self.registry.prometheus()
    }

    fn metrics_json(&self) -> String {
        self.registry.json()
    }

    fn admits(&self) -> bool {
        let surfaces = label::Surface::ALL.iter();
        let open: i64 = surfaces.map(|s| self.registry.value(Gauge::ConnectionsOpen(*s))).sum();
        open < self.settings.limits.connections as i64
    }

    fn note(&self, surface: Surface, event: Event) {
        let surface = match surface {
            Surface::Counters => label::Surface::Http,
            Surface::Admin => label::Surface::Admin,
        };
        let registry = &self.registry;
        match event {
            Event::Opened => {
                registry.add(Counter::ConnectionsAccepted(surface), 1);
                registry.shift(Gauge::ConnectionsOpen(surface), 1);
            }
            Event::Closed => registry.shift(Gauge::ConnectionsOpen(surface), -1),
            Event::Refused(reason) => registry.add(Counter::ConnectionsRefused(reason), 1),
            Event::Cut(reason) => registry.add(Counter::ConnectionsCut(reason), 1),
            Event::Received(bytes) => registry.add(Counter::InputBytes(surface), bytes),
            Event::Sent(bytes) => registry.add(Counter::OutputBytes(surface), bytes),
            Event::Held => registry.shift(Gauge::HeldReplies, 1),
            Event::Released => registry.shift(Gauge::HeldReplies, -1),
            Event::Answered(took) => {
                registry.add(Counter::Commands(surface), 1);
                let took = Nanos(took.as_nanos() as u64);
                registry.record(Timing::RequestDuration(surface), took);
            }
        }
    }
}
