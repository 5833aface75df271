//! Who unmounts when this process cannot, because it was killed or aborted.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for a line, which says that all is done, or for the end of the process that would write
/// it. Root unmounts directly, others by the helpers of FUSE.
const SCRIPT: &str =
    r#"read -r _ && exit; umount -l "$1" || fusermount3 -uz "$1" || fusermount -uz "$1""#;

/// A small process that outlives this one; dropping it ends it.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// Begins to watch over a mount.
    ///
    /// # Errors
    /// There is no shell.
    pub(super) fn over(path: &Path) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "sh"]).arg(path).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Not within the mount, which would then be in use.
        command.current_dir("/");
        Ok(Self { shell: command.spawn()? })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // One that has ended already needs no word.
        drop(self.shell.stdin.take().map(|mut stdin| stdin.write_all(b"done\n")));
        drop(self.shell.wait());
    }
}
