//! Flipped bits of small stores; the runner `quipu-sim flips` flips every one of many.

use quipu_sim::checks::Checked;
use quipu_sim::flip::{Subject, Verdict};

/// Every so many bits: a second or two in a build without optimisation.
const STEP: usize = 97;

fn check(subject: Checked<Subject>) {
    let subject = subject.unwrap_or_else(|broken| panic!("{broken}"));
    let (mut refused, mut harmless) = (0, 0);
    for bit in (0..subject.bits()).step_by(STEP) {
        match subject.flip(bit).unwrap_or_else(|broken| panic!("bit {bit}: {broken}")) {
            Verdict::Refused => refused += 1,
            Verdict::Harmless => harmless += 1,
        }
    }
    assert!(refused > 50 && harmless > 50, "{refused} refused, {harmless} harmless");
}

#[test]
fn a_flipped_bit_of_a_closed_store_is_refused_or_harmless() {
    check(Subject::closed(3));
}

#[test]
fn a_flipped_bit_of_a_crashed_store_takes_nothing_that_was_provably_durable() {
    check(Subject::crashed(4));
}

#[test]
fn a_damaged_block_is_refused_or_harmless() {
    let subject = Subject::closed(5).unwrap_or_else(|broken| panic!("{broken}"));
    let done = (0..400).filter(|seed| {
        let found = subject.damage(*seed).unwrap_or_else(|broken| panic!("{seed}: {broken}"));
        found.is_some()
    });
    assert!(done.count() > 100);
}
