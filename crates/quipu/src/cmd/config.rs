//! `quipu config`: what `quipu serve` with the same flags would run with, and why.

use std::process::ExitCode;

use quipu_metrics::knob::{Domain, KNOBS, Knob};
use quipu_metrics::settings::{Settings, Source, Values};
use serde_json::{Value, json};

use crate::args::SettingsArgs;
use crate::{output, settings};

/// Print every setting in force and where it came from
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    settings: SettingsArgs,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Prints the effective value and the source of every key.
///
/// # Errors
/// If the settings are not valid, as `quipu serve` would say.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let (settings, values) = settings::load(&args.settings)?;
    let text = if args.json { as_json(&settings, &values) } else { as_table(&settings, &values) };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_table(settings: &Settings, values: &Values) -> String {
    let row = |knob: &Knob| {
        let value = explained(knob, settings.text(knob.key));
        [knob.name.to_owned(), value, values.get(knob.key).source.to_string()]
    };
    let rows: Vec<[String; 3]> = KNOBS.iter().map(row).collect();
    output::table(["KEY", "VALUE", "SOURCE"], &rows)
}

/// Adds to a 0 that has a meaning of its own what it means.
fn explained(knob: &Knob, value: String) -> String {
    let zero = match knob.domain {
        Domain::Bytes(range) | Domain::Duration(range) | Domain::Count(range) => range.zero,
        _ => None,
    };
    match zero {
        Some(meaning) if value == "0" => format!("0 ({meaning})"),
        _ => value,
    }
}

fn as_json(settings: &Settings, values: &Values) -> String {
    let entry = |knob: &Knob| {
        let (source, place) = place(&values.get(knob.key).source);
        let value = json!({
            "value": settings.text(knob.key),
            "default": knob.default,
            "source": source,
            "place": place,
            "kind": knob.domain.kind(),
            "class": knob.class.to_string(),
            "apply": knob.apply.to_string(),
        });
        (knob.name.to_owned(), value)
    };
    let object = Value::Object(KNOBS.iter().map(entry).collect());
    format!("{object:#}\n")
}

/// Returns the layer, and the file, variable or flag within it.
fn place(source: &Source) -> (&'static str, Option<&str>) {
    match source {
        Source::Default => ("default", None),
        Source::File(path) => ("file", Some(path)),
        Source::Environment(variable) => ("environment", Some(variable)),
        Source::Flag(flag) => ("flag", Some(flag)),
    }
}

#[cfg(test)]
mod tests {
    use quipu_metrics::knob::{KNOBS, Key};
    use quipu_metrics::settings::{Settings, Source, Values};

    use super::{as_json, as_table};

    fn changed() -> (Settings, Values) {
        let mut values = Values::defaults();
        values.set(Key::Shards, "8", Source::Environment("QUIPU_SHARDS".to_owned()));
        values.set(Key::LogRetainBytes, "1024KiB", Source::File("a.toml".to_owned()));
        (Settings::from_values(&values).expect("good values"), values)
    }

    /// Compares the line of the table that begins with `key`, blanks as one.
    fn check(key: &str, expected: &str) {
        let (settings, values) = changed();
        let table = as_table(&settings, &values);
        let line = table.lines().find(|line| line.starts_with(key)).expect("a line");
        assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn the_table_shows_value_and_source() {
        check("KEY", "KEY VALUE SOURCE");
        check("shards", "shards 8 environment QUIPU_SHARDS");
        check("log.retain_bytes", "log.retain_bytes 1MiB file a.toml");
        check("linger", "linger 0 default");
        check("memory.max", "memory.max 0 (3/4 of the machine or its control group) default");
    }

    #[test]
    fn the_object_has_every_key_with_its_source() {
        let (settings, values) = changed();
        let object: serde_json::Value =
            serde_json::from_str(&as_json(&settings, &values)).expect("JSON");
        assert_eq!(object.as_object().map(serde_json::Map::len), Some(KNOBS.len()));
        assert_eq!(object["shards"]["value"], "8");
        assert_eq!(object["shards"]["source"], "environment");
        assert_eq!(object["shards"]["place"], "QUIPU_SHARDS");
        assert_eq!(object["linger"]["place"], serde_json::Value::Null);
    }
}
