//! Clocks that jump, stand still and step back, over restarts and under load: a start that cannot
//! be true is refused with the way out, and tokens and expiries are never wrong.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::canaries::CANARY;
use crate::faults::{Knobs as _, busy_log, count};
use crate::node::{Node, PATIENCE, Start, poll};
use crate::resp::{Reply, Resp};
use crate::skip;

/// Where distributions put the library that shifts a clock.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// A directory and the clock that its nodes are shown.
struct Shifted {
    folder: TempDir,
    library: PathBuf,
    /// The deliberate bug of the nodes, if they are to have one.
    bug: Option<&'static str>,
}

impl Shifted {
    fn new() -> Option<Self> {
        let library = LIBRARIES.iter().map(Path::new).find(|path| path.is_file());
        let Some(library) = library else {
            skip::note("shifted clocks", "libfaketime is missing");
            return None;
        };
        let folder = TempDir::new().expect("a temporary directory");
        Some(Self { folder, library: library.to_path_buf(), bug: None })
    }

    /// Shows `clock` from now on, to a node that runs too: `+1h`, or `@...` with a factor.
    fn show(&self, clock: &str) {
        let (file, next) = (self.clock(), self.folder.path().join("next"));
        // A whole file takes the place of the other, so that no half of it is read.
        fs::write(&next, format!("{clock}\n")).expect("the directory takes a file");
        fs::rename(&next, &file).expect("a file takes another's place");
        count("clock_shifts", 1);
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// A node with the shown clock; only the wall clock is shifted.
    fn start(&self) -> Start {
        let start = self.shifted();
        match self.bug {
            Some(bug) => start.program(&CANARY).variable("QUIPU_CANARY", bug),
            None => start,
        }
    }

    fn shifted(&self) -> Start {
        busy_log(&self.folder.path().join("data"))
            .knob("token.window", "3h")
            .variable("LD_PRELOAD", &self.library)
            .variable("FAKETIME_TIMESTAMP_FILE", self.clock())
            .variable("FAKETIME_NO_CACHE", "1")
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .variable("DONT_FAKE_MONOTONIC", "1")
    }

    /// Starts with a clock that cannot be true: refused with the way out, which works.
    fn refused_unless_accepted(&self) -> Node {
        let said = self.start().refusal();
        let clear = said.contains("--accept-clock") && said.contains("wall clock");
        assert!(clear && !said.contains("panicked"), "{said}");
        self.start().variable("QUIPU_CLOCK_ACCEPT", "true").run()
    }
}

fn value(socket: &mut Resp, line: &str) -> (Option<i64>, Option<String>) {
    let reply = socket.call(line);
    let first = reply.items().first().and_then(Reply::int);
    (first, reply.items().last().and_then(Reply::text).map(str::to_owned))
}

/// Makes a tokened count, a counter that expires in two hours, and one that stays.
fn furnish(node: &Node) {
    let mut socket = node.resp();
    assert_eq!(value(&mut socket, "QUIPU.ADD tokened 5 TOKEN t").0, Some(5));
    for line in ["QUIPU.ADD hours 1 EX 7200", "QUIPU.ADD minutes 1 EX 600", "INCR stays"] {
        let reply = socket.call(line);
        assert!(reply.error().is_none(), "{line}: {reply:?}");
    }
}

/// Demands that the token answers as before and counts nothing.
fn token_holds(node: &Node) {
    let again = value(&mut node.resp(), "QUIPU.ADD tokened 5 TOKEN t");
    assert_eq!(again, (Some(5), Some("token".to_owned())), "within its window");
}

fn ttl(node: &Node, name: &str) -> i64 {
    node.resp().call(&format!("TTL {name}")).int().expect("a time to live")
}

fn end(mut node: Node) {
    node.terminate();
    let status = node.ended();
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", node.stderr());
}

#[test]
fn an_hour_later_tokens_hold_and_only_what_is_due_has_expired() {
    let Some(shifted) = Shifted::new() else { return };
    shifted.show("+0");
    let node = shifted.start().run();
    furnish(&node);
    end(node);
    shifted.show("+1h");
    let node = shifted.start().run();
    token_holds(&node);
    assert!((3500..=3600).contains(&ttl(&node, "hours")), "{}", ttl(&node, "hours"));
    assert!(node.resp().call("GET minutes").is_null(), "ten minutes have passed");
    assert_eq!(node.resp().call("INCR stays").int(), Some(2));
    end(node);
    // Back to the true time: an hour behind the log.
    shifted.show("+0");
    let node = shifted.refused_unless_accepted();
    token_holds(&node);
    assert!(
        (3500..=3600).contains(&ttl(&node, "hours")),
        "no time has passed: {}",
        ttl(&node, "hours")
    );
    assert_eq!(node.resp().call("INCR stays").int(), Some(3));
}

#[test]
fn a_clock_that_stepped_back_over_a_restart_is_refused_and_a_small_step_is_not_seen() {
    let Some(shifted) = Shifted::new() else { return };
    step_back(&shifted);
}

fn step_back(shifted: &Shifted) {
    shifted.show("+0");
    let node = shifted.start().run();
    furnish(&node);
    end(node);
    shifted.show("-2m");
    let node = shifted.start().run();
    token_holds(&node);
    let left = ttl(&node, "hours");
    assert!((7000..=7200).contains(&left), "two minutes back: {left}");
    end(node);
    shifted.show("-1h");
    let node = shifted.refused_unless_accepted();
    token_holds(&node);
    let left = ttl(&node, "hours");
    assert!((7000..=7200).contains(&left), "no time has passed: {left}");
    assert_eq!(node.resp().call("GET minutes").int(), Some(1), "it has not expired yet");
}

#[test]
fn a_year_later_a_start_is_refused_and_an_old_dated_token_counts_nothing() {
    let Some(shifted) = Shifted::new() else { return };
    shifted.show("+0");
    let node = shifted.start().run();
    furnish(&node);
    let dated = dated_token();
    let add = format!("QUIPU.ADD dated 1 TOKEN {dated}");
    assert_eq!(value(&mut node.resp(), &add).0, Some(1));
    end(node);
    shifted.show("+1y");
    let node = shifted.refused_unless_accepted();
    let late = node.resp().call(&add);
    assert!(late.fails_with("EXPIRED"), "{late:?}");
    assert_eq!(node.resp().call("GET dated").int(), Some(1), "it counted no second time");
    assert!(node.resp().call("GET hours").is_null(), "two hours have passed");
    assert_eq!(node.resp().call("GET stays").int(), Some(1));
    end(node);
    shifted.show("+0");
    let node = shifted.refused_unless_accepted();
    let late = node.resp().call(&add);
    assert!(late.fails_with("EXPIRED"), "the log knows that a year has passed: {late:?}");
}

/// A UUID of version 7 of this moment.
fn dated_token() -> String {
    let ms = crate::faults::crew::wall().as_millis();
    let text = format!("{ms:012x}");
    let (high, low) = text.split_at(8);
    format!("{high}-{low}-7000-8000-000000000001")
}

#[test]
fn a_frozen_clock_does_not_stop_log_time() {
    let Some(shifted) = Shifted::new() else { return };
    shifted.show("2026-01-01 00:00:00");
    let node = shifted.start().run();
    furnish(&node);
    let brief = node.resp().call("QUIPU.ADD brief 1 PX 300");
    assert!(brief.error().is_none(), "{brief:?}");
    let gone = poll(PATIENCE, || node.resp().call("GET brief").is_null().then_some(()));
    assert!(gone.is_some(), "time stands still with the wall clock");
    token_holds(&node);
    end(node);
    let node = shifted.start().run();
    token_holds(&node);
    assert!((7000..=7200).contains(&ttl(&node, "hours")), "{}", ttl(&node, "hours"));
}

#[test]
fn jumps_under_load_are_reported_and_change_no_token_and_no_expiry() {
    let Some(shifted) = Shifted::new() else { return };
    jump(&shifted);
}

fn jump(shifted: &Shifted) {
    shifted.show("+0");
    let node = shifted.start().run();
    furnish(&node);
    let mut counted = 0;
    for clock in ["+1h", "-1h", "+1y", "-1y", "+0"] {
        shifted.show(clock);
        for _ in 0..50 {
            counted += 1;
            assert_eq!(node.resp().call("INCR loaded").int(), Some(counted), "{clock}");
        }
        token_holds(&node);
        assert!((7000..=7200).contains(&ttl(&node, "hours")), "{clock}: {}", ttl(&node, "hours"));
        assert_eq!(node.resp().call("GET minutes").int(), Some(1), "{clock}");
        if clock == "+1h" {
            let said = poll(PATIENCE, || node.stderr().contains("a minute apart").then_some(()));
            assert!(
                said.is_some(),
                "the shim shifts nothing, or nobody says so: {}",
                node.stderr()
            );
        }
    }
    end(node);
    let node = shifted.start().run();
    token_holds(&node);
    assert_eq!(node.resp().call("GET loaded").int(), Some(counted));
}

/// The checks above catch what they are there for.
#[test]
fn builds_whose_log_time_follows_the_wall_clock_are_caught() {
    let check = |bug, check: fn(&Shifted), expected: &str| {
        let Some(shifted) = Shifted::new() else { return };
        let shifted = Shifted { bug: Some(bug), ..shifted };
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&shifted)));
        let said = outcome.expect_err("the check does not catch its canary");
        let said = said.downcast_ref::<String>().expect("an assertion has a text");
        assert!(said.contains(expected), "{bug} is caught for another reason: {said}");
    };
    check("log_time_jumps", jump, "+1h");
    check("log_time_steps_back", step_back, "two minutes back");
}
