//! The same load in less time: for a look before the real run.

use stdx::units::Nanos;

use crate::scenario::Scenario;
use crate::window::WINDOW_NS;

/// No span becomes shorter: below, a phase has no window.
const SHORTEST: Nanos = Nanos::from_millis(100);

impl Scenario {
    /// Multiplies all spans of the plan by `factor`; rates and promises stay. Windows become as much
    /// shorter, so that the series has as many, but not shorter than those that are kept at first, and
    /// none is longer than its phase.
    pub fn scale_time(&mut self, factor: f64) {
        let scale = |span: &mut Nanos| *span = Nanos((span.0 as f64 * factor) as u64).max(SHORTEST);
        for phase in &mut self.phases {
            scale(&mut phase.lasts);
            let least = phase.window.min(Nanos(WINDOW_NS));
            scale(&mut phase.window);
            phase.window = phase.window.max(least).min(phase.lasts);
            if let Some(repeat) = &mut phase.repeat {
                scale(&mut repeat.every);
                repeat.every = repeat.every.max(phase.lasts);
            }
            if let Some(abort) = &mut phase.abort_if {
                abort.for_ns = (abort.for_ns as f64 * factor) as u64;
            }
        }
        if let Some(search) = &mut self.search {
            scale(&mut search.trial);
            scale(&mut search.cooldown);
            scale(&mut search.confirm.lasts);
        }
    }
}
