//! The real programs that the tests start: `quipu serve`, and its peer redis-server.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::resp::Resp;

pub(crate) use quipu_proof::node::{Node, PATIENCE, Start, poll};

/// Returns the binary under test: the one that cargo built with the tests, or the one that
/// `QUIPU_BINARY` names, such as a release build.
pub(crate) fn binary() -> PathBuf {
    env::var_os("QUIPU_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_quipu").into(), PathBuf::from)
}

/// Returns a start of the tested binary on the directory `data`, all listeners on port 0.
pub(crate) fn start(data: &Path) -> Start {
    Start::new(&binary(), data)
}

/// A redis-server of the Debian package on a Unix socket; dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    folder: TempDir,
}

impl Peer {
    /// Starts `program` with one database and `flags`, and waits until it answers.
    pub(crate) fn start(program: &Path, flags: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let child = Command::new(program)
            .args(["--port", "0", "--save", "", "--databases", "1", "--unixsocket"])
            .arg(folder.path().join("socket"))
            .arg("--dir")
            .arg(folder.path())
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let peer = Self { child, folder };
        let socket = peer.socket();
        poll(PATIENCE, || Resp::try_unix(&socket).ok()).expect("redis-server listens");
        peer
    }

    /// Connects a RESP client.
    pub(crate) fn resp(&self) -> Resp {
        Resp::try_unix(&self.socket()).expect("redis-server accepts")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Errors mean that it has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
