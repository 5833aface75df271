//! Formats, conditions, deltas, rejects and packed files, on real logs and against awk.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Node, Summary, append, await_acked, code, place, text, totals};
use crate::tool;

/// Runs an ingest of `file` with `options`, a text of words.
fn ingest(node: &Node, file: &Path, options: &str) -> Summary {
    let output = command(node, file, options).output().expect("runs");
    Summary::of(&output)
}

fn command(node: &Node, file: &Path, options: &str) -> Command {
    let file = file.to_str().expect("UTF-8");
    let words: Vec<_> = ["ingest", file, "--json"].into_iter().chain(options.split(' ')).collect();
    node.command(&words)
}

/// Returns what an awk program counts in `file`: names and numbers.
pub(super) fn awk(program: &str, file: &Path) -> std::collections::BTreeMap<String, u64> {
    let program = format!("{program} END {{ for (k in c) print k \"\\t\" c[k] }}");
    let printed = tool::output_of(Command::new("awk").env("LC_ALL", "C").arg(program).arg(file));
    let count = |line: &str| {
        let (name, count) = line.split_once('\t').expect("a name and a number");
        (name.to_owned(), count.parse().expect("a number"))
    };
    printed.lines().map(count).collect()
}

#[test]
fn the_machines_own_dpkg_log_counts_as_awk_counts_it() {
    let (_place, data, file) = place();
    if tool::find("awk").is_none() {
        return;
    }
    let log = Path::new("/var/log/dpkg.log");
    if std::fs::copy(log, &file).is_err() {
        return tool::missing("/var/log/dpkg.log");
    }
    let node = Node::start(&data);
    let lines = std::fs::read(&file).expect("read").split_inclusive(|byte| *byte == b'\n').count();
    let all = ingest(&node, &file, "--format dpkg --count action/{action}");
    all.check(0, lines as u64, lines as u64);
    let options = "--format dpkg --where action=status --time-bucket 1d --count {state}/{bucket}";
    let filtered = ingest(&node, &file, options);
    assert_eq!(filtered.number("matched") + filtered.number("filtered"), lines as u64);
    let program = r#"{ c["action/" $3]++; if ($3 == "status") c[$4 "/" $1]++ }"#;
    assert_eq!(node.totals(), awk(program, &file));
}

/// Lines of a web server: the path, the status, the bytes.
fn web_lines(requests: &[(&str, &str, &str)]) -> String {
    let line = |(path, status, bytes): &(&str, &str, &str)| {
        let time = "21/Nov/2026:13:55:36 +0100";
        format!("::1 - - [{time}] \"GET {path} HTTP/1.1\" {status} {bytes} \"-\" \"agent\"\n")
    };
    requests.iter().map(line).collect()
}

#[test]
fn bytes_are_added_up_by_condition_and_hour_and_what_cannot_be_is_told() {
    let (place, data, file) = place();
    let requests = [
        ("/a?x=1", "200", "10"),
        ("/a", "503", "7"),
        ("/b", "500", "-"),
        ("/a", "500", "5"),
        ("/c", "404", "-"),
    ];
    std::fs::write(&file, web_lines(&requests) + "\u{ff}no line of a log\n").expect("written");
    append(&file, "x");
    std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"\xff\n"))
        .expect("written");
    let node = Node::start(&data);
    let rejects = place.path().join("rejects");
    let options = format!(
        "--format combined --where status>=500 --by bytes --time-bucket 1h \
         --count {{path}}@{{bucket}} --count bytes --rejects {}",
        rejects.display()
    );
    let summary = ingest(&node, &file, &options);
    summary.check(0, 7, 4);
    assert_eq!((summary.number("matched"), summary.number("filtered")), (2, 2));
    assert_eq!(summary.rejected("not-a-number") + summary.rejected("no-match"), 3);
    let expected = totals(&[("/a@2026-11-21T12:00Z", 12), ("bytes", 12)]);
    assert_eq!(node.totals(), expected);
    let told = std::fs::read_to_string(&rejects).expect("read");
    let told: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let places: Vec<_> =
        told.iter().map(|entry| (entry["line"].as_u64(), entry["reason"].as_str())).collect();
    let reasons = [(3, "not-a-number"), (6, "no-match"), (7, "no-match")];
    assert_eq!(places, reasons.map(|(line, reason)| (Some(line), Some(reason))));
    assert_eq!(told[2]["base64"], "eP8=");
    let again = ingest(&node, &file, &options);
    again.check(7, 0, 0);
    assert_eq!(node.totals(), expected);
}

#[test]
fn an_overflowing_sum_is_refused_whole_and_the_run_goes_on() {
    let (_place, data, file) = place();
    let half = (i64::MAX / 2).to_string();
    let numbers = [half.as_str(), &half, &half, "3"];
    std::fs::write(&file, numbers.map(|number| format!("{number}\n")).concat()).expect("written");
    let node = Node::start(&data);
    let options = "--format csv --csv-header n --by n --count sum";
    let summary = ingest(&node, &file, options);
    summary.check(0, 4, 2);
    assert_eq!(summary.rejected("refused"), 2, "the second sum of the block");
    assert_eq!(node.totals(), totals(&[("sum", i64::MAX as u64 - 1)]));
}

#[test]
fn another_meaning_counts_from_the_start_and_the_same_one_goes_on() {
    let (_place, data, file) = place();
    std::fs::write(&file, "name,n\na,1\n\"b, c\",2\n").expect("written");
    let node = Node::start(&data);
    ingest(&node, &file, "--format csv --count {name}").check(0, 3, 2);
    append(&file, "a,5\n");
    ingest(&node, &file, "--format csv --count {name}").check(3, 1, 1);
    ingest(&node, &file, "--format csv --by n --count {name}").check(0, 4, 3);
    assert_eq!(node.totals(), totals(&[("a", 8), ("b, c", 3)]));
    let unknown = command(&node, &file, "--format csv --count {x}").output().expect("runs");
    assert_eq!(code(&unknown), 1);
    assert!(text(&unknown.stderr).contains("no column 'x'"), "{}", text(&unknown.stderr));
    let both = command(&node, &file, "--format csv --match x --count x").output().expect("runs");
    assert_eq!(code(&both), 2);
}

#[test]
fn packed_files_are_counted_as_they_are_and_only_once() {
    for (program, options) in [("gzip", "-k"), ("zstd", "-qk")] {
        let Some(program) = tool::find(program) else { continue };
        let (place, data, file) = place();
        let expected = super::write_lines(&file, 30_000);
        tool::output_of(Command::new(program).arg(options).arg(&file));
        let of_name = |name: &str| place.path().join(name);
        let packed = [of_name("input.gz"), of_name("input.zst")];
        let packed = packed.iter().find(|path| path.exists()).expect("packed").clone();
        // A name says nothing.
        let hidden = of_name("hidden");
        std::fs::rename(&packed, &hidden).expect("renamed");
        let whole = std::fs::read(&hidden).expect("read");
        std::fs::write(&hidden, &whole[..whole.len() * 2 / 3]).expect("written");
        let node = Node::start(&data);
        let cut = node.command(&super::ingest_args(&hidden)).output().expect("runs");
        assert_eq!(code(&cut), 1, "a file that is cut short is an error");
        let said = text(&cut.stderr);
        assert!(said.contains("hidden is damaged after"), "{said}");
        let counted = node.totals()["total"];
        assert!(counted > 10_000, "what was whole counts: {counted}");
        std::fs::write(&hidden, &whole).expect("written");
        let rest = node.ingest(&hidden);
        rest.check(counted, 30_000 - counted, 2 * (30_000 - counted));
        node.ingest(&hidden).check(30_000, 0, 0);
        assert_eq!(node.totals(), expected);
    }
}

#[test]
fn a_killed_ingest_loses_no_reject() {
    let (place, data, file) = place();
    let content: String = (1..=20_000)
        .map(|line| if line % 5 == 0 { format!("bad {line}\n") } else { format!("{line}.rs\n") })
        .collect();
    std::fs::write(&file, content).expect("written");
    let node = Node::start(&data);
    let rejects = place.path().join("rejects");
    let options = format!(
        "--match ^(?<n>[0-9]+)\\.rs$ --count total --report-every 100 --checkpoint-every 500 \
         --window 16 --rejects {}",
        rejects.display()
    );
    for reached in [2_000, 9_000] {
        let mut child = command(&node, &file, &options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        let _stderr = await_acked(&mut child, reached);
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    ingest(&node, &file, &options);
    assert_eq!(node.totals(), totals(&[("total", 16_000)]));
    // A line that a kill cut short has its whole twin after it.
    let told = std::fs::read_to_string(&rejects).expect("read");
    let lines: std::collections::BTreeSet<u64> = told
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|entry| entry["line"].as_u64())
        .collect();
    assert!(lines.iter().copied().eq((1..=4_000).map(|number| number * 5)));
}

#[test]
fn two_ingests_of_one_source_at_once_are_refused() {
    let (_place, data, _file) = place();
    let node = Node::start(&data);
    let words = ["ingest", "-", "--source", "s", "--match", "x", "--count", "x", "--json"];
    let mut first = node.command(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let first = first.as_mut().expect("runs");
    let mut stdin = first.stdin.take().expect("standard input");
    std::io::Write::write_all(&mut stdin, b"x\n").expect("written");
    crate::node::poll(crate::node::PATIENCE, || node.totals().get("x").copied()).expect("counted");
    let second = node.command(&words).stdin(Stdio::null()).output().expect("runs");
    assert_eq!(code(&second), 1);
    assert!(text(&second.stderr).contains("another ingest"), "{}", text(&second.stderr));
    drop(stdin);
    assert!(first.wait().expect("ended").success());
    let third = node.command(&words).stdin(Stdio::null()).output().expect("runs");
    assert!(text(&third.stderr).contains("counted up to line 1"), "the lock went with its process");
}
