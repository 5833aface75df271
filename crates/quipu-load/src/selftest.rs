//! A test of this generator against a target of which the truth is known.
//!
//! Nothing is special about the runs: they are scenarios, through the same [`run`] as any other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quipu_lab::accuracy::{Accuracy, Cost, Grid, Stall, grid_lag};
use quipu_lab::finding::Finding;
use quipu_lab::scenario::Scenario;
use quipu_lab::window::Percentiles;
use stdx::time::utc_text;
use stdx::units::Nanos;

use crate::clock::{Clock, wall_ms};
use crate::probe;
use crate::run::{Ask, RunError, run};
use crate::stall::{Seen, StallPlan, StallServer};

/// Requests per second while the target stalls: those of the reference measurements of other tools.
const STALL_RATE: u64 = 2_000;
/// Requests that may come besides those of the plan: the target is asked what it is.
const ARRIVALS_SPARE: usize = 64;

/// How long each part takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// How long the target stalls.
    pub stall: Nanos,
    /// The run in which it does, two thirds into it.
    pub stalled: Nanos,
    /// Each run that meets moments.
    pub grid: Nanos,
    /// Each closed loop.
    pub closed: Nanos,
}

impl Trial {
    /// A minute and a half: the stall of the reference measurements of other tools.
    pub const FULL: Self = Self {
        stall: Nanos::from_secs(1),
        stalled: Nanos::from_secs(30),
        grid: Nanos::from_secs(5),
        closed: Nanos::from_secs(3),
    };
    /// Ten seconds, the same formula: a tenth of the stall, so what disturbs weighs ten times.
    pub const QUICK: Self = Self {
        stall: Nanos::from_millis(100),
        stalled: Nanos::from_secs(3),
        grid: Nanos::from_secs(1),
        closed: Nanos::from_millis(500),
    };
}

/// Why a self-test found nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The built-in target did not start, or ended.
    #[error("the built-in target failed")]
    Target(#[from] io::Error),
    /// A run could not begin.
    #[error("a run could not begin")]
    Run(#[from] RunError),
    /// It was stopped before its end.
    #[error("stopped before the end")]
    Stopped,
}

/// Runs the self-test; `tell` hears what is being measured.
///
/// # Errors
/// The machine gives no sockets or threads, or `stop` was set.
pub fn selftest(
    trial: Trial,
    stop: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(&str),
) -> Result<Accuracy, SelfTestError> {
    let bench = Bench { trial, stop };
    let started = utc_text(wall_ms());
    let (clock, before) = (Clock::starting_in(0), probe::Counters::read());
    let mut stalls = Vec::new();
    for protocol in STALLED {
        tell(&format!("a stall of {} in {} over {protocol}", trial.stall, trial.stalled));
        stalls.push(bench.stall(protocol)?);
    }
    let mut grids = Vec::new();
    for (rate_per_s, pacing) in [(10_000, "precise"), (20_000, "balanced")] {
        tell(&format!("{rate_per_s}/s, pacing {pacing}, for {}", trial.grid));
        grids.push(bench.grid(rate_per_s, pacing)?);
    }
    // Closed loops load the machine by themselves, so what disturbs is read before them.
    let machine = before.until(&probe::Counters::read(), clock.now_ns());
    tell("closed loops");
    let costs = COSTS.into_iter().map(|cost| bench.cost(cost)).collect::<Result<_, _>>()?;
    let environment = crate::environment::machine();
    Ok(Accuracy { started, environment, machine, stalls, grids, costs })
}

/// How targets are spoken to while they stall. RESP has room for all requests of a stall, so all of
/// them wait at the target. HTTP/1.1 has few connections, so nearly all of them wait at the generator:
/// what counts from the write is then far from the truth.
const STALLED: [&str; 2] = ["resp", "http"];

/// The closed loops: what they are called, their target, and how many users there are.
const COSTS: [(&str, &str, u32); 3] =
    [("http", HTTP_50, 50), ("resp, pipeline 1", RESP_1, 50), ("resp, pipeline 16", RESP_16, 800)];
const HTTP_16: &str = "kind = \"http\"\nconnections = 16";
const HTTP_50: &str = "kind = \"http\"\nconnections = 50";
const RESP_1: &str = "kind = \"resp\"\ncommand = \"PING\"\nconnections = 50\npipeline = 1";
const RESP_16: &str = "kind = \"resp\"\ncommand = \"PING\"\nconnections = 50\npipeline = 16";
const RESP_64: &str = "kind = \"resp\"\ncommand = \"PING\"\nconnections = 50\npipeline = 64";

struct Bench<'a> {
    trial: Trial,
    stop: &'a Arc<AtomicBool>,
}

impl Bench<'_> {
    fn stall(&self, protocol: &str) -> Result<Stall, SelfTestError> {
        let Trial { stall, stalled, .. } = self.trial;
        let target = if protocol == "http" { HTTP_16 } else { RESP_64 };
        let arrival = "model = \"open\"\npacing = \"precise\"";
        let phase = format!("rate = {STALL_RATE}\nfor = \"{stalled}\"");
        let plan = StallPlan { after: Nanos(stalled.0 / 3 * 2), lasting: stall };
        let (finding, seen) = self.run(&[target, arrival, &phase], Some(plan), 0)?;
        let total = &finding.total;
        Ok(Stall {
            protocol: protocol.to_owned(),
            rate_per_s: STALL_RATE,
            run_ns: stalled.0,
            stall_ns: seen.stall_ns,
            reported_p99_ns: total.response.percentiles.p99_ns,
            service_p99_ns: total.service.percentiles.p99_ns,
            lost: total.counts.failed + total.counts.missed,
        })
    }

    fn grid(&self, rate_per_s: u64, pacing: &str) -> Result<Grid, SelfTestError> {
        let arrival = format!("model = \"open\"\npacing = \"{pacing}\"");
        let phase = format!("rate = {rate_per_s}\nfor = \"{}\"", self.trial.grid);
        let planned = (rate_per_s as f64 * self.trial.grid.as_secs_f64()) as usize;
        let room = planned + ARRIVALS_SPARE;
        let (finding, seen) = self.run(&[RESP_16, &arrival, &phase], None, room)?;
        let arrivals = seen.arrivals_ns.get(seen.arrivals_ns.len().saturating_sub(planned)..);
        let lag = grid_lag(arrivals.unwrap_or_default(), 1e9 / rate_per_s as f64);
        Ok(Grid {
            rate_per_s,
            pacing: pacing.to_owned(),
            reported: finding.total.lag.percentiles,
            seen: Percentiles::of(&lag),
            busy_ratio: finding.generator.threads.iter().map(|thread| thread.busy_ratio).sum(),
            cpu_ns_per_request: finding.generator.cpu_ns_per_request,
            verdict: finding.validity.verdict.to_string(),
        })
    }

    fn cost(&self, (what, target, users): (&str, &str, u32)) -> Result<Cost, SelfTestError> {
        let arrival = format!("model = \"closed\"\nusers = {users}");
        let phase = format!("for = \"{}\"", self.trial.closed);
        let (finding, _) = self.run(&[target, &arrival, &phase], None, 0)?;
        let cpu_ns_per_request = finding.generator.cpu_ns_per_request;
        Ok(Cost { what: what.to_owned(), cpu_ns_per_request })
    }

    /// Runs a scenario of these three parts against a target of its own.
    fn run(
        &self,
        parts: &[&str; 3],
        plan: Option<StallPlan>,
        arrivals_max: usize,
    ) -> Result<(Finding, Seen), SelfTestError> {
        let target = StallServer::start(0, plan, arrivals_max)?;
        let ask = Ask {
            scenario: scenario(parts, target.address()),
            threads: 1,
            is_realtime: false,
            id: 0,
        };
        let finding = run(&ask, self.stop, &mut |_| {});
        let seen = target.finish()?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(SelfTestError::Stopped);
        }
        Ok((finding?, seen))
    }
}

fn scenario([target, arrival, phase]: &[&str; 3], address: SocketAddr) -> Scenario {
    let text = format!(
        "version = 1\nname = \"selftest\"\n[target]\n{target}\n[arrival]\n{arrival}\n\
         [[phase]]\nname = \"main\"\n{phase}\n"
    );
    let url = if target.contains("\"http\"") {
        format!("http://{address}/")
    } else {
        format!("redis://{address}")
    };
    Scenario::parse(&text, Some(&url), &|_| Err("it reads no file".to_owned()))
        .expect("a scenario of our own, which a test parses")
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::{COSTS, HTTP_16, RESP_64, scenario};

    const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

    #[test]
    fn all_scenarios_of_the_self_test_make_sense() {
        for (_, target, users) in COSTS {
            let arrival = format!("model = \"closed\"\nusers = {users}");
            assert_eq!(scenario(&[target, &arrival, "for = \"500ms\""], NOBODY).phases.len(), 1);
        }
        for target in [HTTP_16, RESP_64] {
            for pacing in ["precise", "balanced"] {
                let arrival = format!("model = \"open\"\npacing = \"{pacing}\"");
                let phase = "rate = 2000\nfor = \"30s\"";
                assert_eq!(scenario(&[target, &arrival, phase], NOBODY).target.port, 1);
            }
        }
    }
}
