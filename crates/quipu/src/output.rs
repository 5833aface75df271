//! How results leave: plain tables and lines on standard output, complaints on standard error.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::log;

/// The exit code of a command that failed: refused by the node, out of its reach, anything.
pub(crate) const FAILURE: u8 = 1;
/// The exit code of a command that does not make sense as written; the argument parser has the
/// same.
pub(crate) const USAGE: u8 = 2;

/// Writes a text to standard output. A reader that has gone away, as in `quipu config | head`, is
/// no error.
///
/// # Errors
/// If standard output cannot be written for another reason.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line to standard output, as [`print()`].
///
/// # Errors
/// As [`print()`].
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    print(&format!("{line}\n"))
}

/// Writes a line to standard error.
///
/// # Errors
/// If standard error cannot be written.
pub(crate) fn warn(line: impl Display) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{line}")
}

/// Writes a line to standard error that nothing depends on.
pub(crate) fn note(line: &str) {
    // Nowhere is left to say that standard error is closed.
    drop(warn(line));
}

/// Writes files, by name and text, into a folder, which is made if need be.
///
/// # Errors
/// The folder or a file cannot be written.
pub(crate) fn save(folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    for (name, text) in files {
        std::fs::write(folder.join(name), text).with_context(context)?;
    }
    Ok(())
}

/// Writes a line to standard error and returns the exit code `code`.
///
/// # Errors
/// As [`warn`].
pub(crate) fn fail(code: u8, line: impl Display) -> anyhow::Result<ExitCode> {
    warn(line)?;
    Ok(ExitCode::from(code))
}

/// Writes an error and its causes as one line to standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    // Nowhere is left to say that standard error is closed; the exit code still tells.
    if log::is_json() {
        drop(warn(log::line("ERROR", &format!("{error:#}"), &serde_json::Map::new())));
    } else {
        drop(warn(format_args!("error: {error:#}")));
    }
}

/// Returns rows under a head, columns two spaces apart, without blanks at line ends.
pub(crate) fn table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> String {
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let mut widths = [0; COLUMNS];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "b"], ["long", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["k", "value"], &rows), "k     value\na     b\nlong\n");
    }
}
