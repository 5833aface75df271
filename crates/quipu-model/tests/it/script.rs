//! Random commands: small pools of names, tokens and streams, so that they meet often.

use quipu_core::op::{Action, Add, Expire, ExpireWhen, Op, Presence, Set, Token, Ttl};
use stdx::prng::Prng;

/// An operation that owns its texts, to be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) name: String,
    pub(crate) action: Action,
    pub(crate) token: Label,
}

/// The token of a [`Sent`].
#[derive(Debug, Clone)]
pub(crate) enum Label {
    None,
    Key(Vec<u8>, u32),
    Stream(Vec<u8>, u64),
}

impl Sent {
    /// Its stream and sequence, if it has one.
    pub(crate) fn stream(&self) -> Option<(&[u8], u64)> {
        match &self.token {
            Label::Stream(name, sequence) => Some((name, *sequence)),
            _ => None,
        }
    }

    pub(crate) fn op(&self) -> Op<'_> {
        let token = match &self.token {
            Label::None => Token::None,
            Label::Key(key, item) => Token::Key { key, item: *item },
            Label::Stream(name, sequence) => Token::Stream { name, sequence: *sequence },
        };
        Op { name: &self.name, action: self.action, token }
    }
}

/// Draws one of the items.
pub(crate) fn pick<T: Copy>(random: &mut Prng, items: &[T]) -> T {
    *random.pick(items).expect("a pool is never empty")
}

/// One of the names; most commands meet on few of them.
pub(crate) fn name(random: &mut Prng) -> String {
    let long = "n".repeat(256);
    let pool = ["a", "b", "c", "d", "e", "caf\u{e9}", "user:1/likes", "two words", &long];
    let n = if random.chance(2, 3) { random.below(4) } else { random.below(9) };
    pool[n as usize].to_owned()
}

/// A number: mostly small, sometimes at the ends.
fn number(random: &mut Prng) -> i64 {
    match random.below(12) {
        0 => pick(random, &[i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1]),
        1 => random.next_u64() as i64,
        _ => random.below(11) as i64 - 5,
    }
}

fn optional(random: &mut Prng) -> Option<i64> {
    random.chance(1, 3).then(|| number(random))
}

fn ttl(random: &mut Prng, now: u64) -> Ttl {
    match random.below(8) {
        0 => Ttl::Clear,
        1 => Ttl::After(random.below(3000)),
        2 => Ttl::After(quipu_core::limits::TTL_MS_MAX),
        3 => Ttl::At(now + random.below(3000)),
        4 => Ttl::At(now - random.below(3000)),
        _ => Ttl::Keep,
    }
}

fn add(random: &mut Prng, now: u64) -> Add {
    if random.chance(1, 2) {
        return Add::plain(number(random));
    }
    let (delta, min, max) = (number(random), optional(random), optional(random));
    let saturate = random.chance(1, 2);
    Add { delta, min, max, saturate, ttl: add_ttl(random, now) }
}

fn add_ttl(random: &mut Prng, now: u64) -> Ttl {
    match ttl(random, now) {
        Ttl::After(ms) if random.chance(1, 3) => Ttl::AfterIfNone(ms),
        Ttl::At(ms) if random.chance(1, 3) => Ttl::AtIfNone(ms),
        ttl => ttl,
    }
}

/// An action at about `now`.
pub(crate) fn action(random: &mut Prng, now: u64) -> Action {
    let whens = [
        ExpireWhen::Any,
        ExpireWhen::None,
        ExpireWhen::Some,
        ExpireWhen::Later,
        ExpireWhen::Earlier,
        ExpireWhen::SomeEarlier,
    ];
    match random.below(16) {
        0..=1 => Action::Get,
        2..=3 => Action::Set(Set {
            value: number(random),
            ttl: ttl(random, now),
            when: pick(random, &[Presence::Any, Presence::Absent, Presence::Present]),
        }),
        4 => Action::Take,
        5..=6 => Action::Delete,
        7..=8 => Action::Expire(Expire { ttl: ttl(random, now), when: pick(random, &whens) }),
        _ => Action::Add(add(random, now)),
    }
}

/// A UUIDv7 of time `ms`.
pub(crate) fn uuid(ms: u64, rest: u64) -> Vec<u8> {
    let text = format!("{:08x}-{:04x}-7{:03x}-8000-{:012x}", ms >> 16, ms & 0xFFFF, 1, rest);
    text.into_bytes()
}

/// A key of any form, good or bad.
pub(crate) fn key(random: &mut Prng, now: u64) -> Vec<u8> {
    let steps = [0, 1000, 59_999, 60_000, 60_001, 90_000];
    match random.below(12) {
        0 => uuid(now - pick(random, &steps), random.below(3)),
        1 => uuid(now + pick(random, &[1, 300_000, 300_001]), random.below(3)),
        2 => uuid(now / 10_000 * 10_000, 1).to_ascii_uppercase(),
        3 => uuid(now / 10_000 * 10_000, 1),
        4 => vec![b'x'; random.below(67) as usize],
        _ => vec![b'k', random.below(6) as u8],
    }
}
