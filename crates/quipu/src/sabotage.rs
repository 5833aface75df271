//! What a test build does to itself: one deliberate bug, and death at one named place.
//!
//! `QUIPU_CANARY=name` puts a bug in force. `QUIPU_FAILPOINT=name:nth` kills this process, by
//! SIGKILL, when it reaches the place for the nth time; `name` alone is the first time.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use quipu_server::canary;
use quipu_server::failpoint::{self, Point};
use rustix::process::{Signal, getpid, kill_process};

/// Where this process dies.
struct Trap {
    point: Point,
    /// How often the place is still passed alive.
    left: AtomicU64,
}

static TRAP: OnceLock<Trap> = OnceLock::new();

/// Arranges what the environment asks for.
///
/// # Errors
/// It names a bug or a place that there is not.
pub(crate) fn arrange() -> anyhow::Result<()> {
    if let Some(name) = variable("QUIPU_CANARY")
        && !canary::choose(&name)
        && !quipu_client::canary::choose(&name)
    {
        let ingest = quipu_client::canary::BUGS.iter().map(|(_, name)| *name);
        let known = list(canary::names().chain(ingest));
        bail!("QUIPU_CANARY={name}: there is no such bug; there are {known}");
    }
    let Some(text) = variable("QUIPU_FAILPOINT") else { return Ok(()) };
    let (point, nth) = parse(&text).with_context(|| format!("QUIPU_FAILPOINT={text}"))?;
    let trap = Trap { point, left: AtomicU64::new(nth.get() - 1) };
    if TRAP.set(trap).is_err() || !failpoint::hook(reached) {
        bail!("a process has one failpoint");
    }
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn parse(text: &str) -> anyhow::Result<(Point, NonZeroU64)> {
    let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
    let Some(point) = failpoint::named(name) else {
        bail!("there is no such place; there are {}", list(failpoint::names()));
    };
    let nth = nth.parse().context("after the colon stands how often it is reached, from 1 on")?;
    Ok((point, nth))
}

fn list(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn reached(point: Point) {
    let Some(trap) = TRAP.get().filter(|trap| trap.point == point) else { return };
    let pass = |left: u64| left.checked_sub(1);
    if trap.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pass).is_err() {
        // This thread does not return from it: the signal is delivered before the call ends.
        let _none = kill_process(getpid(), Signal::KILL).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use quipu_server::failpoint::Point;

    #[test]
    fn a_place_is_named_with_the_time_that_counts() {
        let check = |text, expected: Option<(Point, u64)>| {
            let found = parse(text).ok().map(|(point, nth)| (point, nth.get()));
            assert_eq!(found, expected, "{text}");
        };
        check("sync_done", Some((Point::SyncDone, 1)));
        check("sync_done:3", Some((Point::SyncDone, 3)));
        check("sync_done:0", None);
        check("sync_done:x", None);
        check("nowhere", None);
        let error = parse("nowhere").unwrap_err().to_string();
        assert!(error.contains("commit_known") && error.contains("frame_built"), "{error}");
    }
}
