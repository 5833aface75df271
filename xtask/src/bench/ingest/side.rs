//! The sides of the comparison, and one measurement of each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bench::machine::{self, Load};
use crate::bench::parse;
use crate::bench::server::{Kind, Quipu, Server};

/// The count, in awk: how often each path was asked for.
const AWK: &str = r#"{ c["path" $7]++ } END { for (k in c) print k "\t" c[k] }"#;

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// mawk, which is Debian's awk.
    Mawk,
    /// The product.
    Quipu,
    /// The awk of GNU, where it is installed.
    Gawk,
    /// The build with the feature `canary`, without a bug.
    WithStreams,
    /// The same build, its sums sent without streams, cuts and checkpoints.
    WithoutStreams,
}

/// Where things are.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) quipu: PathBuf,
    pub(super) canary: PathBuf,
    pub(super) log: PathBuf,
    pub(super) folder: PathBuf,
}

/// One measurement.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) side: Side,
    pub(super) round: usize,
    /// From the start of the counting program to its end.
    pub(super) seconds: f64,
    /// CPU of the counting program.
    pub(super) client_cpu: f64,
    /// CPU of the node meanwhile.
    pub(super) node_cpu: f64,
    pub(super) foreign_cpu_share: f64,
}

impl Cell {
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.client_cpu + self.node_cpu
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "side": self.side.name(),
            "round": self.round,
            "seconds": self.seconds,
            "client_cpu_seconds": self.client_cpu,
            "node_cpu_seconds": self.node_cpu,
            "foreign_cpu_share": self.foreign_cpu_share,
        })
    }
}

/// The versions of the awks.
pub(super) fn programs() -> Value {
    json!({ "mawk": version("mawk", "-W"), "gawk": version("gawk", "--") })
}

fn version(program: &str, dashes: &str) -> Option<String> {
    let option = if dashes == "-W" { vec!["-W", "version"] } else { vec!["--version"] };
    let output = Command::new(program).args(option).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    text.lines().next().map(str::to_owned)
}

type Counts = BTreeMap<String, i64>;

impl Side {
    /// In the order of a round: those compared with each other stand side by side.
    pub(super) const ALL: [Self; 5] =
        [Self::Gawk, Self::Mawk, Self::Quipu, Self::WithStreams, Self::WithoutStreams];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mawk => "mawk",
            Self::Gawk => "gawk",
            Self::Quipu => "quipu ingest, ack=fsync, with its node",
            Self::WithStreams => "canary build, with streams",
            Self::WithoutStreams => "canary build, without streams",
        }
    }

    /// Counts the log once; None where the program is not installed.
    pub(super) fn measure(self, place: &Place) -> Result<Option<(Cell, Counts)>> {
        match self {
            Self::Mawk => self.awk("mawk", place),
            Self::Gawk => self.awk("gawk", place),
            Self::Quipu => self.ingest(&place.quipu, place).map(Some),
            Self::WithStreams | Self::WithoutStreams => self.ingest(&place.canary, place).map(Some),
        }
    }

    fn awk(self, program: &str, place: &Place) -> Result<Option<(Cell, Counts)>> {
        if version(program, if program == "mawk" { "-W" } else { "--" }).is_none() {
            return Ok(None);
        }
        let out = place.folder.join("awk.out");
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg(AWK).arg(&place.log).stdout(File::create(&out)?);
        let cell = self.time(&mut command, None)?;
        Ok(Some((cell, counts(&fs::read_to_string(&out)?)?)))
    }

    fn ingest(self, binary: &Path, place: &Place) -> Result<(Cell, Counts)> {
        let folder = place.folder.join("node");
        let quipu = Quipu { binary: binary.to_owned(), flags: Vec::new() };
        let server = Server::start(Kind::QuipuDurable, &quipu, &folder, None)?;
        server.settle()?;
        let address = format!("127.0.0.1:{}", server.resp_port());
        let mut command = Command::new(binary);
        command.arg("ingest").arg(&place.log).args(["--node", &address, "--format", "combined"]);
        command.args(["--count", "path{uri}"]).stdout(Stdio::null());
        if self == Self::WithoutStreams {
            command.env("QUIPU_CANARY", "no_streams");
        }
        let cell = self.time(&mut command, Some(&server))?;
        let scan = Command::new(binary).args(["scan", "--node", &address]).output()?;
        server.stop()?;
        fs::remove_dir_all(&folder)?;
        Ok((cell, counts(&String::from_utf8(scan.stdout)?)?))
    }

    fn time(self, command: &mut Command, server: Option<&Server>) -> Result<Cell> {
        let node = || server.map_or(Ok(0), Server::cpu_ticks);
        let ticks = machine::ticks_per_second()?;
        let (load, own_before, node_before) = (Load::now()?, own_ticks()?, node()?);
        let began = Instant::now();
        let status = command.stdin(Stdio::null()).status()?;
        let seconds = began.elapsed().as_secs_f64();
        ensure!(status.success(), "{command:?} ended with {status}");
        let node_ticks = node()?.saturating_sub(node_before);
        Ok(Cell {
            side: self,
            round: 0,
            seconds,
            client_cpu: own_ticks()?.saturating_sub(own_before) as f64 / ticks,
            node_cpu: node_ticks as f64 / ticks,
            foreign_cpu_share: Load::now()?.foreign_share_since(load, node_ticks),
        })
    }
}

/// Ticks of this process and of the children that it waited for.
fn own_ticks() -> Result<u64> {
    parse::cpu_ticks(&fs::read_to_string("/proc/self/stat")?).context("no ticks in /proc")
}

/// Reads lines of a name, a tab and a number.
fn counts(text: &str) -> Result<Counts> {
    let count = |line: &str| {
        let (name, count) = line.split_once('\t').with_context(|| format!("no tab in '{line}'"))?;
        Ok((name.to_owned(), count.parse()?))
    };
    text.lines().map(count).collect()
}
