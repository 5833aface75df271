//! What is generated from the tree of commands, in the programs that it is for: completions in real
//! shells, manual pages through the formatter that `man` uses.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::node::binary;
use crate::tool;

/// Loads the completions into `shell` and demands the answer to a script that asks for them.
fn check(shell: &str, options: &[&str], script: &str, expected: &str) {
    let Some(program) = tool::find(shell) else { return };
    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("completions");
    let text = tool::output_of(Command::new(binary()).args(["completions", shell]));
    fs::write(&file, text).expect("the directory takes a file");
    let mut command = Command::new(program);
    command.args(options).args(["-c", script]).env("FILE", &file).env("HOME", folder.path());
    let output = command.output().expect("the shell starts");
    assert_eq!(tool::text_of(&output).trim_end(), expected, "{shell}: {script}");
}

#[test]
fn bash_completes_commands_and_flags() {
    let ask = |words: &str, last: &str, before: &str| {
        let at = words.split(' ').count() - 1;
        format!(
            "source $FILE; COMP_WORDS=({words}); COMP_CWORD={at}; _quipu quipu '{last}' '{before}'; \
             echo ${{COMPREPLY[@]}}"
        )
    };
    let options = ["--noprofile", "--norc"];
    check("bash", &options, &ask("quipu au", "au", "quipu"), "audit");
    check("bash", &options, &ask("quipu serve --acc", "--acc", "serve"), "--accept-clock");
    check("bash", &options, &ask("quipu completions z", "z", "completions"), "zsh");
}

#[test]
fn zsh_takes_the_completions() {
    let script = "autoload -Uz compinit; compinit -D -u; source $FILE; print $_comps[quipu]";
    check("zsh", &["-f"], script, "_quipu");
}

#[test]
fn fish_completes_commands() {
    let script = "source $FILE; complete --do-complete 'quipu aud' | string split -f1 \\t";
    check("fish", &["--no-config"], script, "audit");
}

fn pages() -> (TempDir, Vec<PathBuf>) {
    let folder = TempDir::new().expect("a temporary directory");
    tool::output_of(Command::new(binary()).arg("man").arg(folder.path()));
    let entries = fs::read_dir(folder.path()).expect("it was just written");
    let pages = entries.map(|entry| entry.expect("a readable directory").path()).collect();
    (folder, pages)
}

#[test]
fn manual_pages_are_formatted_without_a_warning() {
    let Some(groff) = tool::find("groff") else { return };
    let (folder, pages) = pages();
    assert!(pages.len() > 10, "one for each command: {pages:?}");
    let warnings = ["-man", "-ww", "-Tutf8", "-z"];
    for page in &pages {
        let output = Command::new(&groff).args(warnings).arg(page).output().expect("groff starts");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", tool::text_of(&output));
    }
    // The check hears what is wrong.
    let bad = folder.path().join("bad.1");
    fs::write(&bad, ".TH bad 1\n.nosuch request\n").expect("the directory takes a file");
    let output = Command::new(&groff).args(warnings).arg(bad).output().expect("groff starts");
    assert!(!output.stderr.is_empty(), "groff passes over a request that there is not");
}

#[test]
fn every_command_in_the_help_has_a_manual_page() {
    let (_folder, pages) = pages();
    let help = tool::output_of(Command::new(binary()).arg("--help"));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().expect("a line names a command");
        let file = format!("quipu-{name}.1");
        let found = name == "help" || pages.iter().any(|page| page.ends_with(&file));
        assert!(found, "{file}");
    }
}
