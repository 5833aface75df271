//! What makes two sides less comparable than their numbers look.

use std::collections::{BTreeMap, BTreeSet};

use quipu_stats::unpaired::RUNS_MIN;

use super::Named;
use crate::validity::Verdict;

/// Planned rates that differ by less are the same: rounding of slots.
const SAME_RATE_RATIO: f64 = 0.01;

/// Returns one sentence for each doubt.
pub(super) fn doubts(old: &[Named], new: &[Named]) -> Vec<String> {
    let mut doubts = Vec::new();
    for named in old.iter().chain(new) {
        let validity = &named.finding.validity;
        let reasons = || validity.reasons().collect::<Vec<_>>().join("; ");
        match validity.verdict {
            Verdict::Invalid => {
                doubts.push(format!("{} is INVALID and left out: {}", named.name, reasons()));
            }
            Verdict::Suspect => doubts.push(format!("{} is SUSPECT: {}", named.name, reasons())),
            Verdict::Valid => {}
        }
        if named.finding.stopped {
            doubts.push(format!("{} was stopped before the end of its plan", named.name));
        }
    }
    doubts.extend(environments(old, new));
    doubts.extend(plans(old, new));
    let (before, after) = (old.len(), new.len());
    if before.min(after) < RUNS_MIN {
        doubts.push(format!(
            "no verdict: it takes at least {RUNS_MIN} results per side, and there are {before} and {after}"
        ));
    } else if are_apart(old, new) || are_apart(new, old) {
        doubts.push(
            "all results of one side are older than those of the other: a machine that has changed \
             meanwhile looks like a change of the target; `quipu load ab` takes turns"
                .to_owned(),
        );
    }
    doubts
}

/// Whether all of one side began before any of the other.
fn are_apart(first: &[Named], second: &[Named]) -> bool {
    // Times in UTC of one form are in order as texts.
    let last = first.iter().map(|named| &named.finding.started).max();
    let next = second.iter().map(|named| &named.finding.started).min();
    last < next
}

/// The facts of all runs of a side, each with all values that it has.
fn facts(
    side: &[Named],
    of: impl Fn(&Named) -> BTreeMap<String, String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, value) in side.iter().flat_map(of) {
        all.entry(name).or_default().insert(value);
    }
    all
}

/// Returns a sentence for each fact that is not the same in all runs of both sides.
fn differing(
    what: &str,
    sides: [&[Named]; 2],
    of: impl Fn(&Named) -> BTreeMap<String, String> + Copy,
) -> Vec<String> {
    let [old, new] = sides.map(|side| facts(side, of));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let show = |values: Option<&BTreeSet<String>>| {
        let values = values.into_iter().flatten();
        let shown: Vec<&str> =
            values.map(|value| if value.is_empty() { "nothing" } else { value.as_str() }).collect();
        if shown.is_empty() { "nothing".to_owned() } else { shown.join(" and ") }
    };
    names
        .into_iter()
        .filter_map(|name| {
            let (before, after) = (old.get(name), new.get(name));
            let is_one = before.is_some_and(|values| values.len() == 1);
            let is_same = before == after && is_one;
            (!is_same)
                .then(|| format!("{what} differ in {name}: {}, {}", show(before), show(after)))
        })
        .collect()
}

fn environments(old: &[Named], new: &[Named]) -> Vec<String> {
    differing("environments", [old, new], |named| named.finding.environment.facts())
}

fn plans(old: &[Named], new: &[Named]) -> Vec<String> {
    let mut doubts = differing("plans", [old, new], |named| {
        let plan = &named.finding.plan;
        let kind = if plan.is_closed { "closed loop" } else { "open loop" };
        let facts = [
            ("scenario", plan.name.clone()),
            ("loop", kind.to_owned()),
            ("arrival", plan.arrival.clone()),
            ("connections", plan.connections.to_string()),
            ("pipeline", plan.pipeline.to_string()),
        ];
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    });
    let rates = |side: &[Named]| -> Vec<f64> {
        let open = side.iter().filter(|named| !named.finding.plan.is_closed);
        open.map(|named| named.finding.total.planned_per_s()).collect()
    };
    let all: Vec<f64> = rates(old).into_iter().chain(rates(new)).collect();
    let most = all.iter().copied().fold(0.0, f64::max);
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    if most > least * (1.0 + SAME_RATE_RATIO) {
        doubts.push(format!("plans differ in rate: from {least:.0}/s to {most:.0}/s"));
    }
    doubts
}
