//! Cutting off what was not durable: the durable prefix stands, and retries count exactly once.

use std::collections::BTreeMap;

use quipu_core::clock::{Clocks, LogClock};
use quipu_core::node::{Cells, Nature, Node};
use quipu_core::op::{Action, Add, Op, Token};
use quipu_core::outcome::Repeat;
use stdx::prng::Prng;

use crate::cells::LocalShards;
use crate::fold;
use crate::world::{SEED, limits};
use quipu_model::model::WINDOW_MS;

const SHARDS: u16 = 4;

/// One life on a log; its clock starts at what the machine's clocks show.
fn begin(log: &mut Vec<Vec<u8>>, clocks: Clocks) -> (Node<LocalShards>, LogClock) {
    let mut shards = fold::replay(SHARDS, &limits(1000), log);
    let newest = shards.iter().map(quipu_core::shard::Shard::time_ms).max().unwrap_or(0);
    let clock = LogClock::start(clocks, newest, true).expect("accepted");
    assert!(clock.now_ms() >= newest, "log time does not step back over a start");
    let mut frame = Vec::new();
    for shard in &mut shards {
        shard.begin_epoch(clock.now_ms(), WINDOW_MS, &mut frame);
    }
    log.push(frame);
    let node =
        Node::new(LocalShards::new(shards), SEED, Nature { groups: true, tokens_max: 1_000_000 });
    node.set_room(1 << 40, false);
    (node, clock)
}

/// Sends adds of 1 with the tokens `from..to`, each to one of a few counters; cuts now and then.
/// Returns how many said that they were repeats.
fn send(
    node: &Node<LocalShards>,
    log: &mut Vec<Vec<u8>>,
    (from, to): (u64, u64),
    random: &mut Prng,
    mut now: impl FnMut() -> u64,
) -> usize {
    let mut repeats = 0;
    for number in from..to {
        let (name, key) = (format!("c{}", number % 5), number.to_be_bytes());
        let action = Action::Add(Add::plain(1));
        let op = Op { name: &name, action, token: Token::Key { key: &key, item: 0 } };
        let outcome = node.execute(now(), &op).result.expect("there is room");
        repeats += usize::from(outcome.repeat == Repeat::Token);
        if random.chance(1, 4) || number + 1 == to {
            let mut frame = Vec::new();
            node.cut(&mut frame, &mut Vec::new(), |_| 1 << 40);
            log.push(frame);
        }
    }
    repeats
}

fn values(node: &Node<LocalShards>) -> BTreeMap<String, Option<i64>> {
    let value = |name: &str| node.cells().shard(node.shard_of(name.as_bytes())).peek(name).value;
    (0..5).map(|n| format!("c{n}")).map(|name| (name.clone(), value(&name))).collect()
}

/// Lives on a machine whose wall clock jumps at every start; each ends with the loss of some of
/// its last frames; each begins by sending everything again.
fn check(seed: u64) -> usize {
    let mut random = Prng::new(seed);
    let (mut log, mut sent, mut lost) = (Vec::new(), 0, 0);
    for _ in 0..6 {
        let wall_ms = 1_700_000_000_000 + random.below(WINDOW_MS / 10);
        let mut boot_ms = 0;
        let (node, mut clock) = begin(&mut log, Clocks { wall_ms, boot_ms });
        let alive = log.len();
        let mut now = || {
            let before = clock.now_ms();
            boot_ms += 3;
            let now = clock.advance(Clocks { wall_ms: 0, boot_ms });
            assert!(now >= before, "log time does not step back");
            now
        };
        let repeats = send(&node, &mut log, (0, sent), &mut random, &mut now);
        lost += sent as usize - repeats;
        let more = sent + 10 + random.below(30);
        assert_eq!(send(&node, &mut log, (sent, more), &mut random, &mut now), 0);
        sent = more;
        let exact = |n: u64| (0..sent).filter(|number| number % 5 == n).count() as i64;
        let expected = (0..5).map(|n| (format!("c{n}"), Some(exact(n)))).collect();
        assert_eq!(values(&node), expected, "every token counted exactly once");
        log.truncate(alive + random.below((log.len() - alive) as u64 + 1) as usize);
    }
    lost
}

#[test]
fn what_a_crash_takes_back_counts_once_when_it_is_sent_again() {
    let lost: usize = (0..100).map(check).sum();
    assert!(lost > 1000, "only {lost} operations were taken back");
}
