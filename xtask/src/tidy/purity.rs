//! Pure crates name no file, socket, thread, clock, process or environment.
//!
//! `Cargo.toml` keeps foreign crates out of them; this rule keeps out the parts of the standard
//! library that no manifest can forbid. Tests inside the crates are free.

use crate::tidy::crates::RULES;
use crate::tidy::scan::{self, line_of, words};
use crate::tidy::{Finding, Source};

/// Paths that no pure crate names, each with what to use instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "files belong to quipu-log and above"),
    ("std::net", "sockets belong to quipu-server and above"),
    ("std::os", "the operating system belongs to quipu-log and above"),
    ("std::thread", "threads belong to quipu-server and above"),
    ("std::process", "processes belong to the binary"),
    ("std::env", "the environment belongs to the binary"),
    ("std::time::Instant", "time is an argument"),
    ("std::time::SystemTime", "time is an argument"),
    ("std::collections::HashMap", "its order is random: use a fixed hasher or a BTreeMap"),
    ("std::collections::HashSet", "its order is random: use a fixed hasher or a BTreeSet"),
    ("std::collections::hash_map", "its order is random: use a fixed hasher or a BTreeMap"),
    ("std::hash::RandomState", "entropy is an argument"),
];

/// Checks every production file of the pure crates.
pub(crate) fn check(sources: &[Source<'_>]) -> Vec<Finding> {
    let is_pure = |path: &str| {
        RULES.iter().any(|rule| rule.is_pure && path.starts_with(&format!("crates/{}/", rule.name)))
    };
    let production = sources.iter().filter(|source| !source.is_test && is_pure(source.path));
    production.flat_map(|source| check_file(source.path, &source.code)).collect()
}

fn check_file(path: &str, code: &str) -> Vec<Finding> {
    let code = scan::without_tests(code);
    let mut findings = Vec::new();
    for (at, named) in paths(&code) {
        let forbidden = FORBIDDEN.iter().find(|(forbidden, _)| is_within(&named, forbidden));
        if let Some((forbidden, instead)) = forbidden {
            let text = format!("a pure crate names `{forbidden}`: {instead}");
            findings.push(Finding::at(path, line_of(&code, at), text));
        }
    }
    findings
}

fn is_within(path: &str, forbidden: &str) -> bool {
    path.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns every path that begins with `std`, with groups written out.
fn paths(code: &str) -> Vec<(usize, String)> {
    let starts = words(code).into_iter().filter(|(_, word)| *word == "std");
    let mut found = Vec::new();
    for (at, _) in starts {
        let tail: String = code.get(at..).unwrap_or("").chars().take(2_000).collect();
        let mut rest: Vec<char> = tail.chars().filter(|char| !char.is_whitespace()).collect();
        rest.reverse();
        found.extend(expand("", &mut rest).into_iter().map(|path| (at, path)));
    }
    found
}

/// Reads one use tree from the reversed characters and returns the paths in it.
fn expand(prefix: &str, rest: &mut Vec<char>) -> Vec<String> {
    let mut path = prefix.to_owned();
    while let Some(next) = rest.pop() {
        match next {
            '{' => return expand_group(&path, rest),
            ':' | '_' | '*' => path.push(next),
            other if other.is_alphanumeric() => path.push(other),
            other => {
                rest.push(other);
                break;
            }
        }
    }
    vec![path]
}

fn expand_group(prefix: &str, rest: &mut Vec<char>) -> Vec<String> {
    let mut found = Vec::new();
    // A brace that opens a block and not a group ends at once: no path precedes it.
    if !prefix.ends_with("::") {
        return vec![prefix.to_owned()];
    }
    loop {
        found.extend(expand(prefix, rest));
        match rest.pop() {
            Some(',') => {}
            _ => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_code(code: &str, expected: usize) {
        assert_eq!(check_file("a.rs", &scan::code_only(code)).len(), expected, "code {code}");
    }

    #[test]
    fn forbidden_paths_are_found_in_every_spelling() {
        check_code("use std::fs;", 1);
        check_code("use std::{cmp, fs::{self, File}, net};", 3);
        check_code("use std::time::{Duration, Instant};", 1);
        check_code("fn a() { let m = std::collections::HashMap::new(); }", 1);
        check_code("use std :: env ;", 1);
    }

    #[test]
    fn harmless_paths_comments_and_tests_are_not_found() {
        check_code("use std::time::Duration; use std::collections::BTreeMap;", 0);
        check_code("// std::fs\nconst A: &str = \"std::fs\";", 0);
        check_code("#[cfg(test)]\nmod tests { use std::fs; }", 0);
        check_code("use hashbrown::HashMap; mod fs {}", 0);
    }
}
