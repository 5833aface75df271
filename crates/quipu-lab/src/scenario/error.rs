//! Why a text is no scenario.

use crate::data::ZipfError;
use crate::slo::SloError;
use crate::template::TemplateError;

/// Why a text is no scenario. Each names the place, the value and what to write.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    /// It is not TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where.
        line: usize,
        /// What the reader of TOML says.
        message: String,
    },
    /// A key that nothing reads.
    #[error("line {line}: `{path}` is no key{}", did_you_mean(near.as_deref()))]
    UnknownKey {
        /// Where.
        line: usize,
        /// The key, with the tables that it is in.
        path: String,
        /// The nearest key that is read there.
        near: Option<String>,
    },
    /// A key that must be there.
    #[error("line {line}: `{path}` is missing: {remedy}")]
    Missing {
        /// Where the table begins.
        line: usize,
        /// The key.
        path: String,
        /// What to write.
        remedy: String,
    },
    /// A value that cannot be.
    #[error("line {line}: `{path}` is {value}: {remedy}")]
    Value {
        /// Where.
        line: usize,
        /// The key.
        path: String,
        /// What was written.
        value: String,
        /// What to write.
        remedy: String,
    },
    /// A template that cannot be filled.
    #[error("line {line}: `{path}`: {source}")]
    Template {
        /// Where.
        line: usize,
        /// The key.
        path: String,
        /// Why.
        source: TemplateError,
    },
    /// A promise that cannot be read.
    #[error("line {line}: `{path}`: {source}")]
    Slo {
        /// Where.
        line: usize,
        /// The key.
        path: String,
        /// Why.
        source: SloError,
    },
    /// A distribution that does not exist.
    #[error("line {line}: `{path}`: {source}")]
    Zipf {
        /// Where.
        line: usize,
        /// The key.
        path: String,
        /// Why.
        source: ZipfError,
    },
    /// No scenario of this name is built in.
    #[error("no scenario `{name}` is built in: there are {known}")]
    UnknownName {
        /// The name.
        name: String,
        /// Those that are.
        known: String,
    },
    /// A target that is given apart from the scenario and cannot be used with it.
    #[error("`{url}` is no target: {remedy}")]
    Url {
        /// What was given.
        url: String,
        /// What to write.
        remedy: String,
    },
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map_or(String::new(), |near| format!(": did you mean `{near}`?"))
}
