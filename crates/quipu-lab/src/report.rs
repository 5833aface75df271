//! A finding in each of its forms, as files.

use crate::finding::Finding;
use crate::scenario::Format;
use crate::{benchfmt, hgrm, hlog, html, junit, k6, page};

/// The file that every result has.
pub const PAGE_FILE: &str = "page.txt";

/// A file of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in the folder of the result.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// Forms that are written unless others are asked for: to read back, and to look at.
pub const FORMATS_DEFAULT: [Format; 2] = [Format::Json, Format::Html];

/// Returns the files of a result, one after the other: the page of text, and those of each of
/// `formats`. Each is made when it is asked for, since those of a long run are large.
pub fn files(finding: &Finding, formats: &[Format]) -> impl Iterator<Item = File> {
    let page = std::iter::once_with(|| File { name: PAGE_FILE, text: page::page(finding) });
    let asked = Format::NAMES.iter().filter(|(format, _)| formats.contains(format));
    page.chain(asked.flat_map(|(format, _)| files_of(finding, *format)))
}

fn files_of(finding: &Finding, format: Format) -> Vec<File> {
    let file = |name, text| vec![File { name, text }];
    match format {
        Format::Json => file("finding.json", finding.to_json() + "\n"),
        Format::Html => file("report.html", html::html(finding)),
        Format::Hlog => file("latency.hlog", hlog::hlog(finding)),
        Format::Hgrm => vec![
            File { name: "response.hgrm", text: hgrm::hgrm(&finding.total.response) },
            File { name: "service.hgrm", text: hgrm::hgrm(&finding.total.service) },
        ],
        Format::K6 => file("k6-summary.json", k6::k6(finding)),
        Format::Benchfmt => file("bench.txt", benchfmt::benchfmt(finding)),
        Format::Junit => file("junit.xml", junit::junit(finding)),
    }
}
