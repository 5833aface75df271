//! All that a seed decides about a run, drawn at once, so that it can be printed whole.

use stdx::prng::Prng;

use crate::store::Layout;

/// Client operations per simulated minute: a million an hour.
pub const OPS_PER_MINUTE: u64 = 1_000_000 / 60 + 1;

/// One minute in microseconds.
pub const MINUTE_US: u64 = 60_000_000;

/// The options of one run. Times are in simulated microseconds unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What all of it follows from.
    pub seed: u64,
    /// How long faults last, in simulated minutes.
    pub minutes: u64,
    /// Client operations in that time.
    pub ops: u64,
    /// The store and its log.
    pub layout: Layout,
    /// The unit that the device writes as a whole, in bytes.
    pub block_bytes: u32,
    /// What the node is told.
    pub node: NodeOptions,
    /// What clients want.
    pub workload: WorkloadOptions,
    /// How requests and answers travel.
    pub network: NetworkOptions,
    /// How the disk behaves.
    pub disk: DiskOptions,
    /// What goes wrong.
    pub faults: FaultOptions,
    /// Whether answers are judged by histories, and neither beside the shadow nor each read by its
    /// bounds, which see more and sooner: shows what histories catch by themselves.
    pub is_outside: bool,
}

/// What the node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOptions {
    /// For how long tokens are remembered, in milliseconds.
    pub window_ms: u64,
    /// Most tokens remembered.
    pub tokens_max: u64,
    /// Most replies held.
    pub held_max: usize,
    /// When what was answered from memory is flushed.
    pub flush_us: u64,
}

/// What clients want. Parts are of a thousand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadOptions {
    /// Counters to which only plain additions go, so that their totals can be foretold.
    pub sum_counters: u32,
    /// Counters to which anything goes.
    pub free_counters: u32,
    /// Streams.
    pub streams: u32,
    /// Bytes of the longest names.
    pub name_bytes: usize,
    /// How many of the operations come at the same moment.
    pub burst: u64,
    /// How much more often the first counters are used than the last: 0 is evenly.
    pub skew: u32,
    /// Requests that are a place in a stream.
    pub streamed: u64,
    /// Other requests that carry a key.
    pub keyed: u64,
    /// Keys that are a UUIDv7.
    pub uuids: u64,
    /// Requests of several operations.
    pub groups: u64,
    /// Single requests that read.
    pub reads: u64,
    /// Writes that are acknowledged from memory.
    pub memory: u64,
    /// Reads that show what is not durable.
    pub latest: u64,
    /// Operations on counters to which anything goes.
    pub free: u64,
    /// Longest expiry, in milliseconds.
    pub ttl_ms: u64,
    /// Requests with a key that are sent again although they were answered.
    pub replays: u64,
}

/// How requests and answers travel. Parts are of a thousand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Shortest way.
    pub delay_us: u64,
    /// How much longer it may take.
    pub jitter_us: u64,
    /// Requests lost.
    pub lost: u64,
    /// Answers lost.
    pub answers_lost: u64,
    /// Requests that arrive twice.
    pub doubled: u64,
    /// First timeout of a client.
    pub timeout_us: u64,
}

/// How the disk behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskOptions {
    /// Shortest sync.
    pub sync_us: u64,
    /// How much longer it may take.
    pub sync_jitter_us: u64,
    /// How long a segment takes to prepare.
    pub prepare_us: u64,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultOptions {
    /// Mean time between two faults.
    pub every_us: u64,
    /// How long the node stays down.
    pub down_us: u64,
    /// Farthest jump of the wall clock, in milliseconds.
    pub jump_ms: u64,
}

/// Draws a number whose order of magnitude is as likely as any other between the two.
fn scaled(prng: &mut Prng, low: u64, high: u64) -> u64 {
    let (mut most, mut doublings) = (low, 0);
    while most < high {
        most *= 2;
        doublings += 1;
    }
    let floor = low << prng.below(doublings + 1);
    (floor + prng.below(floor)).min(high)
}

impl Options {
    /// Draws the options of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let minutes = 1 + prng.below(5);
        Self {
            seed,
            minutes,
            ops: minutes * OPS_PER_MINUTE,
            layout: layout(&mut prng),
            block_bytes: if prng.chance(1, 4) { 4096 } else { 512 },
            node: node(&mut prng),
            workload: workload(&mut prng),
            network: network(&mut prng),
            disk: disk(&mut prng),
            faults: FaultOptions {
                every_us: scaled(&mut prng, 4_000_000, 60_000_000),
                down_us: scaled(&mut prng, 10_000, 3_000_000),
                jump_ms: scaled(&mut prng, 100, 2 * 3600 * 1000),
            },
            is_outside: false,
        }
    }

    /// The options of a seed cut short, with more trouble in less time.
    pub fn dense(seed: u64) -> Self {
        let mut options = Self::draw(seed);
        options.minutes = 1;
        options.ops = OPS_PER_MINUTE / 4;
        options.faults.every_us = options.faults.every_us.min(2_000_000);
        options.layout.fold_bytes_min = options.layout.fold_bytes_min.min(700 << 10);
        options
    }

    /// How long faults last, in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.minutes * MINUTE_US
    }
}

fn layout(prng: &mut Prng) -> Layout {
    let frame_bytes_max = (256 << 10) << prng.below(2);
    let frames = 2 + prng.below(3);
    Layout {
        // Blocks of the header and of marks beside the frames.
        segment_bytes: frames * (frame_bytes_max + 8192) + 16384,
        frame_bytes_max: frame_bytes_max as u32,
        prepared: 1 + prng.below(2) as usize,
        fold_bytes_min: scaled(prng, 600 << 10, 4 << 20),
        fold_memory_bytes: scaled(prng, 4 << 10, 4 << 20) as usize,
        shards: 1 << prng.below(4),
        streams_max: 3 + prng.below(8) as usize,
        store_id: prng.next_u64(),
    }
}

fn node(prng: &mut Prng) -> NodeOptions {
    let least = if prng.chance(1, 5) { 100 } else { 20_000 };
    NodeOptions {
        window_ms: scaled(prng, 20_000, 3_600_000),
        tokens_max: scaled(prng, least, 500_000),
        held_max: scaled(prng, 50, 5_000) as usize,
        flush_us: scaled(prng, 20_000, 1_000_000),
    }
}

fn workload(prng: &mut Prng) -> WorkloadOptions {
    let mut part = |most: u64| prng.below(most + 1);
    let [streamed, keyed, uuids, groups, reads] = [400, 700, 600, 150, 400].map(&mut part);
    let [memory, latest, free, replays] = [300, 500, 500, 100].map(&mut part);
    let longer = if prng.chance(1, 5) { 240 } else { 30 };
    WorkloadOptions {
        sum_counters: scaled(prng, 1, 1000) as u32,
        free_counters: scaled(prng, 4, 1000) as u32,
        streams: 1 + prng.below(9) as u32,
        name_bytes: 8 + prng.below(longer) as usize,
        burst: scaled(prng, 1, 64),
        skew: prng.below(4) as u32,
        streamed,
        keyed,
        uuids,
        groups,
        reads,
        memory,
        latest,
        free,
        ttl_ms: scaled(prng, 50, 60_000),
        replays,
    }
}

fn network(prng: &mut Prng) -> NetworkOptions {
    NetworkOptions {
        delay_us: scaled(prng, 20, 2_000),
        jitter_us: scaled(prng, 10, 20_000),
        lost: prng.below(30),
        answers_lost: prng.below(30),
        doubled: prng.below(30),
        timeout_us: scaled(prng, 50_000, 1_000_000),
    }
}

fn disk(prng: &mut Prng) -> DiskOptions {
    DiskOptions {
        sync_us: scaled(prng, 100, 10_000),
        sync_jitter_us: scaled(prng, 10, 10_000),
        prepare_us: scaled(prng, 1_000, 100_000),
    }
}
