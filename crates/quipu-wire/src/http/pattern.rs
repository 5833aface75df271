//! Patterns of names, as Redis has them: `*`, `?`, `[a-z]`, `[^a]` and the backslash, over bytes.

/// Longest pattern in bytes. Spec: as long as the longest name.
pub const PATTERN_BYTES_MAX: usize = quipu_core::limits::NAME_BYTES_MAX;

/// Whether `name` fits `pattern`. Cost: at most the product of both lengths, also for patterns made
/// to be slow: only the last star is ever tried again.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (pattern, name);
    // Where to go on when what follows the last star does not fit: one byte later.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(rest) = at.strip_prefix(b"*") {
            at = rest;
            retry = Some((rest, seen));
            continue;
        }
        let step = match seen.split_first() {
            None if at.is_empty() => return true,
            None => return false,
            Some((&byte, tail)) => one(at, byte).map(|rest| (rest, tail)),
        };
        (at, seen) = match (step, retry) {
            (Some(next), _) => next,
            (None, None) => return false,
            (None, Some((rest, from))) => {
                let Some((_, from)) = from.split_first() else { return false };
                retry = Some((rest, from));
                (rest, from)
            }
        };
    }
}

/// What follows the first part of `pattern`, if that part fits one byte.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern.split_first()? {
        (b'?', rest) => Some(rest),
        (b'[', rest) => {
            let (is_in, rest) = class(rest, byte);
            is_in.then_some(rest)
        }
        (b'\\', rest) => match rest.split_first() {
            Some((&literal, rest)) => (literal == byte).then_some(rest),
            None => (byte == b'\\').then_some(rest),
        },
        (&literal, rest) => (literal == byte).then_some(rest),
    }
}

/// Whether a class holds `byte`, and what follows it. A class that is not closed ends with the
/// pattern.
fn class(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let (is_negated, mut rest) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut is_in = false;
    loop {
        match rest {
            [] => return (is_in != is_negated, rest),
            [b']', tail @ ..] => return (is_in != is_negated, tail),
            [b'\\', literal, tail @ ..] => {
                is_in |= *literal == byte;
                rest = tail;
            }
            [from, b'-', to, tail @ ..] => {
                is_in |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest = tail;
            }
            [literal, tail @ ..] => {
                is_in |= *literal == byte;
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    fn check(pattern: &str, fitting: &[&str], others: &[&str]) {
        for (names, expected) in [(fitting, true), (others, false)] {
            for name in names {
                let found = matches(pattern.as_bytes(), name.as_bytes());
                assert_eq!(found, expected, "{pattern} {name}");
            }
        }
    }

    #[test]
    fn patterns_are_those_of_redis() {
        check("a", &["a"], &["", "b", "aa"]);
        check("*", &["", "a", "a/b"], &[]);
        check("a*c", &["ac", "abc", "abcbc"], &["ab", "bc", "acb"]);
        check("*a*b*", &["ab", "xaxbx"], &["ba", "a"]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("h[ae]llo", &["hello", "hallo"], &["hillo", "hllo"]);
        check("h[^e]llo", &["hallo"], &["hello"]);
        check("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]);
        check("h[b-a]llo", &["hallo"], &["hcllo"]);
        check("a\\*c", &["a*c"], &["abc"]);
        check("[\\]]", &["]"], &["\\"]);
        check("[ab", &["a", "b"], &["c"]);
        check("a\\", &["a\\"], &["a"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn a_pattern_made_to_be_slow_ends() {
        let pattern = format!("{}b", "a*".repeat(100));
        assert!(!matches(pattern.as_bytes(), "a".repeat(256).as_bytes()));
    }
}
