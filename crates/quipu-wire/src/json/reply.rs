//! Bodies that a node answers with.
//!
//! A reply about one counter has `counter`, `value` (after it; null where there is none),
//! `previous`, `applied`, `verdict`, `repeat`, `ack` (the level reached), `position`, and where they
//! say something `taken`, `read` and `expires_at_ms`.

use quipu_core::op::{Ack, Action, Op, ReadLevel};
use quipu_core::outcome::{Outcome, Position, Repeat, Reply, Verdict};
use quipu_core::top::Top;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::http::ask::ack_word;
use crate::http::problem::{Field, Kind, Problem};
use crate::json::live::LiveReply;

/// What a reply says beside its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The durability that it vouches for.
    pub ack: Ack,
    /// The level of a read.
    pub read: ReadLevel,
}

/// The reply to one operation on one counter.
#[derive(Debug, Clone, Copy)]
pub struct CounterReply<'a> {
    op: Op<'a>,
    outcome: Outcome,
    position: Position,
    reached: Reached,
}

/// Words an outcome: a reply, or the problem that it is.
///
/// # Errors
/// The operation was refused, its sum overflowed, or the counter to be read is not there.
pub fn word<'a>(op: &Op<'a>, reply: &Reply, reached: Reached) -> Result<CounterReply<'a>, Problem> {
    let position = reply.position;
    let outcome = match reply.result {
        Ok(outcome) => outcome,
        Err(refusal) => {
            return Err(Problem::from(refusal).with("counter", Field::Text(op.name.to_owned())));
        }
    };
    let answer = CounterReply { op: *op, outcome, position, reached };
    match op.action {
        Action::Get if outcome.value.is_none() => {
            let detail = format!("there is no counter {:?}", op.name);
            Err(answer.with_fields(Problem::new(Kind::Absent, detail)))
        }
        _ if outcome.verdict == Verdict::Overflow => {
            let detail = "increment or decrement would overflow";
            Err(answer.with_fields(Problem::new(Kind::Overflow, detail)))
        }
        _ => Ok(answer),
    }
}

/// The problem of an atomic batch that was taken back because of one item.
pub fn word_abort(index: usize, op: &Op<'_>, reply: &Reply, reached: Reached) -> Problem {
    let problem = match word(op, reply, reached) {
        Err(problem) => problem,
        Ok(answer) => {
            let detail = match answer.outcome.verdict {
                Verdict::Unmet => "there is no such counter",
                _ => "a bound of this counter rejected the addition",
            };
            answer.with_fields(Problem::new(Kind::Rejected, detail))
        }
    };
    at_item(problem, index, true)
}

/// Says of which item of a batch a problem is, and what became of the others.
pub fn at_item(mut problem: Problem, index: usize, is_all: bool) -> Problem {
    if is_all {
        problem.detail += "; nothing of the batch was counted";
    }
    problem.with("index", Field::Count(index as u64))
}

impl CounterReply<'_> {
    /// The value that was taken: not known any more where the stream says that it was counted.
    fn taken(&self) -> Option<i64> {
        let is_known = self.outcome.repeat != Repeat::Stream;
        self.outcome.previous.filter(|_| is_known)
    }

    fn with_fields(&self, problem: Problem) -> Problem {
        let value = self.outcome.value.map_or(Field::Null, Field::Number);
        let problem =
            problem.with("counter", Field::Text(self.op.name.to_owned())).with("value", value);
        let problem = match self.op.action {
            Action::Get => problem,
            _ => problem
                .with("applied", Field::Number(self.outcome.applied))
                .with("repeat", Field::Text(self.outcome.repeat.word().to_owned())),
        };
        problem
            .with("ack", Field::Text(ack_word(self.reached.ack).to_owned()))
            .with("position", Field::Text(self.position.to_string()))
    }
}

impl Serialize for CounterReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let outcome = &self.outcome;
        let is_read = self.op.action == Action::Get;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("counter", self.op.name)?;
        map.serialize_entry("value", &outcome.value)?;
        if self.op.action == Action::Take {
            map.serialize_entry("taken", &self.taken())?;
        }
        if !is_read {
            if outcome.repeat != Repeat::Stream {
                map.serialize_entry("previous", &outcome.previous)?;
            }
            map.serialize_entry("verdict", verdict_word(outcome.verdict))?;
        }
        map.serialize_entry("applied", &outcome.applied)?;
        map.serialize_entry("repeat", outcome.repeat.word())?;
        if let Some(at) = outcome.expires_at {
            map.serialize_entry("expires_at_ms", &at)?;
        }
        if is_read {
            map.serialize_entry("read", read_word(self.reached.read))?;
        }
        map.serialize_entry("ack", ack_word(self.reached.ack))?;
        map.serialize_entry("position", &format_args!("{}", self.position))?;
        map.end()
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "done",
        Verdict::Rejected => "rejected",
        Verdict::Overflow => "overflow",
        Verdict::Unmet => "unmet",
    }
}

fn read_word(read: ReadLevel) -> &'static str {
    match read {
        ReadLevel::Committed => "committed",
        ReadLevel::Latest => "latest",
    }
}

/// One item of a batch's answer: the single reply or its problem.
pub type ItemReply<'a> = Result<CounterReply<'a>, Problem>;

/// The answer to a batch.
#[derive(Debug)]
pub struct BatchReply<'a> {
    /// One for each item, in order.
    pub results: Vec<ItemReply<'a>>,
    /// The durability that the whole vouches for.
    pub ack: Ack,
}

struct Results<'a>(&'a [ItemReply<'a>]);

impl Serialize for BatchReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("results", &Results(&self.results))?;
        map.serialize_entry("ack", ack_word(self.ack))?;
        map.end()
    }
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for result in self.0 {
            match result {
                Ok(reply) => list.serialize_element(reply)?,
                Err(problem) => list.serialize_element(problem)?,
            }
        }
        list.end()
    }
}

/// The answer to a listing.
#[derive(Debug)]
pub struct ScanReply {
    /// Names and values.
    pub items: Vec<(String, i64)>,
    /// Where to go on; 0 where there is no more.
    pub next: u64,
    /// The durability that it vouches for.
    pub ack: Ack,
}

#[derive(serde::Serialize)]
struct ScanItem<'a> {
    counter: &'a str,
    value: i64,
}

struct ScanItems<'a>(&'a [(String, i64)]);

impl Serialize for ScanItems<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.0.iter().map(|(counter, value)| ScanItem { counter, value: *value }))
    }
}

impl Serialize for ScanReply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cursor = (self.next != 0).then(|| self.next.to_string());
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("items", &ScanItems(&self.items))?;
        map.serialize_entry("cursor", &cursor)?;
        map.serialize_entry("ack", ack_word(self.ack))?;
        map.end()
    }
}

/// The answer to a ranking.
#[derive(Debug)]
pub struct TopReply<'a> {
    /// The ranking; it may have more than is shown.
    pub top: &'a Top,
    /// How many are shown.
    pub n: usize,
    /// The durability that it vouches for.
    pub ack: Ack,
}

impl Serialize for TopReply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Top { items, counters, positions, from_ms, to_ms } = self.top;
        let shown = items.iter().take(self.n);
        let items: Vec<ScanItem<'_>> =
            shown.map(|r| ScanItem { counter: &r.name, value: r.value }).collect();
        let positions: Vec<String> = positions.iter().map(Position::to_string).collect();
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("items", &items)?;
        map.serialize_entry("counters", counters)?;
        map.serialize_entry("from_ms", from_ms)?;
        map.serialize_entry("to_ms", to_ms)?;
        map.serialize_entry("positions", &positions)?;
        map.serialize_entry("ack", ack_word(self.ack))?;
        map.end()
    }
}

/// What can be written as a body.
pub trait Body: Serialize {}

impl Body for CounterReply<'_> {}
impl Body for BatchReply<'_> {}
impl Body for ScanReply {}
impl Body for TopReply<'_> {}
impl Body for LiveReply<'_> {}
impl Body for Problem {}

/// Appends a body.
pub fn write(body: &impl Body, out: &mut Vec<u8>) {
    serde_json::to_writer(out, body).expect("texts and numbers into memory: nothing can fail");
}

#[cfg(test)]
mod tests {
    use quipu_core::op::{Ack, Action, Add, Op, ReadLevel, Token};
    use quipu_core::outcome::{Dependency, Outcome, Position, Refusal, Repeat, Reply, Verdict};

    use super::{BatchReply, Reached, ScanReply, word, word_abort, write};

    const REACHED: Reached = Reached { ack: Ack::Fsync, read: ReadLevel::Committed };
    const ADD: Action = Action::Add(Add {
        delta: 2,
        min: None,
        max: None,
        saturate: false,
        ttl: quipu_core::op::Ttl::Keep,
    });

    fn op(action: Action) -> Op<'static> {
        Op { name: "a", action, token: Token::None }
    }

    fn reply(result: Result<Outcome, Refusal>) -> Reply {
        let position = Position { shard: 5, epoch: 1, batch: 12 };
        Reply { result, position, depends: Dependency { shard: 5, batch: 12 } }
    }

    fn outcome(verdict: Verdict, value: Option<i64>, previous: Option<i64>) -> Outcome {
        let applied = if verdict == Verdict::Done { 2 } else { 0 };
        let (expires_at, repeat) = (None, Repeat::None);
        Outcome { verdict, value, previous, applied, expires_at, repeat }
    }

    fn text(body: &impl super::Body) -> String {
        let mut out = Vec::new();
        write(body, &mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    fn check(action: Action, outcome: Outcome, expected: &str) {
        let answer = match word(&op(action), &reply(Ok(outcome)), REACHED) {
            Ok(answer) => text(&answer),
            Err(problem) => text(&problem),
        };
        assert!(answer.ends_with(expected), "{answer}\n{expected}");
    }

    #[test]
    fn a_write_says_what_was_and_what_is() {
        let done = outcome(Verdict::Done, Some(3), Some(1));
        check(
            ADD,
            done,
            "{\"counter\":\"a\",\"value\":3,\"previous\":1,\"verdict\":\"done\",\"applied\":2,\
             \"repeat\":\"none\",\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
        check(
            ADD,
            outcome(Verdict::Rejected, Some(1), Some(1)),
            "{\"counter\":\"a\",\"value\":1,\"previous\":1,\"verdict\":\"rejected\",\"applied\":0,\
             \"repeat\":\"none\",\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
        check(
            ADD,
            Outcome { repeat: Repeat::Stream, expires_at: Some(77), applied: 0, ..done },
            "{\"counter\":\"a\",\"value\":3,\"verdict\":\"done\",\"applied\":0,\
             \"repeat\":\"stream\",\"expires_at_ms\":77,\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
        check(
            Action::Delete,
            outcome(Verdict::Unmet, None, None),
            "{\"counter\":\"a\",\"value\":null,\"previous\":null,\"verdict\":\"unmet\",\
             \"applied\":0,\"repeat\":\"none\",\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
    }

    #[test]
    fn a_take_says_what_it_took_and_a_repeat_by_stream_does_not_know() {
        let taken = Outcome { applied: 0, ..outcome(Verdict::Done, Some(0), Some(9)) };
        check(
            Action::Take,
            taken,
            "{\"counter\":\"a\",\"value\":0,\"taken\":9,\"previous\":9,\"verdict\":\"done\",\
             \"applied\":0,\"repeat\":\"none\",\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
        let repeat = Outcome { repeat: Repeat::Stream, value: Some(9), ..taken };
        check(
            Action::Take,
            repeat,
            "{\"counter\":\"a\",\"value\":9,\"taken\":null,\"verdict\":\"done\",\"applied\":0,\
             \"repeat\":\"stream\",\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
    }

    #[test]
    fn a_read_says_its_level_and_a_miss_is_a_problem_with_a_position() {
        let found = Outcome { applied: 0, ..outcome(Verdict::Done, Some(3), Some(3)) };
        check(
            Action::Get,
            found,
            "{\"counter\":\"a\",\"value\":3,\"applied\":0,\"repeat\":\"none\",\
             \"read\":\"committed\",\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
        check(
            Action::Get,
            Outcome { value: None, previous: None, ..found },
            "\"status\":404,\"detail\":\"there is no counter \\\"a\\\"\",\"counter\":\"a\",\
             \"value\":null,\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
    }

    #[test]
    fn an_overflow_is_a_problem_with_the_recorded_outcome() {
        check(
            ADD,
            outcome(Verdict::Overflow, Some(i64::MAX), Some(i64::MAX)),
            "\"status\":422,\"detail\":\"increment or decrement would overflow\",\
             \"counted\":\"no\",\"counter\":\"a\",\"value\":9223372036854775807,\"applied\":0,\
             \"repeat\":\"none\",\"ack\":\"fsync\",\"position\":\"5:1:12\"}",
        );
    }

    #[test]
    fn an_aborted_batch_names_the_item() {
        let rejected = reply(Ok(outcome(Verdict::Rejected, Some(1), Some(1))));
        let problem = word_abort(4, &op(ADD), &rejected, REACHED);
        assert_eq!(problem.status(), 422);
        let ending = "rejected the addition; nothing of the batch was counted";
        assert!(problem.detail.ends_with(ending), "{}", problem.detail);
        assert!(text(&problem).ends_with(",\"index\":4}"));
        let conflict = word_abort(0, &op(ADD), &reply(Err(Refusal::Conflict)), REACHED);
        assert_eq!(conflict.status(), 409);
    }

    #[test]
    fn lists_are_whole_and_their_cursor_is_a_text() {
        let get = op(Action::Get);
        let missing = Outcome { value: None, ..outcome(Verdict::Done, None, None) };
        let results = vec![
            word(&op(ADD), &reply(Ok(outcome(Verdict::Done, Some(3), Some(1)))), REACHED),
            word(&get, &reply(Ok(missing)), REACHED),
        ];
        let batch: serde_json::Value =
            serde_json::from_str(&text(&BatchReply { results, ack: Ack::Fsync })).expect("JSON");
        assert_eq!(batch["results"][0]["value"], 3);
        assert_eq!(batch["results"][1]["status"], 404);
        let items = vec![("a".to_owned(), 1), ("b\"".to_owned(), -2)];
        let scan = ScanReply { items, next: u64::MAX, ack: Ack::Memory };
        assert_eq!(
            text(&scan),
            "{\"items\":[{\"counter\":\"a\",\"value\":1},{\"counter\":\"b\\\"\",\"value\":-2}],\
             \"cursor\":\"18446744073709551615\",\"ack\":\"memory\"}"
        );
        let end = ScanReply { next: 0, items: Vec::new(), ..scan };
        assert_eq!(text(&end), "{\"items\":[],\"cursor\":null,\"ack\":\"memory\"}");
    }
}
