//! Links in the documentation: what they point to exists, and so does the test that they name.

use std::path::Path;

use crate::checkout::TextFile;
use crate::tidy::Finding;

/// Checks the links of every Markdown file of the checkout.
pub(crate) fn check(files: &[TextFile]) -> Vec<Finding> {
    let pages = files
        .iter()
        .filter(|file| Path::new(&file.path).extension().is_some_and(|end| end == "md"));
    pages.flat_map(|page| check_page(page, files)).collect()
}

fn check_page(page: &TextFile, files: &[TextFile]) -> Vec<Finding> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        let broken = targets(line).filter_map(|target| broken(folder, target, files));
        findings.extend(broken.map(|text| Finding::at(&page.path, index + 1, text)));
    }
    findings
}

/// What the links of a line point to, within the checkout.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let after = line.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://") && !target.starts_with('#'))
}

fn broken(folder: &str, target: &str, files: &[TextFile]) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = resolve(folder, path);
    if path.is_empty() || path.ends_with('/') {
        let is_there = files.iter().any(|file| file.path.starts_with(&path));
        return (!is_there).then(|| format!("`{target}` is not there"));
    }
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return Some(format!("`{target}` is not there"));
    };
    let is_named = anchor.is_empty() || !file.is_rust() || names(&file.text, anchor);
    (!is_named).then(|| format!("`{path}` has no `fn {anchor}`"))
}

fn names(text: &str, function: &str) -> bool {
    text.contains(&format!("fn {function}("))
}

/// The path from the root of the checkout that `path` means in `folder`.
fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_link(target: &str, expected: &str) {
        let file = |path: &str, text: &str| TextFile { path: path.into(), text: text.into() };
        let page = file("docs/a.md", &format!("see [x]({target})\n"));
        let files = [page, file("b/c.rs", "fn counts() {}\n"), file("README.md", "")];
        let texts: Vec<String> = check(&files).into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts.join("; "), expected);
    }

    #[test]
    fn a_link_to_what_is_there_passes() {
        check_link("../b/c.rs#counts", "");
        check_link("../README.md#evidence", "");
        check_link("../b/", "");
        check_link("https://example.org/x", "");
    }

    #[test]
    fn a_link_to_what_is_not_there_is_found() {
        check_link("../b/d.rs", "`../b/d.rs` is not there");
        check_link("../b/c.rs#doubles", "`b/c.rs` has no `fn doubles`");
        check_link("../d/", "`../d/` is not there");
    }
}
