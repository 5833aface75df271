//! The line that CLIENT INFO and CLIENT LIST print of a connection.

use std::fmt::{self, Display};

use crate::resp::reply::Proto;

/// What is told of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLine<'a> {
    /// Its number.
    pub id: i64,
    /// The client's address.
    pub peer: &'a str,
    /// The address it connected to.
    pub local: &'a str,
    /// Its file descriptor.
    pub fd: i32,
    /// Its name; empty if it has none.
    pub name: &'a str,
    /// Its age in seconds.
    pub age_s: u64,
    /// Seconds since its last command.
    pub idle_s: u64,
    /// Commands queued since MULTI; none outside a group.
    pub queued: Option<usize>,
    /// Bytes received and not performed.
    pub input_bytes: usize,
    /// Bytes to send.
    pub output_bytes: usize,
    /// The command that it performs, or performed last; a subcommand after a bar.
    pub command: &'a str,
    /// Its protocol version.
    pub proto: Proto,
    /// The client library's name; empty if unknown.
    pub lib_name: &'a str,
    /// The client library's version; empty if unknown.
    pub lib_version: &'a str,
}

impl Display for ClientLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, peer, local, fd, name, age_s, idle_s, .. } = self;
        let Self { input_bytes, output_bytes, command, lib_name, lib_version, .. } = self;
        let flags = if self.queued.is_some() { 'x' } else { 'N' };
        let queued = self.queued.map_or(-1, |n| n as i64);
        let resp = self.proto.number();
        write!(f, "id={id} addr={peer} laddr={local} fd={fd} name={name} age={age_s} ")?;
        write!(f, "idle={idle_s} flags={flags} db=0 sub=0 psub=0 ssub=0 multi={queued} ")?;
        write!(f, "qbuf={input_bytes} qbuf-free=0 omem={output_bytes} cmd={command} ")?;
        write!(f, "user=default redir=-1 resp={resp} lib-name={lib_name} lib-ver={lib_version}")
    }
}
