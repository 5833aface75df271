//! Files that grow, counted exactly once over rotation, truncation and kills.
//!
//! One thread looks after all files: it lists them, notices what became of each, and gives those
//! that have lines to a few reader threads, each of which ingests one file on a connection of its
//! own (`reader`). What a file needs next is decided in `entry`; which source it is, in
//! [`crate::identity`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::ingest::{IngestError, Job};
use crate::input::{Input, InputError};
use crate::rotation::{first_name, is_packed};
use crate::summary::Summary;
use crate::tail::{Pause, Tail, Until};

mod entry;
pub mod listing;
mod reader;
pub mod report;
mod strangers;
pub mod watch;

use entry::{Entry, Stamp, State, Step};
use listing::{Listing, ListingError, Wanted};
use reader::{Claims, Key, Outcome, Reader};
use report::{Happening, Report, What, merge};
use strangers::Strangers;
use watch::{Bell, Watch};

/// Files that are read at once. Guess: a few more than a small machine has cores.
const READERS_MAX: usize = 8;
/// Files that are open at once. Guess: half of the usual limit of a process.
pub const OPEN_MAX: usize = 512;
/// How often to look at the files although nobody says that they changed: file systems over a
/// network and files without a name tell nothing. Guess.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The least time between two looks: changes in between are found by the next one. Guess.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long a reader keeps its place while other files wait. Guess.
const SLICE: Duration = Duration::from_secs(1);
/// Bytes that tell whether a file is compressed. Spec: RFC 8878, magic number.
const PACKED_BYTES_MIN: u64 = 4;
/// Happenings that wait to be told. Guess.
const HAPPENINGS_MAX: usize = 256;

/// Makes the ingest of one input.
pub type Make = Arc<dyn Fn(Input) -> Job + Send + Sync>;

/// What to follow, and how.
#[expect(missing_debug_implementations, reason = "a function has no text")]
pub struct Follow {
    /// The files.
    pub wanted: Vec<Wanted>,
    /// How each is ingested.
    pub make: Make,
    /// How long a file that was put away must be quiet until its last line counts though it is
    /// not terminated.
    pub settle: Duration,
    /// How long the readers may take to end in order.
    pub patience: Duration,
}

/// Ends the following from elsewhere.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    bell: Bell,
}

impl Stop {
    /// Makes one that was not asked for yet.
    ///
    /// # Errors
    /// The process may have no more descriptors.
    pub fn new() -> io::Result<Stop> {
        Ok(Stop { asked: Arc::default(), bell: Bell::new()? })
    }

    /// Asks to end.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.bell.ring();
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

/// Why following ended by itself.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The files cannot be listed.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The node or its answers.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The operating system refused what following needs.
    #[error("cannot wait for files: {0}")]
    Io(#[from] io::Error),
    /// The node did not answer what was in flight in time.
    #[error("ended with increments in flight: the node did not answer within {0:?}")]
    Unanswered(Duration),
}

/// Counts the lines of files as they come, until `stop` is asked, and tells `watch` what happens.
///
/// # Errors
/// See [`FollowError`]. What was answered until then is counted and will not count again.
pub fn follow(
    follow: Follow,
    stop: &Stop,
    watch: &mut dyn FnMut(Happening),
) -> Result<Report, FollowError> {
    let mut following = Following::new(follow, stop.clone());
    let ended = following.run(watch);
    following.end(watch)?;
    ended?;
    Ok(following.report())
}

/// What a reader thread leaves behind.
type Left = Arc<Mutex<Vec<(Key, Outcome, Summary)>>>;

struct Following {
    follow: Follow,
    stop: Stop,
    entries: BTreeMap<Key, Entry>,
    threads: BTreeMap<Key, JoinHandle<()>>,
    claims: Arc<Claims>,
    left: Left,
    events: (SyncSender<Happening>, Receiver<Happening>),
    strangers: Strangers,
    report: Report,
    has_said_too_many: bool,
}

impl Following {
    fn new(follow: Follow, stop: Stop) -> Following {
        Following {
            follow,
            stop,
            entries: BTreeMap::new(),
            threads: BTreeMap::new(),
            claims: Arc::default(),
            left: Left::default(),
            events: sync_channel(HAPPENINGS_MAX),
            strangers: Strangers::default(),
            report: Report::default(),
            has_said_too_many: false,
        }
    }

    fn run(&mut self, tell: &mut dyn FnMut(Happening)) -> Result<(), FollowError> {
        let mut watch = Watch::default();
        let mut listed = None;
        while !self.stop.is_asked() {
            let now = Instant::now();
            let is_old = |at: &Instant| now.duration_since(*at) >= LOOK_EVERY;
            if listed.as_ref().is_none_or(is_old) {
                let mut listing = Listing::of(&self.follow.wanted)?;
                watch.add(&listing.folders);
                listing.add_beside(&self.follow.wanted)?;
                self.list(&listing, now, tell);
                listed = Some(now);
            }
            self.collect(tell)?;
            self.look(now, tell);
            self.start_readers(now)?;
            let names_changed = watch.wait(&self.stop.bell, self.patience(now))?
                | watch.pause(LOOK_PAUSE.saturating_sub(now.elapsed()))?;
            listed = listed.filter(|_| !names_changed);
        }
        Ok(())
    }

    /// Takes notice of which files are there, and under which names.
    fn list(&mut self, listing: &Listing, now: Instant, tell: &mut dyn FnMut(Happening)) {
        self.entries.values_mut().for_each(|entry| entry.is_listed = false);
        let mut told = Vec::new();
        let wanted = listing.wanted.iter().map(|path| (path, true));
        for (path, is_wanted) in wanted.chain(listing.beside.iter().map(|path| (path, false))) {
            // A file that is gone again was never there.
            let Ok(metadata) = std::fs::metadata(path) else { continue };
            let key = (metadata.dev(), metadata.ino());
            let new = || Entry::new(key, path.clone(), is_wanted, now);
            let entry = self.entries.entry(key).or_insert_with(new);
            if !entry.is_listed && entry.path != *path {
                told.extend(entry.rename(path).map(|what| Happening { path: path.clone(), what }));
            }
            entry.is_listed = true;
            entry.is_wanted |= is_wanted;
            if entry.tail.is_none() {
                entry.see(Stamp::of(&metadata), now);
            }
        }
        told.into_iter().for_each(tell);
        self.strangers.look(self.entries.values());
    }

    /// Takes what readers left.
    fn collect(&mut self, tell: &mut dyn FnMut(Happening)) -> Result<(), FollowError> {
        self.events.1.try_iter().for_each(&mut *tell);
        let now = Instant::now();
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        let mut fatal = None;
        for (key, outcome, summary) in left {
            if let Some(thread) = self.threads.remove(&key) {
                thread.join().map_err(|_| io::Error::other("a reader panicked"))?;
            }
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            merge(&mut entry.summary, &summary);
            let quiet = entry.is_quiet(now, self.follow.settle);
            entry.is_known |= entry.tail.as_ref().is_some_and(|tail| tail.identity().is_some());
            match settle_outcome(entry, outcome, quiet, &self.claims) {
                Ok(Some(what)) => tell(Happening { path: entry.path.clone(), what }),
                Ok(None) => {}
                Err(error) => fatal = Some(error),
            }
        }
        fatal.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Opens files, notices changes, and forgets what is done with and gone.
    fn look(&mut self, now: Instant, tell: &mut dyn FnMut(Happening)) {
        self.strangers.adopt(self.entries.values_mut());
        let settle = self.follow.settle;
        let mut open = self.entries.values().filter(|entry| entry.tail.is_some()).count();
        for entry in self.entries.values_mut() {
            if let State::Shadow(source) = &entry.state
                && self.claims.is_free(source)
            {
                entry.state = State::Fresh;
                entry.is_dirty = true;
            }
            let wants = entry.tail.is_none() && matches!(entry.state, State::Fresh);
            if wants && open < OPEN_MAX {
                entry.tail = open_tail(entry);
                open += usize::from(entry.tail.is_some());
            } else if wants && !std::mem::replace(&mut self.has_said_too_many, true) {
                tell(Happening { path: entry.path.clone(), what: What::TooMany(OPEN_MAX) });
            }
            if wants && is_foreign(entry) && entry.is_quiet(now, settle) {
                fail(entry, "it is not compressed by gzip or zstd", &self.claims);
            }
            if let Some(Ok(metadata)) = entry.tail.as_ref().map(|tail| tail.metadata()) {
                entry.see(Stamp::of(&metadata), now);
            }
        }
        let is_gone = |entry: &Entry| {
            !entry.is_listed && entry.tail.is_none() && !matches!(entry.state, State::Running(_))
        };
        let report = &mut self.report;
        self.entries.retain(|_, entry| {
            let gone = is_gone(entry);
            if gone {
                report.add(&entry.path, std::mem::take(&mut entry.summary), entry.failure.take());
            }
            !gone
        });
    }

    /// Gives files with something to read to readers, as far as there are some free.
    fn start_readers(&mut self, now: Instant) -> Result<(), FollowError> {
        let mut waiting = Vec::new();
        for (key, entry) in &mut self.entries {
            match entry.step(now, self.follow.settle) {
                Ok(Step::Nothing) => {}
                Ok(Step::Read(until)) => waiting.push((*key, until)),
                Ok(Step::Finish) => finish(entry, &self.claims),
                Err(error) => fail(entry, &error.to_string(), &self.claims),
            }
        }
        let put_away = |key: &Key| self.entries.get(key).is_some_and(Entry::is_put_away);
        waiting.sort_by_cached_key(|(key, _)| (put_away(key), *key));
        let mut is_full = false;
        for (key, until) in waiting {
            is_full = self.threads.len() >= READERS_MAX;
            if is_full || self.must_wait(key) {
                continue;
            }
            self.start_reader(key, until, now)?;
        }
        if is_full {
            self.make_place(now);
        }
        Ok(())
    }

    /// Says whether a file that may continue another must wait until that one is identified.
    fn must_wait(&self, key: Key) -> bool {
        let is_identified =
            |entry: &Entry| entry.tail.as_ref().is_some_and(|tail| tail.identity().is_some());
        let Some(entry) = self.entries.get(&key) else { return true };
        let mut running = self.threads.keys().filter_map(|key| self.entries.get(key));
        entry.is_put_away() && !is_identified(entry) && running.any(|other| !is_identified(other))
    }

    /// Tells readers to give up their places: those that have nothing to read, or had time.
    fn make_place(&self, now: Instant) {
        for entry in self.entries.values() {
            let State::Running(since) = entry.state else { continue };
            let is_over = now.duration_since(since) > SLICE;
            let until = if is_over { Until::Here } else { Until::LineEnd };
            entry.tail.iter().for_each(|tail| tail.order(until));
        }
    }

    /// Returns the file that has the name that the file `key` had before it was rotated away.
    fn live_of(&self, key: Key) -> Option<Arc<Tail>> {
        let entry = self.entries.get(&key).filter(|entry| entry.is_put_away())?;
        let path = first_name(&entry.path);
        let is_live = |other: &&Entry| other.is_listed && other.path == path && other.key != key;
        self.entries.values().find(is_live)?.tail.clone()
    }

    fn start_reader(&mut self, key: Key, until: Until, now: Instant) -> Result<(), FollowError> {
        let live = self.live_of(key);
        let Some(entry) = self.entries.get_mut(&key) else { return Ok(()) };
        let Some(tail) = &entry.tail else { return Ok(()) };
        tail.order(until);
        let reader = Reader {
            key,
            path: entry.path.clone(),
            tail: Arc::clone(tail),
            rules: entry.rules(until, now, self.follow.settle),
            live,
            make: Arc::clone(&self.follow.make),
            claims: Arc::clone(&self.claims),
            events: self.events.0.clone(),
            bell: self.stop.bell.clone(),
        };
        let left = Arc::clone(&self.left);
        let body = move || {
            let mut summary = Summary::default();
            let outcome = reader.run(&mut summary);
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            left.push((key, outcome, summary));
            reader.bell.ring();
        };
        let thread = std::thread::Builder::new().name("quipu-follow".to_owned()).spawn(body)?;
        entry.state = State::Running(now);
        self.threads.insert(key, thread);
        Ok(())
    }

    /// Returns how long to wait if nothing changes.
    fn patience(&self, now: Instant) -> Duration {
        let quiet = self.entries.values().filter_map(|entry| entry.quiet_at(self.follow.settle));
        let next = quiet.filter(|at| *at > now).min();
        next.map_or(LOOK_EVERY, |at| at.duration_since(now).min(LOOK_EVERY))
    }

    /// Ends the readers in order.
    fn end(&mut self, tell: &mut dyn FnMut(Happening)) -> Result<(), FollowError> {
        let deadline = Instant::now() + self.follow.patience;
        let mut watch = Watch::default();
        let mut ended = Ok(());
        while !self.threads.is_empty() {
            for entry in self.entries.values() {
                entry.tail.iter().for_each(|tail| tail.order(Until::Here));
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Err(FollowError::Unanswered(self.follow.patience));
            }
            watch.wait(&self.stop.bell, rest.min(LOOK_EVERY))?;
            ended = ended.and(self.collect(tell));
        }
        ended
    }

    fn report(mut self) -> Report {
        let mut entries: Vec<_> = self.entries.into_values().collect();
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        for entry in entries {
            self.report.add(&entry.path, entry.summary, entry.failure);
        }
        self.report
    }
}

/// Moves `entry` on after its reader stopped; an error is one of the node.
fn settle_outcome(
    entry: &mut Entry,
    outcome: Outcome,
    quiet: bool,
    claims: &Claims,
) -> Result<Option<What>, IngestError> {
    entry.is_dirty = true;
    if matches!(outcome, Outcome::Paused(_)) {
        entry.was_cut = false;
    }
    match outcome {
        Outcome::Paused(Pause::Cut) => {
            claims.release(entry.key);
            entry.was_cut = true;
            entry.state = State::Fresh;
            entry.tail = entry.tail.take().and_then(|tail| tail.anew().ok()).map(Arc::new);
            return Ok(Some(What::Cut));
        }
        Outcome::Paused(Pause::Ended) => {
            finish(entry, claims);
            return Ok(Some(What::Finished));
        }
        Outcome::Paused(_) => entry.state = State::Parked,
        Outcome::Shadow(source) => {
            entry.is_known = true;
            entry.state = State::Shadow(source);
        }
        Outcome::Short => entry.state = State::Short,
        Outcome::Stranger => {
            finish(entry, claims);
            entry.state = State::Stranger;
        }
        // Perhaps it is still being compressed.
        Outcome::Failed(IngestError::Input(InputError::Damaged { .. })) if !quiet => {
            entry.tail = entry.tail.take().and_then(|tail| tail.anew().ok()).map(Arc::new);
            entry.state = State::Short;
        }
        Outcome::Failed(IngestError::Input(error)) => fail(entry, &error.to_string(), claims),
        Outcome::Failed(error @ (IngestError::Line(_) | IngestError::SourceShorter { .. })) => {
            fail(entry, &error.to_string(), claims);
        }
        Outcome::Failed(error) => {
            entry.state = State::Parked;
            return Err(error);
        }
    }
    Ok(entry.failure.clone().map(What::Failed))
}

fn finish(entry: &mut Entry, claims: &Claims) {
    claims.release(entry.key);
    entry.state = State::Done;
    entry.tail = None;
}

fn fail(entry: &mut Entry, why: &str, claims: &Claims) {
    finish(entry, claims);
    entry.failure = Some(why.to_owned());
}

/// Says whether a file has the name of a compressed one and cannot be unpacked.
fn is_foreign(entry: &Entry) -> bool {
    let is_begun = entry.stamp.is_some_and(|stamp| stamp.size() >= PACKED_BYTES_MIN);
    entry.tail.is_none() && is_begun && is_packed(&entry.path)
}

/// Opens the file of `entry`, if its path still leads there.
fn open_tail(entry: &Entry) -> Option<Arc<Tail>> {
    let file = File::open(&entry.path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_same = (metadata.dev(), metadata.ino()) == entry.key;
    let tail =
        is_same.then(|| Tail::new(Arc::new(file), &entry.path, Until::Told(entry::LINGER)))?;
    // A compressed file says so in its first bytes, once they are written.
    let tail = tail.ok().filter(|tail| tail.is_packed() || !is_packed(&entry.path));
    tail.map(Arc::new)
}
