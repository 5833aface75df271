//! A disk of a few MiB: a file system in memory, in a mount namespace of its own that ends with
//! the test, whatever becomes of it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::faults::under::under;
use crate::node::Start;
use crate::{skip, tool};

/// A small disk. Dropping it unmounts it: its namespace ends with the process that holds it.
#[derive(Debug)]
pub(crate) struct Room {
    holder: Child,
    folder: TempDir,
}

impl Room {
    /// Makes a disk of `kib` KiB; `None` after a word where the machine does not permit it.
    pub(crate) fn new(kib: u64) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary directory");
        let place = folder.path().display();
        // The holder ends when its standard input does: also when this process is killed.
        let line =
            format!("mount -t tmpfs -o size={kib}k,mode=700 small '{place}' && echo up && cat");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &line]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut holder) = command.spawn() else {
            skip::note("a small disk", "there is no `unshare`");
            return None;
        };
        let stdout = holder.stdout.take().expect("stdout is a pipe");
        let mut said = String::new();
        // An error leaves the line empty: not up.
        drop(BufReader::new(stdout).read_line(&mut said));
        if said.trim() == "up" {
            return Some(Self { holder, folder });
        }
        let why = holder
            .wait_with_output()
            .map_or_else(|error| error.to_string(), |output| tool::text_of(&output));
        skip::note("a small disk", why.lines().next().unwrap_or("not permitted"));
        None
    }

    /// Where the node inside sees the data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where this process sees what is on the disk.
    pub(crate) fn inside(&self) -> PathBuf {
        let place = self.folder.path();
        let relative = place.strip_prefix("/").unwrap_or(place);
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(relative)
    }

    /// Returns `start` inside.
    pub(crate) fn enter(&self, start: &Start) -> Start {
        under(start, &format!("exec nsenter --mount --target {} \"$@\"", self.holder.id()))
    }

    /// Runs a program inside and returns what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string()]).args(words);
        command.output().expect("nsenter starts")
    }

    /// Mounts it anew with other options, such as `size=8192k` or `ro`.
    pub(crate) fn remount(&self, options: &str) {
        let place = self.folder.path().display().to_string();
        let output = self.run(&["mount", "-o", &format!("remount,{options}"), &place]);
        assert!(output.status.success(), "remount {options}: {}", tool::text_of(&output));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Without its input the holder ends; errors mean that it has.
        drop(self.holder.stdin.take());
        drop(self.holder.wait());
    }
}
