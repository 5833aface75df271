//! A generator as a process: what it printed and what CPU it used.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bench::load::Bench;
use crate::bench::{machine, parse};

/// What a generator printed, and the CPU time from its start to its end.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) text: String,
    pub(super) cpu_seconds: f64,
}

/// Runs a generator to its end. Exit codes of `allowed` are good ones.
///
/// # Errors
/// It does not start or fails.
pub(super) fn run(command: &mut Command, allowed: &[i32]) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let before = ticks()?;
    let output = command.output().with_context(|| format!("starting {program}"))?;
    let cpu_seconds = (ticks()? - before) as f64 / machine::ticks_per_second()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code().unwrap_or(-1);
    if code != 0 && !allowed.contains(&code) {
        bail!("{program} ended with {code}: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Output { text, cpu_seconds })
}

/// CPU ticks of this process and of children that have ended.
fn ticks() -> Result<u64> {
    parse::cpu_ticks(&fs::read_to_string("/proc/self/stat")?).context("no ticks in /proc")
}

/// A finding of `quipu load run`, and the CPU time of that process.
#[derive(Debug)]
pub(super) struct Finding {
    json: Value,
    pub(super) cpu_seconds: f64,
}

impl Finding {
    /// A number of it, by its JSON pointer.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn number(&self, pointer: &str) -> Result<f64> {
        let value = self.json.pointer(pointer).and_then(Value::as_f64);
        value.with_context(|| format!("the finding has no number {pointer}"))
    }

    /// A text of it, by its JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The command of our generator: one thread, a scenario of a target, an arrival and a phase.
///
/// # Errors
/// The scenario cannot be written.
pub(super) fn ours(bench: &Bench, parts: &[&str; 3], url: &str) -> Result<Command> {
    let [target, arrival, phase] = parts;
    let scenario = format!(
        "version = 1\nname = \"bench\"\n[target]\n{target}\n[arrival]\n{arrival}\n[[phase]]\n\
         name = \"main\"\n{phase}\n"
    );
    let file = bench.folder.join("bench.toml");
    fs::write(&file, scenario)?;
    let mut command = Command::new(&bench.quipu);
    command.args(["load", "run", "--json", "--threads", "1", "--target", url]).arg(file);
    Ok(command)
}

/// Runs our generator. An invalid run (98) is a finding too, and says so.
///
/// # Errors
/// It fails.
pub(super) fn run_ours(command: &mut Command) -> Result<Finding> {
    let Output { text, cpu_seconds } = run(command, &[98])?;
    Ok(Finding { json: serde_json::from_str(&text)?, cpu_seconds })
}

/// Whether a program is on the path.
pub(super) fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: std::path::PathBuf| Path::is_file(&folder.join(name)))
}
