//! A finding that was made up, for the tests of everything that reads one. Its names are hostile.

use crate::conservation::Books;
use crate::failure::Failure;
use crate::finding::{
    Environment, Finding, Generator, PhaseFinding, Plan, Promise, Span, Thread, VERSION,
};
use crate::recording::{Recording, Sample};
use crate::settle::Settlement;
use crate::slo::{Judgement, Outcome};
use crate::validity::{Limits, Observed, Validity};
use crate::window::{WINDOW_NS, Window, WindowSum};

/// A name that breaks what does not escape it.
pub(crate) const HOSTILE: &str = "<img src=x>, \"b\" & c";

/// Windows of the phases: a second each.
const WINDOWS: [(u16, u64); 6] = [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (1, 5)];

/// Requests of one window.
const PER_WINDOW: u64 = 1_500;

/// Returns a finding of a warm-up of two seconds and a phase of four, of which some failed.
pub(crate) fn finding() -> Finding {
    let mut recordings = [Recording::default(), Recording::default()];
    let mut windows = Vec::new();
    for (phase, second) in WINDOWS {
        let recording = recorded(second);
        recordings[usize::from(phase)].merge(&recording);
        let start_ns = second * WINDOW_NS;
        let in_flight_ns = 3 * u128::from(WINDOW_NS);
        let sum =
            WindowSum { phase, start_ns, len_ns: WINDOW_NS, in_flight_ns, backlog_max: second };
        windows.push(Window::new(&sum, &recording));
    }
    let [warmup, main] = recordings;
    let span = |name: &str, is_recorded, start_s: u64, end_s: u64| Span {
        name: name.to_owned(),
        is_recorded,
        start_ns: start_s * WINDOW_NS,
        end_ns: end_s * WINDOW_NS,
        active_ns: (end_s - start_s) * WINDOW_NS,
    };
    Finding {
        version: VERSION,
        plan: plan(),
        environment: Environment { cpu_model: HOSTILE.to_owned(), ..Environment::default() },
        generator: Generator { threads: vec![Thread::default()], ..Generator::default() },
        server: None,
        started: "2026-11-30T04:48:44.574Z".to_owned(),
        lasted_ns: 6 * WINDOW_NS,
        stopped: false,
        validity: Validity::judge(&Observed::default(), &Limits::default()),
        promises: [Outcome::Pass, Outcome::Fail, Outcome::Unknown].map(promise).to_vec(),
        conservation: Some(conservation()),
        accuracy: None,
        phases: vec![
            PhaseFinding::new(span("warmup", false, 0, 2), &warmup),
            PhaseFinding::new(span(HOSTILE, true, 2, 6), &main),
        ],
        total: PhaseFinding::new(span("total", true, 2, 6), &main),
        windows,
    }
}

fn plan() -> Plan {
    Plan {
        name: HOSTILE.to_owned(),
        seed: 42,
        target: "redis://127.0.0.1:6379".to_owned(),
        is_closed: false,
        arrival: "evenly spaced".to_owned(),
        connections: 8,
        pipeline: 1,
        in_flight_max: 8,
        timeout_ns: 1_000_000_000,
    }
}

/// Response times from 20 us to about 3 ms, with a stall of some hundred in the fourth second.
fn recorded(second: u64) -> Recording {
    let mut recording = Recording::default();
    for n in 0..PER_WINDOW {
        let drawn_ns = 20_000 + (n * n * 7_919 + second * 104_729) % 2_999_999;
        let stall_ns = if second == 3 && n < 300 { (300 - n) * 2_000_000 } else { 0 };
        let lag_ns = stall_ns + n % 97 * 300;
        let sample = Sample { response_ns: drawn_ns + lag_ns, service_ns: drawn_ns, lag_ns };
        recording.counts.planned += 1;
        recording.counts.sent += 1;
        if n % 500 == 499 {
            recording.failed(Failure::Timeout, sample);
        } else {
            recording.ok(sample);
        }
    }
    recording
}

fn promise(outcome: Outcome) -> Promise {
    let reason = (outcome == Outcome::Unknown).then(|| format!("nobody knows {HOSTILE}"));
    let (check, left, right) = ("response.p99 <= 20ms", "31.2ms", "20ms");
    let [check, left, right] = [check, left, right].map(str::to_owned);
    let judgement = Judgement { check, outcome, left, right, reason };
    Promise { phase: (outcome == Outcome::Fail).then(|| HOSTILE.to_owned()), judgement }
}

fn conservation() -> crate::conservation::Conservation {
    let mut books = Books::new(2);
    for key in [0, 1] {
        books.sent(key, 5);
        books.acknowledged(key, 5);
    }
    let settlement = Settlement { retried: 3, settled: 2, unsettled: 1, ..Settlement::default() };
    books.compare([5, 6].into_iter(), |key| format!("{HOSTILE}{key}")).with(settlement)
}
