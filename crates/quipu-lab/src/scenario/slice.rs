//! A scenario as one slice of a comparison: as long as is wanted, and warmed up.

use stdx::units::Nanos;

use crate::scenario::{Load, Phase, Scenario};
use crate::schedule::Schedule;

/// How long a slice warms up that has no warm-up of its own, against what it records (guess: opening
/// connections and filling caches takes a fraction of a second, and a slice has ten of them).
const WARM_UP: f64 = 0.2;

/// The least warm-up.
const WARM_UP_MIN: Nanos = Nanos::from_millis(100);

impl Scenario {
    /// Returns the recorded loads and for how long each lasts: two scenarios with the same ones ask
    /// for the same load.
    pub fn phases_as_loads(&self) -> Vec<(Load, Nanos)> {
        let recorded = self.phases.iter().filter(|phase| phase.record);
        recorded.map(|phase| (phase.load, phase.lasts)).collect()
    }

    /// Returns the scenario scaled in time so that it records for so long, behind a warm-up that is not
    /// recorded: its own, or one at the load with which it begins.
    #[must_use]
    pub fn slice(&self, recorded: Nanos) -> Self {
        let mut slice = self.clone();
        let phases = Schedule::of(self);
        let now_ns: u64 = phases.phases().iter().filter(|p| p.record).map(|p| p.active_ns).sum();
        slice.scale_time(recorded.0 as f64 / now_ns.max(1) as f64);
        if let Some(first) = slice.phases.first().filter(|phase| phase.record) {
            let lasts = Nanos((recorded.0 as f64 * WARM_UP) as u64).max(WARM_UP_MIN);
            let load = match first.load {
                Load::Ramp { from, .. } => Load::Rate(from),
                load => load,
            };
            let warm_up = Phase {
                name: "slice-warmup".to_owned(),
                load,
                lasts,
                window: first.window.min(lasts),
                record: false,
                repeat: None,
                abort_if: None,
            };
            slice.phases.insert(0, warm_up);
        }
        slice
    }
}

#[cfg(test)]
mod tests {
    use stdx::units::Nanos;

    use crate::scenario::{Scenario, built_in};
    use crate::schedule::Schedule;

    fn check(scenario: &Scenario, recorded_s: u64) -> Vec<String> {
        let slice = scenario.slice(Nanos::from_secs(recorded_s));
        let schedule = Schedule::of(&slice);
        let recorded = schedule.phases().iter().filter(|phase| phase.record);
        let recorded_ns: u64 = recorded.map(|phase| phase.active_ns).sum();
        assert_eq!((recorded_ns as f64 / 1e9).round() as u64, recorded_s);
        slice.phases.into_iter().map(|phase| phase.name).collect()
    }

    #[test]
    fn a_slice_records_as_long_as_is_wanted_and_warms_up_once() {
        let burst = built_in("burst", "redis://127.0.0.1:1").expect("it is built in");
        assert_eq!(check(&burst, 10)[0], "warmup");
        let mut bare = burst;
        bare.phases.retain(|phase| phase.record);
        bare.slos.clear();
        assert_eq!(check(&bare, 10)[0], "slice-warmup");
    }
}
