//! Every crash of a trace: each point x what of the unsynced changes is left, recovered, worked on,
//! crashed again.
//!
//! A life of the real node over the real log runs until its storage crashes at one call. What the
//! clients know then is in a [`ledger`]; what the disk may hold is a list of [`images`]. Each image
//! is recovered, checked, worked on until a second crash, recovered and checked again. Segments
//! are of kilobytes, so that a trace of some hundred calls meets all that a log does.
//!
//! Reading order: [`plan`], [`ledger`], [`life`], [`images`].

pub mod images;
pub mod ledger;
pub mod life;
pub mod plan;

use std::collections::HashSet;

use quipu_log::audit::audit;
use quipu_log::storage::fault::Faulty;
use quipu_log::storage::memory::{Keep, Memory};
use stdx::hash::hash64;

use crate::checks::{Check, Checked, Violation};

use self::images::Image;
use self::ledger::Ledger;
use self::life::{End, Life};
use self::plan::Plan;

/// Requests between two crashes of an image.
const MORE: usize = 5;

/// The second crash comes within so many changing calls. Measured: a recovery with some work makes
/// about 30.
const SECOND_CALLS: u64 = 40;

/// Images of a second crash that are sampled, beside all and nothing of what was not synced. Guess:
/// they cost a third of the second life.
const SECOND_SAMPLED: u64 = 3;

/// Every so many images the log is audited too: the audit folds all of it once more.
const AUDIT_EVERY: u64 = 16;

/// Memory of an audit before it spills, in bytes: more than any log here takes.
const AUDIT_BYTES: usize = 1 << 20;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Lives that were crashed at a point.
    pub points: u64,
    /// Images that were recovered.
    pub images: u64,
    /// Different ones among them, within one trace.
    pub distinct: u64,
}

/// One image of one trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The changing call at which the first life crashed.
    pub point: u64,
    /// The image, in the order of [`images::of`].
    pub image: usize,
}

/// A trace under enumeration.
#[derive(Debug)]
pub struct Trace {
    plan: Plan,
    seen: HashSet<u64>,
    /// Images together with what the clients knew of them.
    tried: HashSet<(u64, u64, bool)>,
    figures: Figures,
}

impl Trace {
    /// The trace of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            plan: Plan::draw(seed),
            seen: HashSet::new(),
            tried: HashSet::new(),
            figures: Figures::default(),
        }
    }

    /// What was done so far.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// How it works.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// All images of the crash at one changing call; false where the first life ended before it.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn point(&mut self, point: u64) -> Result<bool, (Place, Violation)> {
        let (memory, ledger, ended) =
            self.first(point).map_err(|violation| (Place { point, image: 0 }, violation))?;
        for (number, image) in images::of(&memory, self.plan.seed ^ point).into_iter().enumerate() {
            let place = Place { point, image: number };
            self.image(&memory, &ledger, (place, image)).map_err(|violation| (place, violation))?;
        }
        self.figures.points += 1;
        Ok(!ended)
    }

    /// One image alone.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn place(&mut self, place: Place) -> Checked {
        let (memory, ledger, _) = self.first(place.point)?;
        let all = images::of(&memory, self.plan.seed ^ place.point);
        match all.get(place.image) {
            Some(image) => self.image(&memory, &ledger, (place, *image)),
            None => Ok(()),
        }
    }

    /// The first life up to a crash: what the disk holds, what the clients know, whether it ended
    /// without a crash.
    fn first(&self, point: u64) -> Checked<(Memory, Ledger, bool)> {
        let memory = Memory::with_blocks(self.plan.block_bytes);
        let faulty = Faulty::new(memory.clone());
        faulty.crash_at(point);
        let mut ledger = Ledger::new(&self.plan);
        let ended = live(&faulty, 1, &mut ledger, self.plan.requests)?;
        Ok((memory, ledger, ended))
    }

    /// Recovers an image, works on it, crashes it again and recovers once more.
    fn image(
        &mut self,
        memory: &Memory,
        ledger: &Ledger,
        (place, image): (Place, Image),
    ) -> Checked {
        let disk = image.build(memory);
        // The same bytes with the same knowledge were tried at an earlier point.
        if !self.tried.insert((disk.fingerprint(), ledger.knowledge(), image.is_kill())) {
            return Ok(());
        }
        self.note(&disk);
        let places = [place.point, place.image as u64].map(u64::to_le_bytes);
        let draw = hash64(self.plan.seed, &places.concat());
        let mut ledger = ledger.clone();
        let faulty = Faulty::new(disk.clone());
        faulty.crash_at(draw % SECOND_CALLS);
        live(&faulty, 2, &mut ledger, MORE)?;
        for keep in second(&disk, image, draw) {
            self.after(&disk.power_cut(keep), &ledger)?;
        }
        if draw.is_multiple_of(AUDIT_EVERY) { check_audit(&disk.copy()) } else { Ok(()) }
    }

    /// Recovers an image of the second crash and checks it.
    fn after(&mut self, disk: &Memory, ledger: &Ledger) -> Checked {
        if !self.tried.insert((disk.fingerprint(), ledger.knowledge(), false)) {
            return Ok(());
        }
        self.note(disk);
        live(disk, 3, &mut ledger.clone(), 0).map(drop)
    }

    fn note(&mut self, disk: &Memory) {
        self.figures.images += 1;
        self.figures.distinct += u64::from(self.seen.insert(disk.fingerprint()));
    }
}

/// What is left of the second crash. After a kill the power goes too, and with it all that the page
/// cache showed.
fn second(disk: &Memory, image: Image, draw: u64) -> Vec<Keep> {
    if image.is_kill() || disk.unsynced() == 0 {
        return vec![Keep::None];
    }
    let sampled = (0..SECOND_SAMPLED).map(|n| Keep::Random(draw ^ n));
    [Keep::None, Keep::All].into_iter().chain(sampled).collect()
}

/// One life: recover, resume, work. False where a crash ended it.
fn live<S: life::Crashing>(
    storage: &S,
    number: u64,
    ledger: &mut Ledger,
    requests: usize,
) -> Checked<bool> {
    let ended = Life::open(storage, ledger.plan(), number).and_then(|mut life| {
        ledger.resume(&mut life)?;
        ledger.work(&mut life, requests)
    });
    match ended {
        Ok(()) => Ok(true),
        Err(End::Broken(violation)) => Err(violation),
        Err(End::Storage(_)) if storage.has_crashed() => Ok(false),
        Err(End::Storage(text)) => Err(Violation::new(Check::RefusedStart, text)),
    }
}

/// The snapshot says what the whole retained log says.
fn check_audit(disk: &Memory) -> Checked {
    let said = audit(disk, AUDIT_BYTES)
        .map_err(|error| Violation::new(Check::SnapshotIsLog, life::with_causes(&error)))?;
    if said.is_clean() {
        return Ok(());
    }
    Err(Violation::new(Check::SnapshotIsLog, format!("{said:?}")))
}
