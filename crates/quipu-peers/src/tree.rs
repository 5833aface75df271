//! A process and its descendants, as `/proc` shows them.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use quipu_proof::node::{PATIENCE, poll};
use rustix::process::{Pid, Signal, kill_process};

/// One process; the start time tells it from a later one with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: i32,
    started_ticks: u64,
}

/// What `/proc/PID/stat` says (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    is_gone: bool,
    parent: i32,
    cpu_ticks: u64,
    started_ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name of the program stands in parentheses and may hold anything, so the fields are
    /// counted from the last one.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        // User and system time, its own and that of children that it has waited for.
        let cpu_ticks = number(11)? + number(12)? + number(13)? + number(14)?;
        Some(Self {
            is_gone: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            cpu_ticks,
            started_ticks: number(19)?,
        })
    }
}

/// Processes at one moment.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    processes: BTreeSet<Process>,
}

impl Tree {
    /// Some processes and all their descendants.
    pub fn of(roots: &[u32]) -> Self {
        let names = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let all: Vec<(i32, Stat)> = pids.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
        let mut taken: BTreeSet<i32> = roots.iter().map(|pid| pid.cast_signed()).collect();
        while all.iter().any(|(pid, stat)| taken.contains(&stat.parent) && taken.insert(*pid)) {}
        let process =
            |(pid, stat): &(i32, Stat)| Process { pid: *pid, started_ticks: stat.started_ticks };
        let processes = all.iter().filter(|(pid, _)| taken.contains(pid)).map(process).collect();
        Self { processes }
    }

    /// Processor time that they and their ended children have used.
    pub fn cpu(&self) -> Duration {
        let stats = self.processes.iter().filter_map(|process| Stat::read(process.pid));
        let ticks: u64 = stats.map(|stat| stat.cpu_ticks).sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Sends SIGKILL to each.
    pub fn kill(&self) {
        for process in self.processes.iter().filter(|process| process.runs()) {
            signal(process.pid, Signal::KILL);
        }
    }

    /// Waits until all have gone; answers whether they have.
    pub fn wait(&self) -> bool {
        let all_gone = || (!self.processes.iter().any(Process::runs)).then_some(());
        poll(PATIENCE, all_gone).is_some()
    }
}

impl Process {
    fn runs(&self) -> bool {
        let is_this = |stat: Stat| stat.started_ticks == self.started_ticks && !stat.is_gone;
        Stat::read(self.pid).is_some_and(is_this)
    }
}

/// Sends a signal; one that has gone already needs none.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let _is_sent = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_is_read_over() {
        let text = "7 (a) b) (c) S 3 7 7 0 -1 4 5 0 0 0 10 20 30 40 20 0 1 0 999 1 1";
        let expected = Stat { is_gone: false, parent: 3, cpu_ticks: 100, started_ticks: 999 };
        assert_eq!(Stat::parse(text), Some(expected));
    }

    #[test]
    fn a_process_that_left_its_group_is_killed_with_its_parent() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "setsid sleep 60 & wait"]);
        let mut shell = shell.stdin(Stdio::null()).spawn().unwrap();
        let two = || Some(Tree::of(&[shell.id()])).filter(|tree| tree.processes.len() == 2);
        let tree = poll(PATIENCE, two).expect("the shell has a child");
        assert!(tree.processes.iter().all(Process::runs));
        tree.kill();
        shell.wait().unwrap();
        assert!(tree.wait());
    }
}
