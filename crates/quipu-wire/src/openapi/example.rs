//! Examples of answers, written by those who write the answers.

use quipu_core::node::StreamView;
use quipu_core::op::{Ack, Action, Add, Op, ReadLevel, Token};
use quipu_core::outcome::{Dependency, Outcome, Position, Repeat, Reply, Verdict};
use serde_json::{Map, Value, json};

use crate::http::problem::{KINDS, KindLine, Problem};
use crate::json::reply::{self, BatchReply, Body, CounterReply, Reached, ScanReply};
use crate::json::streams::StreamReply;

const REACHED: Reached = Reached { ack: Ack::Fsync, read: ReadLevel::Committed };

/// The type of a kind of problems.
pub(crate) fn problem_type(line: &KindLine) -> String {
    format!("urn:quipu:problem:{}", line.word)
}

/// One example for each kind of problem.
pub(crate) fn problems() -> Map<String, Value> {
    let example = |line: &KindLine| {
        let problem = Problem::new(line.kind, line.kind.when());
        (line.word.to_owned(), json!({ "value": body(&problem) }))
    };
    KINDS.iter().map(example).collect()
}

/// An example for a schema of answers.
pub(crate) fn of(schema: &str) -> Option<Value> {
    match schema {
        "Change" => Some(body(&change())),
        "Taking" => Some(body(&word(Action::Take, 0, Some(7), 0))),
        "Reading" => Some(body(&word(Action::Get, 7, Some(7), 0))),
        "BatchReply" => Some(body(&BatchReply { results: vec![Ok(change())], ack: Ack::Fsync })),
        "Listing" => {
            let items = vec![("a".to_owned(), 1), ("quota".to_owned(), 1)];
            Some(body(&ScanReply { items, next: 22, ack: Ack::Fsync }))
        }
        "Stream" => {
            let view = StreamView { marks: vec![(13, 1)], ..StreamView::default() };
            Some(body(&StreamReply { name: b"gateway-1", view: &view, ack: Ack::Fsync }))
        }
        "Condition" => Some(json!({ "status": "ok" })),
        _ => None,
    }
}

fn change() -> CounterReply<'static> {
    word(Action::Add(Add::plain(1)), 8, Some(7), 1)
}

fn word(action: Action, value: i64, previous: Option<i64>, applied: i64) -> CounterReply<'static> {
    let op = Op { name: "likes", action, token: Token::None };
    let outcome = Outcome {
        verdict: Verdict::Done,
        value: Some(value),
        previous,
        applied,
        expires_at: None,
        repeat: Repeat::None,
    };
    let position = Position { shard: 21, epoch: 1, batch: 3 };
    let reply = Reply { result: Ok(outcome), position, depends: Dependency::default() };
    reply::word(&op, &reply, REACHED).expect("what was done is no problem")
}

fn body(body: &impl Body) -> Value {
    serde_json::to_value(body).expect("texts and numbers: nothing can fail")
}
