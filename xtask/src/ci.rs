//! All gates in the order in which they are cheapest to fail.

use anyhow::{Context, Result};

use crate::checkout;

/// A gate: its name, the arguments of cargo, and the variables it runs with.
type Gate = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const GATES: &[Gate] = &[
    ("format", &["fmt", "--all", "--check"], &[]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]),
    ("test", &["test", "--workspace", "--no-fail-fast"], &[]),
    ("doc", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
];

/// Runs every gate and stops at the first that fails.
///
/// # Errors
/// The gate that failed, by name.
pub(crate) fn run() -> Result<()> {
    for (name, arguments, variables) in GATES {
        println!("== {name}");
        checkout::run(&cargo(), arguments, variables).with_context(|| format!("gate {name}"))?;
    }
    println!("== tidy");
    crate::tidy::run().context("gate tidy")
}

/// Returns the cargo that runs this tool, so that every step uses one toolchain.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
