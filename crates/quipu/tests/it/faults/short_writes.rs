//! Writes that take only a part of what they are given: the rest follows, and nobody notices.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::faults::calls::Bench;
use crate::faults::{count, share, strace};
use crate::{Violation, demand, tool};

/// Kills of a node whose writes are short.
const LIVES: usize = 3;

#[test]
fn writes_that_end_early_are_completed() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(compiler) = tool::find("cc") else { return };
    let shim = folder.path().join("short.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/short.c");
    let mut command = Command::new(compiler);
    tool::output_of(command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source));
    if strace::permitted() {
        assert!(shortens(&folder, &shim), "no write of the node went through the shim");
    }
    let mut bench = Bench::new(30, |start| start.variable("LD_PRELOAD", &shim));
    for _ in 0..LIVES * share() {
        if let Err(violation) = live(&mut bench) {
            panic!("{violation}");
        }
    }
    if let Err(violation) = bench.close() {
        panic!("{violation}");
    }
}

/// Says whether the writes of a start are cut short: a block that is written in two parts.
fn shortens(folder: &TempDir, shim: &Path) -> bool {
    let log = folder.path().join("strace.log");
    let start = crate::node::start(&folder.path().join("seen")).variable("LD_PRELOAD", shim);
    drop(strace::watched(&start, "pwrite64", &log).run());
    let text = fs::read_to_string(&log).expect("the tracer writes its log");
    // Frames and blocks are whole multiples of 4 KiB: what ends elsewhere was cut.
    let taken =
        text.lines().filter_map(|line| line.rsplit("= ").next()?.trim().parse::<u64>().ok());
    taken.filter(|taken| taken % 4096 != 0).count() > 4
}

fn live(bench: &mut Bench) -> Result<(), Violation> {
    let mut node = bench.serve()?;
    bench.crew.drive(&mut node, |node, progress| {
        let moves = progress.advances_by(1000);
        demand(moves && node.runs(), "goes on", || node.stderr())
    })?;
    count("faults_injected", 1);
    Ok(())
}
