//! A program that listens on a port: found, asked for its version, started, and killed with all that
//! it has started.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::system::{Client, Life, NoAnswer, Place, SystemError};
use crate::tree::{self, Tree};

/// Characters of last words that are kept (guess: a few lines).
const WORDS_MAX: usize = 300;

/// Where programs are beside `PATH`: Debian keeps those of PostgreSQL apart.
const BESIDE: [&str; 2] = ["/usr/sbin", "/usr/lib/postgresql/15/bin"];

/// Finds a program.
///
/// # Errors
/// It is not installed.
pub fn find(name: &str) -> Result<PathBuf, SystemError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(BESIDE.map(PathBuf::from));
    let mut found = folders.map(|folder| folder.join(name)).filter(|path| path.is_file());
    found.next().ok_or_else(|| SystemError::Missing(name.to_owned()))
}

/// The first line that a program prints when it is asked for its version.
///
/// # Errors
/// It is not here, or cannot be started.
pub fn version(program: &Path) -> Result<String, SystemError> {
    let shown = program.display().to_string();
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(SystemError::machine(format!("start {shown}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    line.map(str::to_owned).ok_or(SystemError::Missing(shown))
}

/// A user that a program runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// The user of this name where this process may become it; none where it need not.
    ///
    /// # Errors
    /// There is no such user.
    pub fn instead_of_root(name: &str) -> Result<Option<Self>, SystemError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = users.lines().find_map(|line| Self::parse(line, name));
        found.map(Some).ok_or_else(|| SystemError::Missing(format!("the user {name}")))
    }

    /// A line of passwd(5).
    fn parse(line: &str, name: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let is_it = fields.first() == Some(&name);
        let number = |index: usize| fields.get(index)?.parse().ok();
        is_it.then_some(Self { uid: number(2)?, gid: number(3)? })
    }

    /// Gives it a directory.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn takes(self, path: &Path) -> Result<(), SystemError> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .map_err(SystemError::machine(format!("give away {}", path.display())))
    }
}

/// A command whose words are known before it runs.
#[derive(Debug, Clone)]
pub struct Line {
    program: PathBuf,
    words: Vec<String>,
    user: Option<User>,
}

impl Line {
    /// A command of these words.
    pub fn new(program: &Path, words: Vec<String>) -> Self {
        Self { program: program.to_path_buf(), words, user: None }
    }

    /// Runs it as another user.
    #[must_use]
    pub fn run_as(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// The name of the program.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// As a person would type it.
    pub fn shown(&self) -> String {
        let quoted = |word: &String| {
            if word.is_empty() || word.contains([' ', '*']) {
                format!("'{word}'")
            } else {
                word.clone()
            }
        };
        let words: Vec<String> = self.words.iter().map(quoted).collect();
        format!("{} {}", self.name(), words.join(" "))
    }

    /// A process of it that prints to the log of `place`, in a group of its own.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn command(&self, place: &Place) -> Result<Command, SystemError> {
        let log = log_of(place)?;
        let twin = log.try_clone().map_err(SystemError::machine("write a log"))?;
        let mut command = Command::new(&self.program);
        command.args(&self.words).process_group(0).current_dir("/");
        command.stdin(Stdio::null()).stdout(log).stderr(twin);
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }

    /// Runs it to its end, which must be good.
    ///
    /// # Errors
    /// It ends badly; its last words say why.
    pub fn run(&self, place: &Place, input: Stdio) -> Result<(), SystemError> {
        let status = self.command(place)?.stdin(input).status();
        let status = status.map_err(SystemError::machine(format!("start {}", self.name())))?;
        let ended = || SystemError::Ended { program: self.name(), words: last_words(place) };
        status.success().then_some(()).ok_or_else(ended)
    }
}

fn log_of(place: &Place) -> Result<File, SystemError> {
    let file = OpenOptions::new().create(true).append(true).open(&place.log);
    file.map_err(SystemError::machine(format!("write {}", place.log.display())))
}

/// The end of what was printed, on one line.
pub fn last_words(place: &Place) -> String {
    let printed = fs::read(&place.log).unwrap_or_default();
    let text = String::from_utf8_lossy(&printed);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut kept = 0;
    let fits = |word: &&&str| {
        kept += word.chars().count() + 1;
        kept <= WORDS_MAX
    };
    let mut last: Vec<&str> = words.iter().rev().take_while(fits).copied().collect();
    last.reverse();
    last.join(" ")
}

/// A port that was free a moment ago.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16, SystemError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(SystemError::machine("find a free port"))
}

/// Connects a client to an address.
pub type Dial = fn(SocketAddr) -> Result<Box<dyn Client>, NoAnswer>;

/// A process that serves on a port.
#[derive(Debug)]
pub struct Served {
    child: Child,
    address: SocketAddr,
    place: Place,
    dial: Dial,
    has_ended: bool,
}

impl Served {
    /// Starts it.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(line: &Line, place: &Place, port: u16, dial: Dial) -> Result<Self, SystemError> {
        // The words of an earlier life are not those of this one.
        fs::write(&place.log, "").map_err(SystemError::machine("write a log"))?;
        let child = line.command(place)?.spawn();
        Ok(Self {
            child: child.map_err(SystemError::machine(format!("start {}", line.name())))?,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            place: place.clone(),
            dial,
            has_ended: false,
        })
    }
}

impl Life for Served {
    fn connect(&self) -> Result<Box<dyn Client>, NoAnswer> {
        (self.dial)(self.address)
    }

    fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        self.has_ended = true;
        Some(format!("{status}: {}", last_words(&self.place)))
    }

    fn tree(&self) -> Tree {
        Tree::of(&[self.child.id()])
    }

    fn kill(&mut self) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        // A stopped process starts no more: what is found then is all there is.
        tree::signal(self.child.id().cast_signed(), Signal::STOP);
        let tree = self.tree();
        tree.kill();
        // Errors mean that it has ended already, which is what is wanted.
        drop(self.child.wait());
        tree.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let line = "postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash";
        assert_eq!(User::parse(line, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(User::parse(line, "post"), None);
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        let words = ["-c", "a b", ""].map(str::to_owned).to_vec();
        assert_eq!(Line::new(Path::new("/bin/x"), words).shown(), "x -c 'a b' ''");
    }

    #[test]
    fn a_program_that_is_not_there_is_missing_by_its_name() {
        let error = find("no-such-program").unwrap_err().to_string();
        assert_eq!(error, "no-such-program is not here");
    }
}
