//! A disk for trying things by hand: cut by a line on standard input, gone at its end.

use std::io::{BufRead, Write};
use std::path::Path;

use quipu_proof::disk::{DiskError, Keep, LossyDisk, Names};

/// Why the disk ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ByHandError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Standard input or output failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Mounts a disk and does what each line says: `nothing`, `everything` or a seed, which is what a cut
/// keeps of that which was not synced. Answers a line when it is done.
///
/// # Errors
/// The disk cannot be mounted, or not unmounted because a process still uses it.
pub(crate) fn serve(
    path: &Path,
    lines: impl BufRead,
    mut answers: impl Write,
) -> Result<(), ByHandError> {
    let mut disk = LossyDisk::mount(path, Names::WhenSynced)?;
    writeln!(answers, "mounted at {}", disk.path().display())?;
    for line in lines.lines() {
        match keep(line?.trim()) {
            Some(keep) => {
                disk.cut(keep)?;
                writeln!(answers, "cut: {:?}", disk.counts())?;
            }
            None => writeln!(answers, "not understood: nothing, everything or a seed")?,
        }
    }
    Ok(())
}

fn keep(word: &str) -> Option<Keep> {
    match word {
        "nothing" => Some(Keep::Nothing),
        "everything" => Some(Keep::Everything),
        seed => seed.parse().ok().map(Keep::Some),
    }
}
