//! Promises as people write them: what they mean, what they refuse, how they are judged.

use crate::slo::{
    Amount, Check, Dimension, Facts, Latency, Measure, Outcome, Reading, Statistic, Sustained,
};

/// A run in which the response times go up to a second evenly, ten of 10,000 failed, and so on.
struct Run;

impl Facts for Run {
    fn read(&self, measure: &Measure, dimension: Dimension) -> Reading {
        Reading::Value(match (measure, dimension) {
            (Measure::Latency(Latency::Response, Statistic::Percentile(share)), _) => share * 1e9,
            (Measure::Latency(Latency::Response, _), _) => 1e9,
            (Measure::Errors | Measure::Missed, Dimension::Count) => 10.0,
            (Measure::Errors | Measure::Missed, Dimension::Share) => 0.001,
            (Measure::Sent | Measure::Acknowledged, _) => 9_990.0,
            (Measure::Planned, _) => 10_000.0,
            (Measure::Counted, _) => 9_991.0,
            (Measure::Rate, Dimension::Rate) => 4_995.0,
            (Measure::Rate, Dimension::Share) => 0.999,
            (Measure::TimeToRecover, _) => f64::INFINITY,
            (Measure::Steady, _) => 1.0,
            (Measure::Conserved, _) => 0.0,
            (Measure::Slope(_), Dimension::BytesGrowth) => 100.0,
            (Measure::Slope(_), Dimension::ShareGrowth) => 0.02 / 3_600.0,
            (Measure::Slope(_), Dimension::TimeGrowth) => 5e6 / 3_600.0,
            _ => return Reading::Unknown("no server was watched".to_owned()),
        })
    }
}

fn check(text: &str, outcome: Outcome, left: &str, right: &str) {
    let judgement = Check::parse(text).unwrap_or_else(|error| panic!("{error}")).judge(&Run);
    let sides = (judgement.left.as_str(), judgement.right.as_str());
    assert_eq!((judgement.outcome, sides), (outcome, (left, right)), "{text}");
    assert_eq!(judgement.check, text);
}

#[test]
fn a_promise_passes_or_fails_and_shows_both_sides() {
    use Outcome::{Fail, Pass};
    check("response.p99 <= 20ms", Fail, "990ms", "20ms");
    check("response.p99<=1s", Pass, "990ms", "1s");
    check("response.p99.9 < 999ms", Fail, "999ms", "999ms");
    check("response.max <= 1_000ms", Pass, "1s", "1s");
    check("errors <= 0.1%", Pass, "0.1%", "0.1%");
    check("errors == 0", Fail, "10", "0");
    check("missed != 10", Fail, "10", "10");
    check("rate >= 5_000/s", Fail, "4,995/s", "5,000/s");
    check("rate >= 99.9%", Pass, "99.9%", "99.9%");
    check("sent/planned >= 99.9%", Pass, "99.9%", "99.9%");
    check("sent / planned > 99.91%", Fail, "99.9%", "99.91%");
    check("time_to_recover <= 15s", Fail, "never", "15s");
    check("counted == acknowledged", Fail, "9,991", "9,990");
    check("20ms >= response.p50", Fail, "20ms", "500ms");
    check("steady", Pass, "true", "true");
    check("steady == true", Pass, "true", "true");
    check("conserved", Fail, "false", "true");
    check("conserved == false", Pass, "false", "false");
    check("slope(server.rss) <= 1MB/h", Pass, "360kB/h", "1MB/h");
    check("slope(response.p99) <= 1%/h", Fail, "2%/h", "1%/h");
    check("slope( response.p99 ) <= 5ms/h", Pass, "5ms/h", "5ms/h");
}

#[test]
fn what_was_not_measured_is_unknown_and_says_why() {
    let judgement = Check::parse("server.rss <= 64MiB").unwrap().judge(&Run);
    assert_eq!(judgement.outcome, Outcome::Unknown);
    assert_eq!((judgement.left.as_str(), judgement.right.as_str()), ("unknown", "67.1MB"));
    assert_eq!(judgement.reason.as_deref(), Some("no server was watched"));
}

#[test]
fn an_error_points_at_the_word() {
    let refused = |text: &str, at: usize, message: &str| {
        let error = Check::parse(text).expect_err(text);
        assert_eq!((error.at, error.to_string().as_str()), (at, message));
    };
    refused(
        "respnse.p99 <= 20ms",
        0,
        "`respnse.p99` in `respnse.p99 <= 20ms` is not measured: did you mean `response`?",
    );
    refused(
        "response.p999x <= 20ms",
        9,
        "`p999x` in `response.p999x <= 20ms` is no statistic: write such as p50, p99, p99.9, mean \
         or max",
    );
    refused(
        "response <= 20ms",
        0,
        "`response` in `response <= 20ms` names no number of many: write such as `response.p99`",
    );
    refused(
        "response.p99 <= 20",
        16,
        "`20` in `response.p99 <= 20` is no amount of `response.p99`: write such as 20ms",
    );
    refused(
        "errors <= 20ms",
        10,
        "`20ms` in `errors <= 20ms` is no amount of `errors`: write such as 0 or 1_000 or 0.1%",
    );
    refused(
        "response.p99 <= 20parsecs",
        16,
        "`20parsecs` in `response.p99 <= 20parsecs` has a unit that is not known: write such as \
         20ms, 0.1%, 10_000/s, 64MB or 1MB/h",
    );
    refused(
        "slope(errors) <= 1%/h",
        6,
        "`errors` in `slope(errors) <= 1%/h` has one value and no slope",
    );
    refused(
        "response.p99",
        0,
        "`response.p99` in `response.p99` is compared with nothing: write such as `response.p99 <= \
         20ms`",
    );
    refused("errors <=", 9, "`` in `errors <=` stands where a measure or an amount is missing");
    refused(
        "rate / steady > 1",
        0,
        "`rate / steady` in `rate / steady > 1` divides what cannot be \
             compared",
    );
}

#[test]
fn a_condition_must_hold_for_a_while() {
    let sustained = Sustained::parse("response.p99 > 1s for 20s").unwrap();
    assert_eq!((sustained.check.text(), sustained.for_ns), ("response.p99 > 1s", 20_000_000_000));
    let refused = |text: &str, message: &str| {
        assert_eq!(Sustained::parse(text).expect_err(text).to_string(), message);
    };
    refused(
        "errors > 1%",
        "`errors > 1%` in `errors > 1%` says not for how long: write `for 20s` after it",
    );
    refused(
        "errors > 1% for 20",
        "`20` in `errors > 1% for 20` is no span of time: write such as 20s",
    );
}

#[test]
fn a_promise_of_latency_says_how_fine_the_generator_must_be() {
    let limit = |text: &str| Check::parse(text).unwrap().latency_limit_ns();
    assert_eq!(limit("response.p99 <= 20ms"), Some(20_000_000));
    assert_eq!(limit("service.max < 1s"), Some(1_000_000_000));
    assert_eq!(limit("lag.p99 <= 1ms"), None);
    assert_eq!(limit("response.p99 >= 20ms"), None);
    assert_eq!(limit("errors <= 1%"), None);
}

#[test]
fn measures_print_as_they_are_written() {
    for text in ["response.p99.9", "service.mean", "lag.max", "slope(server.rss)", "backlog.peak"] {
        let check = Check::parse(&format!("{text} == {text}")).unwrap();
        let shown: Vec<String> = check.measures().map(ToString::to_string).collect();
        assert_eq!(shown, [text, text]);
    }
}

#[test]
fn amounts_are_shown_with_three_digits() {
    let check = |value, dimension, expected: &str| {
        assert_eq!(Amount { value, dimension }.to_string(), expected);
    };
    check(1_234_567.0, Dimension::Count, "1,234,567");
    check(0.000_45, Dimension::Share, "0.045%");
    check(0.000_000_45, Dimension::Share, "0.000045%");
    check(123_456.0, Dimension::Time, "123us");
    check(1_234_567_890.0, Dimension::Time, "1.23s");
    check(0.0, Dimension::Time, "0ns");
    check(90e9, Dimension::Time, "90s");
    check(-2_500_000.0, Dimension::Bytes, "-2.5MB");
}
