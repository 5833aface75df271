//! Streams that an operator ends: on all shards, in the log, and out of the snapshots.

use quipu_core::canary::Bug;
use quipu_core::outcome::Repeat;

use crate::life::{Life, cut_power, disk, outcome};
use crate::{Claim, claim};

/// Bugs and what catches them.
pub(crate) const CHECKS: &[(Bug, Claim)] = &[
    (Bug::EndUnrecorded, an_end_outlives_a_power_cut),
    (Bug::EndOnOneShard, a_stream_ends_on_all_shards),
    (Bug::EndForgotten, a_stream_that_ended_is_in_no_snapshot),
];

/// Counters of more than one shard.
const COUNTERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn end(life: &Life) -> Result<(), String> {
    let ended = life.node.end_stream(life.now_ms, b"s", false).map_err(|why| why.to_string())?;
    claim(ended.is_known(), "a stream that was counted is not known")
}

fn counts_again(life: &Life, counters: &[&str]) -> Result<(), String> {
    // Counters of one shard share its mark: each has a sequence of its own.
    for (sequence, counter) in (1..).zip(counters) {
        let again = outcome(&life.add_streamed(counter, sequence))?;
        claim(again.repeat == Repeat::None, "a place of a stream that ended is a repeat")?;
    }
    Ok(())
}

fn an_end_outlives_a_power_cut() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    outcome(&life.add_streamed("a", 1))?;
    life.commit()?;
    end(&life)?;
    life.commit()?;
    counts_again(&Life::start(&cut_power(&disk))?, &["a"])
}

fn a_stream_ends_on_all_shards() -> Result<(), String> {
    let life = Life::start(&disk())?;
    for (sequence, counter) in (1..).zip(COUNTERS) {
        outcome(&life.add_streamed(counter, sequence))?;
    }
    claim(life.node.stream(b"s").marks.len() > 1, "the counters are on one shard")?;
    end(&life)?;
    counts_again(&life, &COUNTERS)
}

fn a_stream_that_ended_is_in_no_snapshot() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    outcome(&life.add_streamed("a", 1))?;
    life.fold()?;
    end(&life)?;
    life.fold()?;
    counts_again(&Life::start(&cut_power(&disk))?, &["a"])
}
