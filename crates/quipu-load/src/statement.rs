//! Where the statement of a self-test is kept, so that every later report on that machine carries it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use quipu_lab::accuracy::Accuracy;
use quipu_lab::finding::Environment;

/// The name of the file.
const FILE: &str = "load-accuracy.json";

/// Returns where it is kept: in `quipu` of `$XDG_STATE_HOME`, or of `~/.local/state` (XDG Base
/// Directory Specification); nothing if neither is known.
pub fn path() -> Option<PathBuf> {
    path_in(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))
}

fn path_in(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |folder: Option<OsString>| folder.map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute(state).or_else(|| Some(absolute(home)?.join(".local/state")))?;
    Some(state.join("quipu").join(FILE))
}

/// Keeps what a self-test found.
///
/// # Errors
/// The file cannot be written.
pub fn keep(accuracy: &Accuracy, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, accuracy.to_json() + "\n")
}

/// Returns what the last self-test of this program on this machine said; nothing if there was none,
/// or it was elsewhere.
pub(crate) fn sentence(environment: &Environment) -> Option<String> {
    let accuracy = Accuracy::from_json(&fs::read_to_string(path()?).ok()?)?;
    accuracy.is_of(environment).then(|| accuracy.sentence())
}

#[cfg(test)]
mod tests {
    use super::path_in;

    #[test]
    fn the_place_follows_the_specification() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let found = path_in(state.map(Into::into), home.map(Into::into));
            assert_eq!(found.as_deref(), expected.map(std::path::Path::new));
        };
        check(Some("/s"), Some("/h"), Some("/s/quipu/load-accuracy.json"));
        check(None, Some("/h"), Some("/h/.local/state/quipu/load-accuracy.json"));
        check(Some(""), Some("/h"), Some("/h/.local/state/quipu/load-accuracy.json"));
        check(Some("relative"), None, None);
        check(None, None, None);
    }
}
