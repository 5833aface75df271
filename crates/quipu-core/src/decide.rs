//! What an operation does to a counter: a pure decision, taken once, by the owner.

use crate::canary::{self, Bug};
use crate::effect::{Counter, Effect, ExpiryEffect};
use crate::op::{Action, Add, Expire, ExpireWhen, Presence, Set, Ttl};
use crate::outcome::Verdict;

/// The decision about one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What to write, or none where nothing changes.
    pub effect: Option<Effect>,
    /// How it ended.
    pub verdict: Verdict,
    /// What was really added.
    pub applied: i64,
}

impl Decision {
    fn nothing(verdict: Verdict) -> Self {
        Self { effect: None, verdict, applied: 0 }
    }

    fn effect(effect: Effect) -> Self {
        Self { effect: Some(effect), verdict: Verdict::Done, applied: 0 }
    }
}

/// Decides `action` on `counter` at log time `now_ms`. The counter is not expired.
#[inline]
pub fn decide(counter: Counter, action: &Action, now_ms: u64) -> Decision {
    match action {
        Action::Add(add) => decide_add(counter, add, now_ms),
        Action::Get => Decision::nothing(Verdict::Done),
        Action::Set(set) => decide_set(counter, set, now_ms),
        Action::Take => take(counter),
        Action::Delete => delete(counter),
        Action::Expire(expire) => decide_expire(counter, expire, now_ms),
    }
}

fn take(counter: Counter) -> Decision {
    if counter.value.is_none() {
        return Decision::nothing(Verdict::Unmet);
    }
    let left = if canary::is(Bug::TakeDoubles) { counter.value } else { Some(0) };
    Decision::effect(Effect::assign(counter.value, left, ExpiryEffect::Keep))
}

fn delete(counter: Counter) -> Decision {
    match counter.value {
        None => Decision::nothing(Verdict::Unmet),
        Some(_) => Decision::effect(Effect::assign(counter.value, None, ExpiryEffect::Clear)),
    }
}

#[inline]
fn expiry_of(ttl: Ttl, counter: Counter, now_ms: u64) -> ExpiryEffect {
    match ttl {
        Ttl::AfterIfNone(_) | Ttl::AtIfNone(_) if counter.expires_at.is_some() => {
            ExpiryEffect::Keep
        }
        Ttl::Keep => ExpiryEffect::Keep,
        Ttl::Clear => ExpiryEffect::Clear,
        Ttl::After(ms) | Ttl::AfterIfNone(ms) => ExpiryEffect::Set(now_ms.saturating_add(ms)),
        Ttl::At(ms) | Ttl::AtIfNone(ms) => ExpiryEffect::Set(ms),
    }
}

#[inline]
fn decide_add(counter: Counter, add: &Add, now_ms: u64) -> Decision {
    let before = counter.value.unwrap_or(0);
    let after = match bounded_sum(before, add) {
        Ok(after) => after,
        Err(verdict) => return Decision::nothing(verdict),
    };
    let effect = Effect::add(before, after, expiry_of(add.ttl, counter, now_ms));
    Decision { effect: Some(effect), verdict: Verdict::Done, applied: after.wrapping_sub(before) }
}

/// The sum within the bounds, or why there is none. A sum beyond 64 bits that a bound forbids
/// anyway is a rejection, otherwise an overflow; so is a way to the bound that is beyond 64 bits.
#[inline]
fn bounded_sum(before: i64, add: &Add) -> Result<i64, Verdict> {
    let sum = before.checked_add(add.delta);
    if let (Some(sum), None, None) = (sum, add.min, add.max) {
        return Ok(sum);
    }
    let (min, max) = (add.min.unwrap_or(i64::MIN), add.max.unwrap_or(i64::MAX));
    match sum {
        Some(sum) if (min..=max).contains(&sum) => Ok(sum),
        _ if add.saturate && min <= max => {
            let sum = before.saturating_add(add.delta);
            let capped =
                if canary::is(Bug::SaturateOvershoots) { sum } else { sum.clamp(min, max) };
            if capped.checked_sub(before).is_some() { Ok(capped) } else { Err(Verdict::Overflow) }
        }
        Some(_) => Err(Verdict::Rejected),
        None if canary::is(Bug::OverflowWraps) => Ok(before.wrapping_add(add.delta)),
        None if add.delta > 0 && add.max.is_some() => Err(Verdict::Rejected),
        None if add.delta < 0 && add.min.is_some() => Err(Verdict::Rejected),
        None => Err(Verdict::Overflow),
    }
}

fn decide_set(counter: Counter, set: &Set, now_ms: u64) -> Decision {
    let met = match set.when {
        Presence::Any => true,
        Presence::Absent => counter.value.is_none(),
        Presence::Present => counter.value.is_some(),
    };
    if !met {
        return Decision::nothing(Verdict::Unmet);
    }
    let expiry = match expiry_of(set.ttl, counter, now_ms) {
        ExpiryEffect::Set(at) if at <= now_ms => return delete_or_nothing(counter),
        expiry => expiry,
    };
    Decision::effect(Effect::assign(counter.value, Some(set.value), expiry))
}

/// A set whose expiry has already passed leaves nothing behind.
fn delete_or_nothing(counter: Counter) -> Decision {
    Decision { verdict: Verdict::Done, ..delete(counter) }
}

fn decide_expire(counter: Counter, expire: &Expire, now_ms: u64) -> Decision {
    let Some(value) = counter.value else { return Decision::nothing(Verdict::Unmet) };
    let wanted = match expiry_of(expire.ttl, counter, now_ms) {
        ExpiryEffect::Set(at) => Some(at),
        ExpiryEffect::Clear => None,
        ExpiryEffect::Keep => return Decision::nothing(Verdict::Done),
    };
    if !expire_met(expire.when, counter.expires_at, wanted) {
        return Decision::nothing(Verdict::Unmet);
    }
    match wanted {
        None if counter.expires_at.is_none() => Decision::nothing(Verdict::Unmet),
        None => Decision::effect(Effect::assign(Some(value), Some(value), ExpiryEffect::Clear)),
        Some(at) if at <= now_ms => delete(counter),
        Some(at) => {
            Decision::effect(Effect::assign(Some(value), Some(value), ExpiryEffect::Set(at)))
        }
    }
}

fn expire_met(when: ExpireWhen, present: Option<u64>, wanted: Option<u64>) -> bool {
    let (present_at, wanted_at) = (present.unwrap_or(u64::MAX), wanted.unwrap_or(u64::MAX));
    match when {
        ExpireWhen::Any => true,
        ExpireWhen::None => present.is_none(),
        ExpireWhen::Some => present.is_some(),
        ExpireWhen::Later => wanted_at > present_at,
        ExpireWhen::Earlier => wanted_at < present_at,
        ExpireWhen::SomeEarlier => present.is_some() && wanted_at < present_at,
    }
}

#[cfg(test)]
mod tests {
    use super::decide;
    use crate::effect::{Counter, fold};
    use crate::op::{Action, Add, Ttl};
    use crate::outcome::Verdict;

    fn check(value: Option<i64>, add: Add, expected: (Verdict, Option<i64>, i64)) {
        let counter = Counter { value, expires_at: None };
        let d = decide(counter, &Action::Add(add), 10);
        let after = d.effect.map_or(counter, |e| fold(counter, &e).expect("decided on it"));
        assert_eq!((d.verdict, after.value, d.applied), expected, "{value:?} {add:?}");
    }

    #[test]
    fn bounds_reject_or_saturate_and_overflow_changes_nothing() {
        let plain = Add::plain(3);
        check(None, plain, (Verdict::Done, Some(3), 3));
        check(Some(i64::MAX), plain, (Verdict::Overflow, Some(i64::MAX), 0));
        check(Some(i64::MIN), Add::plain(-1), (Verdict::Overflow, Some(i64::MIN), 0));
        let capped = Add { max: Some(5), ..plain };
        check(Some(2), capped, (Verdict::Done, Some(5), 3));
        check(Some(3), capped, (Verdict::Rejected, Some(3), 0));
        check(Some(i64::MAX), capped, (Verdict::Rejected, Some(i64::MAX), 0));
        let saturating = Add { saturate: true, ..capped };
        check(Some(3), saturating, (Verdict::Done, Some(5), 2));
        check(Some(5), saturating, (Verdict::Done, Some(5), 0));
        check(Some(i64::MAX), Add { saturate: true, ..plain }, (Verdict::Done, Some(i64::MAX), 0));
        check(None, Add { min: Some(0), ..Add::plain(-1) }, (Verdict::Rejected, None, 0));
    }

    #[test]
    fn saturating_moves_a_value_beyond_the_bound_back_to_it() {
        let capped = Add { max: Some(5), saturate: true, ..Add::plain(3) };
        check(Some(9), capped, (Verdict::Done, Some(5), -4));
        check(Some(9), Add { delta: -1, ..capped }, (Verdict::Done, Some(5), -4));
        check(Some(9), Add { delta: -6, ..capped }, (Verdict::Done, Some(3), -6));
        let floored = Add { min: Some(5), saturate: true, ..Add::plain(1) };
        check(None, floored, (Verdict::Done, Some(5), 5));
        let far = Add { max: Some(i64::MIN), saturate: true, ..Add::plain(1) };
        check(Some(1), far, (Verdict::Overflow, Some(1), 0));
    }

    #[test]
    fn an_expiry_for_where_there_is_none_leaves_another_alone() {
        let after = |expires_at, ttl| {
            let counter = Counter { value: Some(1), expires_at };
            let action = Action::Add(Add { ttl, ..Add::plain(1) });
            let effect = decide(counter, &action, 10).effect.expect("an add");
            fold(counter, &effect).expect("decided on it").expires_at
        };
        assert_eq!(after(None, Ttl::AfterIfNone(5)), Some(15));
        assert_eq!(after(None, Ttl::AtIfNone(50)), Some(50));
        assert_eq!(after(Some(20), Ttl::AfterIfNone(5)), Some(20));
        assert_eq!(after(Some(20), Ttl::AtIfNone(50)), Some(20));
    }
}
