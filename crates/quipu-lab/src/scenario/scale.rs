//! The same load in less time: for a look before the real run.

use stdx::units::Nanos;

use crate::scenario::{Phase, Scenario};
use crate::window::WINDOW_NS;

/// No span becomes shorter: below, a phase has no window.
const SHORTEST: Nanos = Nanos::from_millis(100);

impl Scenario {
    /// Multiplies all spans of the plan by `factor`; rates and promises stay. Windows become as much
    /// shorter, so that the series has as many, but not shorter than those that are kept at first, and
    /// none is longer than its phase.
    pub fn scale_time(&mut self, factor: f64) {
        for phase in &mut self.phases {
            scale_phase(phase, factor);
        }
        self.scale_search(factor);
    }

    /// The same, but no phase becomes shorter than its promises need to be judged, as far as a minute is
    /// enough for that.
    pub fn scale_to_trial(&mut self, factor: f64) {
        let least = self.factors_min();
        for (phase, least) in self.phases.iter_mut().zip(least) {
            scale_phase(phase, factor.max(least));
        }
        self.scale_search(factor);
    }

    fn scale_search(&mut self, factor: f64) {
        if let Some(search) = &mut self.search {
            scale(&mut search.trial, factor);
            scale(&mut search.cooldown, factor);
            scale(&mut search.confirm.lasts, factor);
        }
    }
}

fn scale(span: &mut Nanos, factor: f64) {
    // To the next one above: what is just enough stays so.
    *span = Nanos((span.0 as f64 * factor).ceil() as u64).max(SHORTEST);
}

fn scale_phase(phase: &mut Phase, factor: f64) {
    scale(&mut phase.lasts, factor);
    let least = phase.window.min(Nanos(WINDOW_NS));
    scale(&mut phase.window, factor);
    phase.window = phase.window.max(least).min(phase.lasts);
    if let Some(repeat) = &mut phase.repeat {
        scale(&mut repeat.every, factor);
        repeat.every = repeat.every.max(phase.lasts);
    }
    if let Some(abort) = &mut phase.abort_if {
        abort.for_ns = (abort.for_ns as f64 * factor) as u64;
    }
}
