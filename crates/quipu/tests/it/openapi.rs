//! The OpenAPI document against a running node, by schemathesis: whatever it says is taken is taken,
//! what it does not say is refused, and every answer has a status, a type and a shape that it names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clients::fresh_node;
use crate::node::Node;
use crate::tool;
use crate::venv;

/// The version that the test installs; the same as in scripts/install-deps.sh.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Requests for each route and phase. Measured: about 500 in all, in 20 s of one core.
const EXAMPLES: &str = "15";

/// Requests are the same in every run.
const SEED: &str = "1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openapi")
}

/// Runs schemathesis by the document at `place` and returns what it said.
fn check(python: &Path, node: &Node, place: &str, options: &[&str]) -> Output {
    let mut command = Command::new(python.with_file_name("schemathesis"));
    command.arg("--config-file").arg(folder().join("schemathesis.toml"));
    command.args(["run", place, "--url", &format!("http://{}", node.address("http"))]);
    command.args(["--checks", "all", "--no-color", "--seed", SEED]).args(options);
    command.env("PYTHONPATH", folder()).env("PYTHONDONTWRITEBYTECODE", "1");
    // It keeps a memory of examples where it runs.
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.output().expect("schemathesis starts")
}

#[test]
fn schemathesis_finds_no_request_that_is_answered_otherwise_than_described() {
    let Some(python) = venv::python("schemathesis", SCHEMATHESIS) else { return };
    let (node, _folder) = fresh_node();
    let document = format!("http://{}/openapi.json", node.address("http"));
    let output = check(&python, &node, &document, &["--max-examples", EXAMPLES]);
    let said = tool::text_of(&output);
    // It may warn of what it could not reach; what it finds ends it with an error.
    assert!(output.status.success() && said.contains("Test cases:"), "{said}");
    assert_eq!(node.resp().call("PING").text(), Some("PONG"), "the node is still there");
}

#[test]
fn schemathesis_catches_a_document_that_lies() {
    let Some(python) = venv::python("schemathesis", SCHEMATHESIS) else { return };
    let (node, folder) = fresh_node();
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let truth = fs::read_to_string(written).expect("the document is in the repository");
    let lie = truth.replace("\"done\"", "\"finished\"");
    assert_ne!(truth, lie, "the document names the verdict");
    let place = folder.path().join("lie.json");
    fs::write(&place, lie).expect("the directory takes a file");
    let place = place.to_str().expect("a path in UTF-8");
    let output = check(&python, &node, place, &["--phases", "examples"]);
    let said = tool::text_of(&output);
    assert!(!output.status.success() && said.contains("Response violates schema"), "{said}");
}
