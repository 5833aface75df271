//! How verdicts leave: progress on standard error, one line of JSON at the end of standard output.

use std::io::{self, Write as _};
use std::process::ExitCode;

use stdx::verdict::Verdict;

/// Writes the verdict as the last line and says how the program ends: 0 without failures, else 1.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn tell(verdict: &Verdict) -> anyhow::Result<ExitCode> {
    for line in &verdict.failures {
        note(line);
    }
    writeln!(io::stdout().lock(), "{}", verdict.to_json())?;
    Ok(if verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes a line of text to standard output.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// Writes a line of progress. Nowhere is left to say that standard error is closed.
pub(crate) fn note(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Writes an error and its causes; such a run says nothing about the product.
pub(crate) fn complain(error: &anyhow::Error) -> ExitCode {
    note(&format!("error: {error:#}"));
    ExitCode::from(2)
}
