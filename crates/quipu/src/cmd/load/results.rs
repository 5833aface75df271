//! Saved results, from files and folders of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use quipu_lab::compare::Named;
use quipu_lab::finding::Finding;

/// What `quipu load run` calls its result in a folder.
const FILE: &str = "finding.json";

/// Reads the results at a path: a file, a folder of one run, or a folder of such folders or files.
///
/// # Errors
/// There is none, or a file is none.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Named>> {
    let files = if path.is_dir() { files_in(path)? } else { vec![path.to_owned()] };
    anyhow::ensure!(!files.is_empty(), "no result in {}", path.display());
    files.iter().map(|file| read_file(file)).collect()
}

/// Reads the results at several paths.
///
/// # Errors
/// As [`read`].
pub(super) fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Named>> {
    let each: Vec<Vec<Named>> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    Ok(each.into_iter().flatten().collect())
}

fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let own = folder.join(FILE);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let context = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(context)?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(context)?.path();
        let inner = path.join(FILE);
        if inner.is_file() {
            paths.push(inner);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn read_file(file: &Path) -> anyhow::Result<Named> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let finding = Finding::from_json(&text).with_context(|| name.clone())?;
    Ok(Named { name, finding })
}
