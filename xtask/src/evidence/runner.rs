//! The table of runners: what each is, how it is built, and its part of the time.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::bench::build_folder;
use crate::checkout;
use crate::ci::cargo;
use crate::evidence::mutants::Scope;

/// How a runner is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// A subcommand of a binary of the workspace.
    Binary {
        /// The binary, which is also its package.
        binary: &'static str,
        /// Whether the build has the deliberate bugs in it.
        has_canaries: bool,
        /// The subcommand and its fixed arguments.
        arguments: &'static [&'static str],
        /// Whether it drives the binary `quipu`, and is told where that is.
        drives_node: bool,
    },
    /// Tests of the black-box suite, by the beginning of their names.
    Tests(&'static str),
    /// `fuzz`, in its own workspace.
    Fuzz,
    /// Line and region coverage of core and log.
    Coverage,
    /// Mutations of core and log.
    Mutants(Scope),
}

/// One runner.
#[derive(Debug)]
pub(crate) struct Runner {
    /// Its name on the command line and in the record.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    /// How it is started.
    pub(crate) start: Start,
    /// Its part of the time: seconds of the default of 480 on two lanes.
    pub(crate) weight: u64,
    /// Whether its work has no end but its time; otherwise it runs until it is done.
    pub(crate) is_endless: bool,
    /// Whether it takes `--first`, the first seed that no earlier run has used.
    pub(crate) is_seeded: bool,
    /// Whether it runs only when it is named, or for long.
    pub(crate) is_on_demand: bool,
    /// Ends of the names of figures that describe the newest run; all others add up.
    pub(crate) newest: &'static [&'static str],
}

/// All runners, the longest first, so that the lanes end together.
pub(crate) const RUNNERS: &[Runner] = &[
    Runner {
        name: "coverage",
        about: "lines and regions of core and log that their tests reach",
        start: Start::Coverage,
        weight: 150,
        is_endless: false,
        is_seeded: false,
        is_on_demand: false,
        newest: &["*"],
    },
    Runner {
        name: "fuzz",
        about: "every parser, recovery, and commands against the model",
        start: Start::Fuzz,
        weight: 120,
        is_endless: true,
        is_seeded: false,
        is_on_demand: false,
        newest: &[".edges", ".features", ".inputs", "targets", "least"],
    },
    Runner {
        name: "seeds",
        about: "simulated nodes: bad disks, clocks and clients, then healed",
        start: sim(&["seeds"], false),
        weight: 110,
        is_endless: true,
        is_seeded: true,
        is_on_demand: false,
        newest: &[],
    },
    Runner {
        name: "crashes",
        about: "every crash point of traces, with subsets of what was not synced",
        start: sim(&["crashes"], false),
        weight: 110,
        is_endless: true,
        is_seeded: true,
        is_on_demand: false,
        newest: &[],
    },
    Runner {
        name: "flips",
        about: "every single-bit flip of small logs, and damaged blocks",
        start: sim(&["flips"], false),
        weight: 60,
        is_endless: true,
        is_seeded: true,
        is_on_demand: false,
        newest: &[],
    },
    Runner {
        name: "canaries",
        about: "deliberate bugs, each of which must be caught",
        start: sim(&["canaries"], true),
        weight: 80,
        is_endless: false,
        is_seeded: false,
        is_on_demand: false,
        newest: &["*"],
    },
    Runner {
        name: "kills",
        about: "SIGKILL of real nodes under load",
        start: proof(&["kills"]),
        weight: 100,
        is_endless: true,
        is_seeded: true,
        is_on_demand: false,
        newest: &["restart_ms_median"],
    },
    Runner {
        name: "cuts",
        about: "power cuts of real nodes: what was not synced is gone",
        start: proof(&["cuts"]),
        weight: 60,
        is_endless: true,
        is_seeded: true,
        is_on_demand: false,
        newest: &[],
    },
    Runner {
        name: "faults",
        about: "failing calls, limits, stopped processes, shifted clocks, every failpoint",
        start: Start::Tests("faults::"),
        weight: 60,
        is_endless: true,
        is_seeded: false,
        is_on_demand: true,
        newest: &[],
    },
    Runner {
        name: "peers",
        about: "kills and power cuts of Redis, etcd, NATS, PostgreSQL, SQLite, and of Quipu beside them",
        start: Start::Binary {
            binary: "quipu-peers",
            has_canaries: false,
            arguments: &[],
            drives_node: true,
        },
        weight: 600,
        is_endless: true,
        is_seeded: true,
        is_on_demand: true,
        newest: PEERS_NEWEST,
    },
    Runner {
        name: "changed",
        about: "mutations of the lines that changed since evidence was recorded",
        start: Start::Mutants(Scope::Changed),
        weight: 60,
        is_endless: true,
        is_seeded: false,
        is_on_demand: false,
        newest: &["*"],
    },
    Runner {
        name: "mutants",
        about: "mutations of fold, compose, tokens and recovery that no test notices",
        start: Start::Mutants(Scope::Close),
        weight: 1800,
        is_endless: true,
        is_seeded: false,
        is_on_demand: true,
        newest: &["*"],
    },
    Runner {
        name: "mutants_rest",
        about: "mutations of the rest of core and log that no test notices",
        start: Start::Mutants(Scope::Rest),
        weight: 1800,
        is_endless: true,
        is_seeded: false,
        is_on_demand: true,
        newest: &["*"],
    },
];

/// The table of peers shows one run; only how often each was ended adds up.
const PEERS_NEWEST: &[&str] = &[
    ".ends",
    ".acked",
    ".lost",
    ".doubled_by_system",
    ".doubled_by_retry",
    ".retries",
    ".refused_starts",
    "_median",
    "_min",
    "_max",
    "_per_op",
    "_p50",
    "clients",
    "counters_per_client",
    "load_ms",
    "load_spread_ms",
    "cores",
];

const fn sim(arguments: &'static [&'static str], has_canaries: bool) -> Start {
    Start::Binary { binary: "quipu-sim", has_canaries, arguments, drives_node: false }
}

const fn proof(arguments: &'static [&'static str]) -> Start {
    Start::Binary { binary: "quipu-proof", has_canaries: false, arguments, drives_node: true }
}

/// Finds a runner by its name.
///
/// # Errors
/// There is none.
pub(crate) fn find(name: &str) -> Result<&'static Runner> {
    let names = || RUNNERS.iter().map(|runner| runner.name).collect::<Vec<_>>().join(", ");
    let found = RUNNERS.iter().find(|runner| runner.name == name);
    found.with_context(|| format!("no runner is called {name}; there are {}", names()))
}

impl Runner {
    /// Whether a figure describes the newest run and does not add up.
    pub(crate) fn is_newest(&self, figure: &str) -> bool {
        self.newest.iter().any(|end| *end == "*" || figure.ends_with(end))
    }
}

/// The profile of a binary: the node ends where an assertion breaks, as the one that users get; a
/// runner catches it and goes on.
fn profile(binary: &str) -> &'static str {
    if binary == NODE { "test-release" } else { "evidence" }
}

/// The program that is judged.
pub(crate) const NODE: &str = "quipu";

/// Where a binary is, once it is built.
pub(crate) fn binary_path(binary: &str, has_canaries: bool) -> PathBuf {
    target(has_canaries).join(profile(binary)).join(binary)
}

fn target(has_canaries: bool) -> PathBuf {
    if has_canaries { build_folder().join("canary") } else { build_folder() }
}

/// Builds a binary, and answers where it is.
///
/// # Errors
/// It does not build.
pub(crate) fn build(binary: &str, has_canaries: bool) -> Result<PathBuf> {
    let target = target(has_canaries);
    let target = target.to_string_lossy();
    let mut arguments = vec!["build", "--locked", "--profile", profile(binary)];
    arguments.extend(["--package", binary, "--bin", binary, "--target-dir", &target]);
    if has_canaries {
        arguments.extend(["--features", "canary"]);
    }
    checkout::run(&cargo(), &arguments, &[])?;
    Ok(binary_path(binary, has_canaries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_share_fits_into_its_time() {
        let taken: u64 = RUNNERS.iter().filter(|r| !r.is_on_demand).map(|r| r.weight).sum();
        assert!(taken <= 2 * 480, "{taken} s on two lanes");
    }

    #[test]
    fn a_runner_that_is_not_there_is_named_with_those_that_are() {
        let error = find("flip").unwrap_err().to_string();
        assert!(error.contains("flip;") && error.contains("flips"), "{error}");
    }
}
