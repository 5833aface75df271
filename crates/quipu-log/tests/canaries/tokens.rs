//! Exactly once: tokens, streams, groups, and the time that decides their age.

use quipu_core::canary::Bug;
use quipu_core::clock::{Clocks, LogClock};
use quipu_core::op::{Action, Add, Op, Token};
use quipu_core::outcome::{Outcome, Refusal, Repeat};

use crate::life::{Disk, Life, TOKENS_MAX, WALL_MS, cut_power, disk, in_stream, outcome, with_key};
use crate::{Claim, claim};

pub(crate) const CHECKS: &[(Bug, Claim)] = &[
    (Bug::NoDedup, a_token_counts_once),
    (Bug::TokenOutsideRecord, a_token_is_remembered_over_a_restart),
    (Bug::EvictionByWallClock, a_token_is_remembered_over_a_restart),
    (Bug::TokenClaimedEarly, a_token_that_was_refused_counts_when_it_comes_again),
    (Bug::AbortKeepsToken, a_token_of_an_aborted_group_counts_when_it_comes_again),
    (Bug::AbortKeepsMark, a_place_of_an_aborted_group_counts_when_it_comes_again),
    (Bug::AbortKeepsEffect, an_aborted_group_leaves_no_effect),
    (Bug::WindowShortened, a_full_memory_forgets_no_token_inside_its_window),
    (Bug::LogTimeJumps, a_jump_of_the_wall_clock_forgets_no_token),
    (Bug::LogTimeStepsBack, log_time_does_not_step_back_over_a_restart),
    (Bug::EpochReused, a_position_is_never_given_twice),
    (Bug::MarkJumpsRefusal, a_mark_does_not_pass_what_was_refused),
    (Bug::MarkOutsideRecord, a_mark_is_remembered_over_a_restart),
];

/// Restarts after a power cut.
fn restart(disk: &Disk) -> Result<Life, String> {
    Life::start(&cut_power(disk))
}

fn counted(outcome: &Outcome) -> bool {
    outcome.repeat == Repeat::None
}

fn a_token_counts_once() -> Result<(), String> {
    let life = Life::start(&disk())?;
    for _ in 0..2 {
        life.add_once("a", "k");
        life.add_streamed("b", 1);
    }
    claim(life.value("a") == Some(1), "a key counted twice")?;
    claim(life.value("b") == Some(1), "a place in a stream counted twice")
}

fn a_token_is_remembered_over_a_restart() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add_once("a", "k");
    life.commit()?;
    let life = restart(&disk)?;
    let repeat = outcome(&life.add_once("a", "k"))?;
    claim(!counted(&repeat), "a token inside its window counts again after a restart")
}

fn a_token_that_was_refused_counts_when_it_comes_again() -> Result<(), String> {
    let mut life = Life::start(&disk())?;
    life.node.set_room(0, true);
    claim(life.add_once("a", "k").result.is_err(), "an add is admitted without room")?;
    life.make_room();
    let again = outcome(&life.add_once("a", "k"))?;
    claim(counted(&again), "an operation that was refused is taken for a repeat")
}

/// Aborts a group of `op` and an addition that its bound forbids.
fn abort(life: &Life, op: Op<'_>) -> Result<(), String> {
    let forbidden = Action::Add(Add { max: Some(0), ..Add::plain(1) });
    let ops = [op, Op { name: "bound", action: forbidden, token: Token::None }];
    let ended = life.node.atomic(life.now_ms, &ops, &mut Vec::new());
    claim(ended.is_err(), "a group with a rejection was done")
}

fn a_token_of_an_aborted_group_counts_when_it_comes_again() -> Result<(), String> {
    let life = Life::start(&disk())?;
    abort(&life, with_key("a", "k"))?;
    let again = outcome(&life.add_once("a", "k"))?;
    claim(counted(&again), "a token of an aborted group is taken for a repeat")
}

fn a_place_of_an_aborted_group_counts_when_it_comes_again() -> Result<(), String> {
    let life = Life::start(&disk())?;
    abort(&life, in_stream("a", 1))?;
    let again = outcome(&life.add_streamed("a", 1))?;
    claim(counted(&again), "a place of an aborted group is taken for a repeat")
}

fn an_aborted_group_leaves_no_effect() -> Result<(), String> {
    let life = Life::start(&disk())?;
    life.add("a", 5);
    abort(&life, Op { name: "a", action: Action::Add(Add::plain(1)), token: Token::None })?;
    claim(life.value("a") == Some(5), "an aborted group left its effect")
}

fn a_full_memory_forgets_no_token_inside_its_window() -> Result<(), String> {
    let life = Life::start(&disk())?;
    for n in 0..=TOKENS_MAX {
        life.add_once("a", &n.to_string());
    }
    for n in 0..TOKENS_MAX {
        let repeat = outcome(&life.add_once("a", &n.to_string()))?;
        claim(!counted(&repeat), "a token gave way inside its window")?;
    }
    Ok(())
}

fn a_jump_of_the_wall_clock_forgets_no_token() -> Result<(), String> {
    const SECOND_MS: u64 = 1000;
    const DAY_MS: u64 = 24 * 3600 * SECOND_MS;
    let mut life = Life::start(&disk())?;
    let begun = Clocks { wall_ms: WALL_MS, boot_ms: 0 };
    let mut clock = LogClock::start(begun, life.now_ms, false).map_err(|e| e.to_string())?;
    life.add_once("a", "k");
    life.commit()?;
    life.now_ms = clock.advance(Clocks { wall_ms: WALL_MS + DAY_MS, boot_ms: SECOND_MS });
    let repeat = outcome(&life.add_once("a", "k"))?;
    claim(!counted(&repeat), "a token was forgotten after a second because the clock jumped")
}

fn log_time_does_not_step_back_over_a_restart() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    let before_ms = life.now_ms;
    life.add("a", 1);
    life.commit()?;
    drop(life);
    let life = Life::start_at(&cut_power(&disk), WALL_MS - 60_000)?;
    claim(life.now_ms >= before_ms, "log time stepped back over a restart")
}

fn a_position_is_never_given_twice() -> Result<(), String> {
    let disk = disk();
    let taken_back = Life::start(&disk)?.add("a", 1).position;
    let given = restart(&disk)?.add("a", 1).position;
    claim(given != taken_back, "a position that a crash took back was given again")
}

fn a_mark_does_not_pass_what_was_refused() -> Result<(), String> {
    let mut life = Life::start(&disk())?;
    outcome(&life.add_streamed("a", 1))?;
    life.node.set_room(0, true);
    claim(life.add_streamed("a", 2).result.is_err(), "an add is admitted without room")?;
    life.make_room();
    let later = life.add_streamed("a", 3).result;
    claim(later == Err(Refusal::Held { sequence: 2 }), "a stream goes on after a refusal")
}

fn a_mark_is_remembered_over_a_restart() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add_streamed("a", 1);
    life.commit()?;
    let life = restart(&disk)?;
    let repeat = outcome(&life.add_streamed("a", 1))?;
    claim(!counted(&repeat), "a place in a stream counts again after a restart")
}
