//! The target of the rows: `quipu load stall` as a process.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Where the target runs: a generator of ours takes the last CPU first, and a target that the kernel
/// moves there would be measured as the generator's lag.
const CPU: &str = "0";

/// A target that answers at once. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Target {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Where it listens, for RESP and for HTTP.
    pub(super) address: String,
}

impl Target {
    /// Starts one; with a stall of `lasting` so long after the first request if that is given.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(quipu: &Path, stall: Option<(&str, &str)>) -> Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", CPU]).arg(quipu).args(["load", "stall"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some((after, lasting)) = stall {
            command.args(["--after", after, "--for", lasting]);
        }
        let mut child = command.spawn().context("starting quipu load stall by taskset")?;
        let mut lines = BufReader::new(child.stdout.take().context("it has no output")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).with_context(|| format!("it said {line}"))?;
        let address = said.get("address").and_then(Value::as_str).context("it said no address")?;
        let address = address.to_owned();
        Ok(Self { child, lines, address })
    }

    /// The port.
    pub(super) fn port(&self) -> &str {
        self.address.rsplit_once(':').map_or("", |(_, port)| port)
    }

    /// Where it is for HTTP.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Ends it and returns how long it stalled by its own clock, in milliseconds.
    ///
    /// # Errors
    /// It failed.
    pub(super) fn finish(mut self) -> Result<f64> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest)?;
        if !self.child.wait()?.success() {
            bail!("the target failed: {rest}");
        }
        let seen: Value = serde_json::from_str(&rest).with_context(|| format!("it said {rest}"))?;
        let stall_ns = seen.get("stall_ns").and_then(Value::as_f64);
        Ok(stall_ns.context("it said no stall")? / 1e6)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("process {} could not be waited for", self.child.id());
        }
    }
}
