//! Fits as text.

use stdx::units::Nanos;

use super::{Fit, KneeCurve, Level, Model, Scaling, ScalingLaw};

impl Fit {
    /// Returns the page.
    pub fn page(&self) -> String {
        let mut lines: Vec<String> = self.doubts.clone();
        if let Some(scaling) = &self.scaling {
            lines.extend(scaling.lines());
        }
        if let Some(knee) = &self.knee {
            lines.extend(knee.lines());
        }
        if let Some(model) = &self.model {
            lines.extend(model.lines());
        }
        lines.join("\n") + "\n"
    }
}

fn time(ns: f64) -> String {
    Nanos(ns.max(0.0) as u64).approximate()
}

impl Level {
    fn line(&self) -> String {
        let little = match self.little_ratio {
            Some(ratio) if self.holds_little() => format!("holds ({ratio:.3})"),
            Some(ratio) => format!("FAILS ({ratio:.3})"),
            None => "unknown".to_owned(),
        };
        format!(
            "  {:>6.0} users  {:>10.0}/s  mean {:>8}  p99 {:>8}  Little's law {little}{}",
            self.users,
            self.per_s,
            time(self.mean_ns),
            time(self.p99_ns as f64),
            if self.is_generator_bound { "  the generator was the limit" } else { "" }
        )
    }
}

impl Scaling {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec!["closed loop: throughput by users".to_owned()];
        lines.extend(self.levels.iter().map(Level::line));
        if self.levels.iter().any(|level| level.is_generator_bound) {
            lines.push("  the law is that of target and generator together".to_owned());
        }
        match (&self.law, &self.no_law) {
            (Some(law), _) => lines.extend(law.lines()),
            (None, why) => lines.push(format!("  no law: {}", why.as_deref().unwrap_or_default())),
        }
        lines
    }
}

impl ScalingLaw {
    fn lines(&self) -> Vec<String> {
        let (a_low, a_high) = self.contention_interval;
        let (b_low, b_high) = self.coherency_interval;
        let mut lines = vec![format!(
            "  scalability law: one user {:.0}/s, contention {:.4} ({a_low:.4} to {a_high:.4}), \
                 coherency {:.2e} ({b_low:.2e} to {b_high:.2e}), residual {:.1} %",
            self.single_per_s,
            self.contention,
            self.coherency,
            self.residual_ratio * 100.0
        )];
        lines.push(match (&self.peak, &self.no_peak) {
            (Some(peak), _) => format!(
                "  peak: {:.0}/s at {:.0} users ({:.0} to {:.0})",
                peak.per_s, peak.users, peak.users_interval.0, peak.users_interval.1
            ),
            (None, why) => format!("  no peak seen: {}", why.as_deref().unwrap_or_default()),
        });
        lines
    }
}

impl KneeCurve {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec!["open loop: response time by rate".to_owned()];
        lines.extend(self.points.iter().map(|point| {
            format!(
                "  {:>10.0}/s  mean {:>8}  p99 {:>8}",
                point.rate_per_s,
                time(point.mean_ns),
                time(point.p99_ns as f64)
            )
        }));
        if self.overloaded_windows > 0 {
            lines.push(format!("  left out: {} windows with a backlog", self.overloaded_windows));
        }
        match (self.at_rest_ns, self.end()) {
            (Some((rest, low, high)), Some(end)) => lines.push(format!(
                "  curve s / (1 - rate / C): s {} ({} to {}), C {end}",
                time(rest),
                time(low),
                time(high)
            )),
            _ => {
                lines.push(format!("  no curve: {}", self.no_curve.as_deref().unwrap_or_default()));
            }
        }
        lines
    }
}

impl Model {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec!["model: memory, disk, network".to_owned()];
        lines.extend(self.measured.iter().map(|measured| {
            let (low, high) = measured.interval;
            format!("  {}: {:.0}/s ({low:.0} to {high:.0})", measured.workload, measured.per_s)
        }));
        match self.times_s {
            Some((memory, disk, network)) => lines.push(format!(
                "  times: memory {}, disk {}, network {}",
                time(memory * 1e9),
                time(disk * 1e9),
                time(network * 1e9)
            )),
            None => {
                lines.push(format!("  no times: {}", self.no_times.as_deref().unwrap_or_default()));
            }
        }
        lines.extend(self.failures.iter().map(|failure| format!("  the model fails: {failure}")));
        if let Some(target) = self.target_per_s {
            let show = |nodes: Option<u64>| nodes.map_or("unknown".to_owned(), |n| n.to_string());
            lines.push(format!(
                "  nodes for {target:.0}/s: {} by the model, {} if each bears what the best one did",
                show(self.nodes_by_model),
                show(self.nodes_by_measurement)
            ));
        }
        lines
    }
}
