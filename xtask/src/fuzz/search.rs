//! One target, searched by its program, and what that program says about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Places;
use super::corpus;

/// Longest input in bytes. Guess: several of every kind of thing fit, and executions stay short.
pub(super) const INPUT_BYTES_MAX: usize = 1024;

/// Longest execution in seconds; a hang is a failure. Guess: ten thousand times a usual one, and
/// more than a loaded machine takes away.
const EXECUTION_SECONDS_MAX: u64 = 10;

/// Most memory of a program in MiB. Guess: ten times what it takes.
const MEMORY_MIB_MAX: u64 = 1024;

/// Every input of the corpus is chosen alike. Measured: weighing them by how rare their features are
/// takes a third of the time of `fold` and half of that of `snapshot`, and reaches no more edges in as
/// many executions.
const SCHEDULE: &str = "-entropic=0";

/// Longest input in bytes that a failure's line shows whole.
const SHOWN_BYTES_MAX: usize = 400;

/// A search that is to be done.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) places: &'a Places,
    pub(super) target: &'a str,
    pub(super) seconds: Option<u64>,
    pub(super) count: Option<u64>,
    pub(super) seed: u64,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many inputs were tried.
    pub(super) executions: u64,
    /// Edges of our code that were reached.
    pub(super) edges: u64,
    /// Edges by how often they were taken, as far as libFuzzer tells counts apart.
    pub(super) features: u64,
    /// How many inputs the corpus has now.
    pub(super) inputs: u64,
    /// What broke, one line each.
    pub(super) failures: Vec<String>,
}

impl Search<'_> {
    /// Searches until the time or the executions are used up, or something breaks.
    ///
    /// # Errors
    /// The program cannot be started, or the folders cannot be made.
    pub(super) fn run(&self) -> Result<Found> {
        let grown = corpus::grown(self.places, self.target)?;
        let broken = self.places.build.join("broken").join(self.target);
        fs::create_dir_all(&broken)?;
        let before = files(&broken)?;
        let output = self.command(&broken, &grown).output().with_context(|| self.target.to_owned());
        let output = output?;
        let said = String::from_utf8_lossy(&output.stderr);
        let mut found = read(&said);
        for path in files(&broken)?.iter().filter(|path| !before.contains(path)) {
            found.failures.push(failure(&said, path)?);
        }
        if !output.status.success() && found.failures.is_empty() {
            let last = said.lines().last().unwrap_or_default();
            found.failures.push(format!("ended with {}: {last}", output.status));
        }
        let Found { executions, edges, features, inputs, failures } = &found;
        let (target, failures) = (self.target, failures.len());
        eprintln!(
            "{target}: {executions} executions, {edges} edges, {features} features, {inputs} \
             inputs, {failures} failures"
        );
        Ok(found)
    }

    fn command(&self, broken: &Path, grown: &Path) -> Command {
        let mut command = Command::new(self.places.programs.join(self.target));
        command.arg(format!("-seed={}", self.seed)).arg("-print_final_stats=1");
        command.arg(SCHEDULE).arg(format!("-max_len={INPUT_BYTES_MAX}"));
        command.arg(format!("-timeout={EXECUTION_SECONDS_MAX}"));
        command.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        command.arg(format!("-artifact_prefix={}/", broken.display()));
        command.args(self.seconds.map(|seconds| format!("-max_total_time={seconds}")));
        command.args(self.count.map(|count| format!("-runs={count}")));
        let words = self.places.sources.join("dictionaries").join(self.target);
        command.args(words.exists().then(|| format!("-dict={}", words.display())));
        command.arg(grown);
        command
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// Reads libFuzzer's figures: the last line with coverage, and the statistics at the end.
fn read(said: &str) -> Found {
    let after = |line: &str, word: &str| {
        let rest = line.split_once(word)?.1.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    };
    let last = |word: &str| said.lines().rev().find_map(|line| after(line, word)).unwrap_or(0);
    Found {
        executions: last("stat::number_of_executed_units:"),
        edges: last(" cov: "),
        features: last(" ft: "),
        inputs: last(" corp: "),
        failures: Vec::new(),
    }
}

/// One line: what broke, and the input that breaks it.
fn failure(said: &str, path: &Path) -> Result<String> {
    let mut lines = said.lines().skip_while(|line| !line.contains("panicked at"));
    let place = lines.next().map(|line| line.split("panicked at ").nth(1).unwrap_or(line));
    let why = lines.next().unwrap_or_default();
    let error = said.lines().find(|line| line.contains("ERROR: libFuzzer"));
    let what = place.or(error).unwrap_or("no reason was given");
    let bytes = fs::read(path)?;
    let shown = if bytes.len() <= SHOWN_BYTES_MAX {
        format!("input \"{}\"", bytes.escape_ascii())
    } else {
        format!("input in {}", path.display())
    };
    Ok(format!("{what} {why}; {shown}"))
}

#[cfg(test)]
mod tests {
    use super::{Found, read};

    #[test]
    fn the_last_figures_count() {
        let said = "#2\tINITED cov: 9 ft: 10 corp: 1/1b exec/s: 0 rss: 28Mb\n\
                    #90\tREDUCE cov: 120 ft: 345 corp: 67/8Kb lim: 4 exec/s: 0\n\
                    stat::number_of_executed_units: 4711\nstat::average_exec_per_sec:     12\n";
        let expected =
            Found { executions: 4711, edges: 120, features: 345, inputs: 67, failures: Vec::new() };
        assert_eq!(read(said), expected);
        assert_eq!(read(""), Found::default());
    }
}
