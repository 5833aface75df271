//! The document against the readers, the writers and the tables.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::http::ask::HEADERS;
use crate::http::query::{parse_scan, parse_top};
use crate::http::route::{Endpoint, Entry, ROUTES};
use crate::json::request::{parse_add, parse_batch, parse_empty, parse_put};
use crate::openapi::operation::{self, OPERATIONS};
use crate::openapi::{document, parameter, schema};

fn parsed() -> Value {
    serde_json::from_str(document()).expect("the document is JSON")
}

/// The routes of the HTTP listener; others are the admin listener's alone.
fn routes() -> impl Iterator<Item = &'static Entry> {
    ROUTES.iter().filter(|entry| !entry.endpoint.is_administrative())
}

#[test]
fn every_route_is_described_once() {
    for entry in routes() {
        let lines = OPERATIONS.iter().filter(|o| o.endpoint == entry.endpoint).count();
        assert_eq!(lines, 1, "{} {} in openapi/operation.rs", entry.method, entry.path);
    }
    let ids: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!((OPERATIONS.len(), ids.len()), (routes().count(), routes().count()));
    let document = parsed();
    for entry in routes() {
        let described = &document["paths"][entry.path][entry.method.to_lowercase()];
        assert_eq!(described["summary"], entry.purpose, "{} {}", entry.method, entry.path);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = parsed();
    let mut places = Vec::new();
    references(&document, &mut places);
    assert!(places.len() > 100, "{}", places.len());
    for place in places {
        let pointer = place.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{place}");
    }
}

fn references(value: &Value, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            places.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, places));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, places)),
        _ => {}
    }
}

#[test]
fn headers_and_query_are_those_that_are_read() {
    let headers: BTreeSet<String> =
        parameter::headers().map(|header| header.name.to_lowercase()).collect();
    assert_eq!(headers, HEADERS.iter().map(|name| (*name).to_owned()).collect());
    let scan = operation::of(Endpoint::Scan).expect("it is described");
    for parameter in scan.query {
        let query = format!("{}=1", parameter.name);
        assert!(parse_scan(&query).is_ok(), "{query}");
    }
    let error = parse_scan("nothing=1").expect_err("no such parameter").to_string();
    let known = error.rsplit_once("there are ").expect("it lists them").1;
    let known: BTreeSet<&str> =
        known.split([',', ' ']).filter(|w| !w.is_empty() && *w != "and").collect();
    assert_eq!(known, scan.query.iter().map(|parameter| parameter.name).collect());
}

#[test]
fn a_ranking_takes_the_query_that_is_described() {
    let top = operation::of(Endpoint::Top).expect("it is described");
    assert_eq!(top.query.iter().map(|parameter| parameter.name).collect::<Vec<_>>(), ["n"]);
    assert_eq!(parse_top("n=1"), Ok(1));
}

/// What serde says that it takes, against the members of a schema.
fn check_members(error: &str, properties: &Value) {
    let taken: BTreeSet<&str> = error.split('`').skip(3).step_by(2).collect();
    let described = properties.as_object().expect("members");
    assert_eq!(taken, described.keys().map(String::as_str).collect(), "{error}");
}

#[test]
fn schemas_of_requests_have_the_members_that_are_read() {
    let all = schema::all();
    let error = parse_add(b"{\"?\":1}").expect_err("unknown").to_string();
    check_members(&error, &all["Add"]["properties"]);
    let error = parse_put(b"{\"?\":1}").expect_err("unknown").to_string();
    check_members(&error, &all["Put"]["properties"]);
    let error = parse_batch(b"{\"?\":1}", 1).expect_err("unknown").to_string();
    check_members(&error, &all["Batch"]["properties"]);
    let error = parse_batch(b"{\"ops\":[{\"?\":1}]}", 1).expect_err("unknown").to_string();
    let mut members = serde_json::Map::new();
    for one in all["Item"]["oneOf"].as_array().expect("alternatives") {
        members.extend(one["properties"].as_object().expect("members").clone());
    }
    check_members(&error, &members.into());
}

#[test]
fn examples_of_requests_are_understood() {
    for operation in OPERATIONS {
        for (name, text) in operation.body.iter().flat_map(|body| body.examples) {
            let body = text.as_bytes();
            let is_good = match operation.endpoint {
                Endpoint::Add => parse_add(body).is_ok(),
                Endpoint::Put => parse_put(body).is_ok(),
                Endpoint::Batch => {
                    let batch = parse_batch(body, 100).expect("a batch");
                    batch.items.iter().all(|item| item.action.is_ok())
                }
                _ => parse_empty(body).is_ok(),
            };
            assert!(is_good, "{} {name}: {text}", operation.id);
        }
    }
}

#[test]
fn examples_of_answers_have_the_members_of_their_schemas() {
    let all = schema::all();
    for reply in OPERATIONS.iter().flat_map(|operation| operation.replies) {
        let Some(example) = super::example::of(reply.schema) else { continue };
        let schema = &all[reply.schema];
        for member in example.as_object().expect("an object").keys() {
            assert!(schema["properties"].get(member).is_some(), "{} of {}", member, reply.schema);
        }
        for member in schema["required"].as_array().expect("names") {
            let name = member.as_str().expect("a name");
            assert!(example.get(name).is_some(), "{name} of {}", reply.schema);
        }
    }
}
