//! Bodies that clients send. A member that may be left out may be null, which is the same: many
//! writers of JSON send every member that they know.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quipu_core::limits::TTL_MS_MAX;
use quipu_core::name::{self, NameError};
use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};
use serde::Deserialize;

/// A body that is not understood. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not the JSON that is expected.
    #[error("the body is not understood: {reason}")]
    Json {
        /// What the reader says, with line and column.
        reason: String,
    },
    /// An argument out of its range.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// A body where none belongs.
    #[error("this request takes no body")]
    NotEmpty,
    /// A batch that is too long.
    #[error("a batch has at most {max} operations, this one has {ops}")]
    TooManyOps {
        /// How many it has.
        ops: usize,
        /// How many it may have.
        max: usize,
    },
}

/// Arguments that make no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not the name of a counter.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An expiry out of its range.
    #[error("ttl_ms is from 1 to {TTL_MS_MAX}")]
    Ttl,
    /// Bounds that nothing fits.
    #[error("min {min} is above max {max}")]
    Bounds {
        /// The lower one.
        min: i64,
        /// The upper one.
        max: i64,
    },
    /// No action, or several.
    #[error("an operation has one of add, set, get, take and delete")]
    Actions,
    /// An action that is switched off.
    #[error("get, take and delete take the value true")]
    NotTrue,
    /// A bound without an addition.
    #[error("min, max and saturate belong to add")]
    StrayBound,
    /// An expiry without a value.
    #[error("ttl_ms belongs to add and set")]
    StrayTtl,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddBody {
    add: i64,
    min: Option<i64>,
    max: Option<i64>,
    saturate: Option<bool>,
    ttl_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBody {
    value: i64,
    ttl_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyBody {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody<'a> {
    #[serde(borrow)]
    ops: Vec<ItemBody<'a>>,
    atomic: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemBody<'a> {
    #[serde(borrow)]
    counter: Cow<'a, str>,
    add: Option<i64>,
    min: Option<i64>,
    max: Option<i64>,
    saturate: Option<bool>,
    ttl_ms: Option<u64>,
    set: Option<i64>,
    get: Option<bool>,
    take: Option<bool>,
    delete: Option<bool>,
}

/// A batch.
#[derive(Debug)]
pub struct Batch<'a> {
    /// All or nothing.
    pub atomic: bool,
    /// Its items, in order.
    pub items: Vec<Item<'a>>,
}

/// One item of a batch.
#[derive(Debug)]
pub struct Item<'a> {
    /// The counter's name, as it was sent.
    pub counter: Cow<'a, str>,
    /// What to do, or why it is nothing that can be done.
    pub action: Result<Action, ArgumentError>,
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BodyError> {
    serde_json::from_slice(body).map_err(|e| BodyError::Json { reason: e.to_string() })
}

/// Reads the body of an addition: `{"add": 1}` with `min`, `max`, `saturate`, `ttl_ms`.
///
/// # Errors
/// Says what is wrong.
pub fn parse_add(body: &[u8]) -> Result<Action, BodyError> {
    let b: AddBody = parse(body)?;
    Ok(add(b.add, (b.min, b.max), b.saturate.unwrap_or(false), b.ttl_ms)?)
}

/// Reads the body of a replacement: `{"value": 7}` with `ttl_ms`.
///
/// # Errors
/// Says what is wrong.
pub fn parse_put(body: &[u8]) -> Result<Action, BodyError> {
    let b: PutBody = parse(body)?;
    Ok(set(b.value, b.ttl_ms)?)
}

/// Checks the body of a request that takes none: nothing, white space, or `{}`.
///
/// # Errors
/// There is something in it.
pub fn parse_empty(body: &[u8]) -> Result<(), BodyError> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    parse::<EmptyBody>(body).map(|_| ()).map_err(|_| BodyError::NotEmpty)
}

/// Reads the body of a batch of at most `ops_max` operations. An item that makes no operation is
/// reported as one; a body that is not understood is refused as a whole.
///
/// # Errors
/// Says what is wrong.
pub fn parse_batch(body: &[u8], ops_max: usize) -> Result<Batch<'_>, BodyError> {
    let b: BatchBody<'_> = parse(body)?;
    if b.ops.len() > ops_max {
        return Err(BodyError::TooManyOps { ops: b.ops.len(), max: ops_max });
    }
    let atomic = b.atomic.unwrap_or(false);
    Ok(Batch { atomic, items: b.ops.into_iter().map(Item::from).collect() })
}

fn ttl(ttl_ms: Option<u64>, otherwise: Ttl) -> Result<Ttl, ArgumentError> {
    match ttl_ms {
        None => Ok(otherwise),
        Some(ms) if (1..=TTL_MS_MAX).contains(&ms) => Ok(Ttl::After(ms)),
        Some(_) => Err(ArgumentError::Ttl),
    }
}

fn add(
    delta: i64,
    (min, max): (Option<i64>, Option<i64>),
    saturate: bool,
    ttl_ms: Option<u64>,
) -> Result<Action, ArgumentError> {
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(ArgumentError::Bounds { min, max });
    }
    Ok(Action::Add(Add { delta, min, max, saturate, ttl: ttl(ttl_ms, Ttl::Keep)? }))
}

/// A replacement clears the expiry unless it brings one.
fn set(value: i64, ttl_ms: Option<u64>) -> Result<Action, ArgumentError> {
    Ok(Action::Set(Set { value, ttl: ttl(ttl_ms, Ttl::Clear)?, when: Presence::Any }))
}

impl ItemBody<'_> {
    fn action(&self) -> Result<Action, ArgumentError> {
        name::check(self.counter.as_bytes())?;
        let words =
            [(self.get, Action::Get), (self.take, Action::Take), (self.delete, Action::Delete)];
        if words.iter().any(|(word, _)| *word == Some(false)) {
            return Err(ArgumentError::NotTrue);
        }
        let mut words = words.iter().filter(|(word, _)| word.is_some()).map(|(_, action)| *action);
        let bounds = (self.min, self.max);
        let has_bound = bounds != (None, None) || self.saturate.is_some();
        match (self.add, self.set, words.next(), words.next()) {
            (Some(delta), None, None, None) => {
                add(delta, bounds, self.saturate.unwrap_or(false), self.ttl_ms)
            }
            (None, _, None, _) | (None, None, Some(_), None) if has_bound => {
                Err(ArgumentError::StrayBound)
            }
            (None, Some(value), None, None) => set(value, self.ttl_ms),
            (None, None, Some(_), None) if self.ttl_ms.is_some() => Err(ArgumentError::StrayTtl),
            (None, None, Some(action), None) => Ok(action),
            _ => Err(ArgumentError::Actions),
        }
    }
}

impl<'a> From<ItemBody<'a>> for Item<'a> {
    fn from(body: ItemBody<'a>) -> Self {
        let action = body.action();
        Self { counter: body.counter, action }
    }
}

impl Batch<'_> {
    /// The operations of the items that make one, in order, and their tokens: the j-th item on one
    /// counter has the token (key, j). Reads count as items and carry no token.
    pub fn ops<'b>(&'b self, key: Option<&'b [u8]>) -> Vec<Op<'b>> {
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        let mut ops = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let name = &*item.counter;
            let token = key.map_or(Token::None, |key| {
                let next = seen.entry(name).or_default();
                let item = *next;
                *next += 1;
                Token::Key { key, item }
            });
            let Ok(action) = item.action else { continue };
            let token = Some(token).filter(|_| action.is_write()).unwrap_or(Token::None);
            ops.push(Op { name, action, token });
        }
        ops
    }
}

#[cfg(test)]
mod tests {
    use quipu_core::op::{Action, Add, Presence, Set, Token, Ttl};

    use super::{parse_add, parse_batch, parse_empty, parse_put};

    fn check_add(body: &str, expected: Result<Add, &str>) {
        let parsed = parse_add(body.as_bytes()).map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map(Action::Add).map_err(str::to_owned), "{body}");
    }

    #[test]
    fn an_addition_takes_bounds_and_an_expiry() {
        let plain = Add::plain(1);
        check_add("{\"add\":1}", Ok(plain));
        check_add(" {\"add\" : -9223372036854775808 } ", Ok(Add::plain(i64::MIN)));
        check_add("{\"\\u0061dd\":1}", Ok(plain));
        let nulls = "{\"add\":1,\"min\":null,\"max\":null,\"saturate\":null,\"ttl_ms\":null}";
        check_add(nulls, Ok(plain));
        check_add(
            "{\"add\":1,\"min\":-5,\"max\":5,\"saturate\":true,\"ttl_ms\":60000}",
            Ok(Add {
                min: Some(-5),
                max: Some(5),
                saturate: true,
                ttl: Ttl::After(60_000),
                ..plain
            }),
        );
        check_add("{\"add\":1,\"min\":6,\"max\":5}", Err("min 6 is above max 5"));
        check_add("{\"add\":1,\"ttl_ms\":0}", Err("ttl_ms is from 1 to 31622400000000"));
    }

    fn check_reason(body: &str, reason: &str) {
        let error = parse_add(body.as_bytes()).expect_err(body).to_string();
        assert!(
            error.starts_with("the body is not understood: ") && error.contains(reason),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        check_reason("", "EOF while parsing a value at line 1 column 0");
        check_reason("{}", "missing field `add`");
        check_reason("{\"add\":1,\"mix\":2}", "unknown field `mix`");
        check_reason("{\"add\":1,\"add\":2}", "duplicate field `add`");
        check_reason("{\"add\":1.0}", "invalid type: floating point");
        check_reason("{\"add\":\"1\"}", "invalid type: string");
        check_reason("{\"add\":9223372036854775808}", "invalid value: integer");
        check_reason("{\"add\":1} {", "trailing characters");
        let deep = format!("{{\"add\":{}", "[".repeat(100_000));
        check_reason(&deep, "invalid type: sequence");
    }

    #[test]
    fn a_replacement_clears_the_expiry_unless_it_brings_one() {
        let set = |ttl| Ok(Action::Set(Set { value: 7, ttl, when: Presence::Any }));
        assert_eq!(parse_put(b"{\"value\":7}"), set(Ttl::Clear));
        assert_eq!(parse_put(b"{\"value\":7,\"ttl_ms\":5}"), set(Ttl::After(5)));
        assert!(parse_put(b"{\"value\":7,\"max\":9}").is_err());
        assert!(parse_put(b"{\"value\":null}").is_err());
    }

    #[test]
    fn a_request_without_a_body_may_have_an_empty_one() {
        for (body, is_empty) in [("", true), (" \r\n", true), ("{}", true), ("{\"a\":1}", false)] {
            assert_eq!(parse_empty(body.as_bytes()).is_ok(), is_empty, "{body}");
        }
    }

    fn check_item(item: &str, expected: Result<Action, &str>) {
        let body = format!("{{\"ops\":[{item}]}}");
        let batch = parse_batch(body.as_bytes(), 1).expect(item);
        let found = batch.items.first().expect("it has one item").action;
        assert_eq!(found.map_err(|e| e.to_string()), expected.map_err(str::to_owned), "{item}");
    }

    #[test]
    fn an_item_of_a_batch_is_one_operation() {
        check_item("{\"counter\":\"a\",\"add\":1}", Ok(Action::Add(Add::plain(1))));
        check_item("{\"counter\":\"d\",\"take\":true}", Ok(Action::Take));
        check_item("{\"counter\":\"e\",\"delete\":true}", Ok(Action::Delete));
        check_item("{\"counter\":\"c\",\"get\":true}", Ok(Action::Get));
        let set = Set { value: 7, ttl: Ttl::After(9), when: Presence::Any };
        check_item("{\"counter\":\"b\",\"set\":7,\"ttl_ms\":9}", Ok(Action::Set(set)));
        let one = Err("an operation has one of add, set, get, take and delete");
        check_item("{\"counter\":\"a\"}", one);
        check_item("{\"counter\":\"a\",\"add\":1,\"set\":1}", one);
        check_item("{\"counter\":\"a\",\"get\":true,\"take\":true}", one);
        check_item("{\"counter\":\"a\",\"set\":1,\"get\":true}", one);
        let on = Err("get, take and delete take the value true");
        check_item("{\"counter\":\"a\",\"get\":false}", on);
        check_item("{\"counter\":\"a\",\"add\":1,\"get\":false}", on);
        let bound = Err("min, max and saturate belong to add");
        check_item("{\"counter\":\"a\",\"set\":1,\"max\":1}", bound);
        check_item("{\"counter\":\"a\",\"take\":true,\"saturate\":true}", bound);
        check_item(
            "{\"counter\":\"a\",\"get\":true,\"ttl_ms\":5}",
            Err("ttl_ms belongs to add and set"),
        );
        check_item("{\"counter\":\"\",\"get\":true}", Err("a counter name has at least 1 byte"));
    }

    #[test]
    fn a_batch_is_bounded_and_understood_as_a_whole() {
        let three = b"{\"ops\":[{\"counter\":\"a\"},{\"counter\":\"a\"},{\"counter\":\"a\"}]}";
        let error = parse_batch(three, 2).expect_err("it has three").to_string();
        assert_eq!(error, "a batch has at most 2 operations, this one has 3");
        assert!(parse_batch(b"{\"ops\":[{\"counter\":\"a\",\"ad\":1}]}", 9).is_err());
        assert!(parse_batch(b"{\"atomic\":true}", 9).is_err());
        assert!(!parse_batch(b"{\"ops\":[]}", 9).expect("it is empty").atomic);
        assert!(!parse_batch(b"{\"ops\":[],\"atomic\":null}", 9).expect("it is empty").atomic);
    }

    #[test]
    fn the_jth_item_on_one_counter_has_the_token_key_and_j() {
        let body =
            b"{\"ops\":[{\"counter\":\"a\",\"add\":1},{\"counter\":\"\\u0061\",\"get\":true},
            {\"counter\":\"b\",\"add\":1},{\"counter\":\"a\"},{\"counter\":\"a\",\"add\":1}]}";
        let batch = parse_batch(body, 9).expect("it is a batch");
        let tokens = |key| batch.ops(key).iter().map(|op| op.token).collect::<Vec<_>>();
        let item = |item| Token::Key { key: b"k", item };
        assert_eq!(tokens(Some(b"k")), [item(0), Token::None, item(0), item(3)]);
        assert_eq!(tokens(None), [Token::None; 4]);
    }
}
