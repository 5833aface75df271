//! What a cell found, and how it is told.

use std::time::Duration;

use stdx::verdict::Verdict;

use crate::books::Losses;
use crate::load::Driven;
use crate::system::Promise;

/// Last words that are kept of refused starts: the first few say what there is to say (guess).
const REFUSALS_KEPT: usize = 3;

/// What one cell found.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Lives that were ended under load.
    pub ends: u64,
    /// Acknowledged operations, those that were sent again among them.
    pub acknowledged: u64,
    /// What went wrong.
    pub losses: Losses,
    /// Operations that had no answer, were sent again and answered then.
    pub retries: u64,
    /// Starts that did not answer reads.
    pub refused: u64,
    /// What was said at some of them.
    pub refusals: Vec<String>,
    /// From the start of the process until it answered a read, after each end.
    pub recoveries: Vec<Duration>,
    /// Each life under load.
    pub loads: Vec<Driven>,
}

impl Figures {
    /// Notes a start that served.
    pub fn note_recovery(&mut self, took: Duration) {
        self.recoveries.push(took);
    }

    /// Notes a start that did not.
    pub fn note_refusal(&mut self, words: String) {
        self.refused += 1;
        if self.refusals.len() < REFUSALS_KEPT {
            self.refusals.push(words);
        }
    }

    /// Adds what the same cell found on another directory.
    pub fn add(&mut self, other: &Self) {
        self.ends += other.ends;
        self.acknowledged += other.acknowledged;
        self.losses += other.losses;
        self.retries += other.retries;
        self.refused += other.refused;
        let left = REFUSALS_KEPT.saturating_sub(self.refusals.len());
        self.refusals.extend(other.refusals.iter().take(left).cloned());
        self.recoveries.extend(&other.recoveries);
        self.loads.extend(&other.loads);
    }

    /// Acknowledged operations per second of each life, sorted.
    fn rates(&self) -> Vec<u64> {
        let rate = |load: &Driven| (load.in_time as f64 / load.time.as_secs_f64()) as u64;
        let mut rates: Vec<u64> = self.loads.iter().map(rate).collect();
        rates.sort_unstable();
        rates
    }

    /// Processor time of the system per acknowledged operation, in microseconds.
    fn cpu_us_per_op(&self) -> Option<u64> {
        let cpu: Duration = self.loads.iter().map(|load| load.cpu).sum();
        let in_time: u64 = self.loads.iter().map(|load| load.in_time).sum();
        (cpu.as_micros() as u64).checked_div(in_time)
    }

    /// Writes all of it under `cell`, such as `redis_always.kill`.
    pub fn tell(&self, cell: &str, verdict: &mut Verdict) {
        let mut put = |name: &str, value| verdict.add(format!("{cell}.{name}"), value);
        put("ends", self.ends);
        put("acked", self.acknowledged);
        put("lost", self.losses.lost);
        put("doubled_by_system", self.losses.doubled_by_system);
        put("doubled_by_retry", self.losses.doubled_by_retry);
        put("retries", self.retries);
        put("refused_starts", self.refused);
        let mut recoveries: Vec<u64> =
            self.recoveries.iter().map(|took| took.as_millis() as u64).collect();
        recoveries.sort_unstable();
        let rates = self.rates();
        for (name, value) in [
            ("recovery_ms_median", middle(&recoveries)),
            ("ops_per_s_median", middle(&rates)),
            ("ops_per_s_min", rates.first().copied()),
            ("ops_per_s_max", rates.last().copied()),
            ("cpu_us_per_op", self.cpu_us_per_op()),
        ] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        if !self.refusals.is_empty() {
            verdict.note(format!("{cell}.refusals"), self.refusals.join(" | "));
        }
    }

    /// What of Quipu's own promises was broken.
    pub fn broken(&self, promise: Promise) -> Vec<String> {
        let Losses { lost, doubled_by_system, doubled_by_retry } = self.losses;
        let first = self.refusals.first().map_or("", String::as_str);
        let doubled = doubled_by_system + doubled_by_retry;
        let findings = [
            (promise.keeps_acknowledged, lost, format!("{lost} acknowledged operations are lost")),
            (promise.counts_once, doubled, format!("{doubled} operations with tokens are doubled")),
            (
                promise.always_starts,
                self.refused,
                format!("{} starts refused: {first}", self.refused),
            ),
        ];
        let broken =
            findings.into_iter().filter(|(is_promised, count, _)| *is_promised && *count > 0);
        broken.map(|(_, _, text)| text).collect()
    }
}

/// The middle of sorted numbers.
fn middle(sorted: &[u64]) -> Option<u64> {
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(promise: Promise, lost: u64, doubled_by_retry: u64, expected: usize) {
        let losses = Losses { lost, doubled_by_retry, doubled_by_system: 0 };
        let figures = Figures { losses, ..Figures::default() };
        assert_eq!(figures.broken(promise).len(), expected);
    }

    #[test]
    fn only_what_is_promised_can_be_broken() {
        let ours = Promise { keeps_acknowledged: true, counts_once: true, always_starts: true };
        check(ours, 1, 1, 2);
        check(ours, 0, 0, 0);
        check(Promise::default(), 1, 1, 0);
        check(Promise { counts_once: false, ..ours }, 0, 1, 0);
    }

    #[test]
    fn a_cell_is_told_in_flat_names_and_a_refusal_in_words() {
        let mut figures = Figures::default();
        let (time, cpu) = (Duration::from_secs(2), Duration::ZERO);
        let load = Driven { in_time: 30, acknowledged: 31, time, cpu };
        figures.loads.push(load);
        figures.note_recovery(Duration::from_millis(7));
        figures.note_refusal("bad file".to_owned());
        let mut verdict = Verdict::new("peers");
        figures.tell("x.kill", &mut verdict);
        assert_eq!(verdict.figures["x.kill.ops_per_s_median"], 15);
        assert_eq!(verdict.figures["x.kill.recovery_ms_median"], 7);
        assert_eq!(verdict.notes["x.kill.refusals"], "bad file");
    }
}
