//! The reference pages that follow from the tables: `docs/metrics.md` and `docs/config.md`.

use std::fmt::{self, Write as _};

use crate::knob::{KNOBS, Knob};
use crate::name::{Spec, all};

/// Returns the page of all metrics.
pub fn metrics_page() -> String {
    let mut page = String::new();
    write_metrics(&mut page).expect("writing to a string cannot fail");
    page
}

/// Returns the page of all knobs.
pub fn config_page() -> String {
    let mut page = String::new();
    write_config(&mut page).expect("writing to a string cannot fail");
    page
}

/// Returns a configuration file that says every default, section by section.
pub fn config_file() -> String {
    let mut file = String::new();
    write_file(&mut file).expect("writing to a string cannot fail");
    file
}

fn write_metrics(page: &mut String) -> fmt::Result {
    page.write_str(
        "# Metrics\n\n\
         Generated: `quipu docs metrics > docs/metrics.md` writes it anew.\n\n\
         `GET /metrics` answers all of these in the Prometheus text format, or as JSON with \
         `Accept: application/json`.\n\
         Every series is there from the start, at zero.\n\
         Histograms show powers of two from 1 us to 69 s to Prometheus; in JSON they come as \
         count, sum, maximum and quantiles, at most 6.25 % off.\n\n\
         | name | kind | label | meaning |\n|---|---|---|---|\n",
    )?;
    for spec in all() {
        let Spec { name, kind, help, .. } = spec;
        writeln!(page, "| `{name}` | {} | {} | {help} |", kind.name(), label(spec))?;
    }
    Ok(())
}

fn label(spec: &Spec) -> String {
    match spec.label {
        None => String::new(),
        Some(set) if set.values.is_empty() => format!("`{}`", set.name),
        Some(set) => format!("`{}`: {}", set.name, set.values.join(", ")),
    }
}

fn write_config(page: &mut String) -> fmt::Result {
    page.write_str(
        "# Configuration\n\n\
         Generated: `quipu docs config > docs/config.md` writes it anew.\n\n\
         Later places win over earlier ones: the default, the file (`--config FILE`, TOML), the \
         environment, the command line.\n\
         `log.segment_bytes` is `segment_bytes` in the section `[log]` of the file, \
         `QUIPU_LOG_SEGMENT_BYTES` in the environment and `--log.segment_bytes` on the command \
         line.\n\
         An unknown key in the file is an error, an unknown variable is ignored.\n\
         `quipu config` prints every value in force and where it came from; `quipu.toml` beside \
         this page is a file with every default.\n\n\
         Sizes are written as 64MiB, spans of time as 10ms or 1h, shares as 0.8 or 80%.\n\n\
         The class says who may turn a knob: *performance* a program that tunes, *limits* a \
         person, *safety* a person while the node is down.\n\
         The change says when a new value takes effect: *restart* at the next start, *live* in the \
         running node; this version reads every value once, at the start.\n\
         A default is *measured*, taken from a *spec* (the design, or another system's documented \
         choice), or a *guess*.\n",
    )?;
    let mut section = None;
    for knob in by_section() {
        if section != Some(section_of(knob)) {
            section = Some(section_of(knob));
            writeln!(page, "\n## {}\n", section_of(knob))?;
            page.write_str("| key | default | allowed | class | change | meaning |\n")?;
            page.write_str("|---|---|---|---|---|---|\n")?;
        }
        let Knob { name, default, class, apply, help, basis, why, .. } = knob;
        let allowed = knob.domain.describe();
        write!(page, "| `{name}` | `{default}` | {allowed} | {class} | {apply} | {help} ")?;
        writeln!(page, "*Default ({basis}):* {why} |")?;
    }
    Ok(())
}

fn write_file(file: &mut String) -> fmt::Result {
    file.write_str(
        "# Every key of the configuration with its default; `quipu docs file` prints this.\n",
    )?;
    let mut section = GENERAL;
    for knob in by_section() {
        if section != section_of(knob) {
            section = section_of(knob);
            writeln!(file, "\n[{section}]")?;
        }
        let key = knob.name.split_once('.').map_or(knob.name, |(_, key)| key);
        write_entry(file, knob, key)?;
    }
    Ok(())
}

fn write_entry(file: &mut String, knob: &Knob, key: &str) -> fmt::Result {
    writeln!(file, "# {} ({})", knob.help, knob.domain.describe())?;
    let bare = matches!(knob.domain.kind(), "count" | "switch" | "ratio");
    let quote = if bare { "" } else { "\"" };
    writeln!(file, "{key} = {quote}{}{quote}", knob.default)
}

/// The section of the keys whose name has no dot.
const GENERAL: &str = "general";

/// Returns all knobs, those without a section first: in TOML they would else belong to the section
/// before them.
fn by_section() -> impl Iterator<Item = &'static Knob> {
    let general = |knob: &&Knob| section_of(knob) == GENERAL;
    KNOBS.iter().filter(general).chain(KNOBS.iter().filter(move |knob| !general(knob)))
}

/// Returns the part of the name before the dot.
fn section_of(knob: &Knob) -> &'static str {
    knob.name.split_once('.').map_or(GENERAL, |(section, _)| section)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{config_file, config_page, metrics_page, section_of};
    use crate::knob::KNOBS;
    use crate::name::all;

    #[test]
    fn pages_name_every_entry_once() {
        let metrics = metrics_page();
        for spec in all() {
            assert_eq!(metrics.matches(&format!("| `{}` |", spec.name)).count(), 1);
        }
        let config = config_page();
        for knob in KNOBS {
            assert_eq!(config.matches(&format!("| `{}` |", knob.name)).count(), 1);
        }
    }

    #[test]
    fn sections_stand_together_and_appear_once() {
        let file = config_file();
        let heads: Vec<&str> = file.lines().filter(|line| line.starts_with('[')).collect();
        let unique: BTreeSet<&&str> = heads.iter().collect();
        assert_eq!(unique.len(), heads.len(), "{heads:?}");
        let sections: BTreeSet<&str> = KNOBS.iter().map(section_of).collect();
        assert_eq!(config_page().matches("\n## ").count(), sections.len());
    }
}
