//! Evidence: what searches for a broken promise, and how long it searched in vain.
//!
//! Each runner ends with one line of JSON on its standard output: `runner`, `figures` (whole numbers
//! by name), `failures` (one line each, with what reproduces it) and `skipped` (what, and why).
//! Progress goes to standard error.

mod fuzz;

use anyhow::Result;
use serde_json::{Map, Value, json};

/// How to call it.
pub(crate) const USAGE: &str = "usage: cargo xtask evidence <runner> [options]

  fuzz          search every fuzz target with libFuzzer
    --seconds N   most time of each target (default 10, or as long as --count takes)
    --count N     executions of each target
    --first N     the seed of the search (default 1)
    --jobs N      targets that are searched at once (default 1)
    --only NAME   one target
    --minimize    afterwards put what was found into fuzz/corpus, as far as it is small";

/// What a runner found.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// Whole numbers by name.
    pub(crate) figures: Map<String, Value>,
    /// What is broken, one line each, with what reproduces it.
    pub(crate) failures: Vec<String>,
    /// What was not done, and why.
    pub(crate) skipped: Vec<String>,
}

impl Evidence {
    /// The runner's last line.
    fn line(&self, runner: &str) -> String {
        let Self { figures, failures, skipped } = self;
        json!({"runner": runner, "figures": figures, "failures": failures, "skipped": skipped})
            .to_string()
    }
}

/// Runs one runner and prints what it found; false where something is broken.
///
/// # Errors
/// The runner could not do its work.
pub(crate) fn run(words: &[&str]) -> Result<Option<bool>> {
    let (name, evidence) = match words {
        ["fuzz", rest @ ..] => match fuzz::Options::parse(rest) {
            Some(options) => ("fuzz", fuzz::run(&options)?),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    println!("{}", evidence.line(name));
    Ok(Some(evidence.failures.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::{Evidence, run};

    #[test]
    fn a_runner_ends_with_one_line_of_json() {
        let mut evidence = Evidence::default();
        evidence.figures.insert("executions".to_owned(), 5.into());
        evidence.failures.push("it \"broke\"\nhere".to_owned());
        let expected = "{\"failures\":[\"it \\\"broke\\\"\\nhere\"],\"figures\":{\"executions\":5},\
                        \"runner\":\"x\",\"skipped\":[]}";
        assert_eq!(evidence.line("x"), expected);
    }

    #[test]
    fn what_is_no_runner_or_option_is_a_mistake_of_use() {
        for words in [&[][..], &["nothing"], &["fuzz", "--speed", "1"], &["fuzz", "--count", "x"]] {
            assert!(matches!(run(words), Ok(None)), "{words:?}");
        }
    }
}
