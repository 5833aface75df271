//! Lines and regions of core and log that tests reach, by `cargo llvm-cov`.
//!
//! What counts is what the tests of the core, the model, the log, the simulator and the server reach;
//! the black-box suite is left out, so that what only it reaches is seen. Files of tests are not
//! counted as covered.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bench::build_folder;
use crate::checkout;
use crate::ci::cargo;
use crate::evidence::report::Report;

/// The crates whose tests run.
const JUDGES: [&str; 5] = ["quipu-core", "quipu-model", "quipu-log", "quipu-sim", "quipu-server"];

/// The crates that are judged.
const JUDGED: [&str; 2] = ["quipu-core", "quipu-log"];

/// Files that hold tests.
const TESTS: &str = "(/tests/|/tests\\.rs)";

/// Least part of the lines that must be reached, in ten-thousandths. Spec: 95 %.
const LEAST: u64 = 9_500;

/// Says whether the tool is there.
///
/// # Errors
/// It is not.
pub(crate) fn prepare() -> Result<()> {
    checkout::output(&cargo(), &["llvm-cov", "--version"])
        .map(drop)
        .context("coverage needs cargo-llvm-cov: cargo install --locked cargo-llvm-cov")
}

/// Runs the tests and reads what they reached.
///
/// # Errors
/// The tests fail, or the tool does.
pub(crate) fn run() -> Result<Report> {
    let folder = build_folder().join("coverage");
    let (target, export) = (folder.to_string_lossy(), folder.join("export.json"));
    fs::create_dir_all(&folder)?;
    let path = export.to_string_lossy();
    let mut arguments = vec!["llvm-cov", "--locked", "--quiet", "--json", "--output-path", &path];
    arguments.extend(["--ignore-filename-regex", TESTS]);
    for name in JUDGES {
        arguments.extend(["--package", name]);
    }
    checkout::run(&cargo(), &arguments, &[("CARGO_TARGET_DIR", &target)])?;
    let text = fs::read_to_string(&export).context("reading what llvm-cov wrote")?;
    let value = serde_json::from_str(&text).context("reading what llvm-cov wrote")?;
    of_export(&value)
}

fn of_export(export: &Value) -> Result<Report> {
    let mut report = Report { runner: "coverage".to_owned(), ..Report::default() };
    let files = export.pointer("/data/0/files").and_then(Value::as_array);
    let files = files.context("llvm-cov names no files")?;
    for name in JUDGED {
        let folder = format!("crates/{name}/src/");
        let ours: Vec<&Value> = files.iter().filter(|file| is_in(file, &folder)).collect();
        for kind in ["lines", "regions"] {
            let sum = |field: &str| -> u64 {
                let path = format!("/summary/{kind}/{field}");
                ours.iter().filter_map(|file| file.pointer(&path)?.as_u64()).sum()
            };
            let (covered, count) = (sum("covered"), sum("count"));
            if count == 0 {
                bail!("llvm-cov names no {kind} of {name}");
            }
            let short = name.trim_start_matches("quipu-");
            report.figures.insert(format!("{short}_{kind}"), count);
            report.figures.insert(format!("{short}_{kind}_covered"), covered);
            if kind == "lines" && covered * 10_000 < count * LEAST {
                report.failures.push(format!("{covered} of {count} lines of {name}"));
            }
        }
    }
    Ok(report)
}

fn is_in(file: &Value, folder: &str) -> bool {
    file.get("filename").and_then(Value::as_str).is_some_and(|name| name.contains(folder))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(name: &str, covered: u64) -> Value {
        let of = |covered| json!({ "count": 100, "covered": covered });
        json!({ "filename": name, "summary": { "lines": of(covered), "regions": of(1) } })
    }

    fn check(core: u64, failures: usize) {
        let files =
            [file("/x/crates/quipu-core/src/a.rs", core), file("/crates/quipu-log/src/b.rs", 99)];
        let report = of_export(&json!({ "data": [{ "files": files }] })).unwrap();
        assert_eq!(report.figures["core_lines_covered"], core);
        assert_eq!(report.failures.len(), failures);
    }

    #[test]
    fn too_few_covered_lines_are_a_failure() {
        check(95, 0);
        check(94, 1);
    }
}
