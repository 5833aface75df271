//! Calls of the node that fail, end early or late, made so from below by `strace`.
//!
//! A tracer counts the calls of each thread by itself, so a fault is named by thread, call and
//! number: from the start on for the main thread, from now on for a thread that runs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::faults::under::{self, under};
use crate::node::{PATIENCE, Start, poll};
use crate::{skip, tool};

/// What happens to some calls of a thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault<'a> {
    /// The calls, separated by commas.
    pub(crate) call: &'a str,
    /// What becomes of them: `error=EIO`, `retval=4096`, `delay_enter=1000`.
    pub(crate) fate: &'a str,
    /// Which of them, in the words of `strace`: `3`, `2+`, `1..5`.
    pub(crate) when: &'a str,
}

impl Fault<'_> {
    fn options(self, log: &Path) -> String {
        let Self { call, fate, when } = self;
        let log = log.display();
        format!("-qq -ttt -y -o '{log}' -e trace={call} -e inject={call}:{fate}:when={when}")
    }
}

/// Says whether this machine has and permits `strace`; if not, says so once.
pub(crate) fn permitted() -> bool {
    static PERMITTED: LazyLock<bool> = LazyLock::new(|| {
        if tool::find("strace").is_none() {
            return false;
        }
        let trial = "strace -qq -o /dev/null -e inject=getpid:error=EIO true";
        let refused = under::permitted(trial).err();
        if let Some(why) = &refused {
            skip::note("strace", why);
        }
        refused.is_none()
    });
    *PERMITTED
}

/// Returns `start` with a fault on the main thread, counted from the first instruction on.
pub(crate) fn at_start(start: &Start, fault: Fault<'_>, log: &Path) -> Start {
    under(start, &format!("exec strace -D {} \"$@\"", fault.options(log)))
}

/// Returns `start` with all `calls` of all threads logged.
pub(crate) fn watched(start: &Start, calls: &str, log: &Path) -> Start {
    let log = log.display();
    under(start, &format!("exec strace -D -f -qq -y -o '{log}' -e trace={calls} \"$@\""))
}

/// A tracer that is attached to one thread; dropping it lets the thread go.
#[derive(Debug)]
pub(crate) struct Tracer(Child);

impl Tracer {
    /// Attaches to the threads of `process` with this name, or to all; returns when calls are
    /// counted.
    ///
    /// # Panics
    /// If there is no such thread or the tracer does not get it.
    pub(crate) fn attach(process: Pid, name: &str, fault: Fault<'_>, log: &Path) -> Self {
        let ids =
            poll(PATIENCE, || Some(under::threads(process, name)).filter(|ids| !ids.is_empty()));
        let ids = ids.unwrap_or_else(|| panic!("there is no thread {name}"));
        let list: Vec<String> = ids.iter().map(|id| format!("-p {id}")).collect();
        let line = format!("exec strace {} {}", list.join(" "), fault.options(log));
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("a tracer starts");
        let tracer = Self(child);
        // A thread that meets its fault at once may have ended before anybody looks.
        let seized = poll(PATIENCE, || {
            let all = ids.iter().all(|id| tracer.has(process, *id));
            (all || first_fault(log).is_some()).then_some(())
        });
        assert!(seized.is_some(), "the tracer does not get the thread {name}");
        tracer
    }

    fn has(&self, process: Pid, thread: i32) -> bool {
        let status = fs::read_to_string(format!("/proc/{process}/task/{thread}/status"));
        let status = status.unwrap_or_default();
        let by = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        by.is_some_and(|by| by.trim() == self.0.id().to_string())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // A tracer that is killed would leave the thread stopped: it is asked to let go.
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _gone = kill_process(pid, Signal::TERM).is_err();
        }
        drop(self.0.wait());
    }
}

/// Returns when the first fault that `log` tells of happened, on the wall clock.
pub(crate) fn first_fault(log: &Path) -> Option<Duration> {
    let text = fs::read_to_string(log).ok()?;
    let line =
        text.lines().find(|line| line.contains("(INJECTED)") || line.contains("(DELAYED)"))?;
    let moment = line.split_whitespace().find(|word| word.contains('.'))?.parse().ok();
    moment.map(Duration::from_secs_f64)
}

/// Returns how many faults `log` tells of.
pub(crate) fn faults(log: &Path) -> u64 {
    let text = fs::read_to_string(log).unwrap_or_default();
    let faulty = |line: &&str| line.contains("(INJECTED)") || line.contains("(DELAYED)");
    text.lines().filter(faulty).count() as u64
}
