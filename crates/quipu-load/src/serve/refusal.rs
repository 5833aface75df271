//! Why a request is not done, as a problem (RFC 9457) that names what to change.

use std::io;

use serde_json::{Map, Value, json};

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A member of the body that cannot be so.
    #[error("{field} is {value}: {remedy}")]
    Field {
        /// Its name.
        field: String,
        /// What was given, as JSON.
        value: Value,
        /// What to write instead.
        remedy: String,
    },
    /// A target that this service does not test.
    #[error("target is {value}: it is not one of those that this service may test; {remedy}")]
    Target {
        /// What was given.
        value: Value,
        /// Which there are.
        remedy: String,
    },
    /// The body is no JSON object.
    #[error("the body is no JSON object: {why}")]
    Body {
        /// What the reader says.
        why: String,
    },
    /// The body is of another type.
    #[error("the body must be JSON: send Content-Type: application/json")]
    MediaType,
    /// The body is too long.
    #[error("a body has at most {most} bytes")]
    TooBig {
        /// The most.
        most: usize,
    },
    /// The body did not come.
    #[error("the body did not come in time, or broke off")]
    Slow,
    /// Nothing is there.
    #[error("there is no {what}")]
    Absent {
        /// What was looked for.
        what: String,
    },
    /// The path has other methods.
    #[error("this path takes {allow}")]
    Method {
        /// Its methods.
        allow: String,
    },
    /// The target is under test.
    #[error("{target} is under test by {id}; wait for its end or cancel it")]
    Busy {
        /// The target.
        target: String,
        /// The test that is under way.
        id: String,
    },
    /// The test is over.
    #[error("{id} has ended; its result is at /api/results/{id}")]
    Ended {
        /// The test.
        id: String,
    },
    /// The service is about to end.
    #[error("the service stops and begins no test")]
    Stopping,
    /// A thread or a file could not be had.
    #[error("the system does not do its part: {0}")]
    System(#[from] io::Error),
}

impl Refusal {
    /// The end of its type, its title and its status.
    fn line(&self) -> (&'static str, &'static str, u16) {
        match self {
            Self::Field { .. } => ("field", "a field cannot be so", 400),
            Self::Target { .. } => ("target", "target not allowed", 403),
            Self::Body { .. } => ("body", "no JSON object", 400),
            Self::MediaType => ("media-type", "another media type", 415),
            Self::TooBig { .. } => ("too-big", "body too long", 413),
            Self::Slow => ("slow", "body too slow", 408),
            Self::Absent { .. } => ("absent", "not there", 404),
            Self::Method { .. } => ("method", "another method", 405),
            Self::Busy { .. } => ("under-test", "target under test", 409),
            Self::Ended { .. } => ("ended", "test has ended", 409),
            Self::Stopping => ("stopping", "service stops", 503),
            Self::System(_) => ("system", "the system failed", 500),
        }
    }

    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.line().2
    }

    /// The methods that its path takes, where that is what is wrong.
    pub(crate) fn allow(&self) -> Option<&str> {
        if let Self::Method { allow } = self { Some(allow) } else { None }
    }

    /// The problem: type, title, status, detail, and where a field is wrong its name, its value and
    /// what to write instead.
    pub(crate) fn problem(&self) -> Value {
        let (word, title, status) = self.line();
        let mut problem = Map::new();
        let mut set = |name: &str, value: Value| problem.insert(name.to_owned(), value);
        set("type", json!(format!("urn:quipu:problem:load:{word}")));
        set("title", json!(title));
        set("status", json!(status));
        set("detail", json!(self.to_string()));
        match self {
            Self::Field { field, value, remedy } => {
                set("field", json!(field));
                set("value", value.clone());
                set("remedy", json!(remedy));
            }
            Self::Target { value, remedy } => {
                set("field", json!("target"));
                set("value", value.clone());
                set("remedy", json!(remedy));
            }
            Self::Busy { target, id } => {
                set("field", json!("target"));
                set("value", json!(target));
                set("remedy", json!(format!("wait for the end of {id}, or cancel it")));
            }
            _ => {}
        }
        Value::Object(problem)
    }
}
