//! The closed algebra of effects, and the one fold.
//!
//! An effect says what happened to one counter: what was there, what is there now, and what became
//! of the expiry. Adds chain into one effect; an assignment is exact about what it replaced. Every
//! fold checks that before and after agree, so each recovery is also an audit.
//!
//! The law, tested below: `fold(fold(s, a), b) == fold(s, compose(a, b))`.

/// What a counter is: a value or absent, and when it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// The value, or none where the counter does not exist.
    pub value: Option<i64>,
    /// Log time in milliseconds at which it expires; always none while absent.
    pub expires_at: Option<u64>,
}

impl Counter {
    /// The counter that does not exist.
    pub const ABSENT: Self = Self { value: None, expires_at: None };

    /// Whether the expiry has been reached at log time `now_ms`.
    #[inline]
    pub fn is_expired(self, now_ms: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now_ms)
    }
}

/// What an effect found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// This number, or absence where it is 0: an add does not care which.
    Sum(i64),
    /// Exactly this: an assignment does.
    Exact(Option<i64>),
}

/// What an effect does to the expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryEffect {
    /// Leaves it as it is.
    Keep,
    /// Takes it away.
    Clear,
    /// Sets it to this log time in milliseconds.
    Set(u64),
}

/// What happened to one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// What was there.
    pub before: Before,
    /// What is there now.
    pub after: Option<i64>,
    /// What became of the expiry.
    pub expiry: ExpiryEffect,
}

/// Before and after do not agree: the log, or the state that it is folded into, is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log says that it was {expected:?} before the change, but it was {found:?}")]
pub struct Mismatch {
    /// What the effect says was there.
    pub expected: Before,
    /// What was there.
    pub found: Option<i64>,
}

impl Effect {
    /// The effect of adding `delta` to a counter that shows `before`, with wrapping checked by the
    /// one who decided.
    #[inline]
    pub fn add(before: i64, after: i64, expiry: ExpiryEffect) -> Self {
        Self { before: Before::Sum(before), after: Some(after), expiry }
    }

    /// The effect of replacing `before` with `after`.
    #[inline]
    pub fn assign(before: Option<i64>, after: Option<i64>, expiry: ExpiryEffect) -> Self {
        Self { before: Before::Exact(before), after, expiry }
    }

    /// Whether this is a chain of adds alone; then `delta` speaks.
    #[inline]
    pub fn is_add(&self) -> bool {
        matches!(self.before, Before::Sum(_)) && self.after.is_some()
    }

    /// What was added, modulo 2^64. Zero for an assignment.
    #[inline]
    pub fn delta(&self) -> i64 {
        match (self.before, self.after) {
            (Before::Sum(before), Some(after)) => after.wrapping_sub(before),
            _ => 0,
        }
    }
}

impl Before {
    #[inline]
    fn agrees(self, value: Option<i64>) -> bool {
        match self {
            Self::Sum(before) => value.unwrap_or(0) == before,
            Self::Exact(before) => value == before,
        }
    }
}

/// Folds one effect into one counter: the only way in which a counter ever changes.
///
/// # Errors
/// The effect does not fit what is there.
#[inline]
pub fn fold(counter: Counter, effect: &Effect) -> Result<Counter, Mismatch> {
    if !effect.before.agrees(counter.value) {
        return Err(Mismatch { expected: effect.before, found: counter.value });
    }
    let expires_at = match (effect.after, effect.expiry) {
        (None, _) | (_, ExpiryEffect::Clear) => None,
        (_, ExpiryEffect::Keep) => counter.expires_at,
        (_, ExpiryEffect::Set(at)) => Some(at),
    };
    Ok(Counter { value: effect.after, expires_at })
}

/// Makes one effect of two that follow each other.
///
/// # Errors
/// `later` does not fit what `earlier` left.
#[inline]
pub fn compose(earlier: &Effect, later: &Effect) -> Result<Effect, Mismatch> {
    if !later.before.agrees(earlier.after) {
        return Err(Mismatch { expected: later.before, found: earlier.after });
    }
    let expiry = match (earlier.after, later.after, later.expiry) {
        (_, None, _) => ExpiryEffect::Clear,
        (None, _, ExpiryEffect::Keep) => ExpiryEffect::Clear,
        (_, _, ExpiryEffect::Keep) => earlier.expiry,
        (_, _, other) => other,
    };
    Ok(Effect { before: earlier.before, after: later.after, expiry })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Before, Counter, Effect, ExpiryEffect, compose, fold};

    fn small() -> impl Strategy<Value = i64> {
        prop_oneof![-2_i64..3, Just(i64::MAX), Just(i64::MIN)]
    }

    fn counter() -> impl Strategy<Value = Counter> {
        prop_oneof![
            Just(Counter::ABSENT),
            (small(), proptest::option::of(1_u64..4))
                .prop_map(|(v, expires_at)| Counter { value: Some(v), expires_at }),
        ]
    }

    fn effect() -> impl Strategy<Value = Effect> {
        let before = prop_oneof![
            small().prop_map(Before::Sum),
            proptest::option::of(small()).prop_map(Before::Exact),
        ];
        let expiry = prop_oneof![
            Just(ExpiryEffect::Keep),
            Just(ExpiryEffect::Clear),
            (1_u64..4).prop_map(ExpiryEffect::Set),
        ];
        (before, proptest::option::of(small()), expiry).prop_map(|(before, after, expiry)| Effect {
            before,
            after,
            expiry,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn folding_two_effects_is_folding_their_composition(
            s in counter(), a in effect(), b in effect()
        ) {
            let stepwise = fold(s, &a).ok().and_then(|s| fold(s, &b).ok());
            let composed = compose(&a, &b).ok().and_then(|ab| fold(s, &ab).ok());
            prop_assert_eq!(stepwise, composed);
        }
    }

    #[test]
    fn an_add_takes_absence_for_zero_and_an_assignment_does_not() {
        let add = Effect::add(0, 5, ExpiryEffect::Keep);
        assert_eq!(fold(Counter::ABSENT, &add).map(|c| c.value), Ok(Some(5)));
        let set = Effect::assign(Some(0), Some(5), ExpiryEffect::Clear);
        assert!(fold(Counter::ABSENT, &set).is_err());
    }

    #[test]
    fn adds_in_a_row_are_an_add_and_nothing_else_is() {
        let check = |effect: Effect, is_add, delta| {
            assert_eq!((effect.is_add(), effect.delta()), (is_add, delta), "{effect:?}");
        };
        let add = Effect::add(1, 3, ExpiryEffect::Keep);
        let delete = Effect::assign(Some(3), None, ExpiryEffect::Clear);
        check(add, true, 2);
        check(compose(&add, &Effect::add(3, 8, ExpiryEffect::Keep)).unwrap(), true, 7);
        check(compose(&add, &delete).unwrap(), false, 0);
        check(Effect::assign(Some(1), Some(3), ExpiryEffect::Keep), false, 0);
        check(delete, false, 0);
    }
}
