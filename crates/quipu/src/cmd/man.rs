//! `quipu man`: the manual pages, from the same tree as `--help`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::{output, reference};

/// Print the manual page, or write one for each command
///
/// Without a directory it prints quipu(1): `quipu man | man -l -` shows it.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write quipu.1, quipu-serve.1 and the others there
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints or writes the pages.
///
/// # Errors
/// If a page cannot be written.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let pages = reference::man_pages()?;
    let Some(folder) = &args.folder else {
        let (_, text) = pages.first().expect("there is a page of the whole");
        output::print(text)?;
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    for (name, text) in &pages {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
