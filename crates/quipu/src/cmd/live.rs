//! How live views go on: a reading at each tick, a picture on a terminal, plain lines elsewhere, and
//! what is seen of a node that goes away and comes back.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::figure::lasting;
use crate::output::{FAILURE, fail};
use crate::screen::{Screen, Wake};

/// How long a live view waits for an answer. Guess: longer than a ranking of ten million counters
/// takes, and short enough for Ctrl-C.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// How often, and how many times.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Pace {
    /// Time between two readings, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=3_600_000))]
    interval: u64,
    /// End after so many readings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print one reading as plain lines and end
    #[arg(long, conflicts_with = "count")]
    once: bool,
}

/// What is looked at.
pub(super) trait View {
    /// Takes one reading; connects where it has to.
    ///
    /// # Errors
    /// The node does not answer.
    fn look(&mut self) -> anyhow::Result<()>;

    /// How many readings come before the first that says something.
    fn first(&self) -> u64 {
        0
    }

    /// The picture for a terminal of so many columns and rows.
    fn picture(&self, size: (usize, usize)) -> Vec<String>;

    /// The newest reading as plain lines.
    fn lines(&self) -> Vec<String>;

    /// The newest reading as one JSON object.
    fn json(&self) -> Value;

    /// Whom it asks.
    fn node(&self) -> &str;
}

/// A time without answers.
struct Gap {
    since: Instant,
    reason: String,
}

/// Shows a view until it is to end.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn run(view: &mut impl View, pace: &Pace, as_json: bool) -> anyhow::Result<ExitCode> {
    // A node that never answered is an error, not a gap.
    if let Err(error) = view.look() {
        return fail(FAILURE, error);
    }
    let screen = if pace.once || as_json { None } else { Screen::open()? };
    let mut show = Show { screen, as_json, gap: None };
    let most = if pace.once { Some(1) } else { pace.count };
    let shown = show.run(view, (Duration::from_millis(pace.interval), most));
    // The terminal first, then what is said on it.
    drop(show);
    match shown {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

struct Show {
    screen: Option<Screen>,
    as_json: bool,
    gap: Option<Gap>,
}

impl Show {
    fn run(
        &mut self,
        view: &mut impl View,
        (interval, most): (Duration, Option<u64>),
    ) -> io::Result<()> {
        let mut due = Instant::now();
        for _ in 0..view.first() {
            due += interval;
            if self.wait(view, due)? == Wake::Quit {
                return Ok(());
            }
            self.look(view)?;
        }
        let mut readings = 0;
        loop {
            if self.gap.is_none() {
                readings += 1;
            }
            self.show(view)?;
            if most.is_some_and(|most| readings >= most) {
                return Ok(());
            }
            // A reading that took long moves those after it: none is asked for twice.
            due = (due + interval).max(Instant::now());
            if self.wait(view, due)? == Wake::Quit {
                return Ok(());
            }
            self.look(view)?;
        }
    }

    fn look(&mut self, view: &mut impl View) -> io::Result<()> {
        match (view.look(), self.gap.take()) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(gap)) => self.tell(&gap, true),
            (Err(error), Some(gap)) => {
                self.gap = Some(Gap { reason: error.to_string(), ..gap });
                Ok(())
            }
            (Err(error), None) => {
                let gap = Gap { since: Instant::now(), reason: error.to_string() };
                self.tell(&gap, false)?;
                self.gap = Some(gap);
                Ok(())
            }
        }
    }

    /// Says once that a gap begins or is over; a picture shows it all the time.
    fn tell(&self, gap: &Gap, is_over: bool) -> io::Result<()> {
        let gap_ms = gap.since.elapsed().as_millis() as u64;
        let reason = &gap.reason;
        match (&self.screen, self.as_json, is_over) {
            (Some(_), ..) => Ok(()),
            (None, true, true) => say(&json!({ "gap_ms": gap_ms })),
            (None, true, false) => say(&json!({ "gap": reason })),
            (None, false, true) => {
                say(&format_args!("-- the node answers again after {gap_ms} ms"))
            }
            (None, false, false) => say(&format_args!("-- no answer: {reason}")),
        }
    }

    fn show(&self, view: &impl View) -> io::Result<()> {
        match (&self.screen, &self.gap) {
            (Some(_), _) => self.draw(view),
            (None, Some(_)) => Ok(()),
            (None, None) if self.as_json => say(&view.json()),
            (None, None) => view.lines().iter().try_for_each(|line| say(line)),
        }
    }

    fn draw(&self, view: &impl View) -> io::Result<()> {
        let (columns, rows) = Screen::size();
        let head = match &self.gap {
            None => format!("\x1b[2m{}   q ends\x1b[0m", view.node()),
            Some(Gap { since, reason }) => {
                let time = lasting(since.elapsed());
                format!("\x1b[1;31m{} has not answered for {time}\x1b[0m ({reason})", view.node())
            }
        };
        let mut lines = vec![head, String::new()];
        lines.extend(view.picture((columns, rows.saturating_sub(2))));
        Screen::draw(&lines)
    }

    /// Waits for the next reading, and draws again where the terminal asks for it.
    fn wait(&mut self, view: &impl View, due: Instant) -> io::Result<Wake> {
        loop {
            let Some(screen) = &mut self.screen else {
                pause(due);
                return Ok(Wake::Due);
            };
            let wake = screen.wait(due)?;
            if wake != Wake::Redraw {
                return Ok(wake);
            }
            self.draw(view)?;
        }
    }
}

/// Waits where no terminal could ask for anything; signals end the process.
fn pause(due: Instant) {
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
        std::thread::park_timeout(left);
    }
}

fn say(line: &dyn std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
