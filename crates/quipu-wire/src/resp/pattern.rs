//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^x]`, and `\` before a byte that is meant as it is.

/// Whether `text` matches `pattern`, byte by byte. Cost: at most the product of their lengths: of
/// all stars only the last one passed is ever tried again.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // After the last star, and the text that it has not swallowed yet.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            retry = Some((after, text));
            pattern = after;
            continue;
        }
        match (text.split_first(), one(pattern, text)) {
            (None, _) if pattern.is_empty() => return true,
            (None, _) => return false,
            (Some((_, rest)), Some(after)) => (pattern, text) = (after, rest),
            (Some(_), None) => {
                let Some((after, kept)) = retry else { return false };
                let Some((_, kept)) = kept.split_first() else { return false };
                retry = Some((after, kept));
                (pattern, text) = (after, kept);
            }
        }
    }
}

/// Matches the first byte of `text` and returns what of the pattern follows.
fn one<'p>(pattern: &'p [u8], text: &[u8]) -> Option<&'p [u8]> {
    let byte = *text.first()?;
    match pattern {
        [] => None,
        [b'?', after @ ..] => Some(after),
        [b'[', class @ ..] => {
            let (is_in, after) = class_has(class, byte);
            is_in.then_some(after)
        }
        [b'\\', literal, after @ ..] | [literal, after @ ..] => (*literal == byte).then_some(after),
    }
}

/// Whether a class, without its opening bracket, has `byte`, and what follows it. As in Redis a
/// class that is not closed goes on to the end, and ranges may be written backwards.
fn class_has(class: &[u8], byte: u8) -> (bool, &[u8]) {
    let (inverted, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => return (found != inverted, rest),
            [b']', after @ ..] => return (found != inverted, after),
            [b'\\', literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
            [from, b'-', to, after @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text) in [
            ("*", ""),
            ("", ""),
            ("a*", "a"),
            ("h?llo", "hallo"),
            ("h*llo", "heeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-c]llo", "hbllo"),
            ("h[c-a]llo", "hbllo"),
            (r"h\?llo", "h?llo"),
            (r"h[\]]llo", "h]llo"),
            ("*a*b*c", "xxaxxbxxbxxcxxc"),
            ("user:*:likes", "user:1:2:likes"),
            ("[a-", "-"),
            ("a\\", "a\\"),
            ("***", "abc"),
        ] {
            check(pattern, text, true);
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("a*", "ba"),
            ("h[^e]llo", "hello"),
            ("h[]llo", "hello"),
            ("*b", "abc"),
            (r"\*", "a"),
            ("?", ""),
            ("[", ""),
        ] {
            check(pattern, text, false);
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_one() {
        let pattern = "*a".repeat(200) + "b";
        check(&pattern, &"a".repeat(100_000), false);
    }

    /// The rule without any thought of cost.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', after @ ..], _) => (0..=text.len()).any(|at| plainly(after, &text[at..])),
            ([b'?', after @ ..], [_, rest @ ..]) => plainly(after, rest),
            ([p, after @ ..], [t, rest @ ..]) => p == t && plainly(after, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_match_as_the_plain_rule_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let expected = plainly(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected);
        }

        #[test]
        fn random_patterns_end(pattern in any::<Vec<u8>>(), text in any::<Vec<u8>>()) {
            let _ = matches(&pattern, &text);
        }
    }
}
