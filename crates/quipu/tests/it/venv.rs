//! Python environments beside the build products, one for each package that the tests drive.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool;

/// Returns the Python of the environment `name`, which has `package` (as `name==version`) and is
/// made where it is missing; `None` where it cannot be.
pub(crate) fn python(name: &str, package: &str) -> Option<PathBuf> {
    let base = tool::find("python3")?;
    let target = tool::profile_folder().parent().expect("profiles lie in the target folder");
    let venv = target.join(name);
    let python = venv.join("bin/python");
    if python.is_file() && has(&python, package) {
        return Some(python);
    }
    let run = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
    let is_made = run(Command::new(base).args(["-m", "venv", "--clear"]).arg(&venv))
        && run(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]))
        && has(&python, package);
    if !is_made {
        tool::missing(&format!("{package} (or the network to install it)"));
        return None;
    }
    Some(python)
}

fn has(python: &Path, package: &str) -> bool {
    let (name, version) = package.split_once("==").expect("a package has a version");
    let ask = format!("from importlib.metadata import version; print(version({name:?}))");
    let said = Command::new(python).args(["-c", &ask]).output();
    said.is_ok_and(|output| tool::text_of(&output).trim() == version)
}
