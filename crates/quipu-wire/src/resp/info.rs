//! The text of INFO.

use std::fmt::Display;

use crate::resp::frame::Request;
use crate::resp::reply::REDIS_VERSION;

/// What INFO tells; gathered by the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info<'a> {
    /// Quipu's version.
    pub quipu_version: &'a str,
    /// Operating system, release and machine.
    pub os: &'a str,
    /// Process number.
    pub process_id: u32,
    /// 40 hexadecimal digits, new at each start.
    pub run_id: &'a str,
    /// Address of the admin listener.
    pub admin_addr: &'a str,
    /// Port of the RESP listener.
    pub tcp_port: u16,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Open RESP connections.
    pub connected_clients: u64,
    /// Most of them.
    pub maxclients: u64,
    /// Bytes in use.
    pub used_memory: u64,
    /// Most bytes that were ever resident.
    pub used_memory_peak: u64,
    /// Resident bytes of the process.
    pub used_memory_rss: u64,
    /// Bytes beyond which no new counter is admitted.
    pub maxmemory: u64,
    /// Bytes of machine memory.
    pub total_system_memory: u64,
    /// Bytes decided and not yet durable.
    pub undurable_bytes: u64,
    /// Whether the log has failed.
    pub log_failed: bool,
    /// Connections since the start.
    pub total_connections_received: u64,
    /// Commands since the start.
    pub total_commands_processed: u64,
    /// Bytes received since the start.
    pub total_net_input_bytes: u64,
    /// Bytes sent since the start.
    pub total_net_output_bytes: u64,
    /// Connections refused for their number.
    pub rejected_connections: u64,
    /// Counters that expired since the start.
    pub expired_keys: u64,
    /// CPU seconds in the system and in user space, in microseconds.
    pub cpu_us: (u64, u64),
    /// Counters.
    pub keys: u64,
    /// Counters with an expiry.
    pub expires: u64,
}

type WriteSection = fn(&Info<'_>, &mut String);

const SECTIONS: &[(&str, WriteSection)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Modules", modules),
    ("Errorstats", modules),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
];

/// Writes one `field:value` line.
fn line(out: &mut String, field: &str, value: impl Display) {
    out.push_str(field);
    out.push(':');
    out.push_str(&value.to_string());
    out.push_str("\r\n");
}

impl Info<'_> {
    /// The text of the sections that `wanted` names, in any case; of all where it is empty or
    /// names `all`, `default` or `everything`.
    pub fn text(&self, wanted: Request<'_>) -> String {
        let named =
            |section: &str| wanted.iter().any(|w| w.eq_ignore_ascii_case(section.as_bytes()));
        let all = wanted.is_empty() || ["all", "default", "everything"].into_iter().any(named);
        let mut out = String::with_capacity(2048);
        for (section, write_section) in SECTIONS.iter().filter(|(s, _)| all || named(s)) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            out.push_str("# ");
            out.push_str(section);
            out.push_str("\r\n");
            write_section(self, &mut out);
        }
        out
    }
}

fn server(info: &Info<'_>, out: &mut String) {
    line(out, "redis_version", REDIS_VERSION);
    line(out, "quipu_version", info.quipu_version);
    line(out, "quipu_admin_addr", info.admin_addr);
    line(out, "redis_mode", "standalone");
    line(out, "os", info.os);
    line(out, "arch_bits", 64);
    line(out, "process_id", info.process_id);
    line(out, "run_id", info.run_id);
    line(out, "tcp_port", info.tcp_port);
    line(out, "uptime_in_seconds", info.uptime_s);
    line(out, "uptime_in_days", info.uptime_s / 86_400);
}

fn clients(info: &Info<'_>, out: &mut String) {
    line(out, "connected_clients", info.connected_clients);
    line(out, "maxclients", info.maxclients);
    line(out, "blocked_clients", 0);
}

fn memory(info: &Info<'_>, out: &mut String) {
    line(out, "used_memory", info.used_memory);
    line(out, "used_memory_human", human(info.used_memory));
    line(out, "used_memory_rss", info.used_memory_rss);
    line(out, "used_memory_rss_human", human(info.used_memory_rss));
    line(out, "used_memory_peak", info.used_memory_peak);
    line(out, "used_memory_peak_human", human(info.used_memory_peak));
    line(out, "total_system_memory", info.total_system_memory);
    line(out, "total_system_memory_human", human(info.total_system_memory));
    line(out, "maxmemory", info.maxmemory);
    line(out, "maxmemory_human", human(info.maxmemory));
    line(out, "maxmemory_policy", "noeviction");
}

fn persistence(info: &Info<'_>, out: &mut String) {
    line(out, "loading", 0);
    line(out, "rdb_changes_since_last_save", 0);
    line(out, "rdb_bgsave_in_progress", 0);
    line(out, "aof_enabled", 1);
    line(out, "aof_rewrite_in_progress", 0);
    line(out, "aof_last_write_status", if info.log_failed { "err" } else { "ok" });
    line(out, "aof_buffer_length", info.undurable_bytes);
}

fn stats(info: &Info<'_>, out: &mut String) {
    line(out, "total_connections_received", info.total_connections_received);
    line(out, "total_commands_processed", info.total_commands_processed);
    line(out, "total_net_input_bytes", info.total_net_input_bytes);
    line(out, "total_net_output_bytes", info.total_net_output_bytes);
    line(out, "rejected_connections", info.rejected_connections);
    line(out, "expired_keys", info.expired_keys);
    line(out, "evicted_keys", 0);
}

fn replication(_: &Info<'_>, out: &mut String) {
    line(out, "role", "master");
    line(out, "connected_slaves", 0);
}

fn cpu(info: &Info<'_>, out: &mut String) {
    let (system, user) = info.cpu_us;
    line(out, "used_cpu_sys", Micros(system));
    line(out, "used_cpu_user", Micros(user));
}

/// Sections that clients look for and that have no lines here.
fn modules(_: &Info<'_>, _: &mut String) {}

fn cluster(_: &Info<'_>, out: &mut String) {
    line(out, "cluster_enabled", 0);
}

fn keyspace(info: &Info<'_>, out: &mut String) {
    if info.keys > 0 {
        let Info { keys, expires, .. } = info;
        line(out, "db0", format_args!("keys={keys},expires={expires}"));
    }
}

/// Microseconds as seconds.
struct Micros(u64);

impl Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Bytes as Redis prints them for people.
fn human(bytes: u64) -> String {
    let scaled = |unit: u32| bytes as f64 / (1_u64 << unit) as f64;
    match bytes {
        ..=0x3FF => format!("{bytes}B"),
        0x400..=0xF_FFFF => format!("{:.2}K", scaled(10)),
        0x10_0000..=0x3FFF_FFFF => format!("{:.2}M", scaled(20)),
        _ => format!("{:.2}G", scaled(30)),
    }
}

#[cfg(test)]
mod tests {
    use super::Info;
    use crate::resp::frame::{Args, FrameLimits, Parsed, parse};

    fn text(command: &[u8], info: &Info<'_>) -> String {
        let mut args = Args::default();
        let parsed = parse(command, &FrameLimits::default(), &mut args).expect("a command");
        assert_eq!(parsed, Parsed::Command { consumed: command.len() });
        info.text(args.request(command).from(1))
    }

    #[test]
    fn clients_find_the_fields_that_they_read() {
        let info = Info { keys: 7, expires: 2, maxmemory: 3 << 29, ..Info::default() };
        let all = text(b"INFO\r\n", &info);
        for line in [
            "redis_version:7.4.0",
            "redis_mode:standalone",
            "arch_bits:64",
            "loading:0",
            "role:master",
            "cluster_enabled:0",
            "maxmemory_human:1.50G",
            "db0:keys=7,expires=2",
        ] {
            assert!(all.split("\r\n").any(|l| l == line), "{line} in {all}");
        }
        assert_eq!(text(b"INFO everything\r\n", &info), all);
    }

    #[test]
    fn only_the_sections_asked_for_are_told() {
        let info = Info { keys: 1, ..Info::default() };
        let keyspace = "# Keyspace\r\ndb0:keys=1,expires=0\r\n";
        assert_eq!(text(b"INFO KEYSPACE\r\n", &info), keyspace);
        assert_eq!(
            text(b"INFO cluster keyspace\r\n", &info),
            format!("# Cluster\r\ncluster_enabled:0\r\n\r\n{keyspace}")
        );
        assert_eq!(text(b"INFO nonsense\r\n", &info), "");
        assert_eq!(text(b"INFO keyspace\r\n", &Info::default()), "# Keyspace\r\n");
    }
}
