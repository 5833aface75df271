//! Waiting for files to change, for another thread, or for time: inotify, a bell, a deadline.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::inotify;

/// Folders that are watched; changes in others are found by looking. Guess.
const WATCHED_MAX: usize = 1024;

/// Wakes whoever waits.
#[derive(Debug, Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Makes a bell.
    ///
    /// # Errors
    /// The process may have no more descriptors.
    pub fn new() -> io::Result<Bell> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        Ok(Bell(Arc::new(rustix::event::eventfd(0, flags)?)))
    }

    /// Wakes the one who waits, or the next wait.
    pub fn ring(&self) {
        // A bell that cannot take another ring has not been heard yet.
        // Any number rings; this one does in either order of bytes.
        rustix::io::write(&*self.0, &[1, 0, 0, 0, 0, 0, 0, 0]).unwrap_or_default();
    }

    fn hear(&self) {
        // Nothing to read means that nobody rang.
        rustix::io::read(&*self.0, &mut [0_u8; 8]).unwrap_or_default();
    }
}

/// Folders under inotify, as far as the system has it.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<OwnedFd>,
    watched: BTreeSet<PathBuf>,
}

impl Default for Watch {
    /// Watches nothing yet.
    fn default() -> Watch {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        // Without it, looking now and then does.
        Watch { inotify: inotify::init(flags).ok(), watched: BTreeSet::new() }
    }
}

impl Watch {
    /// Watches `folders` too.
    pub fn add(&mut self, folders: &BTreeSet<PathBuf>) {
        use inotify::WatchFlags;
        let Some(inotify) = &self.inotify else { return };
        let flags = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::CLOSE_WRITE;
        let new: Vec<_> = folders.difference(&self.watched).cloned().collect();
        let room = WATCHED_MAX.saturating_sub(self.watched.len());
        // A folder that is not there, or of a kind that tells nothing, is looked at.
        let is_watched = |folder: &PathBuf| inotify::add_watch(inotify, folder, flags).is_ok();
        self.watched.extend(new.into_iter().take(room).filter(is_watched));
    }

    /// Waits until a watched folder changes, `bell` rings, or `patience` is over, and says whether
    /// files may have come, gone, or got other names.
    ///
    /// # Errors
    /// The system cannot wait.
    pub fn wait(&mut self, bell: &Bell, patience: Duration) -> io::Result<bool> {
        let mut polled = vec![PollFd::new(&*bell.0, PollFlags::IN)];
        polled.extend(self.inotify.iter().map(|inotify| PollFd::new(inotify, PollFlags::IN)));
        poll(&mut polled, patience)?;
        bell.hear();
        Ok(self.take_changes())
    }

    /// Lets `time` pass, and says the same.
    ///
    /// # Errors
    /// The system cannot wait.
    pub fn pause(&mut self, time: Duration) -> io::Result<bool> {
        if !time.is_zero() {
            poll(&mut [], time)?;
        }
        Ok(self.take_changes())
    }

    /// Empties the queue of changes.
    fn take_changes(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return true };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        let mut names_changed = false;
        while let Ok(event) = reader.next() {
            // A folder that went away may come again.
            if event.events().contains(inotify::ReadFlags::IGNORED) {
                self.watched.clear();
            }
            let content = inotify::ReadFlags::MODIFY | inotify::ReadFlags::CLOSE_WRITE;
            names_changed |= !content.contains(event.events());
        }
        names_changed
    }
}

fn poll(polled: &mut [PollFd<'_>], patience: Duration) -> io::Result<()> {
    match rustix::event::poll(polled, Timespec::try_from(patience).ok().as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Bell, Watch};

    /// Far longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_change_in_a_watched_folder_and_a_bell_end_the_wait() {
        let begun = Instant::now();
        let folder = tempfile::tempdir().expect("a folder");
        let (bell, mut watch) = (Bell::new().expect("a bell"), Watch::default());
        watch.add(&[folder.path().to_owned()].into());
        std::fs::write(folder.path().join("new"), "").expect("written");
        assert!(watch.wait(&bell, LONG).expect("waited"), "a new name");
        bell.ring();
        assert!(!watch.wait(&bell, LONG).expect("waited"), "no new name");
        assert!(begun.elapsed() < LONG);
    }
}
