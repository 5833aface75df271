//! The line that sums up a minute in the log: rates, errors, memory.

use std::time::Duration;

use quipu_metrics::label::{OperationKind, Refusal, Rejection, Repeat, Surface};
use quipu_metrics::name::{Counter, Gauge};
use quipu_metrics::registry::Registry;

/// What was counted since the start, as far as the line speaks of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    commands: u64,
    operations: u64,
    repeats: u64,
    rejected: u64,
    refused: u64,
    frames: u64,
    frame_bytes: u64,
}

impl Totals {
    /// Reads them.
    pub(crate) fn read(registry: &Registry) -> Self {
        let total = |counter| registry.total(counter);
        Self {
            commands: Surface::ALL.iter().map(|s| total(Counter::Commands(*s))).sum(),
            operations: OperationKind::ALL.iter().map(|k| total(Counter::Operations(*k))).sum(),
            repeats: Repeat::ALL.iter().map(|k| total(Counter::Repeats(*k))).sum(),
            rejected: Rejection::ALL.iter().map(|r| total(Counter::Rejected(*r))).sum(),
            refused: Refusal::ALL.iter().map(|r| total(Counter::Refused(*r))).sum(),
            frames: total(Counter::Frames),
            frame_bytes: total(Counter::FrameBytes),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            commands: self.commands - before.commands,
            operations: self.operations - before.operations,
            repeats: self.repeats - before.repeats,
            rejected: self.rejected - before.rejected,
            refused: self.refused - before.refused,
            frames: self.frames - before.frames,
            frame_bytes: self.frame_bytes - before.frame_bytes,
        }
    }

    /// Writes the line about what came since `before`, `elapsed` ago.
    pub(crate) fn tell(&self, before: &Self, elapsed: Duration, registry: &Registry) {
        let Self { commands, operations, repeats, rejected, refused, frames, frame_bytes } =
            self.since(before);
        let open = |s: &Surface| registry.value(Gauge::ConnectionsOpen(*s));
        tracing::info!(
            commands_per_s = per_second(commands, elapsed),
            operations_per_s = per_second(operations, elapsed),
            frames_per_s = per_second(frames, elapsed),
            frame_bytes_per_s = per_second(frame_bytes, elapsed),
            repeats,
            rejected,
            refused,
            connections = Surface::ALL.iter().map(open).sum::<i64>(),
            counters = registry.value(Gauge::Counters),
            memory_bytes = registry.value(Gauge::MemoryBytes),
            "the last minute"
        );
    }
}

/// Rounded to the next whole number.
fn per_second(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64()).round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quipu_metrics::label::{OperationKind, Refusal, Surface};
    use quipu_metrics::name::Counter;
    use quipu_metrics::registry::Registry;

    use super::{Totals, per_second};

    #[test]
    fn a_minute_is_what_came_since_the_one_before() {
        let registry = Registry::new("1");
        registry.add(Counter::Commands(Surface::Resp), 5);
        registry.add(Counter::Operations(OperationKind::Add), 3);
        let before = Totals::read(&registry);
        registry.add(Counter::Commands(Surface::Resp), 100);
        registry.add(Counter::Commands(Surface::Http), 20);
        registry.add(Counter::Operations(OperationKind::Add), 7);
        registry.add(Counter::Refused(Refusal::Busy), 2);
        registry.add(Counter::Refused(Refusal::Oom), 1);
        let minute = Totals::read(&registry).since(&before);
        let expected = Totals { commands: 120, operations: 7, refused: 3, ..Totals::default() };
        assert_eq!(minute, expected);
    }

    #[test]
    fn rates_are_rounded() {
        assert_eq!(per_second(120, Duration::from_secs(60)), 2);
        assert_eq!(per_second(100, Duration::from_secs(60)), 2);
        assert_eq!(per_second(0, Duration::from_secs(60)), 0);
    }
}
