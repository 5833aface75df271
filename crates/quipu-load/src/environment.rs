//! Where a run takes place: what must be the same for two runs to be comparable.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use quipu_lab::finding::Environment;
use quipu_lab::scenario::Protocol;

use crate::greeting::Greeting;
use crate::link::Link;
use crate::probe::{line, text};

/// How long a target is asked what it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines of `INFO` that say what a target is; the rest is figures.
const INFO_LINES: [&str; 6] =
    ["quipu_version", "redis_version", "server_name", "redis_mode", "appendfsync", "os"];

/// Reads it. The target is asked on a connection of its own.
pub(crate) fn read(protocol: Protocol, greeting: &Greeting, host: &str) -> Environment {
    let mut agreed = greeting.agreed.clone();
    agreed.extend(target(protocol, greeting, host).unwrap_or_default());
    Environment { target: agreed, ..machine() }
}

/// Reads it without a target.
pub(crate) fn machine() -> Environment {
    Environment {
        quipu_version: env!("CARGO_PKG_VERSION").to_owned(),
        cpu_model: cpu_model(&text("/proc/cpuinfo")),
        cpus: crate::pin::allowed_cpus().len() as u32,
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        kernel: line("/proc/sys/kernel/osrelease"),
        clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        tcp_congestion_control: line("/proc/sys/net/ipv4/tcp_congestion_control"),
        cgroup_cpu_max: cgroup("cpu.max"),
        cgroup_memory_max: cgroup("memory.max"),
        target: BTreeMap::new(),
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = model.and_then(|line| line.split_once(": ")).map(|(_, name)| name);
    name.unwrap_or_default().to_owned()
}

/// Returns a limit of the control group of this process.
fn cgroup(file: &str) -> String {
    let groups = text("/proc/self/cgroup");
    let path = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    line(&format!("/sys/fs/cgroup{}/{file}", path.trim_end_matches('/')))
}

/// Asks the target what it is.
fn target(protocol: Protocol, greeting: &Greeting, host: &str) -> Option<BTreeMap<String, String>> {
    let mut stream = greeting.beside()?.open(PATIENCE).ok()?;
    let mut answer = vec![0; 64 << 10];
    match protocol {
        Protocol::Resp => {
            stream.write_all(b"*1\r\n$4\r\nINFO\r\n").ok()?;
            let len = read_until(&mut stream, &mut answer, |bytes| {
                crate::driver::resp::is_complete(bytes)
            });
            let text = String::from_utf8_lossy(answer.get(..len)?).into_owned();
            Some(info(&text))
        }
        Protocol::Http(_) => {
            let ask = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(ask.as_bytes()).ok()?;
            let len = read_until(&mut stream, &mut answer, |_| false);
            let text = String::from_utf8_lossy(answer.get(..len)?).into_owned();
            Some(server_header(&text))
        }
    }
}

/// Reads until the answer is complete, the connection ends or the buffer is full.
fn read_until(stream: &mut Link, answer: &mut [u8], is_complete: impl Fn(&[u8]) -> bool) -> usize {
    let mut len = 0;
    while let Some(room) = answer.get_mut(len..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) | Err(_) => break,
            Ok(count) => len += count,
        }
        if is_complete(answer.get(..len).unwrap_or_default()) {
            break;
        }
    }
    len
}

fn info(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    pairs
        .filter(|(name, _)| INFO_LINES.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn server_header(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim_end().split_once(": "));
    pairs
        .filter(|(name, _)| name.eq_ignore_ascii_case("server"))
        .map(|(_, value)| ("server".to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{cpu_model, info, server_header};

    #[test]
    fn of_what_a_target_says_its_version_stays() {
        let told = info("$99\r\n# Server\r\nredis_version:7.0.15\r\nuptime:5\r\n");
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            [("redis_version".into(), "7.0.15".into())]
        );
        let told = server_header("HTTP/1.1 200 OK\r\nServer: nginx/1.22\r\n\r\n");
        assert_eq!(told["server"], "nginx/1.22");
        assert_eq!(cpu_model("processor : 0\nmodel name\t: Fast CPU\n"), "Fast CPU");
    }
}
