//! Claims about the layers: which one wins, and what an operator reads when one is wrong.

use std::ffi::OsString;

use quipu_metrics::knob::Key;
use quipu_metrics::reference;
use quipu_metrics::settings::{Settings, Source, Values};

use super::{LayerError, over_environment, over_flags, over_text};
use crate::args::KnobFlags;

const FILE: &str = "quipu.toml";

fn from_file(text: &str) -> Result<Values, LayerError> {
    let mut values = Values::defaults();
    over_text(&mut values, FILE, text).map(|()| values)
}

/// Compares the message about a bad file.
fn check(text: &str, expected: &str) {
    assert_eq!(from_file(text).expect_err("a bad file").to_string(), expected);
}

#[test]
fn later_layers_win_and_each_value_keeps_its_source() {
    let mut values = from_file(
        "[log]\nsegment_bytes = \"1MiB\"\nmark_interval = \"1s\"\nretain_bytes = \"1MiB\"",
    )
    .expect("a good file");
    over_environment(&mut values, |variable| match variable {
        "QUIPU_LOG_MARK_INTERVAL" => Some(OsString::from("2s")),
        "QUIPU_LOG_RETAIN_BYTES" => Some(OsString::from("2MiB")),
        _ => None,
    })
    .expect("a good environment");
    over_flags(&mut values, &KnobFlags(vec![(Key::LogRetainBytes, "3MiB".to_owned())]));
    let shown = |key| (values.get(key).text.as_str(), values.get(key).source.to_string());
    assert_eq!(shown(Key::LogFrameBytesMax), ("16MiB", "default".to_owned()));
    assert_eq!(shown(Key::LogSegmentBytes), ("1MiB", "file quipu.toml".to_owned()));
    let environment = "environment QUIPU_LOG_MARK_INTERVAL".to_owned();
    assert_eq!(shown(Key::LogMarkInterval), ("2s", environment));
    assert_eq!(shown(Key::LogRetainBytes), ("3MiB", "flag --log.retain_bytes".to_owned()));
}

#[test]
fn numbers_and_switches_may_stand_without_quotes() {
    let values = from_file("shards = 128\nlog.segment_bytes = 1048576\n[clock]\naccept = true")
        .expect("a good file");
    let text = |key| values.get(key).text.as_str();
    assert_eq!(text(Key::Shards), "128");
    assert_eq!(text(Key::LogSegmentBytes), "1048576");
    assert_eq!(text(Key::ClockAccept), "true");
}

#[test]
fn the_reference_file_says_the_defaults() {
    let values = from_file(&reference::config_file()).expect("the reference file is good");
    let settings = Settings::from_values(&values).expect("its values are good");
    assert_eq!(Some(settings), Settings::from_values(&Values::defaults()).ok());
    assert_eq!(values.get(Key::Linger).source, Source::File(FILE.to_owned()));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    check(
        "[log]\nsegment_byte = \"1MiB\"",
        "`log.segment_byte` in quipu.toml is no key; the nearest is `log.segment_bytes`; \
         `quipu config` prints all keys",
    );
    check(
        "segment_bytes = \"1MiB\"",
        "`segment_bytes` in quipu.toml is no key; the nearest is `log.segment_bytes`; \
         `quipu config` prints all keys",
    );
    check(
        "[logs]\nsegment_bytes = \"1MiB\"",
        "`logs` in quipu.toml is no key; `quipu config` prints all keys",
    );
    check("colour = \"red\"", "`colour` in quipu.toml is no key; `quipu config` prints all keys");
}

#[test]
fn what_is_no_single_value_is_refused() {
    check("shards = [64]", "`shards` in quipu.toml is an array, not a single value");
    check(
        "[log.segment_bytes]\nx = 1",
        "`log.segment_bytes` in quipu.toml is a table, not a single value",
    );
}

#[test]
fn a_mistake_of_form_is_shown_by_its_line() {
    let error = from_file("shards = 64\nlog = = 5").expect_err("not TOML").to_string();
    assert!(error.starts_with("quipu.toml is not TOML, line 2: "), "{error}");
}

#[test]
fn a_bad_value_is_refused_with_key_source_range_and_default() {
    let values = from_file("[flush]\ninterval = \"soon\"").expect("good keys");
    assert_eq!(
        Settings::from_values(&values).expect_err("a bad value").to_string(),
        "flush.interval from file quipu.toml: `soon` is not a span of time: write a whole number \
         with ns, us, ms, s, m, h or d, such as 10ms or 1h, or plain 0; allowed is 1ms to 1m, the \
         default is 1s"
    );
}
