//! Claims about settings: every knob arrives, and what does not go together is refused.

use crate::knob::{Domain, KNOBS, Key, Knob};
use crate::settings::{Settings, Source, Values};

/// Returns the defaults with some values over them, as if from the command line.
fn with(changes: &[(Key, &str)]) -> Values {
    let mut values = Values::defaults();
    for (key, text) in changes {
        values.set(*key, *text, Source::Flag(format!("--{key}")));
    }
    values
}

/// Compares the message of the refusal, or `None` where the values are good.
fn check(changes: &[(Key, &str)], expected: Option<&str>) {
    let message = Settings::from_values(&with(changes)).err().map(|error| error.to_string());
    assert_eq!(message.as_deref(), expected, "{changes:?}");
}

/// Returns a value of the knob that is not its default.
fn another(knob: &Knob) -> String {
    match knob.domain {
        Domain::Bytes(range) | Domain::Duration(range) | Domain::Count(range) => {
            let number = if knob.parse(knob.default) == knob.parse(&unit(knob, range.max)) {
                range.min
            } else {
                range.max
            };
            unit(knob, number)
        }
        Domain::Ratio => "0.123".to_owned(),
        Domain::Choice(words) => {
            words.iter().find(|word| **word != knob.default).expect("a choice").to_string()
        }
        Domain::Switch => (knob.default != "true").to_string(),
        Domain::Loopback => "[::1]:1".to_owned(),
        Domain::Path => "/elsewhere".to_owned(),
    }
}

fn unit(knob: &Knob, number: u64) -> String {
    match knob.domain {
        Domain::Duration(_) => stdx::units::Nanos(number).to_string(),
        Domain::Bytes(_) => stdx::units::Bytes(number).to_string(),
        _ => number.to_string(),
    }
}

#[test]
fn the_defaults_are_good_settings() {
    let settings = Settings::from_values(&Values::defaults()).expect("the defaults are valid");
    for knob in KNOBS {
        assert_eq!(settings.text(knob.key), knob.default, "{}", knob.name);
    }
}

#[test]
fn every_knob_turns_its_own_field_and_no_other() {
    for turned in KNOBS {
        let value = another(turned);
        let settings = Settings::read(&with(&[(turned.key, &value)])).expect(turned.name);
        for knob in KNOBS {
            let expected = if knob.key == turned.key { value.as_str() } else { knob.default };
            assert_eq!(settings.text(knob.key), expected, "{} turned {}", turned.name, knob.name);
        }
    }
}

#[test]
fn every_word_of_a_choice_is_understood() {
    for knob in KNOBS {
        let Domain::Choice(words) = knob.domain else { continue };
        for word in words {
            let settings = Settings::from_values(&with(&[(knob.key, word)])).expect(word);
            assert_eq!(settings.text(knob.key), *word);
        }
    }
}

#[test]
fn a_refusal_names_key_source_value_range_and_remedy() {
    check(
        &[(Key::LogSegmentBytes, "64mb")],
        Some(
            "log.segment_bytes from flag --log.segment_bytes: `64mb` is not a size in bytes: write \
             a whole number with B, KiB, MiB, GiB, TiB or PiB, such as 64MiB, or plain bytes; \
             allowed is 1MiB to 1GiB, a power of two, the default is 64MiB",
        ),
    );
    check(
        &[(Key::Shards, "100")],
        Some(
            "shards from flag --shards: 100 is out of range; allowed is 1 to 1024, a power of two, \
             the default is 64",
        ),
    );
    check(
        &[(Key::MemoryMax, "5B")],
        Some(
            "memory.max from flag --memory.max: 5B is out of range; allowed is 1MiB to 1PiB, \
             or 0 for 3/4 of the machine or its control group, the default is 0",
        ),
    );
}

#[test]
fn a_frame_takes_at_most_a_quarter_of_a_segment() {
    let small = [(Key::LogSegmentBytes, "1MiB"), (Key::LogFrameBytesMax, "256KiB")];
    check(&small, None);
    check(
        &[(Key::LogSegmentBytes, "32MiB")],
        Some(
            "log.frame_bytes_max is 16MiB (from default) and log.segment_bytes is 32MiB: a frame \
             may take at most a quarter of a segment, so lower the first or raise the second",
        ),
    );
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |changes: &[(Key, &str)]| {
        let error = Settings::from_values(&with(changes)).expect_err("a broken relation");
        error.to_string().split(" is ").next().expect("a key").to_owned()
    };
    assert_eq!(refused(&[(Key::Linger, "1ms"), (Key::CommitStrategy, "loop")]), "linger");
    assert_eq!(refused(&[(Key::LimitsPipelineBytes, "64KiB")]), "limits.bulk_bytes");
    let inline = [(Key::LimitsPipelineBytes, "2KiB"), (Key::LimitsBulkBytes, "1KiB")];
    assert_eq!(refused(&inline), "limits.inline_bytes");
    assert_eq!(refused(&[(Key::LimitsInflightBytes, "512KiB")]), "limits.pipeline_bytes");
    assert_eq!(refused(&[(Key::LimitsBodyBytes, "1GiB")]), "limits.body_bytes");
    assert_eq!(refused(&[(Key::HttpAddr, "127.0.0.1:7411")]), "http.addr");
    assert_eq!(refused(&[(Key::AdminAddr, "127.0.0.1:7412")]), "admin.addr");
    assert_eq!(refused(&[(Key::AdminAddr, "127.0.0.1:7411")]), "admin.addr");
}

#[test]
fn free_ports_may_be_asked_for_thrice() {
    let free = "127.0.0.1:0";
    check(&[(Key::RespAddr, free), (Key::HttpAddr, free), (Key::AdminAddr, free)], None);
}
