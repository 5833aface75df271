//! Commands about the server and the connection: HELLO, AUTH, INFO, CONFIG GET, CLIENT.

use quipu_core::shard::Shard;
use quipu_metrics::label::{ConnectionRefusal, Surface};
use quipu_metrics::name::{Counter, Gauge};
use quipu_metrics::settings::Ack;
use quipu_wire::resp::client::ClientLine;
use quipu_wire::resp::command::{Client, Hello};
use quipu_wire::resp::error::StateError;
use quipu_wire::resp::frame::Request;
use quipu_wire::resp::info::Info;
use quipu_wire::resp::reply::{self, HelloFacts};

use crate::machine;
use crate::resp::peers::Peer;
use crate::resp::session::{Session, Turn};

/// AUTH.
pub(super) fn auth(user: Option<&[u8]>, out: &mut Vec<u8>) {
    match authenticate(user) {
        Ok(()) => reply::ok(out),
        Err(why) => reply::state_error(out, why),
    }
}

/// Nobody has a password yet: as in a Redis without one, the default user may name any, and there
/// is no other user.
fn authenticate(user: Option<&[u8]>) -> Result<(), StateError> {
    match user {
        None => Err(StateError::NoPassword),
        Some(b"default") => Ok(()),
        Some(_) => Err(StateError::WrongPassword),
    }
}

/// HELLO.
pub(super) fn hello(session: &mut Session, hello: &Hello<'_>, turn: &Turn<'_>, out: &mut Vec<u8>) {
    if let Some((user, _)) = hello.auth
        && let Err(why) = authenticate(Some(user))
    {
        return reply::state_error(out, why);
    }
    if let Some(proto) = hello.proto {
        session.proto = proto;
    }
    if let Some(name) = hello.name {
        turn.peers.update(session.peer, |peer| peer.name = text(name));
    }
    reply::hello(out, HelloFacts { proto: session.proto, id: session.peer as i64 });
}

/// QUIPU.USE.
pub(super) fn namespace(namespace: &[u8], out: &mut Vec<u8>) {
    if namespace == b"default" {
        return reply::ok(out);
    }
    let name = String::from_utf8_lossy(namespace);
    reply::error(out, "ERR", &format!("there is no namespace '{name}'; there is only 'default'"));
}

/// CLIENT and its subcommands.
pub(super) fn client(session: &Session, asked: &Client<'_>, turn: &Turn<'_>, out: &mut Vec<u8>) {
    let me = session.peer;
    let change = |change: &dyn Fn(&mut Peer)| turn.peers.update(me, |peer| change(peer));
    match asked {
        Client::SetName(name) => change(&|peer| peer.name = text(name)),
        Client::SetLibName(name) => change(&|peer| peer.library = text(name)),
        Client::SetLibVersion(version) => change(&|peer| peer.library_version = text(version)),
        Client::NoEvict | Client::NoTouch => {}
        Client::GetName => {
            let name = turn.peers.get(me).map(|peer| peer.name).filter(|name| !name.is_empty());
            return match name {
                Some(name) => reply::bulk(out, name.as_bytes()),
                None => reply::null(out, session.proto),
            };
        }
        Client::Id => return reply::integer(out, me as i64),
        Client::Info => {
            let line = turn.peers.get(me).map(|peer| line(session, &peer)).unwrap_or_default();
            return reply::verbatim(out, session.proto, &line);
        }
        Client::List => {
            let lines: String = turn.peers.list().iter().map(|peer| line(session, peer)).collect();
            return reply::verbatim(out, session.proto, &lines);
        }
    }
    reply::ok(out);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn line(session: &Session, peer: &Peer) -> String {
    let mine = peer.id == session.peer;
    let line = ClientLine {
        id: peer.id as i64,
        peer: &peer.address,
        local: &peer.local,
        fd: -1,
        name: &peer.name,
        age_s: peer.since.elapsed().as_secs(),
        idle_s: 0,
        queued: session.group.as_ref().filter(|_| mine).map(super::group::Group::len),
        input_bytes: 0,
        output_bytes: 0,
        command: if mine { "client" } else { "NULL" },
        proto: session.proto,
        lib_name: &peer.library,
        lib_version: &peer.library_version,
    };
    format!("{line}\n")
}

/// CONFIG GET: the settings that Redis clients ask for, and our own.
pub(super) fn config(session: &Session, asked: Request<'_>, turn: &Turn<'_>, out: &mut Vec<u8>) {
    let settings = &turn.hub.settings;
    let fsync = match settings.ack_default {
        Ack::Fsync => "always",
        Ack::Memory => "everysec",
    };
    let memory_max = turn.hub.registry.value(Gauge::MemoryMaxBytes).to_string();
    let clients = settings.limits.connections.to_string();
    let timeout = settings.resp.idle_timeout.map_or(0, |t| t.0 / 1_000_000_000).to_string();
    let dir = settings.data_dir.display().to_string();
    let mut pairs = vec![
        ("save", ""),
        ("appendonly", "yes"),
        ("appendfsync", fsync),
        ("maxmemory", &memory_max),
        ("maxmemory-policy", "noeviction"),
        ("maxclients", &clients),
        ("timeout", &timeout),
        ("databases", "1"),
        ("dir", &dir),
    ];
    let own: Vec<(&str, String)> = quipu_metrics::knob::KNOBS
        .iter()
        .map(|knob| (knob.name, settings.text(knob.key)))
        .collect();
    pairs.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
    reply::config(out, session.proto, &pairs, asked);
}

/// What INFO tells of the shards.
#[derive(Debug, Default)]
pub(super) struct Keyspace {
    counters: usize,
    expiring: usize,
    epoch: u64,
}

impl Keyspace {
    /// Counts a shard.
    pub(super) fn add(&mut self, shard: &Shard) {
        self.counters += shard.counters();
        self.expiring += shard.expiring();
        self.epoch = self.epoch.max(shard.epoch());
    }
}

/// INFO.
pub(super) fn info(
    session: &Session,
    sections: Request<'_>,
    keyspace: &Keyspace,
    turn: &Turn<'_>,
    out: &mut Vec<u8>,
) {
    let (hub, registry) = (turn.hub, &turn.hub.registry);
    let gauge = |gauge| registry.value(gauge).max(0) as u64;
    let resident = machine::resident_bytes();
    let info = Info {
        quipu_version: registry.version(),
        admin_addr: &hub.admin.get().map_or_else(String::new, ToString::to_string),
        os: &operating_system(),
        process_id: std::process::id(),
        // The store, and which of its starts this is.
        run_id: &format!("{:016x}{:024x}", hub.node.seed(), keyspace.epoch),
        tcp_port: port(session, turn),
        uptime_s: hub.started.elapsed().as_secs(),
        connected_clients: turn.peers.count() as u64,
        maxclients: hub.settings.limits.connections as u64,
        used_memory: resident,
        used_memory_peak: machine::resident_peak_bytes(),
        used_memory_rss: resident,
        maxmemory: gauge(Gauge::MemoryMaxBytes),
        total_system_memory: machine::machine_memory(),
        undurable_bytes: hub.node.open_bytes(),
        log_failed: hub.has_failed(),
        total_connections_received: registry.total(Counter::ConnectionsAccepted(Surface::Resp)),
        total_commands_processed: registry.total(Counter::Commands(Surface::Resp)),
        total_net_input_bytes: registry.total(Counter::InputBytes(Surface::Resp)),
        total_net_output_bytes: registry.total(Counter::OutputBytes(Surface::Resp)),
        rejected_connections: registry.total(Counter::ConnectionsRefused(ConnectionRefusal::Limit)),
        expired_keys: registry.total(Counter::Expired),
        cpu_us: machine::cpu_us(),
        keys: keyspace.counters as u64,
        expires: keyspace.expiring as u64,
    };
    reply::verbatim(out, session.proto, &info.text(sections));
}

fn operating_system() -> String {
    let system = rustix::system::uname();
    let parts = [system.sysname(), system.release(), system.machine()];
    parts.map(|part| part.to_string_lossy().into_owned()).join(" ")
}

/// The port that this client came in on.
fn port(session: &Session, turn: &Turn<'_>) -> u16 {
    let local = turn.peers.get(session.peer).map(|peer| peer.local).unwrap_or_default();
    local.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
}
