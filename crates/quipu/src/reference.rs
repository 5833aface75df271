//! The command line as pages: manual pages and docs/cli.md, from the one tree of commands.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use quipu_metrics::knob::KNOBS;

use crate::args::Args;

/// Columns of a page. Guess: what fits a terminal beside another.
const WIDTH: usize = 100;

/// Returns the tree of commands, without what only this process's environment holds.
pub(crate) fn command() -> Command {
    let mut command = plain(Args::command().term_width(WIDTH).disable_help_subcommand(true));
    command.build();
    command
}

fn plain(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(plain)
}

/// Returns the commands that people see, the whole first; a name is `quipu serve`.
fn shown(command: &Command) -> Vec<(String, &Command)> {
    let name = command.get_name();
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).flat_map(shown);
    let below = below.map(|(below, command)| (format!("{name} {below}"), command));
    std::iter::once((name.to_owned(), command)).chain(below).collect()
}

/// Returns the manual pages: file name and text, quipu.1 first.
///
/// # Errors
/// Never in fact: they are written to memory.
pub(crate) fn man_pages() -> io::Result<Vec<(String, String)>> {
    let command = command();
    let version = format!("quipu {}", env!("CARGO_PKG_VERSION"));
    let mut pages = Vec::new();
    for (name, command) in shown(&command) {
        let title = name.replace(' ', "-");
        let man = Man::new(command.clone()).title(&title).source(&version).manual("Quipu manual");
        let mut text = Vec::new();
        man.render(&mut text)?;
        pages.push((format!("{title}.1"), String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(pages)
}

/// Returns docs/cli.md.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         Generated: `quipu docs cli > docs/cli.md` writes it anew.\n\n\
         `quipu man DIR` writes the same as manual pages, `quipu completions SHELL` prints completions \
         for bash, zsh and fish.\n\
         Exit codes: 0 is success, 1 a failure, 2 a command line or a configuration that makes no \
         sense.\n",
    );
    for (name, command) in shown(&command()) {
        let mut command = command.clone();
        let has_knobs =
            KNOBS.iter().any(|knob| command.get_arguments().any(|arg| arg.get_id() == knob.name));
        let help =
            if has_knobs { command.render_help() } else { command.render_long_help() }.to_string();
        page.extend(["\n## ", &name, "\n\n```\n", &trimmed(&help), "\n```\n"]);
        if has_knobs {
            page.push_str("\nEvery key of [config.md](config.md) is a flag too.\n");
        }
    }
    page
}

/// Without blanks at the ends of lines and empty lines at the end.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}
