//! The same tables in Markdown, as `docs/http.md` shows them.

use std::fmt::Write as _;

use crate::http::problem::{Counted, KINDS, KindLine};
use crate::http::route::{Entry, ROUTES};
use crate::openapi::operation::{self, Operation};
use crate::openapi::parameter;

/// The routes: method and path, what it does, what it takes.
pub fn routes_table() -> String {
    let mut table = String::from("| method and path | does | body |\n|---|---|---|\n");
    for entry in ROUTES {
        let operation = operation::of(entry.endpoint);
        let body = operation.and_then(|o| o.body.as_ref()).map_or("", |body| body.words);
        let target = target(entry, operation);
        add(&mut table, &[&format!("`{} {target}`", entry.method), entry.purpose, body]);
    }
    table
}

fn target(entry: &Entry, operation: Option<&Operation>) -> String {
    let query: Vec<&str> = operation.into_iter().flat_map(|o| o.query).map(|p| p.form).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", entry.path, query.join("&"))
}

/// The headers that mean something.
pub fn headers_table() -> String {
    let mut table = String::from("| header | meaning |\n|---|---|\n");
    for header in parameter::headers() {
        add(&mut table, &[header.form, header.purpose]);
    }
    table
}

/// The problems: status, type, when, whether it was counted.
pub fn problems_table() -> String {
    let mut table =
        String::from("| status | `urn:quipu:problem:` | when | counted |\n|---|---|---|---|\n");
    for line in KINDS {
        let KindLine { kind, status, word, counted, .. } = line;
        let counted = match counted {
            Counted::Maybe => "**maybe**",
            other => other.word().unwrap_or_default(),
        };
        add(&mut table, &[&status.to_string(), &format!("`{word}`"), kind.when(), counted]);
    }
    table
}

fn add(table: &mut String, cells: &[&str]) {
    for cell in cells {
        let blank = if cell.is_empty() { "" } else { " " };
        write!(table, "|{blank}{cell} ").expect("a string takes all");
    }
    table.push_str("|\n");
}
