//! A real nginx that speaks HTTP/1.1 and HTTP/2, encrypted and not.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::node::{PATIENCE, poll};
use crate::tool;

/// How often other ports are tried: somebody may take one between our look and nginx's.
const TRIES: usize = 5;
/// A port at which nobody listens: that of the discard service.
const NOBODY: u16 = 9;
/// Servers and what their `listen` says.
const SERVERS: [(&str, &str); 3] = [("http2", "ssl http2"), ("http1", "ssl"), ("clear2", "http2")];

/// A running nginx; its master is ended, and with it its workers, when the test ends.
pub(super) struct Nginx {
    master: Child,
    folder: PathBuf,
    ports: [u16; 3],
    /// Where the node is that counters are asked of.
    node: u16,
}

/// Returns a port that is free now.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Nginx {
    /// Starts one in a folder that has `good.pem` and `good.key`.
    pub(super) fn start(folder: &Path) -> Option<Self> {
        Self::before(NOBODY, folder)
    }

    /// Starts one that hands what is asked of counters on to a node at a port of this machine.
    pub(super) fn before(node: u16, folder: &Path) -> Option<Self> {
        let sbin = PathBuf::from("/usr/sbin/nginx");
        let program = if sbin.exists() { sbin } else { tool::find("nginx")? };
        let started = (0..TRIES).find_map(|_| Self::try_start(&program, node, folder));
        Some(started.expect("nginx listens"))
    }

    fn try_start(program: &Path, node: u16, folder: &Path) -> Option<Self> {
        let ports = [free_port(), free_port(), free_port()];
        write_conf(folder, (ports, node), "good");
        let mut master = Command::new(program)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .arg("-e")
            .arg(folder.join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let listens = |master: &mut Child| {
            let has_ended = master.try_wait().expect("a child of ours").is_some();
            let connects = || TcpStream::connect(("127.0.0.1", ports[0])).is_ok();
            (has_ended || connects()).then_some(!has_ended)
        };
        let is_there = poll(PATIENCE, || listens(&mut master)).expect("nginx listens or ends");
        is_there.then(|| Self { master, folder: folder.to_owned(), ports, node })
    }

    pub(super) fn url(&self, scheme: &str, server: &str) -> String {
        let place = SERVERS.iter().position(|(name, _)| *name == server).expect("a server");
        format!("{scheme}://localhost:{}", self.ports[place])
    }

    /// How many requests of the load were answered.
    pub(super) fn answered(&self) -> u64 {
        self.requests("")
    }

    /// How many requests of the load were answered in this version.
    pub(super) fn requests(&self, version: &str) -> u64 {
        let log = std::fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("/load 200 ") && line.contains(version)).count()
            as u64
    }

    /// Lets new workers take over from the old ones.
    pub(super) fn reload(&self) {
        let pid = rustix::process::Pid::from_child(&self.master);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it runs");
    }

    /// Shows another certificate from now on.
    pub(super) fn show(&self, certificate: &str) {
        write_conf(&self.folder, (self.ports, self.node), certificate);
        let workers = || std::fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
        self.reload();
        // The old worker says that it leaves when it listens no more.
        let has_left = || workers().contains("gracefully shutting down").then_some(());
        poll(PATIENCE, has_left).expect("the old worker leaves");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.master);
        // A master that is killed would leave its workers behind. An error means that it has ended.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        drop(self.master.wait());
    }
}

fn write_conf(folder: &Path, (ports, node): ([u16; 3], u16), certificate: &str) {
    let at = folder.display();
    let server = |((_, flags), port): (&(&str, &str), u16)| {
        format!(
            "server {{ listen 127.0.0.1:{port} {flags};\n\
               location / {{ return 200 \"hello\"; }}\n\
               location /v1/ {{ proxy_pass http://127.0.0.1:{node}; proxy_http_version 1.1; }} }}\n"
        )
    };
    let servers: Vec<String> = SERVERS.iter().zip(ports).map(server).collect();
    let servers = servers.concat();
    let conf = format!(
        "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log notice;\n\
         events {{}}\n\
         http {{\n\
           log_format load '$uri $status $server_protocol'; access_log {at}/access.log load;\n\
           client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
           fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
           ssl_certificate {at}/{certificate}.pem; ssl_certificate_key {at}/{certificate}.key;\n\
           keepalive_requests 100000;\n\
           {servers}\
         }}\n"
    );
    std::fs::write(folder.join("nginx.conf"), conf).expect("written");
}
