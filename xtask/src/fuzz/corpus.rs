//! Corpora: the small one of the checkout, and the one beside the build that grows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Places;
use super::search::INPUT_BYTES_MAX;

/// Most bytes of one target's corpus in the checkout. Guess: all of them stay below 200 KiB.
const CHECKED_IN_BYTES_MAX: u64 = 18 << 10;

/// Most inputs of one target that a search found and the checkout keeps. Guess: enough for a search
/// to begin with, few enough to look at.
const FILES_MAX: usize = 60;

/// Longest input that a search found and the checkout keeps, in bytes. Measured: with shorter and
/// with longer ones the same room reaches fewer edges.
const FILE_BYTES_MAX: u64 = 250;

/// The beginning of the names of inputs that a search found.
const FOUND: &str = "found-";

/// Returns the folder in which a target's corpus grows, with what is checked in copied to it.
///
/// # Errors
/// A folder or file cannot be read or written.
pub(super) fn grown(places: &Places, target: &str) -> Result<PathBuf> {
    let grown = places.build.join("corpus").join(target);
    fs::create_dir_all(&grown)?;
    for (path, _) in files(&checked_in(places, target))? {
        copy(&path, &grown)?;
    }
    Ok(grown)
}

fn copy(path: &Path, folder: &Path) -> Result<()> {
    let name = path.file_name().context("a file has a name")?;
    fs::copy(path, folder.join(name)).with_context(|| path.display().to_string())?;
    Ok(())
}

fn checked_in(places: &Places, target: &str) -> PathBuf {
    places.sources.join("corpus").join(target)
}

/// Returns the files of a folder with their lengths, the shortest first.
fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        files.push((entry.path(), entry.metadata()?.len()));
    }
    files.sort_by(|left, right| (left.1, &left.0).cmp(&(right.1, &right.0)));
    Ok(files)
}

/// Adds to the checked-in corpus inputs that reach what it does not, while there is
/// room. What has a name given by a person stays; what was found before is chosen again.
///
/// # Errors
/// libFuzzer fails, or a file cannot be read or written.
pub(super) fn minimize(places: &Places, target: &str) -> Result<()> {
    let kept = checked_in(places, target);
    let merged = places.build.join("merged").join(target);
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let (found, named): (Vec<_>, Vec<_>) = files(&kept)?.into_iter().partition(|(path, _)| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOUND))
    });
    for (path, _) in &found {
        fs::remove_file(path)?;
    }
    for (path, _) in &named {
        copy(path, &merged)?;
    }
    merge(places, target, &merged)?;
    let mut room = CHECKED_IN_BYTES_MAX.saturating_sub(named.iter().map(|(_, n)| n).sum());
    let is_named = |path: &Path| named.iter().any(|(one, _)| one.file_name() == path.file_name());
    let is_wanted = |(path, n): &(PathBuf, u64)| !is_named(path) && *n <= FILE_BYTES_MAX;
    let new = files(&merged)?.into_iter().filter(is_wanted);
    // Longer ones say more.
    for (path, length) in new.rev().take(FILES_MAX) {
        let Some(left) = room.checked_sub(length) else { continue };
        room = left;
        let hash = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        let hash = hash.trim_start_matches(FOUND);
        fs::copy(&path, kept.join(format!("{FOUND}{}", hash.get(..10).unwrap_or(hash))))?;
    }
    eprintln!("{target}: {} bytes checked in", CHECKED_IN_BYTES_MAX - room);
    Ok(())
}

/// Lets libFuzzer add to `merged` what the grown corpus reaches beyond it.
fn merge(places: &Places, target: &str, merged: &Path) -> Result<()> {
    let mut command = Command::new(places.programs.join(target));
    command.args(["-set_cover_merge=1", &format!("-max_len={INPUT_BYTES_MAX}")]);
    command.arg(merged).arg(places.build.join("corpus").join(target));
    let output = command.output().with_context(|| target.to_owned())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("merging {target} ended with {}: {said}", output.status);
    }
    Ok(())
}
