//! The HTTP surface as an OpenAPI 3.1 document, for programs and for generators of clients.
//!
//! Nothing stands here twice: paths and methods come from [`crate::http::route::ROUTES`], statuses
//! from [`crate::http::problem::KINDS`], bounds from the constants that the readers use, and the
//! examples are bodies that the writers wrote. [`operation`] adds to each route what only people
//! and programs need to be told; a route without its line there fails a test. `page` prints the same
//! tables for `docs/http.md`.

mod example;
pub mod operation;
mod page;
mod parameter;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::http::problem::{Kind, KindLine, MEDIA_TYPE, RETRY_AFTER_S};
use crate::http::route::{Entry, ROUTES};
use crate::openapi::operation::{Body, Operation};
use crate::openapi::parameter::Parameter;

pub use page::{headers_table, problems_table, routes_table};

/// What the document says of the whole.
const DESCRIPTION: &str = "Counts events exactly once, durably and fast. An answer to a write is \
    sent when its effect is on stable storage, unless `Quipu-Ack: memory` asks for less. A write \
    with an `Idempotency-Key` may be sent again as often as wanted and counts once.";

/// The document. It is made once.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", build()));
    &DOCUMENT
}

fn build() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quipu",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "the node that serves this document" }],
        "paths": paths(),
        "components": {
            "schemas": schema::all(),
            "examples": example::problems(),
            "parameters": parameter::all(),
            "responses": responses(),
        },
    })
}

fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for entry in ROUTES {
        let Some(operation) = operation::of(entry.endpoint) else { continue };
        let methods = paths.entry(entry.path).or_insert_with(|| json!({}));
        methods[entry.method.to_lowercase()] = describe(entry, operation);
    }
    paths
}

fn describe(entry: &Entry, operation: &Operation) -> Value {
    let mut responses = problems(operation);
    responses.insert("200".to_owned(), success(operation));
    let mut described = json!({
        "operationId": operation.id,
        "summary": entry.purpose,
        "responses": responses,
    });
    let parameters: Vec<Value> = parameters(entry, operation).map(Parameter::reference).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = request(body);
    }
    described
}

/// The parameters of a route: what its path has in braces, its query, and its headers.
fn parameters<'a>(
    entry: &'a Entry,
    operation: &'a Operation,
) -> impl Iterator<Item = &'static Parameter> + 'a {
    let in_path = parameter::path(entry.path);
    in_path.chain(operation.query.iter().copied()).chain(operation.headers.iter().copied())
}

fn request(body: &Body) -> Value {
    let examples: Map<String, Value> = body
        .examples
        .iter()
        .map(|(name, text)| {
            let value: Value = serde_json::from_str(text).expect("a test reads every example");
            ((*name).to_owned(), json!({ "value": value }))
        })
        .collect();
    let content = json!({ "schema": schema::reference(body.schema), "examples": examples });
    json!({ "required": body.is_required, "content": { "application/json": content } })
}

fn success(operation: &Operation) -> Value {
    let content: Map<String, Value> = operation
        .replies
        .iter()
        .map(|reply| {
            let mut content = json!({ "schema": schema::reference(reply.schema) });
            if let Some(example) = example::of(reply.schema) {
                content["example"] = example;
            }
            (reply.media_type.to_owned(), content)
        })
        .collect();
    json!({ "description": operation.answers, "content": content })
}

/// The problems of an operation, by their status.
fn problems(operation: &Operation) -> Map<String, Value> {
    let refer = |(status, lines): (u16, Vec<&KindLine>)| {
        let place = format!("#/components/responses/{}", name(&lines));
        (status.to_string(), json!({ "$ref": place }))
    };
    by_status(operation).into_iter().map(refer).collect()
}

/// What all operations answer that is no success, by its name.
fn responses() -> Map<String, Value> {
    let lines = operation::OPERATIONS.iter().flat_map(by_status);
    lines.map(|(_, lines)| (name(&lines), problem(&lines))).collect()
}

fn by_status(operation: &Operation) -> BTreeMap<u16, Vec<&'static KindLine>> {
    let mut by_status: BTreeMap<u16, Vec<&KindLine>> = BTreeMap::new();
    for kind in operation.problems.iter().copied().flatten() {
        let line = Kind::line(*kind);
        by_status.entry(line.status).or_default().push(line);
    }
    by_status
}

/// The words of the kinds, one after the other.
fn name(lines: &[&KindLine]) -> String {
    lines.iter().map(|line| line.word).collect::<Vec<_>>().join("_")
}

fn problem(lines: &[&KindLine]) -> Value {
    let said: Vec<String> =
        lines.iter().map(|line| format!("`{}`: {}", line.word, line.kind.when())).collect();
    let types: Vec<String> = lines.iter().map(|line| example::problem_type(line)).collect();
    let statuses: Vec<u16> = lines.iter().map(|line| line.status).take(1).collect();
    let narrowed = json!({
        "properties": { "type": { "enum": types }, "status": { "enum": statuses } },
    });
    let examples: Map<String, Value> = lines
        .iter()
        .map(|line| {
            let place = format!("#/components/examples/{}", line.word);
            (line.word.to_owned(), json!({ "$ref": place }))
        })
        .collect();
    let schema = json!({ "allOf": [schema::reference("Problem"), narrowed] });
    let mut response = json!({
        "description": said.join("; "),
        "content": { MEDIA_TYPE: { "schema": schema, "examples": examples } },
    });
    if lines.iter().any(|line| line.is_passing) {
        response["headers"] = json!({ "Retry-After": {
            "description": "seconds after which to come again",
            "required": true,
            "schema": { "type": "integer", "enum": [RETRY_AFTER_S] },
        } });
    }
    response
}
