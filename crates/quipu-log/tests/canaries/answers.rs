//! What is answered, and when it may leave.

use quipu_core::canary::Bug;
use quipu_core::op::{Action, Add, Presence, Set, Ttl};
use quipu_core::outcome::{Refusal, Reply, Verdict};

use crate::life::{Life, TOKENS_MAX, cut_power, disk, outcome};
use crate::{Claim, claim};

pub(crate) const CHECKS: &[(Bug, Claim)] = &[
    (Bug::AckBeforeSync, an_add_waits_for_its_sync),
    (Bug::ReadNotHeld, a_committed_read_waits_for_what_it_saw),
    (Bug::RejectionNotHeld, a_rejection_waits_for_what_it_saw),
    (Bug::RepeatNotHeld, a_repeat_waits_for_the_original),
    (Bug::DirtyForgotten, a_commit_makes_everything_durable),
    (Bug::EffectOutsideBatch, what_was_answered_is_in_the_log),
    (Bug::AnswerStale, an_add_answers_the_value_after_it),
    (Bug::OverflowWraps, an_overflow_changes_nothing),
    (Bug::SaturateOvershoots, a_saturating_add_stops_at_its_bound),
    (Bug::TakeDoubles, a_take_leaves_zero),
    (Bug::TokensUnbounded, tokens_have_a_bound),
    (Bug::RoomUnchecked, nothing_is_admitted_that_the_log_has_no_room_for),
];

fn waits(life: &Life, reply: &Reply) -> bool {
    !life.node.is_durable(reply.depends)
}

fn what_was_answered_is_in_the_log() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    let names: Vec<String> = (0..64).map(|n| format!("n{n}")).collect();
    names.iter().for_each(|name| _ = life.add(name, 1));
    life.commit()?;
    let again = Life::start(&cut_power(&disk))?;
    let kept = names.iter().all(|name| again.value(name) == Some(1));
    claim(kept, "an effect was answered and is not in the log")
}

fn an_add_waits_for_its_sync() -> Result<(), String> {
    let mut life = Life::start(&disk())?;
    let reply = life.add("a", 1);
    claim(waits(&life, &reply), "an add is free to leave before its sync")?;
    life.append()?;
    claim(waits(&life, &reply), "an add is free to leave when it is written and not synced")
}

fn a_committed_read_waits_for_what_it_saw() -> Result<(), String> {
    let life = Life::start(&disk())?;
    life.add("a", 1);
    let read = life.perform("a", Action::Get);
    claim(waits(&life, &read), "a read is free to leave before what it saw is durable")
}

fn a_rejection_waits_for_what_it_saw() -> Result<(), String> {
    let life = Life::start(&disk())?;
    life.add("a", 5);
    let rejected = life.perform("a", Action::Add(Add { max: Some(5), ..Add::plain(1) }));
    let verdict = outcome(&rejected)?.verdict;
    assert_eq!(verdict, Verdict::Rejected);
    claim(waits(&life, &rejected), "a rejection is free to leave before what forbade it is durable")
}

fn a_repeat_waits_for_the_original() -> Result<(), String> {
    let life = Life::start(&disk())?;
    life.add_once("a", "k");
    let repeat = life.add_once("a", "k");
    claim(waits(&life, &repeat), "a repeat is free to leave before the original is durable")
}

fn a_commit_makes_everything_durable() -> Result<(), String> {
    let mut life = Life::start(&disk())?;
    let reply = life.add("a", 1);
    life.commit()?;
    claim(!waits(&life, &reply), "an add waits although all was committed")
}

fn an_add_answers_the_value_after_it() -> Result<(), String> {
    let life = Life::start(&disk())?;
    let answers = [life.add("a", 1), life.add("a", 1)].map(|reply| reply.result.ok()?.value);
    claim(answers == [Some(1), Some(2)], "two adds of one do not answer one and two")
}

fn an_overflow_changes_nothing() -> Result<(), String> {
    let life = Life::start(&disk())?;
    life.add("a", i64::MAX);
    let reply = outcome(&life.add("a", 1))?;
    claim(reply.verdict == Verdict::Overflow, "a sum beyond 64 bits is no overflow")?;
    claim(life.value("a") == Some(i64::MAX), "an overflow changed the value")
}

fn a_saturating_add_stops_at_its_bound() -> Result<(), String> {
    let life = Life::start(&disk())?;
    let add = Add { max: Some(5), saturate: true, ..Add::plain(9) };
    let reply = outcome(&life.perform("a", Action::Add(add)))?;
    claim(reply.value == Some(5) && reply.applied == 5, "a saturating add went beyond its bound")
}

fn a_take_leaves_zero() -> Result<(), String> {
    let life = Life::start(&disk())?;
    let set = Set { value: 7, ttl: Ttl::Clear, when: Presence::Any };
    life.perform("a", Action::Set(set));
    let taken = [(); 2].map(|()| life.perform("a", Action::Take).result.ok()?.previous);
    claim(taken == [Some(7), Some(0)], "a value was taken twice")
}

fn tokens_have_a_bound() -> Result<(), String> {
    let life = Life::start(&disk())?;
    for n in 0..TOKENS_MAX {
        outcome(&life.add_once("a", &n.to_string()))?;
    }
    let beyond = life.add_once("a", "beyond").result;
    claim(beyond == Err(Refusal::TokensFull), "a token beyond the bound is remembered")
}

fn nothing_is_admitted_that_the_log_has_no_room_for() -> Result<(), String> {
    let life = Life::start(&disk())?;
    life.node.set_room(0, true);
    let reply = life.add("a", 1).result;
    claim(reply == Err(Refusal::NoSpace), "an add is admitted without room in the log")
}
