//! Claims about single cases, most of them found by the random runs.

use quipu_core::node::Node;
use quipu_core::op::{Action, Add, Op, Token};
use quipu_core::outcome::{Dependency, Position, Refusal, Repeat};

use crate::cells::LocalShards;
use crate::fold;
use crate::world::{SEED, World, limits};

const NOW: u64 = 1_700_000_000_000;

/// A node of one shard with plenty of room.
fn node() -> Node<LocalShards> {
    let node = Node::new(fold::fresh(1, &limits(100)), SEED, true);
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
