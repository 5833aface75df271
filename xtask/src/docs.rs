//! Writes the pages that are generated from lists in the code.
//!
//! The lists live in `quipu-metrics`; the binary renders them (`quipu docs NAME`), so this tool
//! needs no dependency on them. A test of the binary keeps the pages fresh.

use std::fs;

use anyhow::{Context, Result};

use crate::checkout;
use crate::ci::cargo;

/// What `quipu docs` is asked for, and the file in `docs/` that holds the answer.
const PAGES: &[(&str, &str)] = &[
    ("metrics", "metrics.md"),
    ("config", "config.md"),
    ("file", "quipu.toml"),
    ("openapi", "openapi.json"),
    ("formats", "ingest-formats.md"),
    ("cli", "cli.md"),
];

/// Writes every generated page.
///
/// # Errors
/// The binary does not build or does not know a page, or a page cannot be written.
pub(crate) fn run() -> Result<()> {
    for (page, file) in PAGES {
        let arguments = ["run", "--quiet", "--package", "quipu", "--", "docs", page];
        let text = checkout::output(&cargo(), &arguments)?;
        let path = checkout::root().join("docs").join(file);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote docs/{file}");
    }
    Ok(())
}
