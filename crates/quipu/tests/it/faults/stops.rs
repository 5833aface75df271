//! Signals: a process that stands still for a while, that is asked to end under load, that is
//! killed again and again before it serves, that has a second one beside it.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::chance::Chance;
use crate::faults::calls::Bench;
use crate::faults::under::{forget_pid, pid, signal, threads, try_pid, under};
use crate::faults::{count, share};
use crate::node::{PATIENCE, Start, poll};
use crate::resp::{Reply, encode_line};
use crate::{Violation, demand};

/// How long a node stands still. Spec: some seconds; an expiry of half of it passes meanwhile.
const STANDSTILL: Duration = Duration::from_secs(2);

fn held(outcome: Result<(), Violation>) {
    if let Err(violation) = outcome {
        panic!("{violation}");
    }
}

#[test]
fn a_node_that_stood_still_goes_on_where_it_was_and_knows_what_time_it_is() {
    let mut bench = Bench::new(20, |start| start);
    for _ in 0..share() {
        held(stand_still(&mut bench));
        count("stops", 1);
    }
    held(bench.close());
}

fn stand_still(bench: &mut Bench) -> Result<(), Violation> {
    let mut node = bench.serve()?;
    let start = bench.start.clone();
    bench.crew.drive(&mut node, |node, progress| {
        demand(progress.advances_by(100), "progress", || node.stderr())?;
        let mut socket = node.resp();
        let brief = format!("QUIPU.ADD brief 1 PX {}", STANDSTILL.as_millis() / 2);
        for line in [brief.as_str(), "QUIPU.ADD long 1 EX 3600"] {
            let reply = socket.call(line);
            demand(reply.error().is_none(), "refusal", || format!("{line}: {reply:?}"))?;
        }
        signal(&start, Signal::STOP);
        // Each thread stops when the signal reaches it.
        let still = poll(PATIENCE, || stands_still(pid(&start)).then_some(()));
        demand(still.is_some(), "standstill", || "a thread does not stop".into())?;
        let token = format!("QUIPU.ADD still 1 TOKEN {}", crate::faults::crew::wall().as_nanos());
        socket.send(&encode_line(&token)).expect("the kernel buffers");
        // The wait for what cannot come is the time that the node stands still.
        let early = socket.receive_within(STANDSTILL).expect("the connection stays");
        demand(early.is_none(), "standstill", || format!("a stopped node answers {early:?}"))?;
        signal(&start, Signal::CONT);
        let first = socket.receive().expect("what was held leaves");
        let again = socket.call(&token);
        let same = first.items().first().and_then(Reply::int)
            == again.items().first().and_then(Reply::int);
        demand(same && first.error().is_none(), "token repeat", || format!("{first:?} {again:?}"))?;
        demand(socket.call("GET brief").is_null(), "expiry", || "it outlived its time".into())?;
        let left = socket.call("TTL long").int();
        demand(left.is_some_and(|left| (3000..=3600).contains(&left)), "expiry", || {
            format!("3600 s have become {left:?}")
        })?;
        demand(progress.advances_by(300), "progress", || node.stderr())
    })
}

fn stands_still(process: Pid) -> bool {
    threads(process, "*").iter().all(|id| {
        let status = fs::read_to_string(format!("/proc/{process}/task/{id}/status"));
        status.is_ok_and(|text| text.lines().any(|line| line.starts_with("State:\tT")))
    })
}

#[test]
fn a_node_that_is_asked_to_end_under_load_ends_clean_and_has_everything() {
    let mut bench = Bench::new(21, |start| start);
    for round in 0..3 * share() {
        held(end_under_load(&mut bench, 1 + 150 * round));
        count("stops", 1);
    }
    held(bench.close());
}

fn end_under_load(bench: &mut Bench, acknowledged: usize) -> Result<(), Violation> {
    let mut node = bench.serve()?;
    let status = bench.crew.drive(&mut node, |node, progress| {
        demand(progress.advances_by(acknowledged), "progress", || node.stderr())?;
        node.terminate();
        Ok(node.ended())
    })?;
    let clean = status.is_some_and(|status| status.success());
    demand(clean, "clean end", || format!("{status:?}: {}", node.stderr()))?;
    drop(node);
    let mut next = under(&bench.start, "exec \"$@\"").run();
    bench.crew.settle(&next)?;
    let said = next.stderr();
    next.kill();
    demand(!said.contains("cut off"), "clean end", || format!("a clean log was cut: {said}"))
}

#[test]
fn a_start_that_is_killed_again_and_again_loses_nothing() {
    let mut bench = Bench::new(22, |start| start);
    let mut chance = Chance::new(22);
    for _ in 0..share() {
        let loaded = bench.serve().and_then(|mut node| {
            bench.crew.drive(&mut node, |node, progress| {
                demand(progress.advances_by(400), "progress", || node.stderr())
            })
        });
        held(loaded);
        for _ in 0..20 {
            // A start takes about 50 ms here and more under load; most kills come within it.
            let patience = Duration::from_millis(1 + chance.below(60) as u64);
            killed_start(&bench.start, patience);
            count("stops", 1);
        }
    }
    held(bench.close());
}

/// Starts the node and kills it after a while, wherever it is.
fn killed_start(bare: &Start, patience: Duration) {
    let start = under(bare, "exec \"$@\"");
    forget_pid(bare);
    thread::scope(|scope| {
        scope.spawn(|| {
            let process = poll(PATIENCE, || try_pid(bare)).expect("a start tells its id");
            let _nothing: Option<()> = poll(patience, || None);
            kill_process(process, Signal::KILL).expect("nobody else has waited for it");
        });
        // It may have become ready at the last moment: then it is killed while it serves.
        if let Ok(mut node) = start.try_run() {
            assert!(node.ended().is_some(), "a node outlives its kill");
        }
    });
}

#[test]
fn a_second_process_beside_a_loaded_one_is_refused_and_touches_nothing() {
    let mut bench = Bench::new(23, |start| start);
    let second = bench.start.clone();
    let outcome = bench.serve().and_then(|mut node| {
        bench.crew.drive(&mut node, |node, progress| {
            for _ in 0..3 {
                demand(progress.advances_by(100), "progress", || node.stderr())?;
                let said = second.refusal();
                let clear = said.contains("in use by another process");
                demand(clear, "sentence", || said)?;
                count("limits", 1);
            }
            demand(node.runs(), "goes on", || node.stderr())
        })
    });
    held(outcome);
    held(bench.close());
}
