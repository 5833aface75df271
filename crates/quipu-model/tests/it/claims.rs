//! Claims about single cases, most of them found by the random runs.

use quipu_core::node::{Cells as _, Node};
use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};
use quipu_core::outcome::{Dependency, Position, Refusal, Repeat};

use crate::cells::LocalShards;
use crate::fold;
use crate::world::{SEED, World, limits, nature};

const NOW: u64 = 1_700_000_000_000;

/// A node of one shard with plenty of room.
fn node() -> Node<LocalShards> {
    let node = Node::new(fold::fresh(1, &limits(100)), SEED, nature(&limits(100)));
    node.set_room(1 << 40, false);
    node
}

fn keyed(name: &str, delta: i64) -> Op<'_> {
    let token = Token::Key { key: b"k", item: 0 };
    Op { name, action: Action::Add(Add::plain(delta)), token }
}

fn in_batch(batch: u64) -> Dependency {
    Dependency { shard: 0, batch }
}

#[test]
fn a_conflict_waits_for_the_token_that_it_speaks_of() {
    let node = node();
    let first = node.execute(NOW, &keyed("a", 1));
    let conflict = node.execute(NOW, &keyed("a", 2));
    assert_eq!(conflict.result, Err(Refusal::Conflict));
    assert_eq!((first.depends, conflict.depends), (in_batch(1), in_batch(1)));
}

#[test]
fn a_repeat_in_a_later_life_gets_the_position_of_the_original() {
    let mut world = World::new(100);
    let shard = world.node.shard_of(b"a");
    let first = world.node.execute(world.now, &keyed("a", 1));
    let (mut frame, mut sealed) = (Vec::new(), Vec::new());
    world.node.cut(&mut frame, &mut sealed, |_| 1 << 40);
    let mut log = world.log.clone();
    log.push(frame);
    world.history.push(world.model.clone());
    world.begin_life(log);
    let repeat = world.node.execute(world.now, &keyed("a", 1));
    assert_eq!(repeat.result.map(|outcome| outcome.repeat), Ok(Repeat::Token));
    assert_eq!(repeat.position, Position { shard, epoch: 1, batch: 1 });
    assert_eq!(repeat.position, first.position);
    assert!(world.node.is_durable(repeat.depends));
}

fn streamed(name: &str, sequence: u64) -> Op<'_> {
    let token = Token::Stream { name: b"s", sequence };
    Op { name, action: Action::Add(Add::plain(1)), token }
}

fn bounded(name: &str) -> Op<'_> {
    let add = Add { max: Some(0), ..Add::plain(1) };
    Op { name, action: Action::Add(add), token: Token::Key { key: b"bounded", item: 0 } }
}

/// Decides a group that must fail; returns what it answered.
fn aborted(node: &Node<LocalShards>, ops: &[Op<'_>]) -> (usize, Dependency) {
    let mut replies = Vec::new();
    let abort = node.atomic(NOW, ops, &mut replies).expect_err("one of them forbids it");
    assert!(replies.is_empty());
    (abort.index, abort.reply.depends)
}

#[test]
fn an_aborted_group_waits_for_no_batch_that_went_with_it() {
    let node = node();
    assert_eq!(aborted(&node, &[bounded("a")]), (0, in_batch(0)));
    assert_eq!(aborted(&node, &[keyed("a", 1), bounded("a")]), (1, in_batch(0)));
    node.execute(NOW, &keyed("b", 1));
    assert_eq!(aborted(&node, &[keyed("a", 1), bounded("a")]), (1, in_batch(1)));
}

#[test]
fn an_aborted_group_takes_its_place_in_a_stream_back_and_holds_it() {
    let node = node();
    let result = |op: &Op<'_>| node.execute(NOW, op).result.map(|outcome| outcome.repeat);
    assert_eq!(result(&streamed("a", 1)), Ok(Repeat::None));
    aborted(&node, &[streamed("a", 2), streamed("a", 3), bounded("a")]);
    assert_eq!(node.stream(b"s").marks, vec![(0, 1)]);
    assert_eq!(result(&streamed("a", 3)), Err(Refusal::Held { sequence: 2 }));
    assert_eq!(result(&streamed("a", 2)), Ok(Repeat::None), "it did not count before");
    aborted(&node, &[bounded("a"), streamed("a", 3)]);
    assert_eq!(result(&streamed("a", 4)), Err(Refusal::Held { sequence: 3 }));
    let (mut frame, mut sealed) = (Vec::new(), Vec::new());
    node.cut(&mut frame, &mut sealed, |_| 0);
    let shards = fold::replay(1, &limits(100), &[frame]);
    assert_eq!(shards[0].stream(b"s").map(|stream| stream.mark), Some(2));
}

#[test]
fn a_repeated_group_is_answered_even_when_the_node_is_full() {
    let node = node();
    let ops = [keyed("a", 1), keyed("b", 2)];
    let mut first = Vec::new();
    node.atomic(NOW, &ops, &mut first).expect("there is room");
    node.set_room(0, true);
    let mut again = Vec::new();
    node.atomic(NOW, &ops, &mut again).expect("a repeat needs no room");
    assert!(again.iter().all(|reply| reply.result.is_ok_and(|o| o.repeat == Repeat::Token)));
    assert_eq!(aborted(&node, &[keyed("c", 1)]).0, 0);
}

#[test]
fn a_counter_that_expired_is_counted_and_stays_buried_until_that_is_durable() {
    let node = node();
    let sought = node.seek(b"a", Some(b"t"));
    node.prefetch_index(&sought);
    node.prefetch(&sought);
    let ttl = Ttl::After(10);
    let set = Action::Set(Set { value: 1, ttl, when: Presence::Any });
    node.execute(NOW, &Op { name: "a", action: set, token: Token::None });
    let facts = || {
        let shard = node.cells().shard(0);
        (shard.expiring(), shard.expired(), shard.tombstones())
    };
    assert_eq!(facts(), (1, 0, 0));
    // In the batch that set it, the time of that batch decides: it is not over yet.
    node.cut(&mut Vec::new(), &mut Vec::new(), |_| 1 << 40);
    assert_eq!(node.reap(NOW + 11, 0, 10), 1);
    assert_eq!(facts(), (0, 1, 1));
    assert_eq!(node.seed(), SEED);
}

#[test]
fn a_stream_that_ended_counts_again_from_its_first_sequence() {
    let node = node();
    let counted = |sequence| {
        let reply = node.execute(NOW, &streamed("a", sequence));
        reply.result.map(|outcome| (outcome.value, outcome.repeat))
    };
    assert_eq!(counted(5), Ok((Some(1), Repeat::None)));
    assert_eq!(counted(5), Ok((Some(1), Repeat::Stream)));
    assert_eq!(node.checkpoint(NOW, b"s", 5), Ok(in_batch(1)));
    let ended = node.end_stream(NOW, b"s", false).expect("nothing holds it");
    assert_eq!((&*ended.marks, ended.checkpoint), (&[(0, 5)][..], Some(5)));
    assert_eq!(ended.depends, [in_batch(1)], "the end is in the open batch");
    let gone = node.stream(b"s");
    assert!(!gone.is_known());
    assert_eq!(gone.depends, [in_batch(1)], "that it is gone waits for its end");
    assert!(!node.end_stream(NOW, b"s", false).expect("it is gone").is_known());
    assert_eq!(counted(1), Ok((Some(2), Repeat::None)));
    assert_eq!(counted(1), Ok((Some(2), Repeat::Stream)));
}

#[test]
fn a_stream_that_is_held_ends_by_force_only() {
    let node = node();
    let place = |sequence| node.execute(NOW, &streamed("a", sequence)).result.err();
    assert_eq!(place(1), None);
    node.hold_stream("a", b"s", 2);
    let held = Some(Refusal::Held { sequence: 2 });
    assert_eq!(place(3), held);
    assert_eq!(node.end_stream(NOW, b"s", false).err(), held);
    assert_eq!(place(3), held, "nothing ended");
    let ended = node.end_stream(NOW, b"s", true).expect("by force");
    assert_eq!((&*ended.marks, ended.held), (&[(0, 1)][..], Some(2)));
    assert_eq!(place(3), None);
}

#[test]
fn an_end_makes_room_for_another_stream_at_once() {
    let node = node();
    let store = |name: &[u8]| node.checkpoint(NOW, name, 1).map(|_| ());
    assert_eq!((store(b"a"), store(b"b")), (Ok(()), Ok(())));
    let full = Err(Refusal::StreamsFull { most: 2 });
    assert_eq!(store(b"c"), full);
    node.end_stream(NOW, b"a", false).expect("nothing holds it");
    assert_eq!((store(b"c"), store(b"a")), (Ok(()), full));
}

#[test]
fn a_stream_that_was_turned_away_begins_with_what_was_refused() {
    let node = node();
    for name in [b"a", b"b"] {
        node.checkpoint(NOW, name, 1).expect("there are two places");
    }
    let place = |sequence| node.execute(NOW, &streamed("a", sequence)).result.err();
    assert_eq!(place(1), Some(Refusal::StreamsFull { most: 2 }));
    node.end_stream(NOW, b"a", false).expect("nothing holds it");
    // What its sender had sent before it heard of the refusal comes now, and there is a place.
    assert_eq!(place(2), Some(Refusal::Held { sequence: 1 }));
    assert_eq!((place(1), place(2)), (None, None));
}
