//! Programs that the tests drive but do not build: found on the path, or named as missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::skip;

/// Returns the path of program `name`, or `None` after saying what is missing.
///
/// # Panics
/// If the program is missing and `QUIPU_REQUIRE_TOOLS` is set: then nothing may be skipped.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        missing(name);
    }
    found
}

/// Says that `what` is missing, so that the test that needs it is skipped.
///
/// # Panics
/// If `QUIPU_REQUIRE_TOOLS` is set.
pub(crate) fn missing(what: &str) {
    assert!(
        env::var_os("QUIPU_REQUIRE_TOOLS").is_none(),
        "{what} is missing and QUIPU_REQUIRE_TOOLS is set"
    );
    skip::note(what, "is missing");
}

/// Returns the folder of build products that this test binary lives in (`.../debug` or the like).
pub(crate) fn profile_folder() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_quipu")).parent().expect("a built binary lies in a folder")
}

/// Runs `command` and returns its standard output.
///
/// # Panics
/// If it cannot start or does not succeed; the message holds all that it printed.
pub(crate) fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = text_of(&output);
    assert!(output.status.success(), "{command:?} ended with {}:\n{text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns what a program printed, both streams.
pub(crate) fn text_of(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}
