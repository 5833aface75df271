//! The checkout as a list of text files, and commands run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One file of the checkout.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    /// Path from the root of the checkout, with `/` between the parts.
    pub(crate) path: String,
    /// What the file holds; bytes that are not UTF-8 are replaced.
    pub(crate) text: String,
}

impl TextFile {
    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether this is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

/// Returns the root of the checkout that cargo runs this tool for.
///
/// Cargo names it at run time; a binary started by hand falls back to where it was built.
pub(crate) fn root() -> PathBuf {
    let named = std::env::var("CARGO_MANIFEST_DIR");
    let here = PathBuf::from(named.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned()));
    here.parent().map_or(here.clone(), Path::to_path_buf)
}

/// Reads every file of the checkout except build output and version control.
///
/// # Errors
/// A directory or file that cannot be read.
pub(crate) fn files() -> Result<Vec<TextFile>> {
    let root = root();
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(folder) = waiting.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let path = entry?.path();
            if is_skipped(&path) {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let relative = path.strip_prefix(&root)?.to_string_lossy().into_owned();
            found.push(TextFile { path: relative, text });
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let not_ours = [".git", "target", "node_modules", "__pycache__"];
    name.is_some_and(|name| not_ours.contains(&name.as_str())) || path.is_symlink()
}

/// Runs a command at the root of the checkout with its output shown.
///
/// # Errors
/// The command cannot be started, or ends with anything but success.
pub(crate) fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(program);
    command.current_dir(root()).args(arguments).envs(variables.iter().copied());
    let status = command.status().with_context(|| format!("starting {program}"))?;
    if !status.success() {
        bail!("`{program} {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a command at the root of the checkout and returns what it printed.
///
/// # Errors
/// The command cannot be started, fails, or prints what is not UTF-8.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .current_dir(root())
        .args(arguments)
        .output()
        .with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` ended with {}: {said}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
