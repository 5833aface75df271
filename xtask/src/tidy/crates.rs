//! The crate rule table: what each crate may depend on, checked against `cargo metadata`.
//!
//! A crate exists because of what its manifest forbids; this table is where that is written down.
//! ARCHITECTURE.md says the same in sentences.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::checkout;
use crate::ci::cargo;
use crate::tidy::Finding;

/// What one crate may depend on.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The name of the crate, which is also its folder.
    pub(crate) name: &'static str,
    /// Values and step functions only: no input or output, clock, thread, entropy or logging.
    pub(crate) is_pure: bool,
    /// Our crates that it may depend on.
    ours: &'static [&'static str],
    /// Foreign crates that it must not depend on, beyond those kept from every pure crate.
    forbidden: &'static [&'static str],
}

/// Foreign crates that do what a pure crate must not.
const IMPURE: &[&str] = &[
    "anyhow",
    "async-trait",
    "axum",
    "clap",
    "crossbeam-channel",
    "futures",
    "getrandom",
    "http",
    "http-body-util",
    "hyper",
    "hyper-util",
    "indicatif",
    "libc",
    "log",
    "mio",
    "nix",
    "parking_lot",
    "rand",
    "rdkafka",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tracing",
    "tracing-subscriber",
    "uuid",
];

/// The homes of message encoding and of messages to people are few.
const SERDE: &[&str] = &["serde", "serde_json"];
const NETWORK: &[&str] = &["axum", "http", "http-body-util", "hyper", "hyper-util", "tokio"];

/// The rules, from the lowest layer to the highest.
pub(crate) const RULES: &[Rule] = &[
    Rule { name: "stdx", is_pure: true, ours: &[], forbidden: SERDE },
    Rule { name: "quipu-core", is_pure: true, ours: &["stdx"], forbidden: SERDE },
    Rule { name: "quipu-history", is_pure: true, ours: &["stdx"], forbidden: SERDE },
    Rule { name: "quipu-model", is_pure: true, ours: &["stdx", "quipu-core"], forbidden: SERDE },
    Rule { name: "quipu-stats", is_pure: true, ours: &["stdx"], forbidden: SERDE },
    Rule { name: "quipu-metrics", is_pure: true, ours: &["stdx"], forbidden: SERDE },
    Rule { name: "quipu-wire", is_pure: true, ours: &["stdx", "quipu-core"], forbidden: &[] },
    Rule { name: "quipu-lab", is_pure: true, ours: &["stdx", "quipu-stats"], forbidden: &[] },
    Rule { name: "quipu-log", is_pure: false, ours: &["stdx", "quipu-core"], forbidden: NETWORK },
    Rule { name: "quipu-client", is_pure: false, ours: &["stdx", "quipu-wire"], forbidden: ANYHOW },
    // A target is what answers on a socket: the engine names neither the node nor its client.
    Rule {
        name: "quipu-load",
        is_pure: false,
        ours: &["stdx", "quipu-lab", "quipu-stats"],
        forbidden: ANYHOW,
    },
    Rule {
        name: "quipu-proof",
        is_pure: false,
        ours: &["stdx", "quipu-history"],
        forbidden: ANYHOW,
    },
    Rule {
        name: "quipu-server",
        is_pure: false,
        ours: &["stdx", "quipu-core", "quipu-metrics", "quipu-wire", "quipu-log"],
        forbidden: ANYHOW,
    },
    Rule {
        name: "quipu",
        is_pure: false,
        ours: &[
            "stdx",
            "quipu-core",
            "quipu-metrics",
            "quipu-wire",
            "quipu-log",
            "quipu-client",
            "quipu-lab",
            "quipu-load",
            "quipu-proof",
            "quipu-server",
            "quipu-stats",
        ],
        forbidden: &[],
    },
    Rule {
        name: "quipu-sim",
        is_pure: false,
        ours: &["stdx", "quipu-core", "quipu-history", "quipu-model", "quipu-log"],
        forbidden: NETWORK,
    },
    // Clients of other systems: nothing that users get may depend on it.
    Rule { name: "quipu-peers", is_pure: false, ours: &["stdx", "quipu-proof"], forbidden: ANYHOW },
    Rule { name: "xtask", is_pure: false, ours: &[], forbidden: &[] },
];

/// Libraries answer with typed errors; only programs gather them.
const ANYHOW: &[&str] = &["anyhow"];

/// A package and the names that it depends on, as `cargo metadata` tells them.
#[derive(Debug)]
struct Package {
    name: String,
    folder: String,
    dependencies: Vec<String>,
}

/// Checks the manifests of the workspace against the table.
///
/// # Errors
/// `cargo metadata` cannot be run or read.
pub(crate) fn check() -> Result<Vec<Finding>> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
    let text = checkout::output(&cargo(), &arguments)?;
    let packages = packages(&text)?;
    Ok(compare(&packages))
}

fn packages(metadata: &str) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_str(metadata).context("reading cargo metadata")?;
    let Some(packages) = metadata.get("packages").and_then(Value::as_array) else {
        bail!("cargo metadata lists no packages");
    };
    packages
        .iter()
        .map(|package| read_package(package).context("a package without a name"))
        .collect()
}

fn read_package(package: &Value) -> Option<Package> {
    let manifest = package.get("manifest_path")?.as_str()?;
    let dependencies = package.get("dependencies")?.as_array()?;
    let dependencies =
        dependencies.iter().filter_map(|dependency| dependency.get("name")?.as_str());
    Some(Package {
        name: package.get("name")?.as_str()?.to_owned(),
        folder: manifest.rsplit('/').nth(1)?.to_owned(),
        dependencies: dependencies.map(str::to_owned).collect(),
    })
}

fn compare(packages: &[Package]) -> Vec<Finding> {
    let ours: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let manifest = format!("crates/{}/Cargo.toml", package.folder);
        if package.folder != package.name {
            let text = format!("the folder of crate `{}` has another name", package.name);
            findings.push(Finding::at(&manifest, 1, text));
        }
        let Some(rule) = RULES.iter().find(|rule| rule.name == package.name) else {
            let text = format!("crate `{}` is not in the rule table", package.name);
            findings.push(Finding::at(&manifest, 1, text));
            continue;
        };
        let broken = package.dependencies.iter().filter_map(|name| broken_rule(rule, name, &ours));
        findings.extend(broken.map(|text| Finding::at(&manifest, 1, text)));
    }
    for rule in RULES.iter().filter(|rule| !ours.contains(&rule.name)) {
        let text = format!("crate `{}` is in the rule table but not in the workspace", rule.name);
        findings.push(Finding::at("xtask/src/tidy/crates.rs", 1, text));
    }
    findings
}

fn broken_rule(rule: &Rule, dependency: &str, ours: &[&str]) -> Option<String> {
    if ours.contains(&dependency) {
        let text = format!("`{}` must not depend on our `{dependency}`", rule.name);
        return (!rule.ours.contains(&dependency)).then_some(text);
    }
    let is_forbidden = rule.forbidden.contains(&dependency);
    let is_impure = rule.is_pure && IMPURE.contains(&dependency);
    let text = format!("`{}` must not depend on `{dependency}`", rule.name);
    (is_forbidden || is_impure).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(name: &str, dependencies: &[&str], expected: &str) {
        let mut packages: Vec<Package> = RULES
            .iter()
            .map(|rule| Package {
                name: rule.name.to_owned(),
                folder: rule.name.to_owned(),
                dependencies: Vec::new(),
            })
            .collect();
        for package in packages.iter_mut().filter(|package| package.name == name) {
            package.dependencies = dependencies.iter().map(|&name| name.to_owned()).collect();
        }
        let texts: Vec<String> =
            compare(&packages).into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts.join("; "), expected);
    }

    #[test]
    fn a_dependency_that_points_up_is_found() {
        check_one("quipu-core", &["stdx", "hashbrown"], "");
        check_one("quipu-core", &["quipu-log"], "`quipu-core` must not depend on our `quipu-log`");
        check_one("xtask", &["stdx"], "`xtask` must not depend on our `stdx`");
    }

    #[test]
    fn a_foreign_crate_that_breaks_the_rule_is_found() {
        check_one("quipu-wire", &["serde_json"], "");
        check_one("quipu-core", &["serde_json"], "`quipu-core` must not depend on `serde_json`");
        check_one("quipu-wire", &["tokio"], "`quipu-wire` must not depend on `tokio`");
        check_one("quipu-server", &["tokio"], "");
        check_one("quipu-server", &["anyhow"], "`quipu-server` must not depend on `anyhow`");
    }

    #[test]
    fn a_package_is_read_from_metadata() {
        let text = r#"{"packages": [{"name": "a", "manifest_path": "x/crates/a/Cargo.toml",
            "dependencies": [{"name": "b"}, {"name": "c"}]}]}"#;
        let packages = packages(text).unwrap();
        assert_eq!(packages[0].folder, "a");
        assert_eq!(packages[0].dependencies, ["b", "c"]);
    }

    #[test]
    fn a_crate_without_a_rule_is_found() {
        let unknown = Package { name: "x".into(), folder: "y".into(), dependencies: Vec::new() };
        let texts: Vec<String> =
            compare(&[unknown]).into_iter().map(|finding| finding.text).collect();
        assert!(texts.contains(&"crate `x` is not in the rule table".to_owned()));
        assert!(texts.contains(&"the folder of crate `x` has another name".to_owned()));
    }
}
