//! The description of the service in OpenAPI 3.1, from the table of routes and the fields of orders.

use serde_json::{Map, Value, json};
use stdx::units::Nanos;

use crate::serve::order::{Field, Form, Kind};
use crate::serve::route::{Endpoint, ROUTES, Route};
use crate::serve::{Caps, Settings, span};

/// Returns the document.
pub(crate) fn document(settings: &Settings) -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.to_lowercase(), operation(route, settings));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Quipu load tests", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": { "Problem": problem() } },
    })
}

fn operation(route: &Route, settings: &Settings) -> Value {
    let content = |media_type: &str, schema: Value| json!({ media_type: { "schema": schema } });
    let refused =
        content("application/problem+json", json!({ "$ref": "#/components/schemas/Problem" }));
    let schema = if route.media_type == "application/json" { "object" } else { "string" };
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route.endpoint),
        "responses": {
            route.status.to_string(): {
                "description": "It was done",
                "content": content(route.media_type, json!({ "type": schema })),
            },
            "default": { "description": "It was not done, and why", "content": refused },
        },
    });
    if route.path.contains("{id}") {
        operation["parameters"] = json!([
            { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }
        ]);
    }
    if let Endpoint::Begin(kind) = route.endpoint {
        let order = content("application/json", order(kind, settings));
        operation["requestBody"] = json!({ "content": order });
    }
    operation
}

fn operation_id(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Begin(Kind::Burst) => "beginBurst",
        Endpoint::Begin(Kind::Ramp) => "beginRamp",
        Endpoint::Running => "listTests",
        Endpoint::Events => "watchTest",
        Endpoint::Cancel => "cancelTest",
        Endpoint::Results => "listResults",
        Endpoint::Latest => "latestResult",
        Endpoint::Result => "getResult",
        Endpoint::Finding => "getFinding",
        Endpoint::Health => "health",
        Endpoint::Metrics => "metrics",
        Endpoint::OpenApi => "describe",
    }
}

fn order(kind: Kind, settings: &Settings) -> Value {
    let fields = kind.fields().iter();
    let properties: Map<String, Value> =
        fields.map(|field| (field.name.to_owned(), schema(field, settings))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn schema(field: &Field, settings: &Settings) -> Value {
    let Caps { rate, in_flight, duration } = settings.caps;
    let about = field.about;
    match field.form {
        Form::Name => json!({ "type": "string", "description": about }),
        Form::Target => {
            json!({ "type": "string", "description": about, "enum": settings.targets })
        }
        Form::Rate(default) => json!({
            "type": "integer", "description": about, "minimum": 1, "maximum": rate,
            "default": default.min(rate),
        }),
        Form::Span(default_s, _) => json!({
            "type": "string", "format": "duration",
            "description": format!("{about}; all together last at most {}", span::text(duration)),
            "default": span::text(Nanos::from_secs(default_s)),
        }),
        Form::InFlight => json!({
            "type": "integer", "description": about, "minimum": 1, "maximum": in_flight,
        }),
    }
}

fn problem() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": text(), "title": text(), "status": { "type": "integer" }, "detail": text(),
            "field": text(), "value": {}, "remedy": text(),
        },
    })
}
