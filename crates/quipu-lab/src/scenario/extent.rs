//! How much a plan gives each promise to be judged by.

use stdx::units::Nanos;

use crate::scenario::{Model, Phase, Scenario};
use crate::schedule::Schedule;
use crate::slo::{Check, Extent, Slo};
use crate::window::WINDOW_NS;

/// What takes longer to judge is not waited for in a look before the real run.
const LOOK: Nanos = Nanos::from_secs(60);

impl Scenario {
    /// Returns what is planned of the phase that a promise is about, or of all that is recorded. Of a
    /// closed loop nobody knows how many requests it makes.
    pub(crate) fn extent(&self, slo: &Slo) -> Extent {
        let schedule = Schedule::of(self);
        let meant = schedule.phases().iter().zip(&self.phases);
        let meant = meant.filter(|(_, phase)| slo.is_about(phase));
        let mut extent = meant.fold(Extent::default(), |sum, (planned, phase)| {
            let span_ns = planned.end_ns - planned.start_ns;
            Extent {
                requests: sum.requests + planned.slots,
                windows: sum.windows + span_ns / phase.window.0.max(WINDOW_NS),
                span_ns: sum.span_ns + span_ns,
            }
        });
        if self.arrival.model != Model::Open {
            extent.requests = u64::MAX;
        }
        extent
    }

    /// Returns by what each phase can be multiplied at the least if its promises are to be judged, as
    /// far as that is possible in a look of [`LOOK`]; at most 1.
    pub(crate) fn factors_min(&self) -> Vec<f64> {
        let of_slo = |slo: &Slo| {
            let extent = self.extent(slo);
            let needs = slo.checks.iter().map(Check::needs);
            // What the whole plan does not tell, no trial does.
            let told = needs.filter(|needs| extent.lacks(needs).is_none());
            told.map(|needs| factor_min(&extent, &needs))
                .filter(|factor| factor * extent.span_ns as f64 <= LOOK.0 as f64)
                .fold(0.0, f64::max)
        };
        let needed: Vec<(&Slo, f64)> = self.slos.iter().map(|slo| (slo, of_slo(slo))).collect();
        let of_phase = |phase: &Phase| {
            let mine = needed.iter().filter(|(slo, _)| slo.is_about(phase));
            mine.map(|(_, factor)| *factor).fold(0.0, f64::max)
        };
        self.phases.iter().map(of_phase).collect()
    }
}

impl Slo {
    fn is_about(&self, phase: &Phase) -> bool {
        self.phase.as_ref().map_or(phase.record, |name| phase.name == *name)
    }
}

/// Returns the factor at which just enough is left of `extent`. Windows shrink with their phase down to
/// those that are kept at first.
fn factor_min(extent: &Extent, needed: &Extent) -> f64 {
    let ratio = |needed: u64, has: u64| needed as f64 / has.max(1) as f64;
    let span_ns = needed.span_ns.max(needed.windows.saturating_mul(WINDOW_NS));
    ratio(needed.requests, extent.requests).max(ratio(span_ns, extent.span_ns)).min(1.0)
}
