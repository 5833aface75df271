//! The loop against a target of TLS and HTTP/2 that says a few bytes at a time: whatever the cut, no
//! wake-up is missed. Nothing waits here: both sides take their turns, and time out never.

mod target;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, sync_channel};

use quipu_lab::recording::Recording;
use quipu_lab::request::{Requests, Run};
use quipu_lab::scenario::{Late, Pacing, Scenario, Tls};
use quipu_lab::schedule::Schedule;
use rustls::version::{TLS12, TLS13};

use crate::driver::http2::Http2;
use crate::driver::http2::encode::Fields;
use crate::link::Endpoint;
use crate::notes::{Channels, Handover, Notes};
use crate::source::Source;
use crate::thread::tests::target::{Leave, Manners, Mood, Target};
use crate::thread::{Lane, Lap, Plan};
use crate::tls::Trust;

/// Requests of a run.
const REQUESTS: u64 = 36;
const CONNECTIONS: u32 = 3;
const STREAMS: u32 = 4;
/// Turns in which nothing moved, after which it never will: half a second, where the longest wait
/// before a connection is tried again is a quarter of one.
const IDLE_TURNS_MAX: u32 = 100_000;

/// A target that leaves each connection in order after some requests.
const CALM: Manners = Manners {
    version: &TLS13,
    piece: 1 << 20,
    record_bytes: 16_384,
    requests_max: 3,
    leave: Leave::GoAway,
    body_bytes: 5,
    streams_max: 100,
    is_early: false,
    first: (Mood::Willing, 0),
};

/// Bytes that a target reads and writes at once.
const PIECES: [usize; 5] = [1, 13, 100, 5_000, CALM.piece];

/// How requests are sent.
#[derive(Clone, Copy)]
struct Ways {
    body_bytes: usize,
    uses_max: u64,
    timeout_ns: u64,
}

/// Short ones on connections that are kept, which are never given up.
const KEPT: Ways = Ways { body_bytes: 1, uses_max: u64::MAX, timeout_ns: u64::MAX >> 1 };

fn lane(address: SocketAddr, ways: Ways) -> (Lane<Http2>, Receiver<Handover>) {
    let (body, rate) = ("x".repeat(ways.body_bytes), REQUESTS * 1_000);
    let text = format!(
        "version = 1\nname = \"test\"\n[target]\nkind = \"http\"\nversion = \"2\"\n\
         url = \"https://localhost:1/a\"\nmethod = \"POST\"\nbody = \"{body}\"\n\
         [[phase]]\nname = \"main\"\nrate = {rate}\nfor = \"1ms\"\n",
    );
    let scenario = Scenario::parse(&text, None, &|_| Err(String::new())).expect("a scenario");
    let schedule = Schedule::of(&scenario);
    let requests = Requests::new(&scenario, Run { id: 1, start_wall_ms: 0 });
    let fields = Arc::new(Fields::new(&requests, "localhost:1", true));
    let tls = Tls { insecure: true, ..Tls::default() };
    let trust = Trust::new(&tls, "localhost", &["h2"]).expect("a name");
    let plan = Plan {
        endpoint: Endpoint { address, trust: Some(trust) },
        late: Late::Queue,
        pacing: Pacing::Precise,
        fills: false,
        in_flight_max: u64::MAX,
        uses_max: ways.uses_max,
        timeout_ns: ways.timeout_ns,
        end_ns: schedule.duration_ns(),
        recorded: vec![true],
        first: 0,
        seed: 1,
        stop: Arc::new(AtomicBool::new(false)),
    };
    // As many handovers as a test can make: nobody takes them meanwhile.
    let (to_collector, handovers) = sync_channel(1_024);
    let (_, emptied) = sync_channel(1);
    let channels = Channels { to_collector, emptied };
    let notes = Notes::new(0, vec![(0, schedule.duration_ns())], channels, None);
    let driver = |_| Http2::new(requests.clone(), Arc::clone(&fields), STREAMS);
    let source = Source::new(&scenario, &schedule, 0, 1);
    let lane = Lane::new(plan, source, notes, (0..CONNECTIONS).map(driver).collect());
    (lane.expect("files"), handovers)
}

/// What came of a run.
struct Came {
    accepted: u32,
    ok: u64,
    failures: Vec<(String, u64)>,
    lap: Lap,
}

/// Lets both sides take a turn, and says whether the target's bytes moved.
fn turn(lane: &mut Lane<Http2>, target: &mut Target) -> bool {
    lane.send_due(lane.clock.now_ns());
    lane.flush_dirty();
    lane.look();
    lane.receive();
    lane.chores();
    target.turn()
}

/// Runs to the end, in which every request is told; panics where nothing moves any more.
fn run(manners: &Manners, ways: Ways) -> Came {
    let mut target = Target::new(manners.clone());
    let (mut lane, handovers) = lane(target.address(), ways);
    let (mut idle_turns, mut seen) = (0, 0);
    loop {
        let has_moved = turn(&mut lane, &mut target);
        let in_flight = lane.notes.in_flight();
        if in_flight == 0 && lane.source.peek(0, u64::MAX).is_none() {
            break;
        }
        let has_moved = has_moved | (std::mem::replace(&mut seen, in_flight) != in_flight);
        idle_turns = if has_moved { 0 } else { idle_turns + 1 };
        assert!(idle_turns < IDLE_TURNS_MAX, "{in_flight} requests wait for ever: {manners:?}");
    }
    let lap = lane.finish().lap;
    let mut all = Recording::default();
    for part in handovers.try_iter().flat_map(|handover| handover.parts) {
        all.merge(&part.recording);
    }
    let failures = all.failures.iter().map(|(class, failed)| (class.to_string(), failed.len()));
    let failures: Vec<_> = failures.collect();
    let failed: u64 = failures.iter().map(|(_, count)| count).sum();
    assert_eq!(all.counts.ok + failed, REQUESTS, "{failures:?}: {manners:?}");
    Came { accepted: target.accepted, ok: all.counts.ok, failures, lap }
}

/// Checks that each request is answered, or failed because the target left.
fn check(manners: &Manners, ways: Ways) -> Came {
    let came = run(manners, ways);
    let is_known = |class: &str| ["goaway", "closed", "write"].contains(&class);
    let known = came.failures.iter().all(|(class, _)| is_known(class));
    assert!(known, "{:?}: {manners:?}", came.failures);
    assert!(came.accepted > CONNECTIONS, "connections are made again");
    came
}

#[test]
fn a_target_that_leaves_in_order_loses_nothing_untold() {
    for leave in [Leave::GoAway, Leave::Notice] {
        for piece in PIECES {
            check(&Manners { piece, leave, ..CALM }, KEPT);
        }
        check(&Manners { version: &TLS12, leave, ..CALM }, KEPT);
    }
}

#[test]
fn a_target_that_leaves_without_a_word_is_noticed() {
    for leave in [Leave::Close, Leave::HalfClose, Leave::Goodbye, Leave::Cut] {
        for piece in [1, CALM.piece] {
            check(&Manners { piece, leave, ..CALM }, KEPT);
        }
    }
}

#[test]
fn a_goodbye_in_the_same_read_as_an_answer_is_noticed() {
    let manners = Manners { leave: Leave::Goodbye, requests_max: 1, ..CALM };
    check(&manners, KEPT);
}

#[test]
fn what_comes_with_the_end_of_a_handshake_is_read() {
    let first = (Mood::Refusing, CONNECTIONS);
    for version in [&TLS13, &TLS12] {
        for piece in [1, CALM.piece] {
            let manners = Manners { version, piece, is_early: true, first, ..CALM };
            for uses_max in [1, u64::MAX] {
                check(&manners, Ways { uses_max, ..KEPT });
            }
        }
    }
}

#[test]
fn long_bodies_pass_in_both_directions() {
    for (piece, record_bytes) in [(3_000, 16_384), (CALM.piece, 600), (CALM.piece, 16_384)] {
        let manners = Manners { piece, record_bytes, body_bytes: 200_000, ..CALM };
        check(&manners, Ways { body_bytes: 100_000, ..KEPT });
    }
}

#[test]
fn a_target_of_one_stream_at_once_is_kept_to() {
    for piece in [13, CALM.piece] {
        check(&Manners { piece, streams_max: 1, ..CALM }, KEPT);
    }
}

#[test]
fn a_connection_on_which_nothing_comes_is_made_again() {
    let manners = Manners { first: (Mood::Mute, CONNECTIONS), ..CALM };
    // On a machine that is busy for so long a connection may not even be made in time.
    let came = run(&manners, Ways { timeout_ns: 200_000_000, ..KEPT });
    assert!(came.lap.silent + came.lap.unmade >= u64::from(CONNECTIONS), "all of them are told");
    assert!(came.ok > 0, "what follows is answered: {:?}", came.failures);
}

#[test]
fn what_is_under_way_at_the_end_is_told() {
    let mut target = Target::new(Manners { first: (Mood::Mute, CONNECTIONS), ..CALM });
    let (mut lane, _handovers) = lane(target.address(), KEPT);
    let room = u64::from(CONNECTIONS * STREAMS);
    let mut turns = (0..IDLE_TURNS_MAX).map(|_| {
        turn(&mut lane, &mut target);
        lane.notes.in_flight()
    });
    assert!(turns.any(|in_flight| in_flight == room), "all that there is room for is sent");
    assert_eq!(lane.finish().lap.cut_off, room);
}
