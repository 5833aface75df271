//! The log of a real nginx under load, counted while it grows, against awk.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Node, Summary, formats::awk, place};
use crate::tool;

/// Requests of one round: some hundreds in each of the statuses.
const REQUESTS: usize = 1_500;

/// A running nginx on a Unix socket; killed when the test ends.
struct Nginx {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Nginx {
    fn start(program: &Path, folder: &Path) -> Nginx {
        let at = folder.display();
        let conf = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{}}\n\
             http {{\n\
               access_log {at}/access.log combined; client_body_temp_path {at}/body;\n\
               proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
               uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi; keepalive_requests 100000;\n\
               server {{\n\
                 listen unix:{at}/socket;\n\
                 location / {{ return 200 \"hello\"; }}\n\
                 location /missing {{ return 404; }}\n\
                 location /broken {{ return 503 \"broken\"; }}\n\
               }}\n\
             }}\n"
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, conf).expect("written");
        let child = Command::new(program)
            .arg("-c")
            .arg(&path)
            .arg("-e")
            .arg(folder.join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let nginx = Nginx { child, socket: folder.join("socket"), log: folder.join("access.log") };
        let connects = || UnixStream::connect(&nginx.socket).ok();
        crate::node::poll(crate::node::PATIENCE, connects).expect("nginx listens");
        nginx
    }

    /// Sends requests one after the other on one connection.
    fn load(&self, round: usize) {
        let stream = UnixStream::connect(&self.socket).expect("connected");
        let mut replies = BufReader::new(stream.try_clone().expect("cloned"));
        let mut requests = stream;
        for number in 0..REQUESTS {
            let path = ["/a", "/b?q=1", "/missing/x", "/broken", "/c%20d?e=%22"][number % 5];
            let agent = ["curl/8", "a \"quoted\" one", "tab\there", "-"][number % 4];
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\nReferer: r{round}\r\n\r\n"
            );
            requests.write_all(request.as_bytes()).expect("written");
            read_reply(&mut replies);
        }
        let mut broken = UnixStream::connect(&self.socket).expect("connected");
        broken.write_all(b"\x16\x03\x01 not HTTP \"\r\n\r\n").expect("written");
        broken.read_to_end(&mut Vec::new()).expect("refused");
    }
}

/// Reads one answer with its content.
fn read_reply(replies: &mut impl BufRead) {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        replies.read_line(&mut line).expect("a line");
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    std::io::copy(&mut replies.take(length), &mut std::io::sink()).expect("the content");
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

/// Debian keeps nginx where users do not look.
fn program() -> Option<PathBuf> {
    let sbin = PathBuf::from("/usr/sbin/nginx");
    if sbin.exists() { Some(sbin) } else { tool::find("nginx") }
}

#[test]
fn the_log_of_a_loaded_nginx_counts_as_awk_counts_it() {
    let Some(program) = program() else { return };
    let (place, data, _file) = place();
    let node = Node::start(&data);
    let nginx = Nginx::start(&program, place.path());
    let log = nginx.log.to_str().expect("UTF-8");
    let count = || {
        let by_status = ["ingest", log, "--format", "combined", "--count", "status/{status}"];
        let also = ["--count", "path{path}", "--count", "agent/{user_agent}", "--json"];
        let counted = node.command(&[&by_status[..], &also].concat()).output().expect("runs");
        let bytes = ["ingest", log, "--format", "combined", "--by", "bytes", "--json"];
        let errors = ["--where", "status>=500", "--count", "bytes of {status}"];
        Summary::of(&node.command(&[&bytes[..], &errors].concat()).output().expect("runs"));
        Summary::of(&counted)
    };
    for round in 0..3 {
        nginx.load(round);
        let summary = count();
        assert_eq!(summary.rejected("no-match"), 0, "{}", summary.fields);
        assert_eq!(summary.number("lines"), REQUESTS as u64 + 1);
    }
    // Field 2 of quotes is the request, 3 status and bytes, 6 the agent.
    let program = r#"BEGIN { FS = "\"" } {
        split($3, a, " "); split($2, r, " "); path = r[2]; sub(/\?.*/, "", path);
        if (r[1] !~ /^[A-Z]+$/) path = "";
        c["status/" a[1]]++; c["path" path]++; c["agent/" $6]++;
        if (a[1] >= 500) c["bytes of " a[1]] += a[2] }"#;
    assert_eq!(node.totals(), awk(program, &nginx.log));
}
