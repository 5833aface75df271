//! `quipu stat`: how a node does, on one screen.

use std::process::ExitCode;

use clap::Args;
use quipu_client::figures::{Figures, Times, Window};
use quipu_client::page;
use serde_json::{Map, Value, json};
use stdx::units::Bytes;

use super::live::{self, PATIENCE, Pace, View};
use crate::figure::{grouped, lasting, rate, span};

/// Show how a node does on one screen: rates, latency, sync time, memory, log
///
/// The figures are those of `/metrics` on the listener of administration. Rates and times are of the
/// span between two readings, by the node's own clock; after a restart they are of the time since.
/// Times are upper bounds of their bucket, at most an eighth too long. `q` or Ctrl-C ends.
#[derive(Debug, Args)]
pub(crate) struct StatArgs {
    /// Admin address of the node
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7413", env = "QUIPU_ADMIN")]
    admin: String,
    /// Print one JSON object per reading
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pace: Pace,
}

/// Shows figures until it is to end.
pub(crate) fn run(args: &StatArgs) -> anyhow::Result<ExitCode> {
    let mut stat = Stat { admin: args.admin.clone(), before: None, now: Figures::default() };
    live::run(&mut stat, &args.pace, args.json)
}

/// Metrics of which there is one series for each value of a label.
const OPERATIONS: &str = "quipu_shard_operations_total";
const COUNTED: &str = "quipu_shard_counted_total";
const REQUESTS: &str = "quipu_server_request_duration_seconds";
const OPEN: &str = "quipu_server_connections_open";
const SEGMENTS: &str = "quipu_log_segments";

/// What ends otherwise than asked, by what it is called.
const TROUBLES: [(&str, &str); 4] = [
    ("refused", "quipu_shard_refused_total"),
    ("rejected", "quipu_shard_rejected_total"),
    ("repeats", "quipu_shard_repeats_total"),
    ("cut off", "quipu_server_connections_cut_total"),
];

/// Times, by what they are called.
const TIMES: [(&str, &str, &str); 5] = [
    ("resp", REQUESTS, "resp"),
    ("http", REQUESTS, "http"),
    ("held for the log", "quipu_server_commit_wait_seconds", ""),
    ("sync", "quipu_log_sync_duration_seconds", ""),
    ("ranking", "quipu_top_duration_seconds", ""),
];

/// Levels without a label, as JSON tells them.
const LEVELS: [(&str, &str); 18] = [
    ("counters", "quipu_shard_counters"),
    ("tokens", "quipu_shard_tokens"),
    ("streams", "quipu_shard_streams"),
    ("streams_fullest", "quipu_shard_streams_fullest"),
    ("streams_max", "quipu_shard_streams_max"),
    ("held_replies", "quipu_server_held_replies"),
    ("inflight_bytes", "quipu_server_inflight_bytes"),
    ("at_risk_bytes", "quipu_log_at_risk_bytes"),
    ("memory_bytes", "quipu_node_memory_bytes"),
    ("memory_max_bytes", "quipu_node_memory_max_bytes"),
    ("log_since_snapshot_bytes", "quipu_log_since_snapshot_bytes"),
    ("log_room_bytes", "quipu_log_room_bytes"),
    ("disk_free_bytes", "quipu_node_disk_free_bytes"),
    ("log_bytes_total", "quipu_log_frame_bytes_total"),
    ("log_frames_total", "quipu_log_frames_total"),
    ("sync_failures_total", "quipu_log_sync_failures_total"),
    ("folds_total", "quipu_folds_total"),
    ("fold_failures_total", "quipu_fold_failures_total"),
];

struct Stat {
    admin: String,
    before: Option<Figures>,
    now: Figures,
}

impl Stat {
    fn window(&self) -> Window<'_> {
        Window::new(self.before.as_ref(), &self.now)
    }

    fn level(&self, name: &str) -> f64 {
        self.now.value(name, "")
    }

    fn count(&self, name: &str) -> String {
        grouped(self.level(name) as i128)
    }

    fn bytes(&self, name: &str) -> String {
        Bytes(self.level(name).max(0.0) as u64).approximate()
    }

    fn head(&self) -> String {
        let window = self.window();
        let over = if window.is_since_start() {
            "since the start".to_owned()
        } else {
            format!("over {:.1} s", window.elapsed.as_secs_f64())
        };
        format!("quipu {}, up {}, {over}", self.now.version, lasting(self.now.uptime()))
    }

    /// Rates of the series of a metric that moved at all.
    fn rates(&self, name: &str) -> Vec<(&str, Option<f64>)> {
        let window = self.window();
        let moved = self.now.series(name).into_iter().filter(|(_, total)| *total > 0.0);
        moved.map(|(label, _)| (label, window.rate(name, label))).collect()
    }

    fn rate_line(&self, title: &str, name: &str) -> Option<String> {
        let rates = self.rates(name);
        let words: Vec<String> =
            rates.iter().map(|(label, per_s)| format!("{label} {}", rate(*per_s))).collect();
        (!words.is_empty()).then(|| format!("{title:<17} {}", words.join("   ").trim_start()))
    }

    fn time_line(&self, (title, name, label): (&str, &str, &str)) -> String {
        let times = self.window().times(name, label);
        let [p50, p99, p999, most] =
            [0.5, 0.99, 0.999, 1.0].map(|share| span(times.quantile(share)));
        let per_s = self.per_second(&times);
        format!("{title:<17}{p50:>10}{p99:>10}{p999:>10}{most:>10}{:>14}", rate(per_s))
    }

    fn per_second(&self, times: &Times) -> Option<f64> {
        crate::figure::per_second(times.count.into(), self.window().elapsed)
    }

    fn labelled(&self, name: &str) -> String {
        let words = self.now.series(name);
        let words = words.iter().map(|(label, n)| format!("{label} {}", grouped(*n as i128)));
        words.collect::<Vec<_>>().join("   ")
    }

    fn level_lines(&self) -> Vec<String> {
        let line = |title: &str, text: String| format!("{title:<17} {text}");
        let written = self.window().rate("quipu_log_frame_bytes_total", "").unwrap_or(0.0);
        let written = Bytes(written.max(0.0) as u64).approximate();
        let at_risk = self.bytes("quipu_log_at_risk_bytes");
        let held = self.count("quipu_server_held_replies");
        let inflight = self.bytes("quipu_server_inflight_bytes");
        let (memory, most) =
            (self.bytes("quipu_node_memory_bytes"), self.bytes("quipu_node_memory_max_bytes"));
        let (counters, tokens, streams) = (
            self.count("quipu_shard_counters"),
            self.count("quipu_shard_tokens"),
            self.count("quipu_shard_streams"),
        );
        let (fullest, most_streams) =
            (self.count("quipu_shard_streams_fullest"), self.count("quipu_shard_streams_max"));
        let (since, room) =
            (self.bytes("quipu_log_since_snapshot_bytes"), self.bytes("quipu_log_room_bytes"));
        let free = self.bytes("quipu_node_disk_free_bytes");
        let (folds, failed) =
            (self.count("quipu_folds_total"), self.count("quipu_fold_failures_total"));
        vec![
            line("at risk", format!("{at_risk}   held answers {held}   in flight {inflight}")),
            line("connections", self.labelled(OPEN)),
            line("holds", format!("counters {counters}   tokens {tokens}   streams {streams}")),
            line("fullest shard", format!("streams {fullest} of {most_streams}")),
            line("memory", format!("{memory} of {most}")),
            line("log", format!("{written}/s   to replay {since}   room {room}   disk {free}")),
            line("segments", self.labelled(SEGMENTS)),
            line("folds", format!("{folds}   failed {failed}")),
        ]
    }

    fn screen(&self) -> Vec<String> {
        let mut lines = vec![self.head(), String::new()];
        lines.extend(self.rate_line("counted/s", COUNTED));
        let nothing = || format!("{:<17} none yet", "operations/s");
        lines.push(self.rate_line("operations/s", OPERATIONS).unwrap_or_else(nothing));
        let troubles = TROUBLES.iter();
        lines.extend(
            troubles.filter_map(|(title, name)| self.rate_line(&format!("{title}/s"), name)),
        );
        lines.push(String::new());
        lines.push(format!(
            "{:<17}{:>10}{:>10}{:>10}{:>10}{:>14}",
            "TIMES", "P50", "P99", "P99.9", "MAX", "PER SECOND"
        ));
        lines.extend(TIMES.iter().map(|line| self.time_line(*line)));
        lines.push(String::new());
        lines.extend(self.level_lines());
        lines
    }
}

impl View for Stat {
    fn look(&mut self) -> anyhow::Result<()> {
        let page = page::get_json(&self.admin, "/metrics", PATIENCE)?;
        let figures = Figures::parse(&page)?;
        let before = std::mem::replace(&mut self.now, figures);
        self.before = (!before.version.is_empty()).then_some(before);
        Ok(())
    }

    /// Rates need two readings.
    fn first(&self) -> u64 {
        1
    }

    fn picture(&self, _: (usize, usize)) -> Vec<String> {
        let mut lines = self.screen();
        if let Some(head) = lines.first_mut() {
            *head = format!("\x1b[1m{head}\x1b[0m");
        }
        lines
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = self.screen();
        // Readings that follow one another stand apart.
        lines.push(String::new());
        lines
    }

    fn json(&self) -> Value {
        let window = self.window();
        let rates = |name| -> Map<String, Value> {
            let series = self.now.series(name).into_iter();
            series.map(|(label, _)| (label.to_owned(), json!(window.rate(name, label)))).collect()
        };
        let times = |(_, name, label): &(&str, &str, &str)| {
            let times = window.times(name, label);
            let [p50, p99, p999, most] = [0.5, 0.99, 0.999, 1.0]
                .map(|share| times.quantile(share).map(stdx::units::Nanos::as_secs_f64));
            json!({ "count": times.count, "p50": p50, "p99": p99, "p999": p999, "max": most })
        };
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        put("version", json!(self.now.version));
        put("uptime_s", json!(self.now.uptime().as_secs_f64()));
        put("elapsed_s", json!(window.elapsed.as_secs_f64()));
        put("counted_per_second", json!(window.rate(COUNTED, "")));
        put("operations_per_second", Value::Object(rates(OPERATIONS)));
        for (title, name) in TROUBLES {
            put(&format!("{}_per_second", title.replace(' ', "_")), Value::Object(rates(name)));
        }
        for time in &TIMES {
            put(&format!("{}_seconds", time.0.replace(' ', "_")), times(time));
        }
        for (title, name) in LEVELS {
            put(title, json!(self.level(name)));
        }
        for (title, name) in [("connections", OPEN), ("segments", SEGMENTS)] {
            let series = self.now.series(name).into_iter();
            let series: Map<String, Value> =
                series.map(|(label, level)| (label.to_owned(), json!(level))).collect();
            put(title, Value::Object(series));
        }
        Value::Object(object)
    }

    fn node(&self) -> &str {
        &self.admin
    }
}
