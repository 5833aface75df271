//! A node in a narrower world: under another program, or after words to the shell.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::node::Start;
use crate::tool;

/// Returns `start`, run by a shell as `line`, in which `"$@"` is the node.
pub(crate) fn under(start: &Start, line: &str) -> Start {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/under.sh");
    let bare = start.clone().variable("UNDER_PROGRAM", start.binary());
    bare.variable("UNDER", line).variable("UNDER_PID", pid_file(start)).program(&script)
}

fn pid_file(start: &Start) -> PathBuf {
    start.data().with_extension("pid")
}

/// Returns the process id of the node that was last started [`under`] something.
pub(crate) fn pid(start: &Start) -> Pid {
    try_pid(start).expect("a started node has told its id")
}

/// Returns the process id of the node as soon as it was told.
pub(crate) fn try_pid(start: &Start) -> Option<Pid> {
    let text = fs::read_to_string(pid_file(start)).ok()?;
    // A line without its end is not whole.
    text.strip_suffix('\n')?.parse().ok().and_then(Pid::from_raw)
}

/// Forgets the process id of the last node, so that that of the next one is seen.
pub(crate) fn forget_pid(start: &Start) {
    // None was told yet: as good as forgotten.
    drop(fs::remove_file(pid_file(start)));
}

/// Sends a signal to the node that was last started [`under`] something.
pub(crate) fn signal(start: &Start, signal: Signal) {
    kill_process(pid(start), signal).expect("the node takes a signal");
}

/// Returns the ids of the threads of a process that have this name; of all for `*`.
pub(crate) fn threads(process: Pid, name: &str) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let named = tasks.flatten().filter_map(|task| {
        let said = fs::read_to_string(task.path().join("comm")).ok()?;
        let id = task.file_name().to_str()?.parse().ok()?;
        (name == "*" || said.trim_end() == name).then_some(id)
    });
    named.collect()
}

/// Says whether `line` of shell succeeds on this machine, and what it printed.
pub(crate) fn permitted(line: &str) -> Result<(), String> {
    let output = Command::new("sh").arg("-c").arg(line).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = tool::text_of(&output);
    let said = text.lines().next().unwrap_or("no reason given").to_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
