//! One system, one way to die: many lives on one directory, judged after each.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quipu_proof::chance::Chance;
use quipu_proof::disk::{DiskError, Keep, LossyDisk, Names};
use quipu_proof::node::poll;
use quipu_proof::trial::End;

use crate::books::Account;
use crate::figures::Figures;
use crate::load::{Driven, Load, drive};
use crate::system::{Client, Life, NoAnswer, Place, System, SystemError};

/// Starts when the port was taken by somebody else in between.
const PORT_ATTEMPTS: usize = 3;

/// How long a start may take to its first answer, and then to its first write, before it counts as
/// refused. Guess: ten times what the slowest of them takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Why a cell could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The machine does not let us mount a disk, or it was lost.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The system does not even serve on a new directory.
    #[error("on a new directory: {0}")]
    System(#[from] SystemError),
    /// It served, and then no client could connect.
    #[error("it serves and takes no client: {0}")]
    Client(#[from] NoAnswer),
}

/// One system and one way to die.
pub struct Cell<'a> {
    system: &'a dyn System,
    load: Load,
    place: Place,
    disk: Option<LossyDisk>,
    accounts: Vec<Account>,
    chance: Chance,
    figures: Figures,
}

impl std::fmt::Debug for Cell<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Cell").field("system", &self.system.key()).finish_non_exhaustive()
    }
}

impl<'a> Cell<'a> {
    /// Makes its folder, and mounts a disk there if the end is a cut.
    ///
    /// # Errors
    /// The machine does not permit it.
    pub fn new(
        system: &'a dyn System,
        load: Load,
        end: End,
        folder: &Path,
        seed: u64,
    ) -> Result<Self, CellError> {
        let mounted = folder.join("disk");
        fs::create_dir_all(&mounted)
            .map_err(SystemError::machine(format!("make {}", mounted.display())))?;
        let disk = match end {
            End::Kill => None,
            End::Cut => Some(LossyDisk::mount(&mounted, Names::AtOnce)?),
        };
        let place = Place { data: mounted.join("data"), log: folder.join("log") };
        let accounts = (0..load.clients).map(|client| Account::new(client, load.counters));
        let accounts = accounts.collect();
        let chance = Chance::new(seed);
        Ok(Self { system, load, place, disk, accounts, chance, figures: Figures::default() })
    }

    /// What was found so far.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Lives that end under load, each judged by the start after it.
    ///
    /// # Errors
    /// It cannot be measured here.
    pub fn run(&mut self, ends: u64, stop: &AtomicBool) -> Result<(), CellError> {
        self.make()?;
        let mut life = self.begin()?.life;
        for number in 0..ends {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.sync()?;
            let driven = drive(&mut *life, &mut self.accounts, &self.load, &mut self.chance)?;
            drop(life);
            self.figures.note_load(driven);
            self.cut(number)?;
            life = self.recover()?;
        }
        Ok(())
    }

    /// Syncs all files before the load, as the kernel does by itself within half a minute. So a cut
    /// takes only what the life itself has written, and nothing of a system that never syncs what it
    /// makes once.
    fn sync(&self) -> Result<(), CellError> {
        if self.disk.is_some() {
            let failed = SystemError::machine(format!("sync {}", self.place.data.display()));
            sync_all(&self.place.data).map_err(failed)?;
        }
        Ok(())
    }

    /// Cuts that keep nothing take turns with those that keep some of what was not synced.
    fn cut(&mut self, number: u64) -> Result<(), CellError> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let keep =
            if number.is_multiple_of(2) { Keep::Nothing } else { Keep::Some(self.chance.next()) };
        Ok(disk.cut(keep)?)
    }

    /// A new directory, and books that begin again.
    fn make(&mut self) -> Result<(), CellError> {
        let data = &self.place.data;
        let made = if data.exists() { fs::remove_dir_all(data) } else { Ok(()) };
        made.and_then(|()| fs::create_dir_all(data))
            .map_err(SystemError::machine(format!("make {}", data.display())))?;
        self.accounts.iter_mut().for_each(Account::begin_again);
        let counters: Vec<&str> = self.accounts.iter().flat_map(Account::counters).collect();
        Ok(self.system.make(&self.place, &counters)?)
    }

    /// Starts after an end and judges; where it refuses, a new directory takes its place.
    fn recover(&mut self) -> Result<Box<dyn Life>, CellError> {
        let refused = match self.begin() {
            Ok(mut begun) => match self.judge(&mut *begun.client) {
                Ok(()) => {
                    self.figures.note_recovery(begun.took);
                    return Ok(begun.life);
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        self.figures.note_refusal(refused);
        self.make()?;
        Ok(self.begin()?.life)
    }

    /// Reads all counters, lets every client send again what had no answer, and reads those again.
    fn judge(&mut self, client: &mut dyn Client) -> Result<(), NoAnswer> {
        for account in &mut self.accounts {
            let found = account.counters().map(|counter| client.read(counter));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            self.figures.losses += account.judge(&found);
        }
        for account in &mut self.accounts {
            let Some((counter, token)) = account.unanswered() else { continue };
            add_until_acknowledged(client, counter, &token)?;
            let found = client.read(counter)?;
            self.figures.losses += account.settle(found);
            self.figures.retries += 1;
            self.figures.acknowledged += 1;
        }
        Ok(())
    }

    /// Starts the system and waits until it answers a read.
    fn begin(&self) -> Result<Begun, SystemError> {
        let mut attempt = 1;
        loop {
            match begin_once(self.system, &self.place) {
                Err(SystemError::Ended { words, .. })
                    if words.contains("in use") && attempt < PORT_ATTEMPTS =>
                {
                    attempt += 1;
                }
                begun => return begun,
            }
        }
    }
}

fn sync_all(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_all(&entry.path())?;
        } else if kind.is_file() {
            match File::open(entry.path()).and_then(|file| file.sync_all()) {
                // The system runs, and may have removed it in between.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
    }
    Ok(())
}

/// A system that has answered a read.
struct Begun {
    life: Box<dyn Life>,
    client: Box<dyn Client>,
    took: Duration,
}

fn begin_once(system: &dyn System, place: &Place) -> Result<Begun, SystemError> {
    let started = Instant::now();
    let mut life = system.start(place)?;
    let (mut ended, mut why) = (None, String::new());
    let answered = poll(ANSWER_WITHIN, || {
        ended = life.ended();
        if ended.is_some() {
            return Some(None);
        }
        match first_read(&*life) {
            Ok(client) => Some(Some(client)),
            Err(error) => {
                why = error.to_string();
                None
            }
        }
    });
    let program = system.title();
    match (answered.flatten(), ended) {
        (Some(client), _) => Ok(Begun { life, client, took: started.elapsed() }),
        (None, Some(words)) => Err(SystemError::Ended { program, words }),
        (None, None) => {
            let words = crate::program::last_words(place);
            Err(SystemError::Silent { program, why, words })
        }
    }
}

fn first_read(life: &dyn Life) -> Result<Box<dyn Client>, NoAnswer> {
    let mut client = life.connect()?;
    client.read("c0-0")?;
    Ok(client)
}

/// Sends an operation again and again; a system that has taken none in time does not serve.
fn add_until_acknowledged(
    client: &mut dyn Client,
    counter: &str,
    token: &str,
) -> Result<(), NoAnswer> {
    let mut error = NoAnswer(String::new());
    let mut add = || client.add(counter, token).map_err(|why| error = why).ok();
    poll(ANSWER_WITHIN, &mut add).ok_or_else(|| NoAnswer(format!("reads, and no writes: {error}")))
}

/// The folder of a cell.
pub fn folder_of(root: &Path, system: &dyn System, end: End) -> PathBuf {
    root.join(format!("{}-{}", system.key(), end_word(end)))
}

/// How a way to die is called in the names of figures.
pub fn end_word(end: End) -> &'static str {
    match end {
        End::Kill => "kill",
        End::Cut => "cut",
    }
}

/// What a life did, for the figures.
impl Figures {
    fn note_load(&mut self, driven: Driven) {
        self.ends += 1;
        self.acknowledged += driven.acknowledged;
        self.loads.push(driven);
    }
}
