//! The clocks of the machine.

use std::time::Duration;

use crate::doctor::finding::Finding;
use crate::doctor::subject::{Drift, Subject, fact};

/// Clock sources that are read without leaving the program.
const QUICK: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"];

/// A wall clock that moves further than this against the clock of the boot has stepped. Spec: log
/// time is drawn by at most 1 %, and a measurement takes about a second.
const STEP_MS: i64 = 50;

/// Files this far in the future. Spec: what a start tolerates the clock to be behind the log.
const FUTURE: Duration = Duration::from_secs(300);

/// What the kernel reads time from.
pub(super) fn source(_: &Subject) -> Finding {
    let folder = "/sys/devices/system/clocksource/clocksource0";
    match fact(&format!("{folder}/current_clocksource")) {
        None => Finding::ok("the kernel does not say"),
        Some(name) if QUICK.contains(&name.as_str()) => Finding::ok(name),
        Some(name) => Finding::warn(
            format!("{name}: each reading is a call into the kernel, and slow"),
            "boot with clocksource=tsc where the processor allows it",
        ),
    }
}

/// Whether the wall clock steps, and whether it was ahead before.
pub(super) fn steps(subject: &Subject) -> Finding {
    let newest = subject.entries.iter().filter_map(|entry| entry.written).max();
    let ahead = newest.and_then(|written| written.duration_since(subject.now).ok());
    judge(subject.drift, ahead.unwrap_or_default())
}

fn judge(drift: Drift, ahead: Duration) -> Finding {
    let Drift { over, ahead_ms } = drift;
    let figure = format!("moved by {ahead_ms} ms against the boot in {} ms", over.as_millis());
    if ahead > FUTURE {
        return Finding::bad(
            format!("files were written {} s in the future", ahead.as_secs()),
            "set the clock; if it is right now, a start needs --accept-clock",
        );
    }
    if ahead_ms.abs() > STEP_MS {
        return Finding::warn(figure, "let the time service slew the clock and not step it");
    }
    Finding::ok(figure)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::judge;
    use crate::doctor::finding::State;
    use crate::doctor::subject::Drift;

    #[test]
    fn a_step_and_files_from_the_future_are_seen() {
        let check = |ahead_ms, future_s, expected| {
            let drift = Drift { over: Duration::from_secs(1), ahead_ms };
            let found = judge(drift, Duration::from_secs(future_s));
            assert_eq!(found.state, expected, "{found:?}");
        };
        check(1, 0, State::Ok);
        check(-80, 0, State::Warn);
        check(80, 10, State::Warn);
        check(0, 400, State::Bad);
    }
}
