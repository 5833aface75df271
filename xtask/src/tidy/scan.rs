//! Rust source with comments and literals blanked, so that the other rules see code only.
//!
//! A full parser is not needed: the rules ask for words, paths and matching braces. Every blanked
//! byte becomes a space and newlines stay, so positions and line numbers hold.

use std::ops::Range;

/// Returns the source with comments, strings and characters replaced by spaces.
pub(crate) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let Some(end) = end_of_comment_or_literal(bytes, at) else {
            code.push(bytes[at]);
            at += 1;
            continue;
        };
        code.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn end_of_comment_or_literal(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => Some(at + position(rest, |byte| byte == b'\n')),
        [b'/', b'*', ..] => Some(at + end_of_block_comment(rest)),
        [b'"', ..] => Some(at + end_of_quoted(rest, b'"')),
        [b'r', ..] if starts_a_word(bytes, at) => end_of_raw_string(rest).map(|end| at + end),
        [b'\'', b'\\', ..] => Some(at + end_of_quoted(rest, b'\'')),
        [b'\'', first, ..] => {
            let width = width_of_char(*first);
            (rest.get(1 + width) == Some(&b'\'')).then_some(at + 2 + width)
        }
        _ => None,
    }
}

fn position(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| wanted(*byte)).unwrap_or(bytes.len())
}

fn end_of_block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn end_of_quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Whether the byte begins a word, or follows the `b` or `c` that marks a byte or C string.
fn starts_a_word(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map_or(b' ', |index| bytes[index]);
    !is_word(before(1)) || (matches!(before(1), b'b' | b'c') && !is_word(before(2)))
}

fn end_of_raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = position(&rest[1..], |byte| byte != b'#');
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let body = 2 + hashes;
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let end = rest[body..].windows(close.len()).position(|window| window == close);
    Some(end.map_or(rest.len(), |end| body + end + close.len()))
}

fn width_of_char(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

/// Whether the byte can be part of an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the words of the code with the position of each.
pub(crate) fn words(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    for piece in code.split(|character: char| !(character.is_alphanumeric() || character == '_')) {
        if !piece.is_empty() {
            found.push((at, piece));
        }
        let end = at + piece.len();
        at = end + code.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    found
}

/// Returns the number of the line that holds the position, from 1.
pub(crate) fn line_of(code: &str, position: usize) -> usize {
    1 + code.bytes().take(position).filter(|byte| *byte == b'\n').count()
}

/// Returns the body that the item at the position opens, braces included.
///
/// None if a `;` ends the item first.
pub(crate) fn body(code: &str, from: usize) -> Option<Range<usize>> {
    let bytes = code.as_bytes();
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at..end_of_block(bytes, at)),
            _ => {}
        }
    }
    None
}

fn end_of_block(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    bytes.len()
}

/// Returns the code with every item that only tests compile blanked.
pub(crate) fn without_tests(code: &str) -> String {
    let mut kept = code.as_bytes().to_vec();
    for (at, attribute) in code.match_indices("#[cfg(") {
        let after = at + attribute.len();
        let condition = code.get(after..).and_then(|rest| rest.split(")]").next()).unwrap_or("");
        if !words(condition).iter().any(|(_, word)| *word == "test") || condition.contains("not(") {
            continue;
        }
        let start = after + condition.len() + 2;
        let Some(range) = body(code, start) else { continue };
        for byte in kept[at..range.end].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &str) {
        let code = code_only(source);
        assert_eq!(code.len(), source.len(), "source {source}");
        let kept: Vec<&str> = code.split(' ').filter(|piece| !piece.is_empty()).collect();
        assert_eq!(kept.join(" "), expected, "source {source}");
    }

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        check("a // b\nc", "a \nc");
        check("a /* /* b */ { */ c", "a c");
        check("x(\"{\\\"\")", "x( )");
        check("x(r#\"{\"}\"#) y", "x( ) y");
        check("x(br\"{\") y", "x(b ) y");
        check("'{' 'a '\\'' b", "'a b");
        check("r#fn for", "r#fn for");
    }

    #[test]
    fn items_for_tests_are_blanked() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}";
        let kept = without_tests(code);
        assert!(kept.contains("fn a") && kept.contains("fn c") && !kept.contains("fn b"));
        assert_eq!(kept.lines().count(), code.lines().count());
    }

    #[test]
    fn items_that_tests_do_not_compile_stay() {
        assert!(without_tests("#[cfg(not(test))]\nfn a() {}").contains("fn a"));
    }

    #[test]
    fn a_body_is_found_behind_a_signature_with_brackets() {
        let code = "fn a(x: [u8; 4]) -> u8 { { 1 } } fn b();";
        assert_eq!(body(code, 0).and_then(|range| code.get(range)), Some("{ { 1 } }"));
        assert_eq!(body(code, 33), None);
    }
}
