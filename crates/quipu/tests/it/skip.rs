//! What this machine does not permit is skipped, said in one line, and counted.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};

/// Says that `what` was not done, and why; `cargo xtask evidence` counts the lines of the file
/// that `QUIPU_SKIPPED` names.
pub(crate) fn note(what: &str, why: &str) {
    writeln!(io::stderr(), "skipped: {what}: {why}").expect("stderr takes a line");
    append("QUIPU_SKIPPED", &format!("{what}: {why}"));
}

/// Appends a line to the file that the environment's `variable` names, if it names one.
pub(crate) fn append(variable: &str, line: &str) {
    let Some(path) = env::var_os(variable) else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    // In one write, so that lines of tests that run at once do not mix.
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.unwrap_or_else(|error| panic!("{variable}={}: {error}", path.display()));
}
