//! Limits of the process: descriptors, address space, size of files, memory of its group. What is
//! beyond them is refused or ends the node; what was acknowledged is there.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use crate::faults::calls::Bench;
use crate::faults::under::under;
use crate::faults::{Knobs as _, busy_log, count, share};
use crate::node::{Node, PATIENCE, Start, poll};
use crate::resp::{Resp, encode_line};
use crate::{Violation, demand, skip};

/// Lines that a node may log about connections that it cannot accept: not one per attempt.
const COMPLAINTS_MAX: usize = 50;

fn held(outcome: Result<(), Violation>) {
    if let Err(violation) = outcome {
        panic!("{violation}");
    }
}

/// Opens connections until one is not answered.
fn crowd(node: &Node, most: usize) -> Vec<Resp> {
    let mut sockets = Vec::new();
    while sockets.len() < most {
        let Ok(mut socket) = Resp::try_tcp(node.address("resp")) else { break };
        let asked = socket.send(&encode_line("PING")).is_ok();
        // A connection that is not accepted waits in the kernel's queue: no answer comes.
        let answer = socket.receive_within(std::time::Duration::from_millis(300));
        sockets.push(socket);
        if !asked || !matches!(answer, Ok(Some(_))) {
            break;
        }
    }
    sockets
}

#[test]
fn without_descriptors_those_who_are_served_go_on_and_others_wait_their_turn() {
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let base = busy_log(&folder.path().join("data"));
    let start = under(&base, "ulimit -n 40; exec \"$@\"");
    let mut node = start.run();
    let mut served = node.resp();
    assert_eq!(served.call("INCR a").int(), Some(1));
    let crowd = crowd(&node, 60);
    assert!(crowd.len() < 40, "40 descriptors serve {} connections", crowd.len());
    // Segments are changed and prepared meanwhile, with no descriptor to open one: refused, not
    // failed, until there is one again.
    let (mut counted, mut refused) = (1, 0);
    for _ in 0..600 {
        let reply = served.call("INCR a");
        counted = reply.int().unwrap_or(counted);
        let busy = reply.fails_with("BUSY") || reply.fails_with("NOSPACE");
        assert!(busy || reply.int().is_some(), "{reply:?}");
        refused += usize::from(busy);
    }
    assert!(node.runs(), "{}", node.stderr());
    let complaints = node.stderr().lines().count();
    assert!(complaints <= COMPLAINTS_MAX, "{complaints} lines, among them:\n{}", tail(&node));
    drop(crowd);
    let back = poll(PATIENCE, || {
        let reply = Resp::try_tcp(node.address("resp")).ok()?.try_call("INCR a").ok()?;
        reply.int()
    });
    assert_eq!(back, Some(counted + 1), "{refused} were refused; {}", tail(&node));
    node.kill();
    drop(node);
    assert_eq!(base.run().resp().call("GET a").int(), back);
    count("limits", 1);
}

fn tail(node: &Node) -> String {
    let text = node.stderr();
    text.lines().rev().take(5).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_start_with_too_few_descriptors_or_too_little_room_for_a_file_says_so() {
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let base = busy_log(&folder.path().join("data"));
    assert_eq!(base.run().resp().call("INCR a").int(), Some(1));
    // The shell's unit of `ulimit -f` is 512 bytes: half a segment.
    let narrow = (8..30).step_by(3).map(|files| format!("ulimit -n {files}"));
    for limit in narrow.chain(["ulimit -f 1024".to_owned()]) {
        let line = format!("trap '' XFSZ; {limit}; exec \"$@\"");
        let bare = format!("{limit}; exec \"$@\"");
        for line in [line, bare] {
            if let Err(said) = under(&base, &line).try_run() {
                let file = said.contains("File too large") || said.contains("Too many open files");
                assert!(file && !said.contains("panicked"), "{line}: {said}");
            } else {
                assert!(limit.contains("-n"), "{line}: a node serves without its files");
            }
            count("limits", 1);
        }
    }
    assert_eq!(base.run().resp().call("GET a").int(), Some(1), "refused starts change nothing");
}

/// Adds counters with long names until the node ends.
fn grow_until_the_end(node: &mut Node) -> Result<i32, Violation> {
    let mut socket = node.resp();
    let long = "n".repeat(240);
    for block in 0..20_000 {
        let names = (0..200).map(|index| format!("QUIPU.ADD {long}:{block}:{index} 1 ACK memory"));
        let bytes: Vec<u8> = names.flat_map(|line| encode_line(&line)).collect();
        if socket.send(&bytes).is_err() {
            break;
        }
        if (0..200).any(|_| socket.receive().is_err()) {
            break;
        }
    }
    let status = node.ended();
    let signal = status.and_then(|status| status.signal());
    signal.ok_or_else(|| Violation::new("end", format!("{status:?}: {}", tail(node))))
}

#[test]
fn an_allocation_that_fails_is_a_crash_and_the_restart_is_exact() {
    let mut bench = Bench::new(40, roomy);
    for round in 0..share() {
        held(exhaust(&mut bench, &format!("ulimit -v {}; exec \"$@\"", 400_000 + 10_000 * round)));
        count("limits", 1);
    }
    held(bench.close());
}

/// Segments in which much fits, so that memory is what ends first.
fn roomy(start: Start) -> Start {
    let start = start.knob("log.segment_bytes", "32MiB").knob("log.frame_bytes_max", "8MiB");
    start.knob("fold.log_bytes_min", "256MiB")
}

/// Lets a node run into its limit of memory under load.
fn exhaust(bench: &mut Bench, line: &str) -> Result<(), Violation> {
    let mut node = bench.serve()?;
    node.kill();
    drop(node);
    // A backtrace takes memory too: a process that has none can stand still over it.
    let narrow = under(&bench.start, &format!("export RUST_BACKTRACE=0; {line}"));
    let mut node = narrow.try_run().map_err(|text| Violation::new("refused start", text))?;
    let signal = bench.crew.drive(&mut node, |node, progress| {
        demand(progress.advances_by(50), "progress", || tail(node))?;
        grow_until_the_end(node)
    })?;
    // SIGABRT of a failed allocation, or the kernel's SIGKILL.
    demand([6, 9].contains(&signal), "end", || format!("signal {signal}: {}", tail(&node)))
}

/// A group of processes with little memory; dropping it removes it.
struct Group(PathBuf);

impl Group {
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("quipu-faults-{}", std::process::id());
        let kinds =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        let mut why = String::from("there is no group of processes for memory");
        for (root, limit) in kinds {
            let folder = PathBuf::from(root).join(&name);
            let made = fs::create_dir(&folder)
                .and_then(|()| fs::write(folder.join(limit), bytes.to_string()));
            match made {
                Ok(()) => return Some(Self(folder)),
                Err(error) => why = format!("{}: {error}", folder.display()),
            }
            // What could not be limited is of no use.
            drop(fs::remove_dir(&folder));
        }
        skip::note("a group of processes with little memory", &why);
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group goes when its last process has: its end may take the kernel a moment.
        let gone = poll(PATIENCE, || fs::remove_dir(&self.0).ok());
        if gone.is_none() {
            skip::note("removal", &format!("{} stays", self.0.display()));
        }
    }
}

#[test]
fn the_end_of_memory_of_its_group_is_a_crash_and_the_restart_is_exact() {
    let Some(group) = Group::new(96 << 20) else { return };
    // Without a limit of its own it grows until the kernel ends it.
    let mut bench = Bench::new(41, |start| roomy(start).knob("memory.max", "16GiB"));
    let line = format!("echo $$ >'{}/cgroup.procs'; exec \"$@\"", group.0.display());
    held(exhaust(&mut bench, &line));
    count("limits", 1);
    held(bench.close());
}
