//! The programs of docs/clients, each with the real client of its registry, through a network that
//! loses answers: every event is counted exactly once. What a client without a token counts there
//! shows that the network makes the difference.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::clients::REDIS_PY;
use crate::clients::lossy::Lossy;
use crate::resp::{Resp, encode_line};
use crate::tool;
use crate::venv;

/// Events of one program. Guess: three times as many as it takes to meet everything.
const EVENTS: usize = 60;

/// Clients, each at the version that was tried.
const IOREDIS: &str = "ioredis@5.11.1";
const GO_REDIS: &str = "github.com/redis/go-redis/v9@v9.23.0";
const REDIS_RS: &str = "1.8.1";

/// Where clients are kept between runs: beside the build products.
fn kept(name: &str) -> PathBuf {
    let target = tool::profile_folder().parent().expect("profiles lie in the target folder");
    let folder = target.join("clients").join(name);
    fs::create_dir_all(&folder).expect("the target folder takes another");
    folder
}

fn program(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients").join(file)
}

/// Runs a command that installs or builds; says what is missing where it cannot.
fn is_done(what: &str, command: &mut Command) -> bool {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if !output.status.success() {
        tool::missing(&format!("{what} ({})", tool::text_of(&output).trim()));
    }
    output.status.success()
}

/// Feeds events to a program through the lossy network: its answers and the node must agree.
fn check(listener: &'static str, command: &mut Command) {
    let lossy = Lossy::start(listener);
    let folder = TempDir::new().expect("a temporary directory");
    let events = folder.path().join("events");
    let lines: Vec<String> = (0..EVENTS).map(|event| format!("event-{event}")).collect();
    fs::write(&events, lines.join("\n") + "\n").expect("the directory takes a file");
    let (host, port) = (lossy.address.ip().to_string(), lossy.address.port().to_string());
    command.args([&host, &port, "events"]);
    command.stdin(Stdio::from(File::open(&events).expect("it was just written")));
    let said = tool::output_of(command);
    let (counted, repeats) = said.split_once(" events, ").expect("the program says both");
    assert_eq!(counted, EVENTS.to_string(), "{said}");
    let repeats: usize = repeats.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(repeats > 5, "every lost answer is a repeat: {said}");
    assert_eq!(lossy.value("events"), Some(EVENTS as i64), "{said}");
}

#[test]
fn redis_py_counts_once_through_lost_answers_and_a_kill() {
    let Some(python) = venv::python("redis-py", REDIS_PY) else { return };
    check("resp", Command::new(python).arg(program("count.py")));
}

#[test]
fn plain_http_counts_once_through_lost_answers_and_a_kill() {
    let Some(python) = tool::find("python3") else { return };
    check("http", Command::new(python).arg(program("count_http.py")));
}

#[test]
fn ioredis_counts_once_through_lost_answers_and_a_kill() {
    let (Some(node), Some(npm)) = (tool::find("node"), tool::find("npm")) else { return };
    let folder = kept(IOREDIS);
    let modules = folder.join("node_modules");
    let mut install = Command::new(npm);
    install.args(["install", "--no-audit", "--no-fund", "--no-package-lock", IOREDIS]);
    install.arg("--prefix").arg(&folder);
    if !modules.join("ioredis").is_dir() && !is_done(IOREDIS, &mut install) {
        return;
    }
    check("resp", Command::new(node).arg(program("count.js")).env("NODE_PATH", modules));
}

#[test]
fn go_redis_counts_once_through_lost_answers_and_a_kill() {
    let Some(go) = tool::find("go") else { return };
    // What one version of go wrote, another may not read.
    let version = tool::output_of(Command::new(&go).args(["env", "GOVERSION"]));
    let folder = kept(&format!("go-redis-{}", version.trim()));
    fs::copy(program("count.go"), folder.join("count.go")).expect("the folder takes a file");
    let run = |arguments: &[&str]| {
        is_done(GO_REDIS, Command::new(&go).args(arguments).current_dir(&folder))
    };
    let wanted = GO_REDIS.replace('@', " ");
    let has = |module: String| module.contains(&wanted);
    if !fs::read_to_string(folder.join("go.mod")).is_ok_and(has) {
        // What an interrupted or an older run left; an error means that there is nothing.
        drop(fs::remove_file(folder.join("go.mod")));
        if !run(&["mod", "init", "count"]) || !run(&["get", GO_REDIS]) {
            return;
        }
    }
    if run(&["build", "-o", "count", "count.go"]) {
        check("resp", &mut Command::new(folder.join("count")));
    }
}

#[test]
fn redis_rs_counts_once_through_lost_answers_and_a_kill() {
    let Some(cargo) = tool::find("cargo") else { return };
    let folder = kept("redis-rs");
    let manifest = format!(
        "[package]\nname = \"count\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [[bin]]\nname = \"count\"\npath = \"count.rs\"\n\n\
         [dependencies]\nredis = {{ version = \"={REDIS_RS}\", default-features = false }}\n\n\
         [workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("the folder takes a file");
    fs::copy(program("count.rs"), folder.join("count.rs")).expect("the folder takes a file");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--target-dir", "target"]).current_dir(&folder);
    if is_done("redis-rs", &mut build) {
        check("resp", &mut Command::new(folder.join("target/debug/count")));
    }
}

#[test]
fn jedis_counts_once_through_lost_answers_and_a_kill() {
    let (Some(java), Some(maven)) = (tool::find("java"), tool::find("mvn")) else { return };
    let folder = kept("jedis");
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/pom.xml");
    fs::copy(project, folder.join("pom.xml")).expect("the folder takes a file");
    let jars = folder.join("lib");
    let mut fetch = Command::new(maven);
    fetch.args(["--quiet", "--batch-mode", "dependency:copy-dependencies"]);
    fetch.arg(format!("-DoutputDirectory={}", jars.display())).current_dir(&folder);
    if !jars.is_dir() && !is_done("jedis", &mut fetch) {
        return;
    }
    let jars = format!("{}/*", jars.display());
    check("resp", Command::new(java).args(["-cp", &jars]).arg(program("Count.java")));
}

/// Sends an increment without a token until it is answered, as clients that retry by themselves do.
fn incr_until_answered(address: SocketAddr) {
    loop {
        let Ok(mut socket) = Resp::try_tcp(address) else { continue };
        let sent = socket.send(&encode_line("INCR events"));
        if sent.is_ok() && socket.receive().is_ok_and(|reply| reply.error().is_none()) {
            return;
        }
    }
}

#[test]
fn without_a_token_the_same_network_makes_retries_count_twice() {
    let lossy = Lossy::start("resp");
    for _ in 0..EVENTS {
        incr_until_answered(lossy.address);
    }
    let value = lossy.value("events").expect("it was counted");
    assert!(value > EVENTS as i64, "{value} after {EVENTS} events");
}

#[test]
fn the_page_shows_the_programs_as_they_are() {
    let page = fs::read_to_string(program("../clients.md")).expect("the page is there");
    for (file, language) in [
        ("count.py", "python"),
        ("count_http.py", "python"),
        ("count.js", "js"),
        ("count.go", "go"),
        ("count.rs", "rust"),
        ("Count.java", "java"),
    ] {
        let text = fs::read_to_string(program(file)).expect("the program is there");
        let block = format!("```{language}\n{text}```");
        assert!(
            page.contains(&block),
            "docs/clients.md does not show docs/clients/{file} as it is"
        );
    }
}
