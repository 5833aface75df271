//! The program `quipu` of this build.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Where it is: beside the tests, where a build of the workspace puts it. A build of this crate
/// alone has not made it, so it is built then.
pub(crate) fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(find).clone()
}

fn find() -> PathBuf {
    let tests = env::current_exe().expect("a test knows where it is");
    let profile = tests.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
    let binary = profile.join("quipu");
    if !binary.is_file() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--quiet", "--package", "quipu", "--bin", "quipu"]);
        // The folder of the profile `dev` is called otherwise.
        let name = profile.file_name().filter(|name| *name != "debug");
        if let Some(name) = name {
            cargo.arg("--profile").arg(name);
        }
        let target = profile.parent().expect("a profile is in the target folder");
        let status = cargo.arg("--target-dir").arg(target).status();
        assert!(status.is_ok_and(|status| status.success()), "{} is built", binary.display());
    }
    binary
}
