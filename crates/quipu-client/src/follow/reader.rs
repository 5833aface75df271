//! One thread that reads one file: finds out which source it is, and ingests it until it pauses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Make;
use super::report::{Happening, What, merge};
use super::watch::Bell;
use crate::backoff::Backoff;
use crate::client::{Client, ClientError};
use crate::identity::{Found, Identity, Rules, identify};
use crate::ingest::{Event, IngestError, Job, ingest};
use crate::input::Input;
use crate::summary::Summary;
use crate::tail::{Pause, Tail};

/// A file on a device, whatever it is called.
pub(super) type Key = (u64, u64);

/// Which file each source is read from: one at a time.
#[derive(Debug, Default)]
pub(super) struct Claims {
    owners: Mutex<BTreeMap<Identity, Key>>,
    /// Held while a file is identified: of two copies of a file that is new, one is the source,
    /// which the other must find.
    identifying: Mutex<()>,
}

impl Claims {
    /// Claims `source` for `file`; false while another file has it.
    pub(super) fn claim(&self, source: &Identity, file: Key) -> bool {
        let mut claims = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        *claims.entry(source.clone()).or_insert(file) == file
    }

    /// Says whether no file has `source`.
    pub(super) fn is_free(&self, source: &Identity) -> bool {
        !self.owners.lock().unwrap_or_else(PoisonError::into_inner).contains_key(source)
    }

    /// Gives up whatever `file` claimed.
    pub(super) fn release(&self, file: Key) {
        let mut claims = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|_, owner| *owner != file);
    }
}

/// Why a reader stopped.
#[derive(Debug)]
pub(super) enum Outcome {
    /// As the file says.
    Paused(Pause),
    /// Another file is read as the same source.
    Shadow(Identity),
    /// The file continues nothing that was counted, and only that was wanted.
    Stranger,
    /// The file may be the copy of one that was counted, and is too short to tell.
    Short,
    /// An error.
    Failed(IngestError),
}

/// What a reader needs.
pub(super) struct Reader {
    pub(super) key: Key,
    pub(super) path: PathBuf,
    pub(super) tail: Arc<Tail>,
    pub(super) rules: Rules,
    /// The file that has the name that this one had before it was rotated away.
    pub(super) live: Option<Arc<Tail>>,
    pub(super) make: Make,
    pub(super) claims: Arc<Claims>,
    pub(super) events: SyncSender<Happening>,
    pub(super) bell: Bell,
}

impl Reader {
    /// Reads until there is nothing more to do; what was done is added to `summary`.
    pub(super) fn run(&self, summary: &mut Summary) -> Outcome {
        let mut trial = Trial { since: Instant::now(), backoff: Backoff::default() };
        loop {
            let error = match self.attempt(summary, &mut trial) {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            if let Some(outcome) = self.outcome_of(error, &mut trial) {
                return outcome;
            }
        }
    }

    /// Returns what an error leads to; `None` after a pause to try again.
    fn outcome_of(&self, error: IngestError, trial: &mut Trial) -> Option<Outcome> {
        let cause = match error {
            IngestError::Client(ClientError::Connection(cause)) => cause,
            // What is lacking may be in the copy that was made before the file was cut.
            IngestError::SourceShorter { .. } if self.is_cut() => {
                return Some(Outcome::Paused(Pause::Cut));
            }
            error => return Some(Outcome::Failed(error)),
        };
        if self.tail.is_stopped() {
            return Some(Outcome::Paused(Pause::Told));
        }
        self.say(What::Lost(cause.to_string()));
        trial.pause(&cause, self.job().options.give_up).err().map(Outcome::Failed)
    }

    fn is_cut(&self) -> bool {
        self.tail.is_cut()
    }

    fn attempt(&self, summary: &mut Summary, trial: &mut Trial) -> Result<Outcome, IngestError> {
        if self.tail.identity().is_none()
            && let Some(outcome) = self.identify()?
        {
            return Ok(outcome);
        }
        loop {
            let done = ingest(self.job(), &mut |event| self.tell(&event))?;
            *trial = Trial { since: Instant::now(), backoff: Backoff::default() };
            merge(summary, &done);
            match self.tail.take_pause() {
                Some(Pause::Print) => {}
                Some(pause) => return Ok(Outcome::Paused(pause)),
                None => return Ok(Outcome::Paused(Pause::Told)),
            }
        }
    }

    /// Finds out which source the file is; answers why it is not read.
    fn identify(&self) -> Result<Option<Outcome>, IngestError> {
        let job = self.job();
        let mut client = Client::connect(&job.node, job.options.timeout)?;
        let identities = job.matcher.identities();
        let identifying = self.claims.identifying.lock();
        let rules = Rules { copies_unknown: self.copies_unknown()?, ..self.rules };
        let (identity, replaced) = match identify(&mut client, &self.tail, identities, rules)? {
            Found::Source(identity, replaced) => (identity, replaced),
            Found::Stranger => return Ok(Some(Outcome::Stranger)),
            Found::Short => return Ok(Some(Outcome::Short)),
            Found::Cut => return Ok(Some(Outcome::Paused(Pause::Cut))),
        };
        if !self.claims.claim(&identity, self.key) {
            return Ok(Some(Outcome::Shadow(identity)));
        }
        drop(identifying);
        if let Some(replaced) = replaced.filter(|replaced| replaced.counted > 0) {
            self.say(What::Replaced(replaced));
        }
        self.tail.identify(identity);
        Ok(None)
    }

    /// Says whether it may be a copy of a file that must be identified before it.
    fn copies_unknown(&self) -> Result<bool, IngestError> {
        let Some(live) = &self.live else { return Ok(false) };
        Ok(!live.is_as_identified()? && live.begins_with(&self.tail)?)
    }

    fn job(&self) -> Job {
        (self.make)(Input::File(Arc::clone(&self.tail)))
    }

    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Started { after, .. } => self.say(What::Started(*after)),
            Event::Replaced(replaced) => self.say(What::Replaced(*replaced)),
            Event::Waiting(refusal) => self.say(What::Waiting(refusal.text.clone())),
            Event::Lost(cause) => self.say(What::Lost(cause.to_string())),
            Event::Resumed(after) => self.say(What::Resumed(*after)),
            Event::Progress { answered, .. } => {
                let what = What::Answered(*answered);
                // The next one says as much: nobody waits for it.
                drop(self.events.try_send(Happening { path: self.path.clone(), what }));
            }
        }
    }

    /// Says something that must not be missed.
    fn say(&self, what: What) {
        // Whoever does not listen any more has ended.
        drop(self.events.send(Happening { path: self.path.clone(), what }));
        self.bell.ring();
    }
}

/// Attempts to speak to the node, since when.
struct Trial {
    since: Instant,
    backoff: Backoff,
}

impl Trial {
    /// Waits a little before the next attempt, unless there was no progress for `give_up`.
    fn pause(
        &mut self,
        cause: &dyn std::error::Error,
        give_up: Duration,
    ) -> Result<(), IngestError> {
        let waited = self.since.elapsed();
        if waited > give_up {
            return Err(IngestError::GaveUp { waited, cause: cause.to_string() });
        }
        // Without entropy all readers wait alike, which is worse but not wrong.
        std::thread::park_timeout(self.backoff.next(getrandom::u64().unwrap_or(u64::MAX)));
        Ok(())
    }
}
