//! The node does what the model says, over many random runs.

use proptest::prelude::*;
use stdx::prng::Prng;

use crate::world::{Met, World};

fn run(seed: u64, steps: usize, tokens: usize) -> Met {
    let mut random = Prng::new(seed);
    let mut world = World::new(tokens);
    for _ in 0..steps {
        world.step(random.next_u64());
    }
    crate::fold::check_log(&mut world, &mut random);
    world.met
}

#[test]
fn the_node_agrees_with_the_model_and_with_every_fold_of_its_log() {
    let mut all = Vec::new();
    for seed in 0..70 {
        all.push(run(seed, 500, if seed % 3 == 0 { 4 } else { 1000 }));
    }
    let sum = |of: fn(&Met) -> usize| all.iter().map(of).sum::<usize>();
    assert!(sum(|m| m.outcomes) > 10_000 && sum(|m| m.refusals) > 1000);
    assert!(sum(|m| m.repeats) > 1000 && sum(|m| m.conflicts) > 100 && sum(|m| m.held) > 100);
    assert!(sum(|m| m.groups) > 300 && sum(|m| m.aborts) > 300 && sum(|m| m.crashes) > 100);
    assert!(sum(|m| m.tokens_full) > 30 && sum(|m| m.no_memory) > 30);
    assert!(sum(|m| m.ends) > 100 && sum(|m| m.forced) > 10);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn short_runs_agree_and_shrink(
        steps in proptest::collection::vec(any::<u64>(), 1..60), few in any::<bool>()
    ) {
        let mut world = World::new(if few { 2 } else { 1000 });
        for seed in steps {
            world.step(seed);
        }
    }
}
