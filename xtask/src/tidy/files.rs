//! Rules about whole files: names, size, encoding, documentation, leftovers, machine paths.

use crate::checkout::TextFile;
use crate::tidy::Finding;
use crate::tidy::scan::{self, line_of, words};

/// Lines of one Rust file, tests included.
const LINES_MAX: usize = 600;

/// Bytes of one file of any kind; larger ones belong outside the repository.
const BYTES_MAX: usize = 1024 * 1024;

/// Names that say nothing about what the file holds.
const EMPTY_NAMES: &[&str] =
    &["common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"];

/// Words that promise work instead of doing it. Written in halves, so that this file passes.
const LEFTOVERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Code that promises work, or a test that does not run.
const UNDONE: &[&str] = &["todo!", "unimplemented!", "#[ignore", "#![ignore"];

/// Folders that exist on one machine only. Written in halves, so that this file passes.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Checks every file of the checkout.
pub(crate) fn check(files: &[TextFile]) -> Vec<Finding> {
    files.iter().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |at: usize, text: String| {
        findings.push(Finding::at(&file.path, line_of(&file.text, at), text));
    };
    let stem = file.name().split('.').next().unwrap_or("");
    if EMPTY_NAMES.contains(&stem) {
        report(0, format!("the name `{stem}` says nothing: name the file after its noun"));
    }
    if file.text.len() > BYTES_MAX {
        report(0, format!("the file has {} bytes; the limit is {BYTES_MAX}", file.text.len()));
    }
    for (at, word) in words(&file.text).iter().filter(|(_, word)| LEFTOVERS.contains(word)) {
        report(*at, format!("`{word}`: do it, or open an issue"));
    }
    for at in MACHINE_PATHS.iter().filter_map(|path| machine_path(&file.text, path)) {
        report(at, "a path that exists on one machine only".to_owned());
    }
    if file.is_rust() {
        findings.extend(check_rust(file));
    }
    findings
}

fn machine_path(text: &str, path: &str) -> Option<usize> {
    let is_start = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| before.is_whitespace() || "\"'`(=:<[".contains(before))
    };
    text.match_indices(path).map(|(at, _)| at).find(|at| is_start(*at))
}

fn check_rust(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        let text = format!("the file has {lines} lines; the limit is {LINES_MAX}: split by noun");
        findings.push(Finding::at(&file.path, 1, text));
    }
    if let Some(at) = file.text.bytes().position(|byte| !byte.is_ascii()) {
        let text = "source is ASCII: write other characters as escapes".to_owned();
        findings.push(Finding::at(&file.path, line_of(&file.text, at), text));
    }
    if !has_module_docs(&file.text) {
        let text = "the file does not begin with `//!` documentation".to_owned();
        findings.push(Finding::at(&file.path, 1, text));
    }
    let code = scan::code_only(&file.text);
    for (at, found) in UNDONE.iter().flat_map(|undone| code.match_indices(undone)) {
        let text = format!("`{found}`: write it, or leave it out");
        findings.push(Finding::at(&file.path, line_of(&code, at), text));
    }
    findings
}

fn has_module_docs(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.next().is_some_and(|line| line.starts_with("//! "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str, expected: &str) {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        let found: Vec<String> = check_file(&file)
            .into_iter()
            .map(|finding| finding.text.split(':').next().unwrap_or("").to_owned())
            .collect();
        assert_eq!(found.join("; "), expected, "{path} with {text}");
    }

    #[test]
    fn a_clean_file_passes() {
        check_text("a/key.rs", "//! Keys.\n\nfn a() {}\n", "");
        check_text("README.md", "see `network/work/x` and caf\u{e9}\n", "");
    }

    #[test]
    fn each_broken_rule_is_found() {
        check_text("a/utils.rs", "//! A.\n", "the name `utils` says nothing");
        check_text("a/key.rs", "fn a() {}\n", "the file does not begin with `//!` documentation");
        check_text("a/key.rs", "//! A\u{e9}.\n", "source is ASCII");
        check_text("a/key.rs", "//! A.\nfn a() { todo!() }\n", "`todo!`");
        check_text("a/key.rs", "//! A.\n#[ignore]\nfn a() {}\n", "`#[ignore`");
        let leftover = format!("# {}", LEFTOVERS[0]);
        check_text("a.sh", &leftover, &format!("`{}`", LEFTOVERS[0]));
        let path = format!("see `{}x`", MACHINE_PATHS[0]);
        check_text("a.md", &path, "a path that exists on one machine only");
        let long = format!("//! A.\n{}", "\n".repeat(LINES_MAX));
        check_text("a/key.rs", &long, "the file has 601 lines; the limit is 600");
    }
}
