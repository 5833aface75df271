//! `quipu docs`: the reference pages that follow from the program's own tables.

use std::process::ExitCode;

use quipu_metrics::reference;

use super::ingest_meaning::formats_page;
use crate::output;

/// Print a reference page that is generated from the program's tables
#[derive(Debug, clap::Args)]
pub(crate) struct DocsArgs {
    /// Which page
    page: Page,
}

/// A generated page.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Page {
    /// Every metric: docs/metrics.md
    Metrics,
    /// Every key of the configuration: docs/config.md
    Config,
    /// A configuration file with every default: docs/quipu.toml
    File,
    /// Formats of lines: docs/ingest-formats.md
    Formats,
}

/// Prints the page.
///
/// # Errors
/// If standard output cannot be written.
pub(crate) fn run(args: &DocsArgs) -> anyhow::Result<ExitCode> {
    output::print(&args.page.text())?;
    Ok(ExitCode::SUCCESS)
}

impl Page {
    fn text(self) -> String {
        match self {
            Self::Metrics => reference::metrics_page(),
            Self::Config => reference::config_page(),
            Self::File => reference::config_file(),
            Self::Formats => formats_page(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Page;

    /// Compares a page with the file of the repository.
    fn check(page: Page, word: &str, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let refresh = format!("cargo run -p quipu -- docs {word} > docs/{file}");
        assert!(written == page.text(), "docs/{file} is stale; refresh it with: {refresh}");
    }

    #[test]
    fn the_pages_in_the_repository_are_fresh() {
        check(Page::Metrics, "metrics", "metrics.md");
        check(Page::Config, "config", "config.md");
        check(Page::File, "file", "quipu.toml");
        check(Page::Formats, "formats", "ingest-formats.md");
    }
}
