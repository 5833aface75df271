//! The rules of the house that the compiler cannot check, as a command and as a test.
//!
//! Each rule is a function from files to findings; `crates` holds the crate rule table.

mod architecture;
mod crates;
mod files;
mod functions;
mod links;
mod purity;
mod scan;

use anyhow::{Result, bail};

use crate::checkout::{self, TextFile};

/// One broken rule at one place.
#[derive(Debug)]
struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl Finding {
    fn at(path: &str, line: usize, text: String) -> Self {
        Self { path: path.to_owned(), line, text }
    }
}

/// A Rust file with its code separated from comments and literals.
#[derive(Debug)]
struct Source<'a> {
    path: &'a str,
    code: String,
    /// Only tests compile this file.
    is_test: bool,
}

/// Checks everything and prints what it found.
///
/// # Errors
/// A rule is broken, or the checkout cannot be read.
pub(crate) fn run() -> Result<()> {
    let findings = findings()?;
    for Finding { path, line, text } in &findings {
        println!("{path}:{line}: {text}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} broken rules", findings.len());
    }
    println!("tidy: all rules hold");
    Ok(())
}

fn findings() -> Result<Vec<Finding>> {
    let files = checkout::files()?;
    let sources = sources(&files);
    let mut findings = crates::check()?;
    findings.extend(files::check(&files));
    findings.extend(functions::check(&sources));
    findings.extend(links::check(&files));
    findings.extend(purity::check(&sources));
    findings.extend(architecture::check(&files));
    Ok(findings)
}

fn sources(files: &[TextFile]) -> Vec<Source<'_>> {
    let rust = files.iter().filter(|file| file.is_rust());
    let mut sources: Vec<Source<'_>> = rust
        .map(|file| Source {
            path: &file.path,
            code: scan::code_only(&file.text),
            is_test: file.path.split('/').any(|part| part == "tests" || part == "tests.rs"),
        })
        .collect();
    let test_modules: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        source.is_test |= test_modules.iter().any(|path| path == source.path);
    }
    sources
}

/// Returns the files of the modules that the source declares for tests only.
fn test_modules(source: &Source<'_>) -> Vec<String> {
    let folder = match source.path.rsplit_once('/') {
        Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder.to_owned(),
        _ => source.path.trim_end_matches(".rs").to_owned(),
    };
    let after_attribute = source.code.split("#[cfg(test)]").skip(1);
    let names = after_attribute.filter_map(|rest| {
        let declaration = rest.split([';', '{']).next()?;
        let is_declared_elsewhere = rest.get(declaration.len()..)?.starts_with(';');
        let name = declaration.trim().strip_prefix("mod ")?;
        is_declared_elsewhere.then_some(name.trim())
    });
    names.map(|name| format!("{folder}/{name}.rs")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_house_hold() {
        let findings = findings().unwrap();
        let lines: Vec<String> = findings
            .iter()
            .map(|Finding { path, line, text }| format!("{path}:{line}: {text}"))
            .collect();
        assert!(lines.is_empty(), "broken rules:\n{}", lines.join("\n"));
    }

    #[test]
    fn modules_declared_for_tests_are_test_files() {
        let file = |path: &str, text: &str| TextFile { path: path.into(), text: text.into() };
        let files = [
            file("a/src/lib.rs", "mod b;\n#[cfg(test)]\nmod model;\n"),
            file("a/src/model.rs", ""),
            file("a/src/b.rs", "#[cfg(test)]\nmod c;\n#[cfg(test)]\nmod d {}\n"),
            file("a/src/b/c.rs", ""),
            file("a/tests/it/main.rs", ""),
        ];
        let found: Vec<bool> = sources(&files).iter().map(|source| source.is_test).collect();
        assert_eq!(found, [false, true, false, true, true]);
    }
}
