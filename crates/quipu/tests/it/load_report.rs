//! What a run of `quipu load` leaves, read by programs that know nothing of us: a browser, a checker
//! of JSON schemas, a reader of histogram logs.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::load::{Bench, RESP, finding};
use crate::node;
use crate::tool;
use crate::venv;

/// The reader of histogram logs; the same version as in scripts/install-deps.sh.
const HDR_HISTOGRAM: &str = "hdrhistogram==0.10.8";
/// The checker of JSON schemas; the same version as in scripts/install-deps.sh.
const JSON_SCHEMA: &str = "jsonschema==4.26.0";

/// Three phases, all forms of the result, and a name that would be markup.
const PLAN: &str = r#"
version = 1
name = "<img src=x onerror=alert(1)>"
[data.key]
dist = "zipf"
count = 100
exponent = 1.01
[[phase]]
name = "warmup"
rate = 500
for = "300ms"
record = false
[[phase]]
name = "calm"
rate = 800
for = "1100ms"
[[phase]]
name = "storm"
rate = 1_600
for = "900ms"
[[slo]]
check = ["errors == 0", "conserved", "response.p50 <= 1ns"]
[output]
write = ["json", "html", "hlog", "hgrm", "k6", "benchfmt", "junit"]
"#;

/// The files of that result.
const FILES: [&str; 9] = [
    "bench.txt",
    "finding.json",
    "junit.xml",
    "k6-summary.json",
    "latency.hlog",
    "page.txt",
    "report.html",
    "response.hgrm",
    "service.hgrm",
];

/// Says of each tag of a log how many values there are and at most how much 99 % of them are, in
/// nanoseconds.
const READ_LOG: &str = r"
import json, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
empty = lambda: HdrHistogram(100, 3_600_000_000_000, 3)
reader, tags = HistogramLogReader(sys.argv[1], empty()), {}
while (one := reader.get_next_interval_histogram()) is not None:
    tags.setdefault(one.get_tag(), empty()).add(one)
told = lambda all: [all.get_total_count(), all.get_value_at_percentile(50), all.get_max_value()]
print(json.dumps({tag: told(all) for tag, all in tags.items()}))
";

const VALIDATE: &str = r"
import json, sys
from jsonschema import Draft202012Validator
schema, document = (json.load(open(path)) for path in sys.argv[1:3])
Draft202012Validator.check_schema(schema)
Draft202012Validator(schema).validate(document)
document['phases'][0]['counts'].pop('sent')
print(len(list(Draft202012Validator(schema).iter_errors(document))))
";

/// Runs the plan on a node of its own, and returns what it found and the bench with its folder.
fn left() -> (Bench, Value) {
    let bench = Bench::new(PLAN, RESP);
    let folder = bench.result();
    let output = bench.run("resp", &["--out", folder.to_str().expect("a path")]).output();
    let output = output.expect("the program starts");
    let (finding, code) = finding(&output);
    assert!(code == 98 || code == 99, "{code}");
    let said = String::from_utf8(output.stderr).expect("text");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names, FILES);
    for name in names {
        assert!(said.contains(folder.join(&name).to_str().expect("a path")), "{name}: {said}");
    }
    (bench, finding)
}

/// Runs a script in the Python that has `package`.
fn python(name: &str, package: &str, script: &str, arguments: &[&Path]) -> Option<Value> {
    let python = venv::python(name, package)?;
    let said = tool::output_of(Command::new(python).args(["-c", script]).args(arguments));
    Some(serde_json::from_str(&said).expect("a line of JSON"))
}

#[test]
fn another_reader_finds_every_request_in_the_histogram_log() {
    let (bench, finding) = left();
    let log = bench.result().join("latency.hlog");
    let Some(tags) = python("hdrhistogram", HDR_HISTOGRAM, READ_LOG, &[&log]) else { return };
    let count = |tag: &str| tags[tag][0].as_u64().expect("a count");
    let response = ["warmup", "calm", "storm"].map(|phase| count(&format!("{phase}/response")));
    // What ended after its phase is in a window of the next.
    let phases = finding["phases"].as_array().expect("phases");
    let ok = phases.iter().map(|phase| phase["counts"]["ok"].as_u64().expect("a count"));
    assert_eq!(response.iter().sum::<u64>(), ok.sum::<u64>());
    assert!(response.iter().all(|count| *count > 0), "{response:?}");
    for (place, phase) in [(0, "warmup"), (1, "calm"), (2, "storm")] {
        for kind in ["service", "lag"] {
            let found = &finding["phases"][place][kind];
            let read = &tags[&format!("{phase}/{kind}")];
            assert_eq!(read[0], found["count"], "{phase}/{kind}");
            // Of some hundred values, those around p99 may lie far apart, and one rank decides.
            for (place, name) in [(1, "p50_ns"), (2, "max_ns")] {
                assert!(is_near(&read[place], &found[name]), "{phase}/{kind}: {read} {found}");
            }
        }
    }
}

/// Implementations round the rank of a percentile up or down, which is one value more or less.
fn is_near(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| value.as_f64().expect("a number");
    (number(one) / number(other) - 1.0).abs() < 0.25
}

#[test]
fn a_finding_is_what_the_shipped_schema_says() {
    let (bench, _) = left();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/load-finding.schema.json");
    let document = bench.result().join("finding.json");
    let checked = python("jsonschema", JSON_SCHEMA, VALIDATE, &[&schema, &document]);
    let Some(complaints) = checked else { return };
    assert_eq!(complaints, 1, "what lacks a field is refused");
}

#[test]
fn a_browser_shows_the_page_and_fetches_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let (bench, _) = left();
    let page = format!("file://{}", bench.result().join("report.html").display());
    browser.open(&page);
    let first = "document.querySelector('section').innerText";
    let first = browser.read(first).as_str().expect("text").to_owned();
    assert!(["VALID", "SUSPECT", "INVALID"].iter().any(|word| first.starts_with(word)), "{first}");
    assert_eq!(browser.read("document.querySelectorAll('figure svg').length"), 7);
    let flat = "[...document.querySelectorAll('figure')].filter(figure => \
                ![...figure.querySelectorAll('path.line')].some(line => line.getTotalLength() > 50))\
                .map(figure => figure.innerText)";
    assert_eq!(browser.read(flat), json!([]), "charts without a line");
    let bands = "[...document.querySelector('figure svg').querySelectorAll('.band')].map(band => \
                 band.getBBox().width > 0)";
    assert_eq!(browser.read(bands), json!([true, true, true]));
    let promises = "[...document.querySelectorAll('section table')][0].innerText";
    let promises = browser.read(promises).as_str().expect("text").to_owned();
    assert!(promises.contains("response.p50 <= 1ns") && promises.contains("broken"), "{promises}");
    assert_eq!(browser.read("document.images.length + document.scripts.length"), 0);
    browser.fits_every_width_and_scheme();
    let complaints = browser.log("browser");
    assert!(complaints.is_empty(), "{complaints:?}");
    let asked = browser.asked("file://");
    let stranger = asked.iter().find(|url| **url != page && !url.starts_with("data:"));
    assert!(asked.contains(&page) && stranger.is_none(), "{asked:?}");
}

#[test]
fn several_tools_stand_in_one_table_with_what_they_leave_out() {
    let Some(program) = tool::find("redis-benchmark") else { return };
    let (bench, finding) = left();
    let port = bench.node.address("resp").port().to_string();
    let arguments = ["-p", &port, "-t", "incr", "-n", "2000", "-q", "--csv"];
    let lines = tool::output_of(Command::new(program).args(arguments));
    let peer = bench.result().join("peer.csv");
    std::fs::write(&peer, lines).expect("the folder takes a file");
    let mut command = Command::new(node::binary());
    command.args(["load", "import"]).arg(bench.result().join("finding.json"));
    command.arg(bench.result().join("k6-summary.json")).arg(&peer);
    let table = tool::output_of(&mut command);
    let rows: Vec<_> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), 3 + 1 + 1, "{table}");
    let ok = finding["phases"][2]["counts"]["ok"].to_string();
    assert!(rows[1].contains("/storm") && rows[1].contains(&format!(" {ok} ")), "{table}");
    assert!(rows[3].contains("quipu k6") && rows[3].ends_with("waits are in it"), "{table}");
    assert!(rows[4].contains("INCR") && rows[4].ends_with("waits are LEFT OUT"), "{table}");
}

#[test]
fn a_saved_result_is_written_in_other_forms_later() {
    let (bench, _) = left();
    let finding = bench.result().join("finding.json");
    let mut command = Command::new(node::binary());
    command.args(["load", "report", "--write", "html,junit", "--out"]);
    tool::output_of(command.arg(bench.result().join("later")).arg(&finding));
    for name in ["report.html", "junit.xml", "page.txt"] {
        let text = |folder: &Path| std::fs::read(folder.join(name)).expect("a file");
        assert!(text(&bench.result()) == text(&bench.result().join("later")), "{name}");
    }
    assert!(!bench.result().join("later/finding.json").exists());
}
