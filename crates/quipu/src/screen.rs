//! A terminal that a live view has for itself: its size, its keys, and the state in which it was,
//! which it gets back however the view ends.

use std::io::{self, IsTerminal as _, Write as _, stdin, stdout};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::{emulate_default_handler, pipe};

/// The other screen, without a cursor and without wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// Back again.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Rows and columns of a terminal that does not tell them. The size of old ones.
const SIZE_DEFAULT: (usize, usize) = (80, 24);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The time has come.
    Due,
    /// The terminal has another size, or is back in the foreground.
    Redraw,
    /// The view is to end.
    Quit,
}

/// The terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    signals: [(i32, UnixStream); 6],
    /// How keys were read before; nothing where standard input is no terminal.
    before: Option<Termios>,
}

impl Screen {
    /// Takes the terminal over; nothing where standard output is none.
    ///
    /// # Errors
    /// The system gives no pipes, or the terminal takes no bytes.
    pub(crate) fn open() -> io::Result<Option<Self>> {
        if !stdout().is_terminal() {
            return Ok(None);
        }
        let listen = |signal| {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            pipe::register(signal, theirs)?;
            Ok::<_, io::Error>((signal, ours))
        };
        let signals = [
            listen(SIGINT)?,
            listen(SIGTERM)?,
            listen(SIGHUP)?,
            listen(SIGWINCH)?,
            listen(SIGTSTP)?,
            listen(SIGCONT)?,
        ];
        let before = tcgetattr(stdin()).ok();
        let screen = Self { signals, before };
        screen.enter()?;
        Ok(Some(screen))
    }

    fn enter(&self) -> io::Result<()> {
        if let Some(before) = &self.before {
            let mut keys = before.clone();
            keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            tcsetattr(stdin(), OptionalActions::Now, &keys)?;
        }
        put(ENTER)
    }

    fn leave(&self) -> io::Result<()> {
        put(LEAVE)?;
        if let Some(before) = &self.before {
            tcsetattr(stdin(), OptionalActions::Now, before)?;
        }
        Ok(())
    }

    /// Columns and rows, as they are.
    pub(crate) fn size() -> (usize, usize) {
        let told = tcgetwinsize(stdout()).ok();
        let told = told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        told.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(SIZE_DEFAULT)
    }

    /// Shows lines from the top, as many as there is room for.
    ///
    /// # Errors
    /// The terminal takes no bytes.
    pub(crate) fn draw(lines: &[String]) -> io::Result<()> {
        let (_, rows) = Self::size();
        let shown: Vec<&str> = lines.iter().take(rows).map(String::as_str).collect();
        // In place, and what is left of the picture before goes: nothing flickers.
        put(&format!("\x1b[H{}\x1b[K\x1b[J", shown.join("\x1b[K\r\n")))
    }

    /// Waits until a moment, a key or a signal.
    ///
    /// # Errors
    /// The system does not wait.
    pub(crate) fn wait(&mut self, until: Instant) -> io::Result<Wake> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Wake::Due);
            }
            if !self.wait_for_input(left)? {
                continue;
            }
            if let Some(wake) = self.signal()? {
                return Ok(wake);
            }
            if let Some(wake) = self.key()? {
                return Ok(wake);
            }
        }
    }

    fn wait_for_input(&self, left: Duration) -> io::Result<bool> {
        let keys = stdin();
        let mut polled: Vec<_> =
            self.signals.iter().map(|(_, pipe)| PollFd::new(pipe, PollFlags::IN)).collect();
        if self.before.is_some() {
            polled.push(PollFd::new(&keys, PollFlags::IN));
        }
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The signals that came since the last look.
    fn arrived(&self) -> Vec<i32> {
        let heard = |(signal, pipe): &(i32, UnixStream)| {
            let mut bytes = [0; 64];
            let came = rustix::io::read(pipe, &mut bytes).is_ok_and(|count| count > 0);
            came.then_some(*signal)
        };
        self.signals.iter().filter_map(heard).collect()
    }

    /// What the signals since the last look ask for; the end comes before all else.
    fn signal(&self) -> io::Result<Option<Wake>> {
        let arrived = self.arrived();
        let came = |wanted: &[i32]| arrived.iter().any(|signal| wanted.contains(signal));
        if came(&[SIGINT, SIGTERM, SIGHUP]) {
            return Ok(Some(Wake::Quit));
        }
        if came(&[SIGTSTP]) {
            return self.suspend().map(Some);
        }
        Ok((!arrived.is_empty()).then_some(Wake::Redraw))
    }

    /// What a key asks for, if one was pressed.
    fn key(&self) -> io::Result<Option<Wake>> {
        if self.before.is_none() || !self.wait_for_input(Duration::ZERO)? {
            return Ok(None);
        }
        let mut keys = [0; 16];
        let count = rustix::io::read(stdin(), &mut keys)?;
        let quits = |key: &u8| matches!(key, b'q' | b'Q' | b'\x03' | b'\x04');
        Ok(match keys.get(..count) {
            // The terminal is gone.
            None | Some([]) => Some(Wake::Quit),
            Some(keys) => keys.iter().any(quits).then_some(Wake::Quit),
        })
    }

    /// Ctrl-Z: gives the terminal back while the process is stopped.
    fn suspend(&self) -> io::Result<Wake> {
        self.leave()?;
        emulate_default_handler(SIGTSTP)?;
        self.enter()?;
        Ok(Wake::Redraw)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        drop(self.leave());
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
