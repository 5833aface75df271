//! Production functions are short.

use crate::tidy::scan::{self, body, line_of, words};
use crate::tidy::{Finding, Source};

/// Lines of a function from its signature to its closing brace; the same as clippy's threshold.
const LINES_MAX: usize = 70;

/// Functions that were longer when the rule came. The list only shrinks: an entry that is no longer
/// needed is a finding.
const NAUGHTY: &[(&str, &str)] = &[];

#[derive(Debug, PartialEq, Eq)]
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

/// Checks the length of every function outside tests.
pub(crate) fn check(sources: &[Source<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut excused = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        let code = scan::without_tests(&source.code);
        for function in functions(&code).iter().filter(|function| function.lines > LINES_MAX) {
            let excuse = NAUGHTY.iter().find(|entry| **entry == (source.path, function.name));
            if let Some(excuse) = excuse {
                excused.push(excuse);
                continue;
            }
            let Function { name, line, lines } = function;
            let text = format!("function `{name}` has {lines} lines; the limit is {LINES_MAX}");
            findings.push(Finding::at(source.path, *line, text));
        }
    }
    for (path, name) in NAUGHTY.iter().filter(|entry| !excused.contains(entry)) {
        let text = format!("`{name}` needs no excuse any more: remove it from the naughty list");
        findings.push(Finding::at(path, 1, text));
    }
    findings
}

fn functions(code: &str) -> Vec<Function<'_>> {
    let words = words(code);
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs
        .filter(|((_, word), _)| *word == "fn")
        .filter(|((at, _), (next, _))| code.get(at + 2..*next).is_some_and(is_blank))
        .filter_map(|((at, _), (next, name))| {
            let range = body(code, *next)?;
            let line = line_of(code, *at);
            Some(Function { name, line, lines: line_of(code, range.end) - line + 1 })
        })
        .collect()
}

/// Between `fn` and a name there is only space; `fn(u8)` is a type.
fn is_blank(text: &str) -> bool {
    text.chars().all(|character| character.is_whitespace() || character == '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_functions(code: &str, expected: &[(&str, usize, usize)]) {
        let found: Vec<_> =
            functions(code).iter().map(|found| (found.name, found.line, found.lines)).collect();
        assert_eq!(found, expected, "code {code}");
    }

    #[test]
    fn a_function_is_counted_from_signature_to_closing_brace() {
        check_functions("fn a() {}", &[("a", 1, 1)]);
        check_functions("\nfn a(\n  b: u8,\n) {\n  {\n  }\n}\n", &[("a", 2, 6)]);
        check_functions("fn a() {\n  fn b() {\n  }\n}", &[("a", 1, 4), ("b", 2, 2)]);
    }

    #[test]
    fn declarations_and_function_types_are_not_functions() {
        check_functions("trait T { fn a(&self); }", &[]);
        check_functions("type F = fn(u8) -> u8; struct S {\n}", &[]);
    }

    #[test]
    fn a_long_function_is_found_and_a_long_test_is_not() {
        let long = format!("fn a() {{\n{}}}\n", "x();\n".repeat(70));
        let wrapped = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
        for (code, expected) in [(long, 1), (wrapped, 0)] {
            let source = Source { path: "a.rs", code: code.clone(), is_test: false };
            assert_eq!(check(&[source]).len(), expected);
        }
    }
}
