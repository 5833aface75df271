//! A call that fails: in the thread that commits it ends the node, with a sentence that names file
//! and error, and nothing is acknowledged after it; in the threads beside it the node goes on. At
//! a start it is a refusal. What was acknowledged is there after each.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::canaries::CANARY;
use crate::faults::crew::{Crew, Progress};
use crate::faults::strace::{self, Fault, Tracer};
use crate::faults::under::{pid, under};
use crate::faults::{Knobs as _, busy_log, count, share};
use crate::http::{Request, request};
use crate::node::{Node, PATIENCE, Start, poll};
use crate::{Violation, demand, tool};

/// What a fault does to a node that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The node ends, with a sentence that contains this.
    Ends(&'static str),
    /// The node goes on.
    GoesOn,
}

/// A fault of one thread of a node that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    /// How the node commits: by its event loop or by its committer.
    pub(crate) strategy: &'a str,
    /// Which thread.
    pub(crate) thread: &'a str,
    /// What happens to its calls.
    pub(crate) fault: Fault<'a>,
    /// What must become of the node.
    pub(crate) fate: Fate,
}

const IO_ERROR: &str = "Input/output error";
const NO_SPACE: &str = "No space left on device";

/// Faults of the thread that writes and syncs frames.
const COMMITTING: [(&str, &str, &str); 5] = [
    ("fdatasync", "error=EIO", IO_ERROR),
    ("pwrite64", "error=EIO", IO_ERROR),
    ("pwrite64", "error=ENOSPC", NO_SPACE),
    ("fdatasync", "error=ENOSPC", NO_SPACE),
    ("fdatasync", "error=EDQUOT", "Disk quota exceeded"),
];

/// Faults of the threads beside it. Each is met within a second of a log that is folded often, as
/// long as its snapshot is small.
const BESIDE: [(&str, &str, &str); 13] = [
    ("preparer", "pwrite64", "error=EIO"),
    ("preparer", "pwrite64", "error=ENOSPC"),
    ("preparer", "fdatasync", "error=EIO"),
    ("preparer", "openat", "error=EMFILE"),
    ("preparer", "openat", "error=EIO"),
    ("folder", "openat", "error=EIO"),
    ("folder", "openat", "error=ENFILE"),
    ("folder", "pwrite64", "error=ENOSPC"),
    ("folder", "fdatasync", "error=EIO"),
    ("folder", "rename", "error=EIO"),
    ("folder", "fsync", "error=EIO"),
    ("folder", "pread64", "error=EIO"),
    ("folder", "unlink", "error=EIO"),
];

/// Faults on one directory: what is remembered of tokens makes snapshots longer with each, and folds
/// rarer.
const FAULTS_EACH: usize = 3;

/// Acknowledgements of an earlier sync that may still be on their way to the clients: what all of
/// them have sent at once, twice over.
const IN_FLIGHT_MAX: usize = 600;

/// HTTP clients that wait for the sync that fails.
const HTTP_CLIENTS: i64 = 8;

/// Acknowledgements that must follow a fault beside the commits.
const ACKNOWLEDGED_AFTER: usize = 300;

/// One directory with its clients, faults and lives.
pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) start: Start,
    pub(crate) crew: Crew,
}

impl Bench {
    /// Returns an empty directory for the node that `adapt` describes.
    pub(crate) fn new(seed: u64, adapt: impl FnOnce(Start) -> Start) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let start = adapt(busy_log(&folder.path().join("data")));
        Self { folder, start, crew: Crew::new(seed) }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("strace.log")
    }

    /// Starts the node, whose process id becomes known, and settles all books.
    pub(crate) fn serve(&mut self) -> Result<Node, Violation> {
        let known = under(&self.start, "exec \"$@\"");
        let node = known.try_run().map_err(|text| Violation::new("refused start", text))?;
        self.crew.settle(&node)?;
        Ok(node)
    }

    /// Lives one life with a fault in the midst of the load.
    ///
    /// # Errors
    /// The node broke a promise or did not meet the fault.
    pub(crate) fn suffer(&mut self, case: Case<'_>) -> Result<(), Violation> {
        let log = self.log();
        drop(fs::remove_file(&log));
        self.start = self.start.clone().knob("commit.strategy", case.strategy);
        let mut node = self.serve()?;
        let process = pid(&self.start);
        self.crew.drive(&mut node, |node, progress| {
            demand(progress.advances_by(1), "progress", || "no acknowledgement came".into())?;
            let tracer = Tracer::attach(process, case.thread, case.fault, &log);
            let met = poll(PATIENCE, || strace::first_fault(&log));
            demand(met.is_some(), "reached", || format!("{case:?}: the call never came"))?;
            match case.fate {
                Fate::Ends(sentence) => {
                    latches(node, progress)?;
                    ends(node, sentence)?;
                }
                Fate::GoesOn => {
                    let moves = progress.advances_by(ACKNOWLEDGED_AFTER);
                    demand(moves && node.runs(), "goes on", || node.stderr())?;
                }
            }
            drop(tracer);
            Ok(())
        })?;
        if matches!(case.fate, Fate::Ends(_)) {
            let failed = strace::first_fault(&log).expect("it was met");
            self.crew.none_acknowledged_after(failed)?;
        }
        count("faults_injected", strace::faults(&log));
        Ok(())
    }

    /// Settles the books a last time and audits the directory.
    pub(crate) fn close(mut self) -> Result<(), Violation> {
        let mut node = self.serve()?;
        node.terminate();
        let status = node.ended();
        let clean = status.is_some_and(|status| status.success());
        demand(clean, "clean end", || format!("{status:?}: {}", node.stderr()))?;
        quipu_proof::kills::audit(&self.start)
    }
}

/// Demands that a node whose log has failed ends, and does not go on acknowledging instead.
fn latches(node: &mut Node, progress: &Progress) -> Result<(), Violation> {
    let before = progress.count();
    let goes_on = || progress.count() > before + IN_FLIGHT_MAX;
    let seen = poll(PATIENCE, || (!node.runs() || goes_on()).then_some(()));
    demand(seen.is_some() && !goes_on(), "latch", || {
        format!("{} acknowledgements after the failure", progress.count() - before)
    })
}

/// Demands that the node ends by itself, with an error and a sentence for the operator.
fn ends(node: &mut Node, sentence: &str) -> Result<(), Violation> {
    let status = node.ended();
    let said = node.stderr();
    let code = status.and_then(|status| status.code());
    demand(code.is_some_and(|code| code != 0 && code != 101), "end", || {
        format!("the node ended with {status:?}:\n{said}")
    })?;
    let clear =
        said.contains(sentence) && said.contains("segment-") && said.contains("start again");
    demand(clear && !said.contains("panicked"), "sentence", || said)
}

fn held(outcome: Result<(), Violation>, what: &dyn std::fmt::Debug) {
    if let Err(violation) = outcome {
        panic!("{what:?}: {violation}");
    }
}

#[test]
fn a_failed_write_or_sync_ends_the_node_and_nothing_is_acknowledged_after_it() {
    if !strace::permitted() {
        return;
    }
    let mut bench = Bench::new(1, |start| start);
    for round in 0..share() {
        for (index, (call, fate, sentence)) in COMMITTING.into_iter().enumerate() {
            // The first ones, and later ones: after a change of segments, between folds.
            let nth = 1 + (index * 7 + round * 11) % 61;
            let when = nth.to_string();
            let fault = Fault { call, fate, when: &when };
            for (strategy, thread) in [("committer", "committer"), ("loop", "worker-0")] {
                let case = Case { strategy, thread, fault, fate: Fate::Ends(sentence) };
                held(bench.suffer(case), &case);
            }
        }
    }
    held(bench.close(), &"the end");
}

/// Over HTTP too: what was in flight is unknown, never refused, and is repeated by its key.
#[test]
fn a_failed_sync_is_unknown_over_http_and_the_key_finds_out() {
    if !strace::permitted() {
        return;
    }
    let mut bench = Bench::new(9, |start| start);
    for strategy in ["committer", "loop"] {
        bench.start = bench.start.clone().knob("commit.strategy", strategy);
        let log = bench.log();
        drop(fs::remove_file(&log));
        let mut node = bench.serve().unwrap_or_else(|violation| panic!("{violation}"));
        let fault = Fault { call: "fdatasync", fate: "error=EIO", when: "1+" };
        let tracer = Tracer::attach(pid(&bench.start), "*", fault, &log);
        let keys: Vec<String> =
            (0..HTTP_CLIENTS).map(|at| format!("Idempotency-Key: {strategy}-{at}")).collect();
        let mut sockets: Vec<_> = keys.iter().map(|_| node.http()).collect();
        let counter = format!("/v1/default/counters/http-{strategy}");
        let add = request("POST", &counter, r#"{"add":1}"#);
        for (socket, key) in sockets.iter_mut().zip(&keys) {
            // A node that has ended refuses the bytes: as good as no answer.
            drop(socket.send(&Request { headers: &[key], ..add }));
        }
        for socket in &mut sockets {
            // A connection may also end without an answer.
            let Ok(Some(reply)) = socket.receive_within(PATIENCE) else { continue };
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            // What comes after the failure does not start any more, and that is said.
            let honest = body.contains(":unknown") || body.contains(":stopping");
            assert!(reply.status == 503 && honest, "{}: {body}", reply.status);
        }
        held(ends(&mut node, IO_ERROR), &strategy);
        drop((tracer, node));
        count("faults_injected", strace::faults(&log));
        let node = bench.serve().unwrap_or_else(|violation| panic!("{violation}"));
        for key in &keys {
            let reply = node.http().call(&Request { headers: &[key], ..add });
            assert_eq!(reply.status, 200, "{key}: {reply:?}");
        }
        let value = node.resp().call(&format!("GET http-{strategy}")).int();
        assert_eq!(value, Some(HTTP_CLIENTS), "each key counts once");
    }
    held(bench.close(), &"the end");
}

/// The check above catches what it is there for: builds that sync again after a failure, or that
/// take a failure for success.
#[test]
fn a_build_that_goes_on_after_a_failed_write_or_sync_is_caught() {
    if !strace::permitted() {
        return;
    }
    for (bug, call) in [
        ("sync_retried", "fdatasync"),
        ("sync_error_ignored", "fdatasync"),
        ("write_error_ignored", "pwrite64"),
    ] {
        let mut bench = Bench::new(8, |start| start.program(&CANARY).variable("QUIPU_CANARY", bug));
        let fault = Fault { call, fate: "error=EIO", when: "3" };
        let (strategy, thread) = ("committer", "committer");
        let outcome = bench.suffer(Case { strategy, thread, fault, fate: Fate::Ends(IO_ERROR) });
        let caught = outcome.expect_err("the check does not catch its canary");
        assert_eq!(caught.check, "latch", "{bug} is caught for another reason: {caught}");
    }
}

#[test]
fn a_failed_call_beside_the_commits_stops_nobody() {
    if !strace::permitted() {
        return;
    }
    let few =
        (0..share()).flat_map(|round| BESIDE.chunks(FAULTS_EACH).map(move |few| (round, few)));
    for (number, (round, few)) in few.enumerate() {
        let mut bench = Bench::new(2 + 100 * number as u64, |start| start);
        for (index, &(thread, call, fate)) in few.iter().enumerate() {
            let when = (1 + (index + round) % 3).to_string();
            let fault = Fault { call, fate, when: &when };
            let case = Case { strategy: "committer", thread, fault, fate: Fate::GoesOn };
            held(bench.suffer(case), &case);
        }
        held(bench.close(), &"the end");
    }
}

#[test]
fn calls_that_are_interrupted_are_made_again_and_slow_syncs_only_take_longer() {
    if !strace::permitted() {
        return;
    }
    let mut bench = Bench::new(3, |start| start);
    let interrupted = [
        ("committer", "committer", "pwrite64,fdatasync", "error=EINTR", "1+3"),
        ("loop", "worker-0", "pwrite64,fdatasync", "error=EINTR", "1+3"),
        ("committer", "preparer", "openat,pwrite64,fdatasync,fsync", "error=EINTR", "1+2"),
        ("committer", "folder", "openat,pread64,pwrite64,fdatasync,fsync", "error=EINTR", "1+2"),
        ("committer", "committer", "fdatasync", "delay_enter=200000", "1..5"),
        ("loop", "worker-0", "fdatasync", "delay_enter=200000", "1..5"),
    ];
    for (strategy, thread, call, fate, when) in interrupted {
        let fault = Fault { call, fate, when };
        let case = Case { strategy, thread, fault, fate: Fate::GoesOn };
        held(bench.suffer(case), &case);
    }
    held(bench.close(), &"the end");
}

/// A call of the main thread that touches the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Touch {
    call: String,
    /// How many of its kind the thread makes before, and this one.
    nth: usize,
    line: String,
}

const START_CALLS: &str = "openat,pwrite64,pread64,fdatasync,fsync,rename,unlink,ftruncate,\
                           getdents64,flock,write,mkdir";

/// Rehearses a start and returns the calls of its main thread that touch the data directory.
fn rehearse(bench: &mut Bench) -> Vec<Touch> {
    let log = bench.log();
    let data = bench.start.data().display().to_string();
    let watched = strace::watched(&bench.start, START_CALLS, &log);
    drop(watched.run());
    let main = pid(&bench.start).to_string();
    let text = fs::read_to_string(&log).expect("the tracer writes its log");
    let mut made = std::collections::BTreeMap::<String, usize>::new();
    let mut touches = Vec::new();
    for line in text.lines().filter(|line| line.starts_with(&main)) {
        let Some((head, _)) = line.split_once('(') else { continue };
        let call = head.trim_start_matches(&main).trim().to_owned();
        if !START_CALLS.split(',').any(|known| known == call) {
            continue;
        }
        let nth = made.entry(call.clone()).and_modify(|nth| *nth += 1).or_insert(1);
        // What is said to the parent is no matter of the disk.
        if line.contains(&data) && !line.contains("ENOENT") && !line.contains("(1<") {
            touches.push(Touch { call, nth: *nth, line: line.to_owned() });
        }
    }
    touches
}

/// Fails this call in a start of its own: a refusal that says what failed, or a start where the
/// call was not needed. Says whether the call came: what earlier starts left may spare it.
fn refuse(bench: &mut Bench, touch: &Touch, error: &str) -> Result<bool, Violation> {
    let (log, when) = (bench.log(), touch.nth.to_string());
    drop(fs::remove_file(&log));
    let fate = format!("error={error}");
    let fault = Fault { call: &touch.call, fate: &fate, when: &when };
    let started = strace::at_start(&bench.start, fault, &log).try_run();
    let came = strace::faults(&log) > 0;
    count("faults_injected", u64::from(came));
    let Err(said) = started else { return Ok(came) };
    let folder = bench.folder.path().display().to_string();
    let files = ["segment-", "STORE", "snapshot-", "the data directory"];
    let named = said.contains(&folder) || files.iter().any(|file| said.contains(file));
    let clear = said.contains("os error") && named && !said.contains("panicked");
    demand(clear, "sentence", || format!("{error} at {}: {said}", touch.line))?;
    Ok(came)
}

#[test]
fn a_start_whose_calls_fail_says_which_and_leaves_everything_as_it_was() {
    if !strace::permitted() {
        return;
    }
    let mut bench = Bench::new(4, |start| start);
    let mut lives = 0;
    while lives < 2 * share() {
        crash_under_load(&mut bench, 50 + 400 * lives);
        let touches = rehearse(&mut bench);
        assert!(touches.len() > 20, "a start makes few calls: {touches:?}");
        crash_under_load(&mut bench, 50);
        let mut came = 0;
        for touch in spread(&touches, 14, lives) {
            let error = if touch.call == "pwrite64" && lives % 2 == 1 { "ENOSPC" } else { "EIO" };
            let refused = refuse(&mut bench, touch, error);
            came += usize::from(*refused.as_ref().unwrap_or(&true));
            held(refused.map(drop), touch);
        }
        assert!(came > 6, "of the calls of a start only {came} came");
        lives += 1;
    }
    held(bench.close(), &"the end");
}

/// Returns about `count` of `touches`, no call twice before each was met once.
fn spread(touches: &[Touch], count: usize, offset: usize) -> Vec<&Touch> {
    let mut kinds = std::collections::BTreeMap::<&str, Vec<&Touch>>::new();
    for touch in touches {
        kinds.entry(&touch.call).or_default().push(touch);
    }
    let most = kinds.len().max(1);
    let each = count.div_ceil(most);
    let some = kinds.into_values().flat_map(|of_kind| {
        let step = of_kind.len().div_ceil(each).max(1);
        of_kind.into_iter().skip(offset % step).step_by(step)
    });
    some.collect()
}

/// Serves, settles, drives until `acknowledged` replies came, and kills.
fn crash_under_load(bench: &mut Bench, acknowledged: usize) {
    let driven = bench.serve().and_then(|mut node| {
        bench.crew.drive(&mut node, |node, progress| {
            demand(progress.advances_by(acknowledged), "progress", || node.stderr())
        })
    });
    held(driven, &"load");
}

#[test]
fn a_last_write_that_fails_is_no_clean_end() {
    if !strace::permitted() {
        return;
    }
    let mut bench =
        Bench::new(5, |start| start.knob("flush.interval", "1m").knob("log.mark_interval", "1m"));
    for (thread, call, error) in [
        ("quipu", "pwrite64", "EIO"),
        ("quipu", "fdatasync", "EIO"),
        // The last commit is made by whoever comes first.
        ("*", "pwrite64", "ENOSPC"),
        ("*", "fdatasync", "EIO"),
    ] {
        held(fail_at_the_end(&mut bench, thread, call, error), &(thread, call, error));
    }
    held(bench.close(), &"the end");
}

fn fail_at_the_end(
    bench: &mut Bench,
    thread: &str,
    call: &str,
    error: &str,
) -> Result<(), Violation> {
    let (log, fate) = (bench.log(), format!("error={error}"));
    drop(fs::remove_file(&log));
    let mut node = bench.serve()?;
    let tracer =
        Tracer::attach(pid(&bench.start), thread, Fault { call, fate: &fate, when: "1" }, &log);
    // Something is open when the end comes: nothing asks for a sync of this.
    let behind = node.resp().try_call("QUIPU.ADD at_the_end 1 ACK memory");
    demand(!behind.is_ok_and(|reply| reply.error().is_some()), "refusal", || node.stderr())?;
    node.terminate();
    let sentence = if error == "EIO" { IO_ERROR } else { NO_SPACE };
    ends(&mut node, sentence)?;
    drop(tracer);
    count("faults_injected", strace::faults(&log));
    demand(strace::faults(&log) > 0, "reached", || "the call never came".into())
}

/// A disk that says it has written and has not: found by the next start, never silent.
#[test]
fn a_write_that_the_disk_only_pretended_to_take_is_found_by_the_next_start() {
    if !strace::permitted() {
        return;
    }
    // Nothing is folded, so the frame stays where recovery reads it.
    let mut bench = Bench::new(6, |start| start.knob("fold.log_bytes_min", "256MiB"));
    let fault = Fault { call: "pwrite64", fate: "retval=4096", when: "2" };
    let case = Case { strategy: "committer", thread: "committer", fault, fate: Fate::GoesOn };
    held(bench.suffer(case), &case);
    let said = bench.start.refusal();
    let clear = said.contains("segment-") && said.contains("offset") && !said.contains("panicked");
    assert!(clear, "the refusal does not say where:\n{said}");
    let mut audit = std::process::Command::new(bench.start.binary());
    let output = audit.arg("audit").arg(bench.start.data()).output().expect("the binary starts");
    assert!(!output.status.success(), "the audit says:\n{}", tool::text_of(&output));
}

/// A name that may or may not be on disk: no later segment can be made, so the process ends and
/// says so, and the next start is whole again.
#[test]
fn a_segment_that_may_or_may_not_have_its_name_ends_the_node() {
    if !strace::permitted() {
        return;
    }
    let mut bench = Bench::new(7, |start| start);
    for call in ["rename", "fsync"] {
        held(lose_a_name(&mut bench, call), &call);
    }
    held(bench.close(), &"the end");
}

fn lose_a_name(bench: &mut Bench, call: &str) -> Result<(), Violation> {
    let log = bench.log();
    drop(fs::remove_file(&log));
    let mut node = bench.serve()?;
    let start = bench.start.clone();
    bench.crew.drive(&mut node, |node, _| {
        let fault = Fault { call, fate: "error=EIO", when: "1" };
        let tracer = Tracer::attach(pid(&start), "preparer", fault, &log);
        ends(node, IO_ERROR)?;
        drop(tracer);
        Ok(())
    })?;
    count("faults_injected", strace::faults(&log));
    demand(strace::faults(&log) > 0, "reached", || "the call never came".into())
}

/// Seen from below, where no abstraction of ours can hide a call that is missing.
#[test]
fn a_new_store_is_durable_with_the_name_of_its_directory_before_it_serves() {
    if !strace::permitted() {
        return;
    }
    let folder = TempDir::new().expect("a temporary directory");
    let log = folder.path().join("strace.log");
    let data = folder.path().join("data");
    drop(strace::watched(&busy_log(&data), "fsync", &log).run());
    let text = fs::read_to_string(&log).expect("the tracer writes its log");
    for path in [data.as_path(), folder.path()] {
        let shown = format!("<{}>", path.display());
        let synced = text.lines().any(|line| line.contains("fsync(") && line.contains(&shown));
        assert!(synced, "{} is not synced:\n{text}", path.display());
    }
}
