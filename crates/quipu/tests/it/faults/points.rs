//! Death at every named place: a build that kills itself there, under load, at a start or at an
//! end; then the shipped build on what is left, with exact books. A place that is never reached is
//! a failure.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use crate::canaries::CANARY;
use crate::faults::calls::Bench;
use crate::faults::crew::Progress;
use crate::faults::{Knobs as _, count, share};
use crate::node::{Node, Start};
use crate::resp::encode_line;
use crate::{Violation, demand};

/// How long a life under load may take until it dies at its place. Guess: the rarest place is met
/// within the third fold, some seconds on a slow disk.
const LIFE_MAX: Duration = Duration::from_secs(30);

/// New counters of one helping: more than the least memory of a fold takes without spilling.
const HELPING: usize = 2000;

/// Crashes after which a start must have met its place. Guess: most meet it at once.
const CRASHES_MAX: usize = 4;

/// Places of one directory. Tokens are kept, so that starts and folds of one that has seen many
/// lives take long.
const PLACES_EACH: usize = 6;

/// Which lives lead to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The first start of a directory.
    NewStore,
    /// A start after a kill.
    Start,
    /// A start after a kill in the midst of the preparation of a segment.
    StartAfterPreparing,
    /// Load.
    Load,
    /// SIGTERM under load.
    End,
}

fn way(place: &str) -> Way {
    match place {
        "recover_swept" => Way::StartAfterPreparing,
        _ if place.starts_with("store_") => Way::NewStore,
        _ if place.starts_with("recover_") || place.starts_with("epoch_") => Way::Start,
        // A log is marked when writing pauses, which it does at the end.
        _ if place.starts_with("shutdown_") || place.starts_with("mark_") => Way::End,
        _ => Way::Load,
    }
}

/// Returns the names of all places, from the mouth of the binary.
fn places() -> Vec<String> {
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let start = crate::node::start(&folder.path().join("data")).program(&CANARY);
    let said = start.variable("QUIPU_FAILPOINT", "nowhere").refusal();
    let (_, list) = said.split_once("there are ").expect("the refusal lists the places");
    let names = list.lines().next().unwrap_or_default().split(", ");
    names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

fn bench(seed: u64) -> Bench {
    Bench::new(seed, |start| start.knob("fold.memory", "64KiB"))
}

/// Returns the start that dies when `place` is reached for the `nth` time.
fn armed(bench: &Bench, place: &str, nth: usize) -> Start {
    let trap = format!("{place}:{nth}");
    bench.start.clone().program(&CANARY).variable("QUIPU_FAILPOINT", trap)
}

/// Dies at a place once, and demands exact books afterwards.
fn die_at(bench: &mut Bench, place: &str, nth: usize) -> Result<(), Violation> {
    let way = way(place);
    let mut reached = live(bench, place, nth, way);
    for _ in 0..CRASHES_MAX {
        if reached.is_ok() {
            break;
        }
        // Not every crash leaves what this place is there for.
        crash(bench, way)?;
        reached = live(bench, place, nth, way);
    }
    reached?;
    count("failpoint_kills", 1);
    let mut node = bench.serve()?;
    node.kill();
    drop(node);
    Ok(())
}

/// Leaves a directory as a kill under load does, or one in the midst of a preparation.
fn crash(bench: &mut Bench, way: Way) -> Result<(), Violation> {
    let mut node = bench.serve()?;
    bench.crew.drive(&mut node, |node, progress| {
        demand(progress.advances_by(200), "progress", || node.stderr())
    })?;
    drop(node);
    match way {
        Way::StartAfterPreparing => live(bench, "prepare_zeroed", 1, Way::Load),
        _ => Ok(()),
    }
}

/// One life of the armed build, which must end at its place.
fn live(bench: &mut Bench, place: &str, nth: usize, way: Way) -> Result<(), Violation> {
    let start = armed(bench, place, nth);
    let mut node = match start.try_run() {
        Ok(node) => node,
        Err(said) => {
            // A death says nothing; a refusal would.
            let dead = said.contains("stdout closed") && !said.contains("error");
            return demand(dead, "death", || format!("{place}: {said}"));
        }
    };
    demand(matches!(way, Way::Load | Way::End), "reached", || format!("{place}: the node serves"))?;
    let status = bench.crew.drive(&mut node, |node, progress| {
        if way == Way::End {
            demand(progress.advances_by(50), "progress", || node.stderr())?;
            node.terminate();
        } else {
            load_until_death(node, progress);
        }
        Ok(node.ended())
    })?;
    let killed = status.is_some_and(|status| status.signal() == Some(9));
    demand(killed, "reached", || format!("{place}: {status:?}: {}", node.stderr()))
}

/// Adds what the clients of the books do not: many counters, checkpoints.
fn load_until_death(node: &mut Node, progress: &Progress) {
    let begin = Instant::now();
    let mut round = 0;
    while node.runs() && begin.elapsed() < LIFE_MAX {
        let Ok(mut socket) = crate::resp::Resp::try_tcp(node.address("resp")) else { return };
        round += 1;
        let add =
            |index| encode_line(&format!("QUIPU.ADD many-{:0>60}:{index} 1 ACK memory", round % 8));
        let helping: Vec<u8> = (0..HELPING).flat_map(add).collect();
        if socket.send(&helping).is_err()
            || (0..HELPING).any(|_| socket.receive().is_err())
            || socket.try_call("QUIPU.CHECKPOINT source-0 1").is_err()
            || !progress.advances_by(20)
        {
            return;
        }
    }
}

fn check(seed: u64, wanted: impl Fn(Way) -> bool) {
    let names: Vec<String> = places().into_iter().filter(|name| wanted(way(name))).collect();
    assert!(names.len() > 1, "the binary names no such places: {names:?}");
    let few = (0..share()).flat_map(|round| names.chunks(PLACES_EACH).map(move |few| (round, few)));
    for (index, (round, few)) in few.enumerate() {
        let mut bench = bench(seed + 100 * index as u64);
        held(bench.serve().map(drop), "the first start");
        for name in few {
            let nth = if way(name) == Way::Load { 1 + 3 * round } else { 1 };
            held(die_at(&mut bench, name, nth), &format!("{name}:{nth}"));
        }
        held(bench.close(), "the end");
    }
}

fn held(outcome: Result<(), Violation>, what: &str) {
    if let Err(violation) = outcome {
        panic!("{what}: {violation}");
    }
}

#[test]
fn a_death_at_any_place_of_a_start_loses_nothing() {
    check(10, |way| matches!(way, Way::Start | Way::StartAfterPreparing));
}

#[test]
fn a_death_at_any_place_under_load_or_at_the_end_loses_nothing() {
    check(11, |way| matches!(way, Way::Load | Way::End));
}

#[test]
fn a_death_while_a_store_is_made_leaves_a_directory_that_starts() {
    let names: Vec<String> = places().into_iter().filter(|name| way(name) != Way::End).collect();
    let new = names.iter().filter(|name| way(name) == Way::NewStore).count();
    assert!(new > 1, "the binary names no places of a new store: {names:?}");
    for name in names.iter().filter(|name| way(name) != Way::Load) {
        let mut bench = bench(12);
        // Not every place of a start is one of the first start.
        let reached = live(&mut bench, name, 1, Way::NewStore);
        assert!(reached.is_ok() || way(name) != Way::NewStore, "{name}: {reached:?}");
        held(bench.close(), name);
        count("failpoint_kills", u64::from(reached.is_ok()));
    }
}
