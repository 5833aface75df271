//! `quipu completions`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::{output, reference};

/// Print completions for a shell
///
/// bash: `quipu completions bash > /etc/bash_completion.d/quipu`, zsh: a file `_quipu` in a folder
/// of `$fpath`, fish: `~/.config/fish/completions/quipu.fish`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// If standard output cannot be written.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut reference::command(), "quipu", &mut text);
    output::print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}
