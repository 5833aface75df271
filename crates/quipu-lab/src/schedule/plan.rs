//! A schedule as text: what will be asked, before it is.

use std::fmt::Write as _;

use stdx::units::Nanos;

use crate::scenario::{Late, Load, Model, Pacing, Phase, Process, Scenario, Shape};
use crate::schedule::{PlannedPhase, Schedule};
use crate::slo::{Amount, Dimension};

/// Returns what a scenario plans: totals, its phases, and how requests leave.
pub fn plan(scenario: &Scenario) -> String {
    let schedule = Schedule::of(scenario);
    let mut text = headline(scenario, &schedule);
    text.push('\n');
    let rows = scenario.phases.iter().zip(schedule.phases()).map(|(phase, planned)| {
        let what = if phase.record { "recorded" } else { "not recorded" };
        [
            phase.name.clone(),
            clock(planned.start_ns),
            clock(planned.end_ns - planned.start_ns),
            load(phase),
            events(scenario, planned),
            what.to_owned(),
        ]
    });
    let head = ["phase", "from", "for", "load", "events", ""].map(str::to_owned);
    text += &columns(std::iter::once(head).chain(rows).collect());
    text.push('\n');
    text += &manner(scenario);
    text += &promises(scenario);
    text
}

fn headline(scenario: &Scenario, schedule: &Schedule) -> String {
    let sum = |is_recorded: bool| {
        let phases = schedule.phases().iter().filter(|phase| phase.record == is_recorded);
        phases.fold((0, 0), |(slots, ns), phase| {
            (slots + phase.slots, ns + phase.end_ns - phase.start_ns)
        })
    };
    let ((slots, ns), (warmup, warmup_ns)) = (sum(true), sum(false));
    let mut text = format!("{}: ", scenario.name);
    if let Some(search) = &scenario.search {
        let _ = writeln!(
            text,
            "a search from {}/s, trials of {}, to within {}",
            count(search.from.per_second()),
            search.trial,
            Amount { value: search.precision, dimension: Dimension::Share }
        );
        return text;
    }
    match scenario.arrival.model {
        Model::Open => {
            let about = if scenario.arrival.process == Process::Poisson { "about " } else { "" };
            let _ = write!(text, "{about}{} events, {} recorded", count(slots as f64), clock(ns));
        }
        Model::Closed { .. } => {
            let _ = write!(text, "as many as are answered, {} recorded", clock(ns));
        }
    }
    if warmup_ns > 0 {
        let _ =
            write!(text, " + {} not recorded ({} events)", clock(warmup_ns), count(warmup as f64));
    }
    text.push('\n');
    text
}

/// The phases' events; in a closed loop nobody knows.
fn events(scenario: &Scenario, planned: &PlannedPhase) -> String {
    match scenario.arrival.model {
        Model::Open => count(planned.slots as f64),
        Model::Closed { .. } => "-".to_owned(),
    }
}

fn load(phase: &Phase) -> String {
    let rate = |rate: crate::scenario::Rate| format!("{}/s", count(rate.per_second()));
    let mut text = match phase.load {
        Load::Rate(constant) => rate(constant),
        Load::Users(users) => format!("{users} users"),
        Load::Ramp { from, to, shape } => {
            let way = match shape {
                Shape::Linear => "linear".to_owned(),
                Shape::Exponential => "exponential".to_owned(),
                Shape::Steps(steps) => format!("{steps} steps"),
            };
            format!("{} to {}, {way}", rate(from), rate(to))
        }
    };
    if let Some(repeat) = &phase.repeat {
        let between = rate(repeat.between);
        let (times, every, lasts) = (repeat.times, repeat.every, phase.lasts);
        let _ = write!(text, " for {lasts}, {times} times every {every}, {between} between");
    }
    text
}

fn manner(scenario: &Scenario) -> String {
    let arrival = &scenario.arrival;
    let target = &scenario.target;
    let places = format!("{} connections", target.connections);
    if let Model::Closed { .. } = arrival.model {
        return format!("closed loop over {places}: a throughput test, latency = service time\n");
    }
    let process = match arrival.process {
        Process::Uniform => "evenly spaced",
        Process::Poisson => "Poisson arrivals",
    };
    let pacing = match arrival.pacing {
        Pacing::Precise => "precise",
        Pacing::Balanced => "balanced",
        Pacing::Batch => "batch",
    };
    let late = match arrival.late {
        Late::Queue => "late ones queue".to_owned(),
        Late::Drop(after) => format!("late ones are missed after {after}"),
        Late::NoCatchUp => "late ones are missed".to_owned(),
    };
    let most = count(f64::from(scenario.in_flight_max()));
    format!(
        "open loop, {process}, pacing {pacing}, {late}; at most {most} in flight over {places}; seed {}\n",
        scenario.seed
    )
}

fn promises(scenario: &Scenario) -> String {
    let mut text = String::new();
    let searched = scenario.search.iter().flat_map(|search| &search.checks);
    for check in searched {
        let _ = writeln!(text, "each trial: {check}");
    }
    for slo in &scenario.slos {
        let phase = slo.phase.as_deref().unwrap_or("all recorded");
        let extent = scenario.extent(slo);
        for check in &slo.checks {
            let lacks = extent.lacks(&check.needs());
            let doubt = lacks.map(|lacks| format!(" (cannot be judged: there are {lacks})"));
            let _ = writeln!(text, "{phase}: {check}{}", doubt.unwrap_or_default());
        }
    }
    text
}

fn count(value: f64) -> String {
    Amount { value, dimension: Dimension::Count }.to_string()
}

/// A span as people read a clock: `8h00m00s`, `5m00s`, `30s`, `0s`; below a second with its unit.
fn clock(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    if !ns.is_multiple_of(1_000_000_000) {
        return Nanos(ns).approximate();
    }
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}

/// Lines of columns, each as wide as its widest cell.
fn columns<const N: usize>(rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] = std::array::from_fn(|at| {
        rows.iter().filter_map(|row| row.get(at)).map(String::len).max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plan;
    use crate::scenario::built_in;

    #[test]
    fn a_plan_says_what_will_be_asked() {
        let expected = "\
ramp: 9,300,000 events, 15m00s recorded + 30s not recorded (30,000 events)

phase   from    for     load                        events
warmup  0s      30s     1,000/s                     30,000     not recorded
ramp    30s     10m00s  1,000/s to 15,000/s, linear  4,800,000  recorded
hold    10m30s  5m00s   15,000/s                    4,500,000  recorded
";
        let found = plan(&built_in("ramp", "http://h").unwrap());
        let squeezed = |text: &str| {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        let (found_lines, expected): (Vec<String>, Vec<String>) =
            (squeezed(&found), squeezed(expected));
        assert_eq!(found_lines[..expected.len()], expected);
        for line in [
            "open loop, evenly spaced, pacing balanced, late ones queue; at most 900 in flight over \
             900 connections; seed 42",
            "hold: response.p99 <= 100ms",
            "all recorded: conserved",
        ] {
            assert!(found_lines.iter().any(|found| found == line), "{found}");
        }
    }

    #[test]
    fn every_built_in_scenario_has_a_plan() {
        let check = |name: &str, expected: &str| {
            let found = plan(&built_in(name, "redis://h").unwrap());
            assert!(found.contains(expected), "{found}");
        };
        check(
            "burst",
            "burst: 2,400,000 events, 5m00s recorded + 30s not recorded (60,000 events)",
        );
        check("soak", "soak: 86,400,000 events, 8h00m00s recorded + 1m00s not recorded");
        check("spike", "10,000/s for 5s, 5 times every 1m, 1,000/s between");
        check("step", "1,000/s to 10,000/s, 9 steps");
        check("capacity", "capacity: a search from 1,000/s, trials of 30s, to within 5%");
        check("capacity", "each trial: response.p99 <= 50ms");
        check("mix", "mix: about 240,000 events");
        check("mix", "Poisson arrivals");
    }
}
