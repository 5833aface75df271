//! The runner `crashes`: traces with every crash of each, until its bounds.

use clap::Args as Arguments;
use quipu_sim::checks::Violation;
use quipu_sim::crash::{Place, Trace};
use stdx::verdict::Verdict;

use crate::args::Bounds;
use crate::output;
use crate::progress::Progress;

/// Every crash point of recorded traces, with what may be left of unsynced changes.
#[derive(Debug, Arguments)]
pub(crate) struct Crashes {
    #[command(flatten)]
    bounds: Bounds,
    /// Only the crash at this changing call of the first seed.
    #[arg(long)]
    point: Option<u64>,
    /// Only this image of that crash.
    #[arg(long, requires = "point")]
    image: Option<usize>,
}

impl Crashes {
    /// Runs it.
    pub(crate) fn run(&self) -> Verdict {
        let mut verdict = Verdict::new("crashes");
        if let Some(point) = self.point {
            self.one(point, &mut verdict);
            return verdict;
        }
        let mut progress = self.bounds.start();
        while let Some(seed) = progress.next() {
            let figures = Self::trace(seed, &progress, &mut verdict);
            output::note(&format!("seed {seed}: {figures}"));
            verdict.add("seeds", 1);
        }
        verdict
    }

    /// One trace, to its end or to that of the time.
    fn trace(seed: u64, progress: &Progress, verdict: &mut Verdict) -> String {
        let mut trace = Trace::new(seed);
        for point in 0.. {
            match trace.point(point) {
                Ok(true) if !progress.is_over() => {}
                Ok(_) => break,
                Err((place, violation)) => fail(verdict, seed, place, &violation),
            }
        }
        let figures = trace.figures();
        verdict.add("crash_points", figures.points);
        verdict.add("crash_images", figures.images);
        verdict.add("crash_images_distinct", figures.distinct);
        format!("{figures:?}")
    }

    fn one(&self, point: u64, verdict: &mut Verdict) {
        let seed = self.bounds.first;
        let mut trace = Trace::new(seed);
        output::note(&format!("{:#?}", trace.plan()));
        let ended = match self.image {
            Some(image) => {
                let place = Place { point, image };
                trace.place(place).map_err(|violation| (place, violation))
            }
            None => trace.point(point).map(drop),
        };
        if let Err((place, violation)) = ended {
            fail(verdict, seed, place, &violation);
        }
    }
}

fn fail(verdict: &mut Verdict, seed: u64, place: Place, violation: &Violation) {
    let Place { point, image } = place;
    verdict.fail(format!(
        "quipu-sim crashes --first {seed} --point {point} --image {image}: {violation}"
    ));
}
