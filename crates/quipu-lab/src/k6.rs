//! A finding under the names of k6: what `k6 run --summary-export` writes.
//!
//! `http_req_duration` is the response time from the planned moment, whatever the target speaks: k6
//! itself counts from the write, which leaves out how late a request was. What k6 would have said
//! stands in `http_req_waiting`, and the lag in `http_req_blocked`. Spans are in milliseconds.

use serde_json::{Map, Value, json};

use crate::finding::{Finding, Latency, PhaseFinding, Promise};
use crate::slo::Outcome;
use crate::window::decode;

/// Returns the summary, of all that is recorded.
pub fn k6(finding: &Finding) -> String {
    let total = &finding.total;
    let counts = &total.counts;
    let answered = rate(counts.failed, counts.ok);
    let metrics = json!({
        "http_req_duration": trend(&total.response),
        "http_req_waiting": trend(&total.service),
        "http_req_blocked": trend(&total.lag),
        "quipu_lag": trend(&total.lag),
        "iteration_duration": trend(&total.response),
        "http_reqs": counter(counts.sent, total),
        "http_req_failed": answered,
        "iterations": counter(counts.sent, total),
        "dropped_iterations": counter(counts.missed, total),
        "checks": rate(counts.ok, counts.failed),
        "vus": gauge(finding.plan.connections),
        "vus_max": gauge(finding.plan.connections),
    });
    let group = json!({
        "name": "", "path": "", "id": ROOT_ID, "groups": {}, "checks": checks(&finding.promises),
    });
    let summary = json!({ "root_group": group, "metrics": metrics });
    serde_json::to_string_pretty(&summary).expect("plain data with text keys has a form") + "\n"
}

/// What k6 calls the group without a name: the MD5 sum of nothing.
const ROOT_ID: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// Returns each promise as a check that passed or failed once.
fn checks(promises: &[Promise]) -> Map<String, Value> {
    let check = |promise: &Promise| {
        let name = promise.title();
        let passes = u8::from(promise.judgement.outcome == Outcome::Pass);
        let path = format!("::{name}");
        let check = json!({ "name": name, "path": path, "passes": passes, "fails": 1 - passes });
        (name, check)
    };
    promises.iter().map(check).collect()
}

fn trend(latency: &Latency) -> Value {
    let all = decode(&latency.hdr).unwrap_or_else(crate::recording::latencies);
    let ms = |ns: u64| ns as f64 / 1e6;
    let at = |share: f64| if all.is_empty() { 0.0 } else { ms(all.value_at_quantile(share)) };
    json!({
        "avg": latency.mean_ns / 1e6,
        "min": ms(latency.min_ns),
        "med": at(0.5),
        "max": ms(latency.percentiles.max_ns),
        "p(90)": at(0.9),
        "p(95)": at(0.95),
        "p(99)": at(0.99),
        "p(99.9)": at(0.999),
    })
}

fn counter(count: u64, total: &PhaseFinding) -> Value {
    json!({ "count": count, "rate": count as f64 * 1e9 / total.active_ns.max(1) as f64 })
}

/// k6 calls `passes` what was true, be it good or bad.
fn rate(passes: u64, fails: u64) -> Value {
    let value = passes as f64 / (passes + fails).max(1) as f64;
    json!({ "passes": passes, "fails": fails, "value": value })
}

fn gauge(value: u32) -> Value {
    json!({ "value": value, "min": value, "max": value })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::k6;
    use crate::finding::sample;

    #[test]
    fn a_reader_of_summaries_finds_its_names() {
        let finding = sample::finding();
        let summary: Value = serde_json::from_str(&k6(&finding)).unwrap();
        let metrics = &summary["metrics"];
        let ms = |ns: u64| json!(ns as f64 / 1e6);
        let response = &finding.total.response.percentiles;
        let duration = &metrics["http_req_duration"];
        let found = ["med", "p(90)", "p(95)", "p(99)", "max"].map(|name| duration[name].clone());
        let expected =
            [response.p50_ns, response.p90_ns, response.p95_ns, response.p99_ns, response.max_ns];
        assert_eq!(found, expected.map(ms));
        let service = &finding.total.service.percentiles;
        assert_eq!(metrics["http_req_waiting"]["p(99)"], ms(service.p99_ns));
        let failed = json!({ "passes": 12, "fails": 5_988, "value": 0.002 });
        assert_eq!(metrics["http_req_failed"], failed);
        assert_eq!(metrics["dropped_iterations"]["count"], 0);
        assert_eq!(metrics["iterations"], json!({ "count": 6_000, "rate": 1_500.0 }));
        let checks = summary["root_group"]["checks"].as_object().unwrap();
        let fails: u64 = checks.values().map(|check| check["fails"].as_u64().unwrap()).sum();
        assert_eq!(fails, 2, "{checks:?}");
    }
}
