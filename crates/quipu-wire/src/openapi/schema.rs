//! The schemas of bodies. Tests hold them against what the readers take and the writers write.

use quipu_core::limits::{NAME_BYTES_MAX, TOP_MAX, TTL_MS_MAX};
use serde_json::{Map, Value, json};

use crate::http::problem::KINDS;
use crate::openapi::example::problem_type;

/// The durabilities, as words.
pub(crate) const ACKS: &[&str] = &["fsync", "memory"];

/// The levels of reads, as words.
pub(crate) const READS: &[&str] = &["committed", "latest"];

/// A reference to a schema.
pub(crate) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// All schemas by their names.
pub(crate) fn all() -> Value {
    json!({
        "CounterName": counter_name(),
        "Value": integer("a signed number of 64 bits; floating point loses digits beyond 2^53"),
        "Position": {
            "type": "string", "pattern": "^[0-9]+:[0-9]+:[0-9]+$",
            "description": "`shard:epoch:batch` of the newest batch that the reply speaks of",
        },
        "Ack": { "type": "string", "enum": ACKS, "description": "the durability vouched for" },
        "Repeat": { "type": "string", "enum": ["none", "token", "stream"] },
        "Verdict": { "type": "string", "enum": ["done", "rejected", "unmet"] },
        "Add": add(),
        "Put": closed(&json!({ "value": reference("Value"), "ttl_ms": ttl() }), &["value"]),
        "Nothing": closed(&json!({}), &[]),
        "Batch": batch(),
        "Item": item(),
        "Change": change(),
        "Taking": taking(),
        "Reading": reading(),
        "BatchReply": batch_reply(),
        "Listing": listing(),
        "Ranking": ranking(),
        "Stream": stream(),
        "Condition": closed(&json!({ "status": { "type": "string", "enum": ["ok"] } }), &["status"]),
        "PrometheusText": { "type": "string", "description": "Prometheus's text format" },
        "Metrics": { "type": "object", "description": "each metric by its name" },
        "File": { "type": "string", "description": "a file of the page for people" },
        "Live": live(),
        "Document": { "type": "object", "required": ["openapi", "info", "paths"] },
        "Problem": problem(),
    })
}

/// An object with these members and no others.
fn closed(properties: &Value, required: &[&str]) -> Value {
    let mut schema = json!({
        "type": "object", "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn integer(description: &str) -> Value {
    json!({
        "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX,
        "description": description,
    })
}

fn counter_name() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
        "description": "1 to 256 bytes of UTF-8 without control characters",
    })
}

fn ttl() -> Value {
    json!({
        "type": ["integer", "null"], "format": "int64", "minimum": 1, "maximum": TTL_MS_MAX,
        "description": "milliseconds after which the counter expires",
    })
}

fn bound(description: &str) -> Value {
    json!({ "oneOf": [reference("Value"), { "type": "null" }], "description": description })
}

fn add() -> Value {
    let properties = json!({
        "add": reference("Value"),
        "min": bound("the least value that the counter may take; at most `max`"),
        "max": bound("the greatest value that the counter may take"),
        "saturate": {
            "type": ["boolean", "null"], "description": "go as far as a bound, not nowhere",
        },
        "ttl_ms": ttl(),
    });
    closed(&properties, &["add"])
}

fn batch() -> Value {
    let properties = json!({
        "ops": { "type": "array", "items": reference("Item") },
        "atomic": { "type": ["boolean", "null"], "description": "all or nothing" },
    });
    closed(&properties, &["ops"])
}

/// One of the five things that an item may be.
fn item() -> Value {
    let is_true = json!({ "type": "boolean", "enum": [true] });
    let one = |mut properties: Value, word: &str| {
        properties["counter"] = reference("CounterName");
        closed(&properties, &["counter", word])
    };
    let set = json!({ "set": reference("Value"), "ttl_ms": ttl() });
    json!({ "oneOf": [
        one(add()["properties"].clone(), "add"),
        one(set, "set"),
        one(json!({ "get": is_true }), "get"),
        one(json!({ "take": is_true }), "take"),
        one(json!({ "delete": is_true }), "delete"),
    ] })
}

/// What every reply about one counter has.
fn about_a_counter() -> Value {
    json!({
        "counter": reference("CounterName"),
        "value": bound("the value after; null where there is no counter"),
        "applied": integer("what was really added"),
        "repeat": reference("Repeat"),
        "expires_at_ms": {
            "type": "integer", "minimum": 0, "description": "Unix time of the expiry",
        },
        "ack": reference("Ack"),
        "position": reference("Position"),
    })
}

fn change_properties() -> Value {
    let mut properties = about_a_counter();
    properties["previous"] = bound("the value before; not known to a repeat of a stream");
    properties["verdict"] = reference("Verdict");
    properties
}

fn change() -> Value {
    let required = ["counter", "value", "verdict", "applied", "repeat", "ack", "position"];
    closed(&change_properties(), &required)
}

fn taking() -> Value {
    let mut properties = change_properties();
    properties["taken"] = bound("what was taken; null where nothing was, or it is not known");
    let required = ["counter", "value", "taken", "verdict", "applied", "repeat", "ack", "position"];
    closed(&properties, &required)
}

fn reading() -> Value {
    let mut properties = about_a_counter();
    properties["read"] = json!({ "type": "string", "enum": READS });
    closed(&properties, &["counter", "value", "applied", "repeat", "read", "ack", "position"])
}

fn batch_reply() -> Value {
    let results = ["Change", "Taking", "Reading", "Problem"].map(reference);
    let properties = json!({
        "results": { "type": "array", "items": { "anyOf": results } },
        "ack": reference("Ack"),
    });
    closed(&properties, &["results", "ack"])
}

fn listing() -> Value {
    let item = json!({ "counter": reference("CounterName"), "value": reference("Value") });
    let properties = json!({
        "items": { "type": "array", "items": closed(&item, &["counter", "value"]) },
        "cursor": {
            "type": ["string", "null"], "pattern": "^[0-9]+$",
            "description": "where to go on; null where there is no more",
        },
        "ack": reference("Ack"),
    });
    closed(&properties, &["items", "cursor", "ack"])
}

fn ranking() -> Value {
    let item = json!({ "counter": reference("CounterName"), "value": reference("Value") });
    let properties = json!({
        "items": {
            "type": "array", "items": closed(&item, &["counter", "value"]), "maxItems": TOP_MAX,
        },
        "counters": { "type": "integer", "minimum": 0, "description": "how many there are" },
        "from_ms": { "type": "integer", "description": "the node's time of the first look" },
        "to_ms": { "type": "integer", "description": "the node's time of the last look" },
        "positions": { "type": "array", "items": reference("Position") },
        "ack": reference("Ack"),
    });
    closed(&properties, &["items", "counters", "from_ms", "to_ms", "positions", "ack"])
}

/// Numbers that may pass 2^53 are texts.
fn live() -> Value {
    let texts = json!({
        "type": "object", "additionalProperties": { "type": "string", "pattern": "^-?[0-9]+$" },
    });
    let bucket = json!({ "type": "array", "items": { "type": "integer" } });
    let buckets = json!({ "type": "array", "items": bucket });
    let count = json!({ "type": "integer", "minimum": 0 });
    let properties = json!({
        "version": { "type": "string" },
        "uptime_ms": count,
        "now_ms": count,
        "ack": reference("Ack"),
        "resp_port": count,
        "counters": { "type": "string" },
        "counted": { "type": "string", "description": "adds that counted since the start" },
        "operations": texts,
        "levels": texts,
        "timings": { "type": "object", "additionalProperties": buckets },
        "top": { "type": ["object", "null"] },
    });
    let names = properties.as_object().into_iter().flat_map(|members| members.keys());
    let required: Vec<&str> = names.map(String::as_str).collect();
    closed(&properties, &required)
}

fn stream() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let mark = closed(&json!({ "shard": count, "mark": count }), &["shard", "mark"]);
    let properties = json!({
        "stream": { "type": "string" },
        "checkpoint": { "type": ["integer", "null"], "minimum": 0 },
        "marks": { "type": "array", "items": mark },
        "ack": reference("Ack"),
    });
    closed(&properties, &["stream", "checkpoint", "marks", "ack"])
}

fn problem() -> Value {
    let types: Vec<String> = KINDS.iter().map(problem_type).collect();
    let statuses: std::collections::BTreeSet<u16> = KINDS.iter().map(|line| line.status).collect();
    let counted = ["no", "maybe", "not by this request"];
    let mut properties: Map<String, Value> = Map::new();
    if let Value::Object(about) = about_a_counter() {
        properties.extend(about);
    }
    let own = json!({
        "type": { "type": "string", "enum": types },
        "title": { "type": "string", "description": "the same for all problems of a type" },
        "status": { "type": "integer", "enum": statuses },
        "detail": { "type": "string", "description": "one sentence about this one" },
        "counted": { "type": "string", "enum": counted },
        "counter": { "type": "string" },
        "stream": { "type": "string" },
        "sequence": { "type": "integer", "minimum": 1, "description": "the one to send first" },
        "index": { "type": "integer", "minimum": 0, "description": "which item of a batch" },
    });
    if let Value::Object(own) = own {
        properties.extend(own);
    }
    closed(&properties.into(), &["type", "title", "status", "detail"])
}
