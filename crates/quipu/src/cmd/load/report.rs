//! `quipu load report`: a saved result in other forms; and how results are saved.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use quipu_lab::finding::Finding;
use quipu_lab::page;
use quipu_lab::report::{self, FORMATS_DEFAULT};
use quipu_lab::scenario::{Format, Scenario};

use crate::output::{self, FAILURE, fail};

/// Show a saved result, or write it in other forms
///
/// Without --write, the page of text is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The finding.json of a run
    #[arg(value_name = "FINDING")]
    finding: PathBuf,
    #[command(flatten)]
    forms: Forms,
    /// The folder [default: that of the finding]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Which forms of a result are written
#[derive(Debug, clap::Args)]
pub(super) struct Forms {
    /// Forms of the result: json, html, hlog, hgrm, k6, benchfmt, junit, or several with commas
    #[arg(long, value_name = "FORMS", value_delimiter = ',', value_parser = form)]
    pub(super) write: Vec<Format>,
}

fn form(text: &str) -> Result<Format, String> {
    let found = Format::NAMES.iter().find(|(_, name)| *name == text);
    let names = || Format::NAMES.map(|(_, name)| name).join(", ");
    found.map(|(format, _)| *format).ok_or_else(|| format!("one of {}", names()))
}

/// Reads a result and writes it as asked.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    match written(args) {
        Ok(said) => output::print(&said).map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Err(error) => fail(FAILURE, format_args!("{error:#}")),
    }
}

fn written(args: &ReportArgs) -> anyhow::Result<String> {
    let finding = read(&args.finding)?;
    if args.forms.write.is_empty() {
        return Ok(page::page(&finding));
    }
    let beside = args.finding.parent().unwrap_or(Path::new("."));
    save(&finding, &args.forms.write, args.out.as_deref().unwrap_or(beside))
}

/// Reads the finding of a run.
///
/// # Errors
/// It cannot be read or is none.
pub(super) fn read(path: &Path) -> anyhow::Result<Finding> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    Finding::from_json(&text).with_context(|| format!("in {}", path.display()))
}

/// Where the result of a run goes: to `out`, or where the scenario says if it asks for any form; and
/// in which forms.
pub(super) fn destination<'a>(
    scenario: &'a Scenario,
    finding: &Finding,
    out: Option<&Path>,
    asked: &'a [Format],
) -> Option<(PathBuf, &'a [Format])> {
    let output = &scenario.output;
    let forms = [asked, &output.write].into_iter().find(|forms| !forms.is_empty());
    let folder = out.map(Path::to_owned).or_else(|| {
        let time = finding.started.replace([':', '.'], "-");
        let name = scenario.name.replace('/', "-");
        let folder = output.dir.replace("{{name}}", &name).replace("{{time}}", &time);
        forms.map(|_| PathBuf::from(folder))
    })?;
    Some((folder, forms.unwrap_or(&FORMATS_DEFAULT)))
}

/// Writes a result and returns the names of its files, one a line. No file is ever seen half-written.
///
/// # Errors
/// The folder or a file cannot be written.
pub(super) fn save(finding: &Finding, forms: &[Format], folder: &Path) -> anyhow::Result<String> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut said = String::new();
    for file in report::files(finding, forms) {
        let path = folder.join(file.name);
        put(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
        said.push_str(&path.display().to_string());
        said.push('\n');
    }
    Ok(said)
}

/// Writes a file beside its place and moves it there when it is whole.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Readable by whom the umask lets, as any file.
    let mode = Permissions::from_mode(0o666);
    let mut part =
        tempfile::Builder::new().prefix(".part-").permissions(mode).tempfile_in(folder)?;
    part.write_all(text.as_bytes())?;
    part.persist(path)?;
    Ok(())
}
