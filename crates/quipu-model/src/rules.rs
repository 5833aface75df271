//! What one operation does to one counter: the promises of the product as plain rules.

use quipu_core::op::{Action, Add, Expire, ExpireWhen, Presence, Set, Ttl};
use quipu_core::outcome::Verdict;

/// A counter that is there: its value and when it expires.
pub type Live = (i128, Option<u64>);

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// The counter is now so.
    Put(Live),
    /// The counter is gone.
    Remove,
}

/// How an operation ends, what was added, and what changes.
pub type Ruling = (Verdict, i128, Change);

const NOTHING: Change = Change::Nothing;

/// Rules on one operation at time `now`; `found` is not expired.
pub fn rule(found: Option<Live>, action: &Action, now: u64) -> Ruling {
    match (action, found) {
        (Action::Get, _) => (Verdict::Done, 0, NOTHING),
        (Action::Add(add), _) => rule_add(found, add, now),
        (Action::Set(set), _) => rule_set(found, set, now),
        (Action::Take | Action::Delete | Action::Expire(_), None) => (Verdict::Unmet, 0, NOTHING),
        (Action::Take, Some((_, expires))) => (Verdict::Done, 0, Change::Put((0, expires))),
        (Action::Delete, Some(_)) => (Verdict::Done, 0, Change::Remove),
        (Action::Expire(expire), Some(live)) => rule_expire(live, expire, now),
    }
}

/// When a counter expires after a command that says `ttl`.
fn expiry(ttl: Ttl, old: Option<u64>, now: u64) -> Option<u64> {
    match ttl {
        Ttl::Keep => old,
        Ttl::Clear => None,
        Ttl::After(ms) => Some(u64::try_from(u128::from(now) + u128::from(ms)).unwrap_or(u64::MAX)),
        Ttl::At(ms) => Some(ms),
        Ttl::AfterIfNone(ms) => old.or_else(|| expiry(Ttl::After(ms), None, now)),
        Ttl::AtIfNone(ms) => old.or(Some(ms)),
    }
}

fn rule_add(found: Option<Live>, add: &Add, now: u64) -> Ruling {
    let (value, old) = found.unwrap_or((0, None));
    let all = i128::from(i64::MIN)..=i128::from(i64::MAX);
    let low = add.min.map_or(*all.start(), i128::from);
    let high = add.max.map_or(*all.end(), i128::from);
    let sum = value + i128::from(add.delta);
    let after = if low <= sum && sum <= high {
        sum
    } else if add.saturate && low <= high {
        sum.clamp(low, high)
    } else {
        let bounded = if sum > 0 { add.max } else { add.min };
        let overflows = !all.contains(&sum) && bounded.is_none();
        return (if overflows { Verdict::Overflow } else { Verdict::Rejected }, 0, NOTHING);
    };
    let applied = after - value;
    if !all.contains(&applied) {
        return (Verdict::Overflow, 0, NOTHING);
    }
    (Verdict::Done, applied, Change::Put((after, expiry(add.ttl, old, now))))
}

fn rule_set(found: Option<Live>, set: &Set, now: u64) -> Ruling {
    let met = match set.when {
        Presence::Any => true,
        Presence::Absent => found.is_none(),
        Presence::Present => found.is_some(),
    };
    if !met {
        return (Verdict::Unmet, 0, NOTHING);
    }
    let expires = expiry(set.ttl, found.and_then(|(_, old)| old), now);
    let passed = expires.is_some_and(|at| at <= now);
    match (passed, found) {
        (true, None) => (Verdict::Done, 0, NOTHING),
        (true, Some(_)) => (Verdict::Done, 0, Change::Remove),
        (false, _) => (Verdict::Done, 0, Change::Put((i128::from(set.value), expires))),
    }
}

fn rule_expire((value, old): Live, expire: &Expire, now: u64) -> Ruling {
    if expire.ttl == Ttl::Keep {
        return (Verdict::Done, 0, NOTHING);
    }
    let new = expiry(expire.ttl, old, now);
    // Never is later than any time.
    let instant = |at: Option<u64>| at.map_or(u128::MAX, u128::from);
    let earlier = instant(new) < instant(old);
    let met = match expire.when {
        ExpireWhen::Any => true,
        ExpireWhen::None => old.is_none(),
        ExpireWhen::Some => old.is_some(),
        ExpireWhen::Later => instant(new) > instant(old),
        ExpireWhen::Earlier => earlier,
        ExpireWhen::SomeEarlier => old.is_some() && earlier,
    };
    match new {
        _ if !met => (Verdict::Unmet, 0, NOTHING),
        None if old.is_none() => (Verdict::Unmet, 0, NOTHING),
        Some(at) if at <= now => (Verdict::Done, 0, Change::Remove),
        _ => (Verdict::Done, 0, Change::Put((value, new))),
    }
}
