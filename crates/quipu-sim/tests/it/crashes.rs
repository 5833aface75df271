//! Every crash of a few traces; the runner `quipu-sim crashes` does the same for as long as asked.

use quipu_sim::crash::Trace;

/// Traces here: a second or two in a build without optimisation.
const SEEDS: u64 = 4;

#[test]
fn every_crash_of_a_trace_loses_nothing_acknowledged_and_doubles_nothing() {
    for seed in 0..SEEDS {
        let mut trace = Trace::new(seed);
        let mut point = 0;
        while trace
            .point(point)
            .unwrap_or_else(|(place, broken)| panic!("{seed} {place:?}: {broken}"))
        {
            point += 1;
        }
        let figures = trace.figures();
        assert!(figures.points > 50, "{figures:?}");
        assert!(figures.distinct * 2 > figures.images, "{figures:?}");
    }
}
