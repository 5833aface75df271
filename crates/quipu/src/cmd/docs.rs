//! `quipu docs`: the reference pages that follow from the program's own tables.

use std::process::ExitCode;

use quipu_metrics::reference;
use quipu_wire::openapi;

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
    /// The HTTP surface for programs: docs/openapi.json
    Openapi,
    /// The routes, headers and problems of HTTP: the tables of docs/http.md
    Http,
    /// Formats of lines: docs/ingest-formats.md
    Formats,
    /// Every command: docs/cli.md
    Cli,
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
    fn http_tables() -> [String; 3] {
        [openapi::routes_table(), openapi::headers_table(), openapi::problems_table()]
    }

    fn text(self) -> String {
        match self {
            Self::Metrics => reference::metrics_page(),
            Self::Config => reference::config_page(),
            Self::File => reference::config_file(),
            Self::Openapi => openapi::document().to_owned(),
            Self::Http => Self::http_tables().join("\n"),
            Self::Formats => formats_page(),
            Self::Cli => crate::reference::page(),
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
        check(Page::Openapi, "openapi", "openapi.json");
        check(Page::Formats, "formats", "ingest-formats.md");
        check(Page::Cli, "cli", "cli.md");
    }

    #[test]
    fn the_tables_of_the_page_on_http_are_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        for table in Page::http_tables() {
            assert!(written.contains(&table), "docs/http.md is stale; it should have:\n{table}");
        }
    }
}
