//! What was typed becomes what a node runs with: defaults < file < environment < flags.
//!
//! Each value keeps its source, so that a refusal and `quipu config` can say where it came from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use quipu_metrics::knob::{KNOBS, Key};
use quipu_metrics::settings::{Settings, SettingsError, Source, Values};
use stdx::nearest::nearest;

use crate::args::{KnobFlags, SettingsArgs};

/// Why the layers could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{file} is not TOML, line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line of the mistake, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The file has a key that does not exist.
    #[error(
        "`{key}` in {file} is no key{}; `quipu config` prints all keys",
        nearest.map(|name| format!("; the nearest is `{name}`")).unwrap_or_default()
    )]
    UnknownKey {
        /// The file.
        file: String,
        /// What is written there.
        key: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The file has something else than a single value for a key.
    #[error("`{key}` in {file} is {found}, not a single value")]
    NotSingle {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// What stands there.
        found: &'static str,
    },
    /// An environment variable is not text.
    #[error("the environment variable {variable} is not UTF-8")]
    NotText {
        /// The variable.
        variable: String,
    },
}

/// Reads all layers of this process and validates what came out.
///
/// # Errors
/// If the file cannot be read or has an unknown key, or a value is not allowed.
pub(crate) fn load(args: &SettingsArgs) -> anyhow::Result<(Settings, Values)> {
    let mut values = Values::defaults();
    if let Some(path) = &args.config {
        over_file(&mut values, path)?;
    }
    over_environment(&mut values, |variable| std::env::var_os(variable))?;
    over_flags(&mut values, &args.knobs);
    let settings = Settings::from_values(&values)?;
    Ok((settings, values))
}

/// Returns whether the user can mend the error by writing something else.
pub(crate) fn is_usage_error(error: &anyhow::Error) -> bool {
    error.is::<LayerError>() || error.is::<SettingsError>()
}

fn over_file(values: &mut Values, path: &Path) -> Result<(), LayerError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| LayerError::Unreadable { path: path.to_owned(), cause })?;
    over_text(values, &path.display().to_string(), &text)
}

pub(crate) fn over_text(values: &mut Values, file: &str, text: &str) -> Result<(), LayerError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| LayerError::Syntax {
        file: file.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    over_table(values, file, "", &table)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Puts a table of the file over the values; `prefix` is its own name with a dot, or nothing.
fn over_table(
    values: &mut Values,
    file: &str,
    prefix: &str,
    table: &toml::Table,
) -> Result<(), LayerError> {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        match (Key::find(&name), value) {
            (Some(key), _) => {
                values.set(key, single(file, &name, value)?, Source::File(file.to_owned()));
            }
            (None, toml::Value::Table(inner)) if is_section(&name) => {
                over_table(values, file, &format!("{name}."), inner)?;
            }
            (None, _) => {
                let nearest = nearest(&name, KNOBS.iter().map(|knob| knob.name));
                return Err(LayerError::UnknownKey { file: file.to_owned(), key: name, nearest });
            }
        }
    }
    Ok(())
}

fn is_section(name: &str) -> bool {
    KNOBS.iter().any(|knob| knob.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// Returns the text of a single value: numbers and switches may stand without quotes.
fn single(file: &str, key: &str, value: &toml::Value) -> Result<String, LayerError> {
    let found = match value {
        toml::Value::String(text) => return Ok(text.clone()),
        toml::Value::Integer(number) => return Ok(number.to_string()),
        toml::Value::Float(number) => return Ok(number.to_string()),
        toml::Value::Boolean(on) => return Ok(on.to_string()),
        toml::Value::Datetime(_) => "a date",
        toml::Value::Array(_) => "an array",
        toml::Value::Table(_) => "a table",
    };
    Err(LayerError::NotSingle { file: file.to_owned(), key: key.to_owned(), found })
}

pub(crate) fn over_environment(
    values: &mut Values,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<(), LayerError> {
    for knob in KNOBS {
        let variable = knob.variable();
        let Some(text) = lookup(&variable) else { continue };
        let text =
            text.into_string().map_err(|_| LayerError::NotText { variable: variable.clone() })?;
        values.set(knob.key, text, Source::Environment(variable));
    }
    Ok(())
}

pub(crate) fn over_flags(values: &mut Values, flags: &KnobFlags) {
    for (key, text) in &flags.0 {
        values.set(*key, text, Source::Flag(format!("--{key}")));
    }
}

#[cfg(test)]
mod tests;
