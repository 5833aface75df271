//! SQLite: `UPDATE ... RETURNING` by Debian's `sqlite3`, one process for each client.
//!
//! The shell ends at the first error and runs one statement after the other, so the row of a
//! `SELECT` after the update says that the update has been committed: only then is it acknowledged.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::program::{Line, find, last_words, version};
use crate::system::{Client, Life, NoAnswer, Place, System, SystemError};
use crate::tree::Tree;

/// SQLite with a write-ahead log and one value of `synchronous`.
#[derive(Debug, Clone, Copy)]
pub struct Sqlite {
    /// `FULL` or `NORMAL`.
    pub synchronous: &'static str,
}

/// How long a process waits for the lock of another, in milliseconds. Guess: far beyond what eight
/// writers need.
const BUSY_TIMEOUT_MS: u32 = 20_000;

fn line(database: &Path) -> Result<Line, SystemError> {
    let words = ["-batch", "-bail"].map(str::to_owned).to_vec();
    Ok(Line::new(&find("sqlite3")?, [words, vec![database.to_string_lossy().into()]].concat()))
}

impl Sqlite {
    fn greeting(self) -> String {
        format!(
            "PRAGMA busy_timeout={BUSY_TIMEOUT_MS};\nPRAGMA journal_mode=WAL;\n\
             PRAGMA synchronous={};\n",
            self.synchronous
        )
    }
}

impl System for Sqlite {
    fn key(&self) -> String {
        format!("sqlite_{}", self.synchronous.to_lowercase())
    }

    fn title(&self) -> String {
        format!("SQLite, WAL, `synchronous={}`", self.synchronous)
    }

    fn version(&self) -> Result<String, SystemError> {
        Ok(format!("sqlite3 {}", version(&find("sqlite3")?)?))
    }

    fn recipe(&self) -> Vec<String> {
        let line = line(Path::new("DIR/counters.db")).map(|line| line.shown());
        line.into_iter().chain(self.greeting().lines().map(str::to_owned)).collect()
    }

    fn operation(&self) -> String {
        "`UPDATE counters SET value = value + 1 WHERE name = '...' RETURNING value;` and a row after \
         it that says that it is committed, by one process for each client; rows made before"
            .to_owned()
    }

    fn make(&self, place: &Place, counters: &[&str]) -> Result<(), SystemError> {
        let mut script = self.greeting();
        script += "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);\n";
        let row = |counter: &&str| format!("INSERT INTO counters VALUES ('{counter}', 0);\n");
        script.extend(counters.iter().map(row));
        // Closing a database alone moves its log into it, synced.
        let path = place.log.with_extension("sql");
        let written = std::fs::write(&path, script).and_then(|()| File::open(&path));
        let input = written.map_err(SystemError::machine("write a script"))?;
        line(&place.data.join("counters.db"))?.run(place, input.into())
    }

    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError> {
        let children = Mutex::new(Vec::new());
        find("sqlite3")?;
        std::fs::write(&place.log, "").map_err(SystemError::machine("write a log"))?;
        Ok(Box::new(Processes { sqlite: *self, place: place.clone(), children }))
    }
}

/// The clients are the system: nothing runs between them.
#[derive(Debug)]
struct Processes {
    sqlite: Sqlite,
    place: Place,
    children: Mutex<Vec<Child>>,
}

impl Processes {
    fn children(&self) -> MutexGuard<'_, Vec<Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life for Processes {
    fn connect(&self) -> Result<Box<dyn Client>, NoAnswer> {
        let failed = |error: SystemError| NoAnswer(error.to_string());
        let line = line(&self.place.data.join("counters.db")).map_err(failed)?;
        let mut command = line.command(&self.place).map_err(failed)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        self.children().push(child);
        let (stdin, stdout) = pipes.expect("both were asked for");
        let stdout = BufReader::new(stdout);
        let mut shell = Shell { stdin, stdout, place: self.place.clone(), asked: 0 };
        shell.ask(&self.sqlite.greeting())?;
        Ok(Box::new(shell))
    }

    fn ended(&mut self) -> Option<String> {
        None
    }

    fn tree(&self) -> Tree {
        Tree::of(&self.children().iter().map(Child::id).collect::<Vec<_>>())
    }

    fn kill(&mut self) {
        let tree = self.tree();
        tree.kill();
        for child in &mut *self.children() {
            // Errors mean that it has ended already, which is what is wanted.
            drop(child.wait());
        }
        self.children().clear();
        tree.wait();
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One process of the shell.
#[derive(Debug)]
struct Shell {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    place: Place,
    asked: u64,
}

impl Shell {
    /// Runs statements and answers the rows that they gave.
    fn ask(&mut self, statements: &str) -> Result<Vec<String>, NoAnswer> {
        self.asked += 1;
        let marker = format!("done-{}", self.asked);
        self.stdin.write_all(format!("{statements}\nSELECT '{marker}';\n").as_bytes())?;
        let mut rows = Vec::new();
        loop {
            let mut row = String::new();
            if self.stdout.read_line(&mut row)? == 0 {
                return Err(NoAnswer(format!("the shell ended: {}", last_words(&self.place))));
            }
            if row.trim_end() == marker {
                return Ok(rows);
            }
            rows.push(row.trim_end().to_owned());
        }
    }

    fn number(&mut self, statement: &str) -> Result<i64, NoAnswer> {
        let rows = self.ask(statement)?;
        let number = rows.first().and_then(|row| row.parse().ok());
        number.ok_or_else(|| NoAnswer(format!("{statement}: {rows:?}")))
    }
}

impl Client for Shell {
    fn add(&mut self, counter: &str, _: &str) -> Result<(), NoAnswer> {
        let update = "UPDATE counters SET value = value + 1 WHERE name =";
        self.number(&format!("{update} '{counter}' RETURNING value;")).map(drop)
    }

    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer> {
        self.number(&format!("SELECT value FROM counters WHERE name = '{counter}';"))
    }
}
