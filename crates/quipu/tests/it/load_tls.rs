//! `quipu load` over TLS and HTTP/2, against real targets: nginx, nghttpd and redis-server with
//! certificates of our own authority. What was planned is answered or told by its class.

mod authority;
mod nginx;

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use self::authority::Authority;
use self::nginx::{Nginx, free_port};
use crate::load::{Bench, checked, finding, wait_for_requests};
use crate::load_resend;
use crate::node::{self, PATIENCE, poll};
use crate::tool;

/// 500 requests in an open loop.
const PLAN: &str = r#"
version = 1
name = "short"
[[phase]]
name = "main"
rate = 1_000
for = "500ms"
[[slo]]
check = ["errors == 0", "missed == 0"]
"#;

/// Posts to a path that tells it from other requests.
const HTTP: &str = r#"
[target]
kind = "http"
url = "http://127.0.0.1:1/load"
method = "POST"
body = '{"n":{{n}}}'
connections = 4
timeout = "5s"
"#;

/// A folder with the certificates of an authority.
struct Place {
    folder: TempDir,
    authority: Authority,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let authority = Authority::new("ca", folder.path());
        authority.certify("good", &["localhost"], false);
        Self { folder, authority }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a scenario says to trust our authority.
    fn tls(&self) -> String {
        format!("tls = {{ ca = \"{}\" }}\n", self.file("ca.pem").display())
    }

    fn command(&self, url: &str, scenario: &str) -> Command {
        let path = self.file("s.toml");
        std::fs::write(&path, scenario).expect("written");
        let mut command = Command::new(node::binary());
        command.args(["load", "run", "--json", "--target", url]).arg(path);
        command
    }

    fn run(&self, url: &str, scenario: &str) -> Output {
        self.command(url, scenario).output().expect("the program starts")
    }

    /// Runs `target` in the short plan and checks that all of it was answered. The machine may be too
    /// busy for a valid run, which is told by 98; a broken promise would be 99.
    fn check(&self, url: &str, target: &str) -> Value {
        let output = self.run(url, &format!("{PLAN}{target}"));
        let (finding, code) = finding(&output);
        let total = &finding["total"];
        assert!(code == 0 || code == 98, "{code}: {}", total["failures"]);
        assert_eq!(checked(&total["counts"], "planned"), 500);
        assert_eq!(checked(&total["counts"], "ok"), 500, "{}", total["failures"]);
        finding
    }
}

fn http(lines: &str) -> String {
    format!("{HTTP}{lines}")
}

#[test]
fn each_version_of_http_is_spoken_as_the_scenario_says() {
    let place = Place::new();
    let Some(nginx) = Nginx::start(place.folder.path()) else { return };
    let check = |scheme, server: &str, lines: &str, version: &str| {
        let before = nginx.requests(version);
        let url = nginx.url(scheme, server);
        let tls = if scheme == "https" { place.tls() } else { String::new() };
        let finding = place.check(&url, &http(&format!("{tls}{lines}")));
        assert_eq!(nginx.requests(version) - before, 500, "{url} {lines}");
        let agreed = &finding["environment"]["target"];
        let spoken = agreed["http"].as_str().expect("a version");
        assert!(version.contains(&format!("/{spoken}")), "{spoken} is {version}");
        assert_eq!(agreed["tls"].is_string(), scheme == "https");
        let handshakes = &finding["generator"]["handshakes"]["count"];
        assert_eq!(handshakes.as_u64(), (scheme == "https").then_some(4));
    };
    check("https", "http2", "version = \"2\"\npipeline = 16", "HTTP/2.0");
    check("https", "http2", "version = \"auto\"", "HTTP/2.0");
    check("https", "http1", "version = \"auto\"", "HTTP/1.1");
    check("https", "http2", "version = \"1.1\"", "HTTP/1.1");
    check("http", "clear2", "version = \"2\"\npipeline = 16", "HTTP/2.0");
}

#[test]
fn a_connection_for_each_request_makes_a_handshake_for_each() {
    let place = Place::new();
    let Some(nginx) = Nginx::start(place.folder.path()) else { return };
    let url = nginx.url("https", "http2");
    for lines in ["version = \"2\"", "version = \"1.1\""] {
        let reuse = format!("{}reuse = \"per-request\"\n{lines}", place.tls());
        let plan = PLAN.replace("1_000", "200");
        let (finding, _) = finding(&place.run(&url, &format!("{plan}{}", http(&reuse))));
        assert_eq!(checked(&finding["total"]["counts"], "ok"), 100, "{}", finding["total"]);
        let handshakes = &finding["generator"]["handshakes"];
        assert_eq!(handshakes["count"], 100);
        let least = |latency: &Value| latency["min_ns"].as_u64().expect("a latency");
        let service_ns = least(&finding["total"]["service"]);
        assert!(service_ns > least(handshakes), "the handshake is part of the service time");
    }
}

#[test]
fn bodies_longer_than_the_windows_go_both_ways() {
    let Some(program) = tool::find("nghttpd") else { return };
    let place = Place::new();
    let port = free_port();
    let mut nghttpd = Command::new(program);
    nghttpd.args(["--no-tls", "--echo-upload", "--address", "127.0.0.1", &port.to_string()]);
    let _nghttpd = Peer::start(&mut nghttpd, port);
    let body = format!("{}the end", "x".repeat(200_000));
    let target = HTTP.replace("'{\"n\":{{n}}}'", &format!("'{body}'"));
    let plan = PLAN.replace("1_000", "100");
    let lines = "version = \"2\"\npipeline = 8\n[target.expect]\ncontains = \"the end\"\n";
    let url = format!("http://127.0.0.1:{port}");
    let (finding, _) = finding(&place.run(&url, &format!("{plan}{target}{lines}")));
    assert_eq!(checked(&finding["total"]["counts"], "ok"), 50, "{}", finding["total"]["failures"]);
}

#[test]
fn resp_is_encrypted_too_and_conserved() {
    let Some(program) = tool::find("redis-server") else { return };
    let place = Place::new();
    let port = free_port();
    let mut redis = Command::new(program);
    redis.args(["--port", "0", "--tls-auth-clients", "no", "--save", "", "--tls-port"]);
    redis.arg(port.to_string()).arg("--tls-ca-cert-file").arg(place.file("ca.pem"));
    redis.arg("--tls-cert-file").arg(place.file("good.pem"));
    redis.arg("--tls-key-file").arg(place.file("good.key"));
    let _redis = Peer::start(redis.current_dir(place.folder.path()), port);
    let target = format!(
        "[target]\nkind = \"resp\"\naddress = \"h:1\"\ncommand = \"INCRBY {{{{key}}}} 2\"\n\
         connections = 4\npipeline = 8\n{}[data.key]\ndist = \"uniform\"\ncount = 10\n\
         [[slo]]\ncheck = [\"conserved\"]\n",
        place.tls()
    );
    let finding = place.check(&format!("rediss://localhost:{port}"), &target);
    assert_eq!(finding["conservation"]["total"]["counted"], 1_000);
}

#[test]
fn what_a_proxy_got_no_answer_to_is_sent_again_over_http2() {
    let (place, mut bench) = (Place::new(), Bench::new(load_resend::PLAN, ""));
    let port = bench.node.address("http").port();
    let Some(nginx) = Nginx::before(port, place.folder.path()) else { return };
    let lines = format!("connections = 4\nversion = \"2\"\npipeline = 4\n{}", place.tls());
    let target = crate::load::HTTP.replace("connections = 4\n", &lines);
    let scenario = format!("{}\n{target}", load_resend::PLAN);
    let mut command = place.command(&nginx.url("https", "http2"), &scenario);
    let run = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    wait_for_requests(&bench.node);
    load_resend::kill(&mut bench, "http");
    let (finding, _) = finding(&run.wait_with_output().expect("it ends"));
    assert_eq!(finding["environment"]["target"]["http"], "2");
    load_resend::conserved(&finding);
}

/// Another program that is a target; killed when the test ends.
struct Peer(Child);

impl Peer {
    /// Starts a program and waits until it listens.
    fn start(command: &mut Command, port: u16) -> Self {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let peer = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let connects = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        poll(PATIENCE, connects).unwrap_or_else(|| panic!("{command:?} does not listen"));
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Errors mean that it has ended already, which is what is wanted.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Checks that a target is not trusted: a run that keeps its connections does not begin and says
/// `words`, and one that makes them for each request has all of its failures in `class`.
fn check_refused(place: &Place, url: &str, lines: &str, class: &str, words: &str) {
    let output = place.run(url, &format!("{PLAN}{}", http(lines)));
    let told = tool::text_of(&output);
    assert_eq!(output.status.code(), Some(98), "{told}");
    assert!(told.contains(class) && told.contains(words), "{told:?} says {class:?} and {words:?}");
    let plan = PLAN.replace("1_000", "50").replace("500ms", "200ms");
    let reuse = format!("reuse = \"per-request\"\n{lines}");
    let (finding, _) = finding(&place.run(url, &format!("{plan}{}", http(&reuse))));
    let total = &finding["total"];
    assert_eq!(checked(&total["counts"], "ok"), 0);
    let failed = checked(&total["counts"], "failed");
    assert!(failed > 0);
    assert_eq!(total["failures"][class]["count"].as_u64(), Some(failed), "{}", total["failures"]);
}

#[test]
fn a_target_that_is_not_to_be_trusted_has_the_class_of_its_reason() {
    let place = Place::new();
    place.authority.certify("expired", &["localhost"], true);
    Authority::new("other", place.folder.path());
    let Some(nginx) = Nginx::start(place.folder.path()) else { return };
    let good = nginx.url("https", "http2");
    let stranger = place.tls().replace("ca.pem", "other.pem");
    check_refused(&place, &good, &stranger, "tls-certificate", "UnknownIssuer");
    let named = place.tls().replace(" }", ", server_name = \"elsewhere\" }");
    check_refused(&place, &good, &named, "tls-certificate", "elsewhere");
    let only_http1 = format!("{}version = \"2\"\n", place.tls());
    let http1 = nginx.url("https", "http1");
    check_refused(&place, &http1, &only_http1, "tls-protocol", "NoApplicationProtocol");
    check_refused(&place, &nginx.url("https", "clear2"), &place.tls(), "tls", "");
    nginx.show("expired");
    check_refused(&place, &good, &place.tls(), "tls-certificate", "xpired");
    let insecure = http("tls = { insecure = true }\nversion = \"2\"\n");
    let finding = place.check(&good, &insecure);
    let note = finding["generator"]["notes"][0].as_str().expect("a note");
    assert!(note.starts_with("INSECURE"), "{note}");
}

/// Checks what a reload of the target in mid-run does: all connections are ended by it, and each
/// request is answered or told by the class of a connection that went away.
fn check_reload(version: &str) {
    let place = Place::new();
    let Some(nginx) = Nginx::start(place.folder.path()) else { return };
    let plan = PLAN.replace("500ms", "1500ms");
    let lines = format!("{}{version}", place.tls());
    let mut command =
        place.command(&nginx.url("https", "http2"), &format!("{plan}{}", http(&lines)));
    let run = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    poll(PATIENCE, || (nginx.answered() > 300).then_some(())).expect("requests come");
    nginx.reload();
    let (finding, _) = finding(&run.wait_with_output().expect("it ends"));
    let total = &finding["total"];
    assert_eq!(checked(&total["counts"], "planned"), 1_500);
    assert_eq!(total["counts"]["missed"], 0);
    let failures = total["failures"].as_object().expect("classes");
    let known = ["goaway", "closed", "write"];
    assert!(failures.keys().all(|class| known.contains(&class.as_str())), "{failures:?}");
    let (ok, failed) = (checked(&total["counts"], "ok"), checked(&total["counts"], "failed"));
    assert!(failed <= 64, "at most what was under way: {failures:?}");
    let answered = nginx.answered();
    assert!(answered >= ok, "{answered} were answered, {ok} answers seen");
    let handshakes = finding["generator"]["handshakes"]["count"].as_u64().expect("handshakes");
    assert!(handshakes >= 8, "all connections were made again: {handshakes}");
}

#[test]
fn a_target_that_reloads_loses_no_request_untold() {
    check_reload("version = \"2\"\npipeline = 16\n");
    check_reload("version = \"1.1\"\n");
}
