//! Who is connected: what CLIENT LIST shows.

use std::collections::BTreeMap;
use std::net::TcpStream;

use parking_lot::Mutex;

use crate::clock::Stopwatch;

/// All Redis clients of the node.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    last_id: u64,
    peers: BTreeMap<u64, Peer>,
}

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its number, from 1.
    pub(crate) id: u64,
    /// Where it is.
    pub(crate) address: String,
    /// Where it came in.
    pub(crate) local: String,
    /// Its name, as it said.
    pub(crate) name: String,
    /// Its library, as it said.
    pub(crate) library: String,
    /// That library's version, as it said.
    pub(crate) library_version: String,
    /// Since when.
    pub(crate) since: Stopwatch,
}

impl Peers {
    /// Lets a client in and numbers it.
    pub(crate) fn join(&self, stream: &TcpStream) -> u64 {
        let address = |a: std::io::Result<_>| {
            a.map_or_else(|_| "?:0".to_owned(), |a: std::net::SocketAddr| a.to_string())
        };
        let mut all = self.all.lock();
        all.last_id += 1;
        let id = all.last_id;
        let peer = Peer {
            id,
            address: address(stream.peer_addr()),
            local: address(stream.local_addr()),
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            since: Stopwatch::start(),
        };
        all.peers.insert(id, peer);
        id
    }

    /// Lets a client go.
    pub(crate) fn leave(&self, id: u64) {
        self.all.lock().peers.remove(&id);
    }

    /// Changes what is known of a client.
    pub(crate) fn update(&self, id: u64, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.all.lock().peers.get_mut(&id) {
            change(peer);
        }
    }

    /// One client.
    pub(crate) fn get(&self, id: u64) -> Option<Peer> {
        self.all.lock().peers.get(&id).cloned()
    }

    /// All clients, by number.
    pub(crate) fn list(&self) -> Vec<Peer> {
        self.all.lock().peers.values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.lock().peers.len()
    }
}
