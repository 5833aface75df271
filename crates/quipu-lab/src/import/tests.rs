//! Claims about results that are read.

use super::{Origin, Row, rows};
use crate::finding::sample;
use crate::{hlog, k6};

/// What `redis-benchmark -t set,incr -n 20000 -q --csv` of Redis 7.0.15 printed.
const REDIS_CSV: &str = r#""test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","86206.90","0.355","0.112","0.343","0.543","0.615","2.543"
"INCR","78740.16","0.376","0.064","0.343","0.543","1.159","5.679"
"#;

/// What wrk 4.1 prints with `--latency`.
const WRK: &str = "Running 30s test @ http://127.0.0.1:8080/
  12 threads and 400 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.91us    0.89ms  12.92ms   93.69%
    Req/Sec    56.20k     8.07k   62.00k    86.54%
  Latency Distribution
     50%  250.00us
     75%  491.00us
     90%  700.00us
     99%    5.80ms
  22464657 requests in 30.00s, 17.76GB read
Requests/sec: 748868.53
Transfer/sec:    606.33MB
";

/// Returns what matters of each row: tool, part, origin, count, rate and p99 in microseconds.
fn read(text: &str) -> Vec<String> {
    let shown = |row: &Row| {
        let p99_us = row.latency.p99_ns.map(|ns| (ns / 1e3).round());
        let per_s = row.per_s.map(f64::round);
        format!("{} {} {:?} {:?} {per_s:?} {p99_us:?}", row.tool, row.part, row.origin, row.count)
    };
    rows(text, 1_000).expect("a result").iter().map(shown).collect()
}

#[test]
fn the_lines_of_redis_benchmark_are_a_closed_loop() {
    let expected = [
        "redis-benchmark SET ClosedLoop None Some(86207.0) Some(615.0)",
        "redis-benchmark INCR ClosedLoop None Some(78740.0) Some(1159.0)",
    ];
    assert_eq!(read(REDIS_CSV), expected);
    let old = "\"SET\",\"113122.17\"\n\"LPUSH (needed to benchmark LRANGE)\",\"99000.99\"\n";
    assert_eq!(read(old)[0], "redis-benchmark SET ClosedLoop None Some(113122.0) None");
    assert!(rows("\"test\",\"rps\"\n\"SET\",\"many\"\n", 1).is_err());
}

#[test]
fn our_own_results_say_what_they_count_from_in_every_form() {
    let finding = sample::finding();
    let name = sample::HOSTILE;
    let p99 = (finding.total.response.percentiles.p99_ns as f64 / 1e3).round();
    let figures = format!("Some(5988) Some(1497.0) Some({p99:?})");
    assert_eq!(read(&finding.to_json()), [format!("quipu {name}/{name} Plan {figures}")]);
    let log = read(&hlog::hlog(&finding));
    let tag = "<img_src=x>___b__&_c";
    assert!(log.contains(&format!("quipu hlog {tag}/response Plan {figures}")), "{log:?}");
    assert!(log.iter().any(|row| row.contains(&format!("{tag}/service Write Some(5988)"))));
    let k6 = format!("quipu k6 http_req_duration Plan Some(6000) Some(1500.0) Some({p99:?})");
    assert_eq!(read(&k6::k6(&finding)), [k6]);
}

#[test]
fn a_log_of_another_tool_has_the_unit_that_is_said_and_an_unknown_origin() {
    let log = hlog::hlog(&sample::finding());
    let lines = log.split_inclusive('\n').filter(|line| !line.contains("quipu"));
    let log = lines.collect::<String>();
    let found = rows(&log, 1_000).expect("a log");
    let longest_ns = found.iter().filter_map(|row| row.latency.max_ns).fold(0.0, f64::max);
    assert!((longest_ns / 600.8e9 - 1.0).abs() < 0.01, "{longest_ns}");
    assert!(found.iter().all(|row| row.origin == Origin::Unknown && row.tool == "hlog"));
}

#[test]
fn k6_counts_from_the_write_in_both_of_its_forms() {
    let flat = r#"{"metrics":{"http_req_duration":{"avg":1.5,"med":1,"p(95)":3,"max":9},
                   "http_reqs":{"count":100,"rate":10.5}}}"#;
    assert_eq!(read(flat), ["k6 http_req_duration Write Some(100) Some(11.0) None"]);
    let deep = r#"{"metrics":{"http_req_duration":{"type":"trend","values":{"p(99)":3.5}}}}"#;
    assert_eq!(read(deep), ["k6 http_req_duration Write None None Some(3500.0)"]);
}

#[test]
fn wrk_is_a_closed_loop_and_wrk2_is_not() {
    let figures = "http://127.0.0.1:8080/";
    let expected = format!("wrk {figures} ClosedLoop Some(22464657) Some(748869.0) Some(5800.0)");
    assert_eq!(read(WRK), [expected]);
    let wrk2 = WRK
        .replace("Latency Distribution", "Latency Distribution (HdrHistogram - Recorded Latency)")
        .replace("50%", "50.000%")
        .replace("99% ", "99.000% ");
    let expected = format!("wrk2 {figures} Plan Some(22464657) Some(748869.0) Some(5800.0)");
    assert_eq!(read(&wrk2), [expected]);
}

#[test]
fn what_is_no_result_is_refused() {
    for text in
        ["", "hello", "{}", "[1]", "{\"metrics\":{}}", "#[Histogram log]\n", "Tag=a,1,2,3,x\n"]
    {
        assert!(rows(text, 1).is_err(), "{text}");
    }
    let broken = hlog::hlog(&sample::finding()).replace("HISTFAAA", "GISTFAAA");
    let error = rows(&broken, 1).expect_err("no histogram").to_string();
    assert_eq!(error, "line 5: this is no histogram in base64");
}
