//! What the kernel tells of this machine and of one process on it, from /proc.
//!
//! What cannot be read is left out: a probe never fails a run.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;

use quipu_lab::finding::Machine;

/// Counters of the machine at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    cpu_ticks: u64,
    steal_ticks: u64,
    retransmits: u64,
    needless_retransmits: u64,
    listen_overflows: u64,
    cpu_pressure_us: Option<u64>,
    io_pressure_us: Option<u64>,
}

impl Counters {
    /// Reads them.
    pub(crate) fn read() -> Self {
        let (cpu_ticks, steal_ticks) = cpu_ticks(&text("/proc/stat"));
        let netstat = text("/proc/net/netstat");
        Self {
            cpu_ticks,
            steal_ticks,
            retransmits: column(&text("/proc/net/snmp"), "Tcp:", "RetransSegs"),
            // Segments that the receiver said it had got twice (RFC 2883).
            needless_retransmits: column(&netstat, "TcpExt:", "TCPDSACKRecvSegs"),
            listen_overflows: column(&netstat, "TcpExt:", "ListenOverflows"),
            cpu_pressure_us: pressure_us(&text("/proc/pressure/cpu")),
            io_pressure_us: pressure_us(&text("/proc/pressure/io")),
        }
    }

    /// Returns what happened from this moment to `later`, `elapsed_ns` after it.
    pub(crate) fn until(&self, later: &Self, elapsed_ns: u64) -> Machine {
        let ticks = later.cpu_ticks.saturating_sub(self.cpu_ticks);
        let steal = later.steal_ticks.saturating_sub(self.steal_ticks);
        let pressure_ratio = |before: Option<u64>, after: Option<u64>| {
            let us = after?.saturating_sub(before?);
            Some(us as f64 * 1e3 / elapsed_ns.max(1) as f64)
        };
        Machine {
            steal_ratio: steal as f64 / ticks.max(1) as f64,
            tcp_retransmits: later.retransmits.saturating_sub(self.retransmits),
            tcp_needless_retransmits: later
                .needless_retransmits
                .saturating_sub(self.needless_retransmits),
            listen_overflows: later.listen_overflows.saturating_sub(self.listen_overflows),
            cpu_pressure_ratio: pressure_ratio(self.cpu_pressure_us, later.cpu_pressure_us),
            io_pressure_ratio: pressure_ratio(self.io_pressure_us, later.io_pressure_us),
        }
    }
}

/// Returns a file of /proc or nothing.
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Returns how long the calling thread was ready and did not run, in nanoseconds.
pub(crate) fn run_queue_wait_ns() -> u64 {
    nth(&text("/proc/thread-self/schedstat"), 1)
}

/// Returns the memory of a process, in bytes.
pub(crate) fn rss_bytes(pid: u32) -> u64 {
    let statm = text(format!("/proc/{pid}/statm"));
    nth(&statm, 1) * rustix::param::page_size() as u64
}

/// Returns the CPU time of a process, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let stat = text(format!("/proc/{pid}/stat"));
    // The name of the program can hold anything but its closing parenthesis is the last.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    // Fields 14 and 15 of proc_pid_stat(5), of which two stand before.
    let ticks = nth(after, 11) + nth(after, 12);
    ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second()
}

/// Returns the process of this machine that listens at an address, if it can be seen.
pub(crate) fn listener(address: SocketAddr) -> Option<u32> {
    if !address.ip().is_loopback() {
        return None;
    }
    let tables = [text("/proc/net/tcp"), text("/proc/net/tcp6")];
    let inode = tables.iter().find_map(|table| listening_inode(table, address.port()))?;
    let link = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let mut descriptors = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let is_it = |path: &Path| fs::read_link(path).is_ok_and(|to| to.as_os_str() == &*link);
        descriptors.any(|descriptor| is_it(&descriptor.path())).then_some(pid)
    })
}

/// Returns the inode of the socket that listens at `port`: state 0A of proc_net_tcp.
fn listening_inode(table: &str, port: u16) -> Option<&str> {
    let port = format!(":{port:04X}");
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, local, _, state, ..] = *fields.as_slice() else { return None };
        (state == "0A" && local.ends_with(&port)).then(|| fields.get(9).copied()).flatten()
    })
}

/// Returns all ticks and stolen ticks of the first line of /proc/stat. Time of guests is in the time
/// of users already.
fn cpu_ticks(stat: &str) -> (u64, u64) {
    let fields = stat.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    (ticks.iter().sum(), ticks.get(7).copied().unwrap_or(0))
}

/// Returns the value of column `name` in a table of two lines that begin with `prefix`.
fn column(text: &str, prefix: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter(|line| line.starts_with(prefix));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
    let value = pairs.find(|(known, _)| *known == name).map(|(_, value)| value);
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn pressure_us(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some"))?;
    some.rsplit_once("total=")?.1.trim().parse().ok()
}

fn nth(text: &str, place: usize) -> u64 {
    let field = text.split_ascii_whitespace().nth(place);
    field.and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Returns what a file says whose length is not known before, such as one of /sys, without its line
/// end.
pub(crate) fn line(path: &str) -> String {
    let mut text = String::new();
    // What is not there is nothing.
    let read = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    if read.is_ok() { text.trim().to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::{column, cpu_ticks, listening_inode, nth, pressure_us};

    #[test]
    fn the_tables_of_the_kernel_are_read() {
        assert_eq!(cpu_ticks("cpu  10 1 5 80 2 0 1 1 9 9\ncpu0 1\n"), (100, 1));
        let snmp = "Ip: A B\nIp: 1 2\nTcp: InSegs RetransSegs\nTcp: 70 7\n";
        assert_eq!(column(snmp, "Tcp:", "RetransSegs"), 7);
        assert_eq!(column(snmp, "Udp:", "RetransSegs"), 0);
        assert_eq!(pressure_us("some avg10=0.00 total=1234\nfull avg10=0 total=1\n"), Some(1_234));
        assert_eq!(pressure_us(""), None);
        assert_eq!(nth("1 22 3", 1), 22);
    }

    #[test]
    fn a_listener_is_told_from_a_connection_by_its_state() {
        let table = "  sl  local_address rem_address   st tx:rx tr:tm retr uid timeout inode\n\
            0: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 0 0 11 1\n\
            1: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 22 1\n";
        assert_eq!(listening_inode(table, 8080), Some("22"));
        assert_eq!(listening_inode(table, 8081), None);
    }
}
