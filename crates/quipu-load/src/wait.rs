//! Waiting for sockets or for a moment, whichever comes first.
//!
//! The moment is a timerfd among the sockets: it is absolute, in nanoseconds, and without timer slack,
//! where the timeout of `epoll_pwait2` is stretched by 0.1 % of itself and that of `epoll_wait` counts
//! whole milliseconds. It is set again only when the moment changes, so a loop that waits for answers
//! makes no second system call.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::clock::Clock;

/// The name of the timer among the sockets, which are named by their numbers.
const TIMER: u64 = u64::MAX;
/// Events taken at once: a turn of the loop stays short beside a window.
const EVENTS_MAX: usize = 256;

/// What a read will tell: bytes, the end, or what went wrong.
const READABLE: EventFlags =
    EventFlags::IN.union(EventFlags::HUP).union(EventFlags::ERR).union(EventFlags::RDHUP);

/// What is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Which socket.
    pub(crate) token: u32,
    /// It can be read, or has ended.
    pub(crate) is_readable: bool,
    /// It can be written, or has been connected.
    pub(crate) is_writable: bool,
}

/// Sockets and one moment.
pub(crate) struct Waiter {
    epoll: OwnedFd,
    timer: OwnedFd,
    clock: Clock,
    /// The moment that the timer is set to, until it has come.
    set_ns: Option<u64>,
    events: Vec<Event>,
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("set_ns", &self.set_ns).finish_non_exhaustive()
    }
}

impl Waiter {
    /// Makes a waiter for no sockets.
    ///
    /// # Errors
    /// The process has too many open files.
    pub(crate) fn open(clock: Clock) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let once = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), once)?;
        Ok(Self { epoll, timer, clock, set_ns: None, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Changes the clock that moments are of.
    pub(crate) fn restart(&mut self, clock: Clock) {
        self.clock = clock;
        self.set_ns = None;
    }

    /// Adds a socket, to be read and perhaps to be written.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub(crate) fn add(&self, socket: impl AsFd, token: u32, writes: bool) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, data(token), interest(writes))?)
    }

    /// Changes whether a socket is to be written.
    ///
    /// # Errors
    /// It was not added.
    pub(crate) fn change(&self, socket: impl AsFd, token: u32, writes: bool) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, data(token), interest(writes))?)
    }

    /// Waits until a socket is ready or `until_ns` of the run has come, and appends what is ready.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn wait(&mut self, until_ns: u64, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.set(until_ns)?;
        self.take(None, ready)
    }

    /// Appends what is ready, without waiting and without setting the timer.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn look(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.take(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }), ready)
    }

    fn take(&mut self, timeout: Option<&Timespec>, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let flags = event.flags;
            match event.data.u64() {
                TIMER => self.set_ns = None,
                token => ready.push(Ready {
                    token: token as u32,
                    is_readable: flags.intersects(READABLE),
                    is_writable: flags.intersects(EventFlags::OUT | EventFlags::ERR),
                }),
            }
        }
        Ok(())
    }

    /// Sets the timer, unless it will come soon enough anyway.
    fn set(&mut self, until_ns: u64) -> io::Result<()> {
        if self.set_ns.is_some_and(|set_ns| set_ns <= until_ns) {
            return Ok(());
        }
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: self.clock.absolute(until_ns) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        self.set_ns = Some(until_ns);
        Ok(())
    }
}

fn data(token: u32) -> EventData {
    EventData::new_u64(u64::from(token))
}

fn interest(writes: bool) -> EventFlags {
    if writes { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN }
}
