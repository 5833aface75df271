//! A run seen live: the engine in a thread of its own, the picture in this one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::thread::{Builder, scope};
use std::time::{Duration, Instant};

use quipu_lab::finding::Finding;
use quipu_lab::window::Window;
use quipu_load::run::{Ask, RunError, run};

use super::picture::picture;
use super::seen::Seen;
use crate::output;
use crate::screen::{Screen, Wake};

/// How often the picture is drawn: a bar that moves, for a share of a percent of a core.
const TICK: Duration = Duration::from_millis(250);
/// Windows that may wait for the picture. A terminal that takes nothing (Ctrl-S) must not hold up
/// the engine: what does not fit is not shown, and is in the result all the same.
const NEWS_MAX: usize = 64;

/// Runs and shows it until it ends or the user wants it to, and returns what was found.
///
/// # Errors
/// The terminal takes no bytes, or the system gives no thread.
pub(super) fn shown(
    ask: &Ask,
    stop: &Arc<AtomicBool>,
    mut screen: Screen,
) -> io::Result<Result<Finding, RunError>> {
    let (tell, news) = sync_channel(NEWS_MAX);
    scope(|scope| {
        let engine = move || {
            run(ask, stop, &mut |window: &Window| match tell.try_send(window.clone()) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            })
        };
        let running = Builder::new().name("run".to_owned()).spawn_scoped(scope, engine)?;
        let watched = watch(&mut Seen::new(&ask.scenario), &news, (&mut screen, stop), || {
            running.is_finished()
        });
        // The terminal first, then what is said on it.
        drop(screen);
        if stop.load(Ordering::Relaxed) {
            output::note("stopping; what was found until here follows");
        }
        if watched.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let found = running.join();
        watched?;
        Ok(found.unwrap_or_else(|_| Err(io::Error::other("the run ended by a panic").into())))
    })
}

fn watch(
    seen: &mut Seen,
    news: &Receiver<Window>,
    (screen, stop): (&mut Screen, &AtomicBool),
    is_over: impl Fn() -> bool,
) -> io::Result<()> {
    let start = Instant::now();
    while !is_over() {
        for window in news.try_iter() {
            seen.add(window);
        }
        Screen::draw(&picture(seen, start.elapsed(), Screen::size()))?;
        if screen.wait(Instant::now() + TICK)? == Wake::Quit {
            stop.store(true, Ordering::Relaxed);
            return Ok(());
        }
    }
    Ok(())
}
