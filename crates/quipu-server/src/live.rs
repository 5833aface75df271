//! What the page for people shows of a node, put together from its metrics.

use quipu_core::top::Top;
use quipu_metrics::label::{OperationKind, Surface};
use quipu_metrics::name::{Counter, Gauge, Timing};
use quipu_wire::json::live::{Buckets, LiveReply};
use quipu_wire::json::reply;

use crate::hub::Hub;

/// Counters of the ranking that the page shows. Guess: a glance.
const TOP_SHOWN: usize = 10;

const LEVELS: [(&str, Gauge); 10] = [
    ("resp_connections", Gauge::ConnectionsOpen(Surface::Resp)),
    ("http_connections", Gauge::ConnectionsOpen(Surface::Http)),
    ("held_replies", Gauge::HeldReplies),
    ("at_risk_bytes", Gauge::BytesAtRisk),
    ("memory_bytes", Gauge::MemoryBytes),
    ("memory_max_bytes", Gauge::MemoryMaxBytes),
    ("disk_free_bytes", Gauge::DiskFreeBytes),
    ("log_room_bytes", Gauge::LogRoomBytes),
    ("log_since_snapshot_bytes", Gauge::LogBytesSinceSnapshot),
    ("tokens", Gauge::Tokens),
];

const TIMINGS: [(&str, Timing); 3] = [
    ("resp", Timing::RequestDuration(Surface::Resp)),
    ("http", Timing::RequestDuration(Surface::Http)),
    ("sync", Timing::SyncDuration),
];

/// Words the figures. Cost: some dozens of relaxed reads; gauges are as old as the housekeeper's
/// last look.
pub(crate) fn word(hub: &Hub, top: Option<&Top>) -> Vec<u8> {
    let registry = &hub.registry;
    let operation =
        |kind: &OperationKind| (kind.name(), registry.total(Counter::Operations(*kind)));
    let buckets = |timing| -> Buckets {
        let held = registry.distribution(timing);
        held.buckets().map(|(bound, count)| (bound.0, count)).collect()
    };
    let live = LiveReply {
        version: registry.version(),
        uptime_ms: hub.started.elapsed().as_millis() as u64,
        now_ms: hub.clock.now_ms(),
        ack: hub.settings.ack_default.name(),
        resp_port: hub.settings.resp.addr.port(),
        counters: registry.value(Gauge::Counters).max(0) as u64,
        counted: registry.total(Counter::Counted),
        operations: OperationKind::ALL.iter().map(operation).collect(),
        levels: LEVELS.map(|(name, gauge)| (name, registry.value(gauge))).to_vec(),
        timings: TIMINGS.map(|(name, timing)| (name, buckets(timing))).to_vec(),
        top,
        n: TOP_SHOWN,
    };
    let mut out = Vec::new();
    reply::write(&live, &mut out);
    out
}
