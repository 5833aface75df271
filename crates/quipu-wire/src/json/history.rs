//! The history of a counter, one line of JSON for each thing that is told of it.
//!
//! In this order: one `oldest`, a `change` for each batch that speaks of the counter, and one `end`;
//! between them `passed` where nothing was told for long. `broken` stands for the end where the
//! telling cannot go on. Positions are texts as in replies; a `frame` is a position of the log.

use quipu_core::effect::{Counter, ExpiryEffect};
use quipu_core::outcome::{Position, Verdict};
use quipu_core::recount::{Entry, Slot, TokenUse};
use serde::{Deserialize, Serialize};

/// The media type of lines of JSON.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The oldest known state.
    Oldest {
        /// The last frame in it; 0 is the beginning of the store.
        frame: u64,
        /// The newest log time in it, Unix seconds; 0 where it is not known.
        time_s: u64,
        /// What the counter was.
        #[serde(flatten)]
        state: State,
    },
    /// What one batch did.
    Change {
        /// The frame.
        frame: u64,
        /// Shard, epoch and batch.
        position: String,
        /// Log time, Unix milliseconds.
        time_ms: u64,
        /// What changed, in order.
        slots: Vec<SlotLine>,
        /// Tokens of operations on the counter.
        tokens: Vec<TokenLine>,
    },
    /// Nothing more was told up to this frame.
    Passed {
        /// The frame.
        frame: u64,
    },
    /// All was told.
    End {
        /// The last frame that was looked at.
        frame: u64,
        /// What the counter is there.
        #[serde(flatten)]
        state: State,
    },
    /// The telling cannot go on.
    Broken {
        /// Why.
        reason: String,
    },
}

/// What a counter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its value; null where it does not exist.
    pub value: Option<i64>,
    /// When it expires, Unix milliseconds.
    pub expires_at_ms: Option<u64>,
}

impl From<Counter> for State {
    fn from(counter: Counter) -> Self {
        Self { value: counter.value, expires_at_ms: counter.expires_at }
    }
}

/// One slot of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotLine {
    /// How many operations.
    pub operations: u64,
    /// What was added; null for an assignment.
    pub delta: Option<i64>,
    /// The value before.
    pub before: Option<i64>,
    /// The value after.
    pub after: Option<i64>,
    /// When it expires after it, where the operation said something of that; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at_ms: Option<u64>,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    /// The token; `hex:` and its bytes where it is no text.
    pub token: String,
    /// Which of the items that carry it on this counter.
    pub item: u32,
    /// What was decided.
    pub verdict: String,
    /// The delta that was added.
    pub applied: i64,
}

impl Line {
    /// The line of a batch.
    pub fn change(frame: u64, entry: &Entry) -> Self {
        let header = &entry.header;
        let (shard, epoch, batch) = (header.shard, header.epoch, header.batch);
        Self::Change {
            frame,
            position: Position { shard, epoch, batch }.to_string(),
            time_ms: header.time_ms,
            slots: entry.slots.iter().map(SlotLine::from).collect(),
            tokens: entry.tokens.iter().map(TokenLine::from).collect(),
        }
    }

    /// Appends the line and its end.
    pub fn put(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("a line is made of numbers and texts");
        out.push(b'\n');
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is none.
    pub fn read(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }
}

impl From<&Slot> for SlotLine {
    fn from(slot: &Slot) -> Self {
        let expires_at_ms = match slot.effect.expiry {
            ExpiryEffect::Keep => None,
            ExpiryEffect::Clear => Some(0),
            ExpiryEffect::Set(at) => Some(at),
        };
        Self {
            operations: slot.ops,
            delta: slot.effect.is_add().then(|| slot.effect.delta()),
            before: slot.before.value,
            after: slot.after.value,
            expires_at_ms,
        }
    }
}

impl From<&TokenUse> for TokenLine {
    fn from(used: &TokenUse) -> Self {
        let hex = |bytes: &[u8]| {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("hex:{}", digits.collect::<String>())
        };
        let text = std::str::from_utf8(&used.token).map(str::to_owned);
        Self {
            token: text.unwrap_or_else(|_| hex(&used.token)),
            item: used.item,
            verdict: word(used.verdict).to_owned(),
            applied: used.applied,
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "done",
        Verdict::Rejected => "rejected",
        Verdict::Overflow => "overflow",
        Verdict::Unmet => "unmet",
    }
}

#[cfg(test)]
mod tests {
    use quipu_core::effect::{Counter, Effect, ExpiryEffect};
    use quipu_core::outcome::Verdict;
    use quipu_core::record::{Header, Kind};
    use quipu_core::recount::{Entry, Slot, TokenUse};

    use super::Line;

    fn check(line: &Line, expected: &str) {
        let mut bytes = Vec::new();
        line.put(&mut bytes);
        let text = String::from_utf8(bytes).expect("JSON is text");
        assert_eq!(text.trim_end(), expected);
        assert_eq!(&Line::read(&text).expect("it reads back"), line);
    }

    #[test]
    fn a_history_is_told_in_lines() {
        let absent = Counter::ABSENT.into();
        check(
            &Line::Oldest { frame: 0, time_s: 0, state: absent },
            r#"{"oldest":{"frame":0,"time_s":0,"value":null,"expires_at_ms":null}}"#,
        );
        let header = Header { kind: Kind::Batch, shard: 3, epoch: 2, batch: 9, time_ms: 7 };
        let (before, after) = (Counter::ABSENT, Counter { value: Some(5), expires_at: None });
        let effect = Effect::add(0, 5, ExpiryEffect::Keep);
        let token =
            TokenUse { token: b"\xFFa".to_vec(), item: 0, verdict: Verdict::Done, applied: 5 };
        let slots = vec![Slot { ops: 2, effect, before, after }];
        let entry = Entry { header, slots, tokens: vec![token] };
        check(
            &Line::change(8, &entry),
            concat!(
                r#"{"change":{"frame":8,"position":"3:2:9","time_ms":7,"#,
                r#""slots":[{"operations":2,"delta":5,"before":null,"after":5}],"#,
                r#""tokens":[{"token":"hex:ff61","item":0,"verdict":"done","applied":5}]}}"#,
            ),
        );
        let state = Counter { value: Some(5), expires_at: Some(6) }.into();
        check(&Line::End { frame: 9, state }, r#"{"end":{"frame":9,"value":5,"expires_at_ms":6}}"#);
    }
}
