//! Claims about what is sent again, against a target that remembers tokens or forgets to.

use std::collections::{BTreeMap, BTreeSet};

use stdx::prng::Prng;

use super::{Fate, Limits, OUTDATED_NS, Open, Settle, Settlement, Step, Unanswered};
use crate::conservation::Books;
use crate::failure::{Failure, Word};
use crate::request::Stream;

const SECOND: u64 = 1_000_000_000;

fn resp(word: &str) -> Result<(), Failure> {
    Err(Failure::Resp(Word::first_of(word.as_bytes())))
}

fn open(number: u64, stream: Option<u32>) -> Open {
    let is_ordered = stream.is_some();
    Open { is_ordered, stream: Stream::of(stream.unwrap_or(0)), number, due_ns: number }
}

fn settle(open: impl IntoIterator<Item = Open>) -> Settle {
    let mut unanswered = Unanswered::new(100);
    open.into_iter().for_each(|open| unanswered.note(open));
    Settle::new(unanswered, Limits::ENDED, 7, 0)
}

/// The numbers of what can go at once.
fn sent(settle: &mut Settle, now_ns: u64) -> Vec<u64> {
    let numbers = std::iter::from_fn(|| match settle.step(now_ns) {
        Step::Send(open) => Some(open.number),
        _ => None,
    });
    numbers.collect()
}

#[test]
fn an_answer_settles_only_what_it_speaks_of() {
    let check = |outcome, expected| {
        let mut settle = settle([open(1, None)]);
        assert_eq!(sent(&mut settle, 0), [1]);
        assert_eq!(settle.ended(1, outcome, 0), expected, "{outcome:?}");
    };
    check(Ok(()), Fate::Counted);
    for word in ["ERR", "CONFLICT", "HELD", "WRONGTYPE"] {
        check(resp(word), Fate::NotCounted);
    }
    check(Err(Failure::Status4xx), Fate::NotCounted);
    for word in ["UNKNOWN", "BUSY", "OOM", "NOSPACE", "LOADING"] {
        check(resp(word), Fate::Open);
    }
    for failure in [Failure::Status5xx, Failure::Status429, Failure::Closed, Failure::Timeout] {
        check(Err(failure), Fate::Open);
    }
    check(resp("EXPIRED"), Fate::Unknown);
    check(Err(Failure::Validation), Fate::Unknown);
}

#[test]
fn streams_go_in_order_and_one_at_a_time_and_tokens_all_at_once() {
    let mut settle = settle([
        open(9, Some(1)),
        open(4, None),
        open(3, Some(1)),
        open(5, Some(2)),
        open(6, None),
    ]);
    assert_eq!(sent(&mut settle, 0), [4, 6, 3, 5]);
    assert_eq!(settle.step(0), Step::Receive);
    // What is refused for now comes again before its successors, and not at once.
    settle.ended(3, resp("BUSY"), SECOND);
    assert_eq!(settle.step(SECOND), Step::Receive);
    for number in [4, 5, 6] {
        settle.ended(number, Ok(()), SECOND);
    }
    assert!(matches!(settle.step(SECOND), Step::WaitUntil(until_ns) if until_ns > SECOND));
    assert_eq!(sent(&mut settle, 2 * SECOND), [3]);
    settle.ended(3, Ok(()), 2 * SECOND);
    assert_eq!(sent(&mut settle, 2 * SECOND), [9]);
    settle.ended(9, Ok(()), 2 * SECOND);
    assert_eq!(settle.step(2 * SECOND), Step::Over);
    let expected = Settlement { retried: 5, settled: 5, ..Settlement::default() };
    assert_eq!(settle.finish(), expected);
}

#[test]
fn a_target_that_stays_away_is_given_up_and_one_that_answers_is_not() {
    let mut settle = settle([open(1, None), open(2, None)]);
    let patience_ns = Limits::ENDED.patience_ns;
    sent(&mut settle, 0);
    settle.ended(1, Err(Failure::ConnectRefused), 0);
    settle.ended(2, Ok(()), SECOND);
    assert_eq!(sent(&mut settle, patience_ns), [1], "an answer gives new patience");
    settle.ended(1, Err(Failure::ConnectRefused), patience_ns);
    assert_eq!(settle.step(patience_ns + SECOND), Step::Over);
    let expected = Settlement { retried: 2, settled: 1, unsettled: 1, ..Settlement::default() };
    assert_eq!(settle.finish(), expected);
}

#[test]
fn what_finds_no_connection_is_not_sent_again() {
    let mut settle = settle([open(1, None)]);
    assert_eq!(sent(&mut settle, 0), [1]);
    settle.unsent(1, 0);
    assert!(matches!(settle.step(0), Step::WaitUntil(_)));
    let expected = Settlement { unsettled: 1, ..Settlement::default() };
    assert_eq!(settle.finish(), expected);
}

#[test]
fn who_waits_for_the_result_waits_some_seconds() {
    let mut settle = settle([open(1, None)]);
    settle.hurry();
    assert_eq!(settle.step(Limits::STOPPED.total_ns), Step::Over);
    assert_eq!(settle.finish().unsettled, 1);
}

#[test]
fn waits_double_up_to_their_bound() {
    let mut settle = settle([open(1, None)]);
    let (mut now_ns, mut waits) = (0, Vec::new());
    while sent(&mut settle, now_ns) == [1] {
        settle.ended(1, Err(Failure::ConnectRefused), now_ns);
        let Step::WaitUntil(until_ns) = settle.step(now_ns) else { break };
        waits.push(until_ns - now_ns);
        now_ns = until_ns;
    }
    assert!(waits[0] <= 10_000_000 && waits[10] >= 250_000_000, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 500_000_000), "{waits:?}");
}

#[test]
fn a_token_that_the_target_need_not_know_is_not_sent_and_a_place_in_a_stream_is() {
    let mut settle = settle([open(1, None), open(2, Some(1))]);
    settle.started_ns = OUTDATED_NS + SECOND;
    settle.settled_ns = OUTDATED_NS + SECOND;
    assert_eq!(sent(&mut settle, OUTDATED_NS + SECOND), [2]);
    settle.ended(2, Ok(()), OUTDATED_NS + SECOND);
    let expected =
        Settlement { retried: 1, settled: 1, unsettled: 1, outdated: 1, ..Settlement::default() };
    assert_eq!(settle.finish(), expected);
}

#[test]
fn what_is_beyond_memory_is_counted_as_such() {
    let mut unanswered = Unanswered::new(2);
    (0..5).for_each(|number| unanswered.note(open(number, None)));
    let mut settle = Settle::new(unanswered, Limits::ENDED, 7, 0);
    assert_eq!(sent(&mut settle, 0), [0, 1]);
    let fates = [0, 1].map(|number| settle.ended(number, Ok(()), 0));
    assert_eq!(fates, [Fate::Counted; 2]);
    let expected =
        Settlement { retried: 2, settled: 2, unsettled: 3, forgotten: 3, ..Settlement::default() };
    assert_eq!(settle.finish(), expected);
}

/// A target that loses requests and answers, refuses some for now, and keeps streams in order. With the
/// bug it forgets the tokens that it has seen.
#[derive(Debug)]
struct Target {
    prng: Prng,
    is_forgetful: bool,
    tokens: BTreeSet<u64>,
    marks: BTreeMap<Stream, u64>,
    held: BTreeMap<Stream, u64>,
    counted: i64,
}

impl Target {
    fn new(seed: u64, is_forgetful: bool) -> Self {
        Self {
            prng: Prng::new(seed),
            is_forgetful,
            tokens: BTreeSet::new(),
            marks: BTreeMap::new(),
            held: BTreeMap::new(),
            counted: 0,
        }
    }

    fn is_repeat(&self, open: &Open) -> bool {
        let mark = self.marks.get(&open.stream).copied();
        let is_known = if open.is_ordered {
            mark.is_some_and(|mark| open.number <= mark)
        } else {
            self.tokens.contains(&open.number)
        };
        is_known && !self.is_forgetful
    }

    /// Takes a request and answers, unless something is lost.
    fn ask(&mut self, open: &Open) -> Result<(), Failure> {
        if self.prng.chance(1, 4) {
            return Err(Failure::Closed);
        }
        let answer = self.take(open);
        if self.prng.chance(1, 4) { Err(Failure::Timeout) } else { answer }
    }

    fn take(&mut self, open: &Open) -> Result<(), Failure> {
        if self.is_repeat(open) {
            return Ok(());
        }
        let held = self.held.get(&open.stream).copied();
        if open.is_ordered && held.is_some_and(|held| open.number > held) {
            return resp("HELD");
        }
        if self.prng.chance(1, 4) {
            if open.is_ordered {
                self.held.insert(open.stream, open.number);
            }
            return resp("BUSY");
        }
        if open.is_ordered {
            self.held.remove(&open.stream);
            self.marks.insert(open.stream, open.number);
        } else {
            self.tokens.insert(open.number);
        }
        self.counted += 1;
        Ok(())
    }
}

/// Sends 40 requests once, and again what has no answer; returns what was counted too little and too
/// much.
fn conserved(seed: u64, is_forgetful: bool) -> (u64, u64) {
    let (mut target, mut books) = (Target::new(seed, is_forgetful), Books::new(1));
    let (mut unanswered, mut turns) = (Unanswered::new(40), [0; 3]);
    for number in 1..=40 {
        let place = (number % 4) as usize;
        let turn = turns.get(place).copied();
        let stream = Stream { connection: place as u32, turn: turn.unwrap_or(0) };
        let open = Open { is_ordered: turn.is_some(), stream, number, due_ns: 0 };
        books.sent(0, 1);
        match target.ask(&open) {
            Ok(()) => books.acknowledged(0, 1),
            Err(failure) => {
                turns.iter_mut().skip(place).take(1).for_each(|turn| *turn += 1);
                match failure {
                    Failure::Resp(_) => books.refused(0, 1),
                    _ => unanswered.note(open),
                }
            }
        }
    }
    let mut settle = Settle::new(unanswered, Limits::ENDED, seed, 0);
    let (mut now_ns, mut under_way) = (0, Vec::new());
    loop {
        now_ns += 1;
        match settle.step(now_ns) {
            Step::Over => break,
            Step::WaitUntil(until_ns) => now_ns = until_ns,
            Step::Send(open) => under_way.push((open, target.ask(&open))),
            Step::Receive => {
                let place = target.prng.below(under_way.len() as u64) as usize;
                let (open, outcome) = under_way.swap_remove(place);
                match settle.ended(open.number, outcome, now_ns) {
                    Fate::Counted => books.acknowledged(0, 1),
                    Fate::NotCounted => books.refused(0, 1),
                    Fate::Open | Fate::Unknown => {}
                }
            }
        }
    }
    let found = books.compare([target.counted].into_iter(), |_| String::new());
    assert_eq!(settle.finish().unsettled, 0, "seed {seed}");
    assert!(found.is_settled && found.total.sent == found.total.acknowledged, "seed {seed}");
    (found.total.lost, found.total.doubled)
}

#[test]
fn what_is_sent_again_until_answered_is_counted_once_whatever_is_lost() {
    for seed in 0..2_000 {
        assert_eq!(conserved(seed, false), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_target_that_forgets_tokens_is_found_by_what_it_doubled() {
    let found: Vec<_> = (0..200).map(|seed| conserved(seed, true)).collect();
    assert!(found.iter().all(|(lost, _)| *lost == 0), "{found:?}");
    let caught = found.iter().filter(|(_, doubled)| *doubled > 0).count();
    assert!(caught >= 190, "{caught} of {}", found.len());
}
