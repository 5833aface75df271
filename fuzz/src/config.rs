//! Configuration: a file, environment variables and flags become the settings of a node.
//!
//! The input is a configuration file; lines that begin with `$` are a variable (`$LOG_RETAIN_BYTES=1MiB`)
//! and those that begin with `--` are a flag (`--log.retain_bytes=1MiB`). Nothing panics; a refusal
//! names the key, the line or the variable that is wrong; what is accepted prints as a file that
//! is accepted as the same; the last layer wins.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStringExt;

use quipu_metrics::knob::{KNOBS, Key};
use quipu_metrics::settings::{Settings, SettingsError, Source, Values};

/// The program's own file, which no library offers: what reads the layers.
#[expect(dead_code, reason = "files and the process's own environment are not read here")]
#[rustfmt::skip] // its own crate formats it
#[path = "../../crates/quipu/src/settings.rs"]
mod settings;

use self::settings::{LayerError, over_environment, over_flags, over_text};

const FILE: &str = "fuzz.toml";

/// Tries one input.
pub fn run(input: &[u8]) {
    let (mut file, mut variables, mut flags) = (Vec::new(), Vec::new(), Vec::new());
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match line {
            [b'$', rest @ ..] => variables.push(pair(rest)),
            [b'-', b'-', rest @ ..] => flags.push(pair(rest)),
            other => file.extend_from_slice(other),
        }
    }
    let file = String::from_utf8_lossy(&file);
    let mut values = Values::defaults();
    if let Err(error) = layers(&mut values, &file, &variables, &flags) {
        return refused(&error, &file);
    }
    match Settings::from_values(&values) {
        Ok(settings) => accepted(&settings, &values),
        Err(error) => names_its_key(&error, &values),
    }
}

/// A line's name and value.
fn pair(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let at = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
    (&line[..at], line.get(at + 1..).unwrap_or_default())
}

type Pairs<'a> = [(&'a [u8], &'a [u8])];

fn layers(
    values: &mut Values,
    file: &str,
    variables: &Pairs<'_>,
    flags: &Pairs<'_>,
) -> Result<(), LayerError> {
    over_text(values, FILE, file)?;
    over_environment(values, |name| {
        let name = name.strip_prefix("QUIPU_").expect("every variable is ours");
        let found = variables.iter().find(|(known, _)| *known == name.as_bytes());
        found.map(|(_, value)| OsString::from_vec(value.to_vec()))
    })?;
    let flags = flags.iter().filter_map(|(name, value)| {
        let key = Key::find(str::from_utf8(name).ok()?)?;
        Some((key, str::from_utf8(value).ok()?.to_owned()))
    });
    let flags = crate::args::KnobFlags(flags.collect());
    over_flags(values, &flags);
    for (key, _) in &flags.0 {
        let last = flags.0.iter().rfind(|(other, _)| other == key).map(|(_, text)| text);
        assert_eq!(Some(&values.get(*key).text), last, "the last flag wins");
        assert_eq!(values.get(*key).source, Source::Flag(format!("--{key}")));
    }
    Ok(())
}

/// A refusal of the layers names what is wrong, in one line that does not grow with the file.
fn refused(error: &LayerError, file: &str) {
    let said = error.to_string();
    match error {
        LayerError::Syntax { line, .. } => {
            assert!((1..=1 + file.lines().count()).contains(line), "{said}");
        }
        LayerError::UnknownKey { key, nearest, .. } => {
            assert!(said.contains(key.as_str()) && Key::find(key).is_none(), "{said}");
            assert!(nearest.is_none_or(|name| Key::find(name).is_some()), "{said}");
        }
        LayerError::NotSingle { key, .. } => assert!(Key::find(key).is_some(), "{said}"),
        LayerError::NotText { variable } => assert!(said.contains(variable.as_str()), "{said}"),
        LayerError::Unreadable { .. } => panic!("no file is read here: {said}"),
    }
}

/// A refused value is said with its key and where it came from.
fn names_its_key(error: &SettingsError, values: &Values) {
    let (SettingsError::Value { key, origin, .. } | SettingsError::Relation { key, origin, .. }) =
        error;
    let said = error.to_string();
    assert!(said.starts_with(key.knob().name), "{said}");
    assert_eq!(origin, &values.get(*key).source, "{said}");
}

/// What is in force prints as a file that says the same.
fn accepted(settings: &Settings, values: &Values) {
    let mut file = String::new();
    for knob in KNOBS {
        assert!(knob.parse(&values.get(knob.key).text).is_ok(), "{} is in its domain", knob.key);
        let quoted = toml::Value::String(settings.text(knob.key));
        writeln!(file, "{} = {quoted}", knob.name).expect("a string takes all");
    }
    let mut again = Values::defaults();
    over_text(&mut again, FILE, &file).unwrap_or_else(|error| panic!("{error}: {file}"));
    let again = Settings::from_values(&again).unwrap_or_else(|error| panic!("{error}: {file}"));
    assert_eq!(&again, settings, "{file}");
}
