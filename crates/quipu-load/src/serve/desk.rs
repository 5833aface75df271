//! The desk: takes orders, at most one at a time for each target, runs each in a thread of its own
//! and keeps what it came to.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use quipu_lab::schedule::Schedule;
use serde_json::{Value, json};
use stdx::time::utc_text;
use tokio::sync::watch;

use crate::clock::wall_ms;
use crate::run::{self, Ask, threads_default};
use crate::serve::Settings;
use crate::serve::order::{Kind, Order};
use crate::serve::progress::{Outline, Progress};
use crate::serve::refusal::Refusal;
use crate::serve::result::{Status, Summary, TestResult};
use crate::serve::shelf::Shelf;
use crate::serve::tally::Tally;

/// Takes orders and knows all tests.
#[derive(Debug)]
pub(crate) struct Desk {
    settings: Settings,
    book: Mutex<Book>,
    pub(crate) tally: Tally,
}

/// What changes.
#[derive(Debug)]
struct Book {
    shelf: Shelf,
    /// Tests under way, by target: one for each, so never more than the allowlist has.
    running: BTreeMap<String, Arc<Test>>,
    threads: Vec<JoinHandle<()>>,
    is_stopping: bool,
}

/// A test that is under way.
#[derive(Debug)]
pub(crate) struct Test {
    /// What is known of it.
    pub(crate) begun: TestResult,
    /// What was planned.
    pub(crate) outline: Outline,
    stop: Arc<AtomicBool>,
    /// Who stopped it, as the reason that its result gives.
    stopped_by: Mutex<Option<&'static str>>,
    progress: watch::Sender<Progress>,
}

impl Test {
    /// Where its news come.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// What is known of it while it runs.
    pub(crate) fn json(&self) -> Value {
        let mut json = json!(self.begun);
        if let Value::Object(members) = &mut json {
            members.insert("plan".to_owned(), self.outline.json());
            members.insert("progress".to_owned(), self.progress.borrow().json(&self.outline));
        }
        json
    }

    fn cancel(&self, by: &'static str) {
        held(&self.stopped_by).get_or_insert(by);
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What is there under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// A test that is under way.
    Running(Arc<Test>),
    /// A test that has ended.
    Ended(Arc<TestResult>),
}

/// Nothing that is held while the lock is taken can break, so a poisoned one is as good.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// Opens the desk.
    ///
    /// # Errors
    /// The folder of results cannot be used.
    pub(crate) fn open(settings: Settings) -> io::Result<Self> {
        let shelf = Shelf::open(&settings.results, settings.keep)?;
        let book =
            Book { shelf, running: BTreeMap::new(), threads: Vec::new(), is_stopping: false };
        Ok(Self { settings, book: Mutex::new(book), tally: Tally::default() })
    }

    /// Takes an order and begins its test.
    ///
    /// # Errors
    /// The order makes no sense, its target is under test, or the service stops.
    pub(crate) fn order(self: &Arc<Self>, kind: Kind, body: &[u8]) -> Result<Arc<Test>, Refusal> {
        let order = Order::read(kind, body, &self.settings.caps, &self.settings.targets)?;
        let scenario = order.scenario()?;
        let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let started_at = utc_text(wall_ms());
        let stamp: String = started_at.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let id = format!("{stamp}-{}-{:08x}", kind.name(), number as u32);
        let test = Arc::new(Test {
            begun: TestResult::begun(id, &order, started_at),
            outline: Outline::of(&Schedule::of(&scenario)),
            stop: Arc::default(),
            stopped_by: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
        });
        let ask = Ask { scenario, threads: threads_default(), is_realtime: false, id: number };
        self.begin(&test, ask)?;
        self.tally.started(kind);
        Ok(test)
    }

    fn begin(self: &Arc<Self>, test: &Arc<Test>, ask: Ask) -> Result<(), Refusal> {
        let target = &test.begun.target;
        let mut book = held(&self.book);
        if book.is_stopping {
            return Err(Refusal::Stopping);
        }
        if let Some(other) = book.running.get(target) {
            return Err(Refusal::Busy { target: target.clone(), id: other.begun.id.clone() });
        }
        book.threads.retain(|thread| !thread.is_finished());
        let (desk, run) = (Arc::clone(self), Arc::clone(test));
        let thread =
            Builder::new().name("load-test".to_owned()).spawn(move || desk.run(&run, &ask))?;
        book.threads.push(thread);
        book.running.insert(target.clone(), Arc::clone(test));
        Ok(())
    }

    /// Runs a test to its end and keeps its result.
    fn run(&self, test: &Test, ask: &Ask) {
        let mut result = test.begun.clone();
        let found = run::run(ask, &test.stop, &mut |window| {
            self.tally.requests(&window.counts);
            test.progress.send_modify(|progress| progress.add(window));
        });
        result.ended_at = Some(utc_text(wall_ms()));
        let by = held(&test.stopped_by).map(str::to_owned);
        let finding = match found {
            Ok(finding) => {
                result.summary = Some(Summary::of(&finding));
                result.status = if finding.stopped { Status::Cancelled } else { Status::Completed };
                let aborted = || finding.generator.notes.last().cloned();
                result.reason = if finding.stopped { by.or_else(aborted) } else { None };
                Some(finding.to_json())
            }
            Err(error) => {
                result.status = Status::Failed;
                result.reason = Some(error.to_string());
                None
            }
        };
        self.end(test, Arc::new(result), finding.as_deref());
    }

    fn end(&self, test: &Test, result: Arc<TestResult>, finding: Option<&str>) {
        self.tally.ended(result.status);
        let mut book = held(&self.book);
        if let Err(error) = book.shelf.put(Arc::clone(&result), finding) {
            tracing::error!(id = result.id, %error, "a result cannot be kept");
        }
        book.running.remove(&result.target);
        drop(book);
        tracing::info!(id = result.id, status = ?result.status, "a test ended");
        test.progress.send_modify(|progress| progress.end = Some(result));
    }

    /// What is there under this name.
    ///
    /// # Errors
    /// Nothing.
    pub(crate) fn find(&self, id: &str) -> Result<Found, Refusal> {
        let book = held(&self.book);
        let running = book.running.values().find(|test| test.begun.id == id);
        let found = running.map(|test| Found::Running(Arc::clone(test)));
        let found = found.or_else(|| book.shelf.get(id).map(Found::Ended));
        found.ok_or_else(|| Refusal::Absent { what: "test of this name".to_owned() })
    }

    /// The result of the test that ended last.
    ///
    /// # Errors
    /// None has ended.
    pub(crate) fn latest(&self) -> Result<Arc<TestResult>, Refusal> {
        let book = held(&self.book);
        let newest = book.shelf.newest_first().max_by_key(|result| result.ended_at.clone());
        newest.cloned().ok_or_else(|| Refusal::Absent { what: "result yet".to_owned() })
    }

    /// All that has ended, in lines, the newest first.
    pub(crate) fn results(&self) -> Vec<Value> {
        held(&self.book).shelf.newest_first().map(|result| result.line()).collect()
    }

    /// All that is under way.
    pub(crate) fn running(&self) -> Vec<Arc<Test>> {
        held(&self.book).running.values().cloned().collect()
    }

    /// The file with all that a test found.
    ///
    /// # Errors
    /// No such test has ended.
    pub(crate) fn finding(&self, id: &str) -> Result<std::path::PathBuf, Refusal> {
        let absent = || Refusal::Absent { what: "result of this name".to_owned() };
        held(&self.book).shelf.finding(id).ok_or_else(absent)
    }

    /// Stops a test; it then ends within some milliseconds.
    ///
    /// # Errors
    /// It has ended, or there is none.
    pub(crate) fn cancel(&self, id: &str) -> Result<Arc<Test>, Refusal> {
        match self.find(id)? {
            Found::Running(test) => {
                test.cancel("cancelled by a client");
                Ok(test)
            }
            Found::Ended(result) => Err(Refusal::Ended { id: result.id.clone() }),
        }
    }

    /// Begins no more tests and stops those that are under way; returns where their ends are told.
    pub(crate) fn stop(&self) -> Vec<watch::Receiver<Progress>> {
        let mut book = held(&self.book);
        book.is_stopping = true;
        book.running.values().for_each(|test| test.cancel("the service was stopped"));
        book.running.values().map(|test| test.watch()).collect()
    }

    /// Waits for the threads of all tests.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut held(&self.book).threads);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("the thread of a test ended by a panic");
            }
        }
    }

    /// What is counted, for Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let book = held(&self.book);
        self.tally.text(book.running.len(), book.shelf.newest_first().count())
    }

    /// What may be tested, the default first.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}
