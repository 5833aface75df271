//! What a finding knows of the measures that promises speak of.

use stdx::units::Nanos;

use crate::burst::{self, Burst, STAY_NS, Spans};
use crate::finding::{Finding, PhaseFinding, Promise, TOTAL};
use crate::recording::Latencies;
use crate::slo::{Amount, Dimension, Facts, Latency, Measure, Reading, Resource, Slo, Statistic};
use crate::window::{Window, decode};
use crate::{tail, trend};

/// Judges promises by a finding.
pub(super) fn promises(finding: &Finding, slos: &[Slo]) -> Vec<Promise> {
    let judge = |slo: &Slo| {
        let named = slo.phase.as_deref();
        let phase = named.and_then(|name| finding.phase(name)).unwrap_or(&finding.total);
        let facts = Of { finding, phase };
        let judged = slo.checks.iter().map(|check| check.judge(&facts));
        judged.map(|judgement| Promise { phase: slo.phase.clone(), judgement }).collect::<Vec<_>>()
    };
    slos.iter().flat_map(judge).collect()
}

/// What a finding knows of one phase.
struct Of<'f> {
    finding: &'f Finding,
    phase: &'f PhaseFinding,
}

impl Facts for Of<'_> {
    fn read(&self, measure: &Measure, dimension: Dimension) -> Reading {
        let counts = &self.phase.counts;
        let of = |count: u64, whole: u64| {
            let count = count as f64;
            let is_share = dimension == Dimension::Share;
            Reading::Value(if is_share { count / whole.max(1) as f64 } else { count })
        };
        match measure {
            Measure::Latency(latency, statistic) => self.latency(*latency, *statistic),
            Measure::Errors => of(counts.failed, counts.ok + counts.failed),
            Measure::Missed => of(counts.missed, counts.planned),
            Measure::Planned => of(counts.planned, counts.planned),
            Measure::Sent => of(counts.sent, counts.planned),
            Measure::Succeeded => of(counts.ok, counts.planned),
            Measure::Rate => self.rate(counts.sent, dimension),
            Measure::Goodput => self.rate(counts.ok, dimension),
            Measure::BacklogPeak => Reading::Value(self.phase.backlog_max as f64),
            Measure::DrainRate | Measure::TimeToRecover => self.burst(measure),
            Measure::Conserved
            | Measure::Acknowledged
            | Measure::Counted
            | Measure::Asked
            | Measure::Retried
            | Measure::Unsettled => self.conservation(measure),
            Measure::Resource(resource) => self.resource(*resource),
            Measure::Slope(of) => self.slope(of, dimension),
            Measure::Steady => trend::steady(&[
                ("rate", self.windows().map(|window| per_s(window, window.counts.ok)).collect()),
                ("p99", self.windows().map(|window| window.response.p99_ns as f64).collect()),
            ]),
        }
    }
}

fn unknown(reason: &str) -> Reading {
    Reading::Unknown(reason.to_owned())
}

fn too_few(found: u64, statistic: Statistic, needed: u64) -> Reading {
    let [found, needed] = [found, needed].map(Amount::count);
    Reading::Unknown(format!("{statistic} needs {needed} answers, there are {found}"))
}

impl Of<'_> {
    /// The windows of this phase, or of all that is recorded.
    fn windows(&self) -> impl Iterator<Item = &Window> {
        let phases = &self.finding.phases;
        let is_mine = |phase: &PhaseFinding| {
            if self.phase.name == TOTAL { phase.is_recorded } else { phase.name == self.phase.name }
        };
        let windows = self.finding.windows.iter();
        windows.filter(move |window| phases.get(usize::from(window.phase)).is_some_and(is_mine))
    }

    fn slope(&self, of: &Measure, dimension: Dimension) -> Reading {
        let at = |window: &Window| window.start_ns + window.len_ns / 2;
        let series: Option<Vec<(u64, f64)>> = match of {
            Measure::Resource(Resource::ServerRss) => self.finding.server.as_ref().map(|server| {
                let span = self.phase.start_ns..self.phase.end_ns;
                let inside = server.rss_bytes.iter().filter(|(ns, _)| span.contains(ns));
                inside.map(|(ns, bytes)| (*ns, *bytes as f64)).collect()
            }),
            _ => self.windows().map(|window| Some((at(window), value(of, window)?))).collect(),
        };
        series.map_or_else(
            || Reading::Unknown(format!("{of} is not kept over time")),
            |points| trend::growth(&points, dimension),
        )
    }

    fn latency(&self, latency: Latency, statistic: Statistic) -> Reading {
        let found = match latency {
            Latency::Response => &self.phase.response,
            Latency::Service => &self.phase.service,
            Latency::Lag => &self.phase.lag,
        };
        let Some(all) = decode(&found.hdr).filter(|all: &Latencies| !all.is_empty()) else {
            return unknown("no request was answered");
        };
        if let Statistic::Percentile(share) = statistic
            && !tail::is_told(all.len(), share)
        {
            return too_few(all.len(), statistic, tail::needed(share));
        }
        Reading::Value(match statistic {
            Statistic::Percentile(share) => all.value_at_quantile(share) as f64,
            Statistic::Mean => all.mean(),
            Statistic::Max => all.max() as f64,
        })
    }

    fn rate(&self, count: u64, dimension: Dimension) -> Reading {
        let count = count as f64;
        Reading::Value(if dimension == Dimension::Share {
            count / self.phase.counts.planned.max(1) as f64
        } else {
            count * 1e9 / self.phase.active_ns.max(1) as f64
        })
    }

    /// The burst is what lies between the first recorded phase and this one.
    fn burst(&self, measure: &Measure) -> Reading {
        let Some(found) = self.finding.burst_before(self.phase) else {
            return unknown("there is no phase before it to compare with");
        };
        match measure {
            Measure::DrainRate => {
                found.drain_per_s.map_or_else(|| unknown("there was no backlog"), Reading::Value)
            }
            _ => self.recovery(&found),
        }
    }

    /// A recovery that was not seen may have come in the last seconds of the phase, in which nobody can
    /// see whether it lasts.
    fn recovery(&self, found: &Burst) -> Reading {
        let seen_ns = (self.phase.end_ns - self.phase.start_ns).saturating_sub(STAY_NS);
        found.time_to_recover_ns.map_or_else(
            || {
                let [seen, stay] = [seen_ns, STAY_NS].map(|ns| Nanos(ns).approximate());
                let why = format!("not within {seen}, and then the phase ends in {stay}");
                Reading::Above(seen_ns as f64, why)
            },
            |ns| Reading::Value(ns as f64),
        )
    }

    fn conservation(&self, measure: &Measure) -> Reading {
        let Some(found) = &self.finding.conservation else {
            return unknown("the target's counters were not read");
        };
        Reading::Value(match measure {
            Measure::Acknowledged => found.total.acknowledged as f64,
            Measure::Counted => found.total.counted as f64,
            Measure::Asked => found.total.sent as f64,
            Measure::Retried => found.settlement.retried as f64,
            Measure::Unsettled => found.settlement.unsettled as f64,
            _ => f64::from(u8::from(found.wrong_keys == 0)),
        })
    }

    fn resource(&self, resource: Resource) -> Reading {
        let server = self.finding.server.as_ref();
        let lasted_ns = self.finding.lasted_ns.max(1) as f64;
        let value = match resource {
            Resource::ServerRss => server.and_then(|server| {
                server.rss_bytes.iter().map(|(_, bytes)| *bytes as f64).reduce(f64::max)
            }),
            Resource::ServerCpu => server.map(|server| server.cpu_ns as f64 / lasted_ns),
            Resource::GeneratorRss => Some(self.finding.generator.rss_bytes as f64),
            Resource::GeneratorCpu => {
                let threads = &self.finding.generator.threads;
                Some(threads.iter().map(|thread| thread.cpu_ns as f64).sum::<f64>() / lasted_ns)
            }
        };
        value.map_or_else(|| unknown("no server was watched"), Reading::Value)
    }
}

/// Returns a measure in one window, if windows keep it.
fn value(of: &Measure, window: &Window) -> Option<f64> {
    let ns = match of {
        Measure::Rate => return Some(per_s(window, window.counts.sent)),
        Measure::Goodput => return Some(per_s(window, window.counts.ok)),
        Measure::Latency(Latency::Response, Statistic::Max) => window.response.max_ns,
        Measure::Latency(Latency::Response, Statistic::Percentile(share)) => {
            decode(&window.response_hdr)?.value_at_quantile(*share)
        }
        _ => return None,
    };
    Some(ns as f64)
}

fn per_s(window: &Window, count: u64) -> f64 {
    count as f64 * 1e9 / window.len_ns.max(1) as f64
}

impl Finding {
    /// Returns what became of the burst that ended where `phase` begins: against the first recorded
    /// phase, if there is one before the burst.
    pub fn burst_before(&self, phase: &PhaseFinding) -> Option<Burst> {
        let baseline = self.phases.iter().find(|phase| phase.is_recorded)?;
        let between = baseline.end_ns < phase.start_ns;
        let spans = Spans {
            baseline: (baseline.start_ns, baseline.end_ns),
            burst: (baseline.end_ns, phase.start_ns),
            end_ns: phase.end_ns,
        };
        let seen = |window: &Window| burst::Window {
            start_ns: window.start_ns,
            end_ns: window.start_ns + window.len_ns,
            p99_ns: (window.counts.ok > 0).then_some(window.response.p99_ns),
            backlog_max: window.backlog_max,
        };
        let windows: Vec<_> = self.windows.iter().map(seen).collect();
        between.then(|| Burst::of(&windows, &spans, None)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::promises;
    use crate::finding::sample;
    use crate::slo::{Check, Outcome, Slo};
    use crate::window::WINDOW_NS;

    /// Judges a recovery that is not seen in a phase of so many seconds.
    fn check(phase_s: u64, expected: Outcome) {
        let mut finding = sample::finding();
        let [baseline, recovery] = &mut finding.phases[..] else { panic!("two phases") };
        (baseline.is_recorded, baseline.end_ns) = (true, WINDOW_NS);
        recovery.end_ns = recovery.start_ns + phase_s * WINDOW_NS;
        let checks = vec![Check::parse("time_to_recover <= 15s").expect("a check")];
        let slo = Slo { phase: Some(recovery.name.clone()), checks };
        let found = promises(&finding, &[slo]);
        assert_eq!(found[0].judgement.outcome, expected, "{phase_s} s");
    }

    #[test]
    fn a_phase_that_is_too_short_to_see_a_recovery_breaks_no_promise() {
        check(4, Outcome::Unknown);
        check(19, Outcome::Unknown);
        check(20, Outcome::Fail);
    }

    #[test]
    fn a_percentile_that_the_answers_do_not_tell_is_neither_kept_nor_broken() {
        let finding = sample::finding();
        let judged = |text: &str| {
            let checks = vec![Check::parse(text).expect("a check")];
            promises(&finding, &[Slo { phase: None, checks }]).remove(0).judgement
        };
        let [kept, broken] = ["<= 1h", "<= 1us"].map(|limit| {
            let all = [format!("response.p99 {limit}"), format!("response.p99.9 {limit}")];
            all.map(|text| judged(&text))
        });
        assert_eq!(kept.each_ref().map(|one| one.outcome), [Outcome::Pass, Outcome::Unknown]);
        assert_eq!(broken.each_ref().map(|one| one.outcome), [Outcome::Fail, Outcome::Unknown]);
        let why = "p99.9 needs 10,000 answers, there are 5,988";
        assert_eq!(kept[1].reason.as_deref(), Some(why));
    }
}
