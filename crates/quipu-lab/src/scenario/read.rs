//! From TOML to a checked scenario.

mod arrival;
mod data;
mod operation;
mod phase;
mod target;

use toml::de::DeTable;

use crate::scenario::table::{Table, Value, line};
use crate::scenario::{Confirm, Format, Output, Phase, Scenario, ScenarioError, Search};
use crate::slo::{Check, Slo};
use crate::validity::Limits;

type Result<T> = std::result::Result<T, ScenarioError>;

/// Gives the lines of a file that a scenario names, or says why not.
pub type Lines<'l> = dyn Fn(&str) -> std::result::Result<Vec<String>, String> + 'l;

impl Scenario {
    /// Reads a scenario. A `url` stands in place of host and port of its target, and of the path if it
    /// has one; `lines` reads the files of keys that it names.
    ///
    /// # Errors
    /// The text is not TOML, has a key that nothing reads, lacks one that is needed, or says what
    /// cannot be done. The error is the first one found.
    pub fn parse(text: &str, url: Option<&str>, lines: &Lines<'_>) -> Result<Self> {
        let parsed = DeTable::parse(text).map_err(|error| ScenarioError::Syntax {
            line: line(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        read(Table::top(text, parsed.get_ref()), url, lines)
    }
}

fn read(mut top: Table<'_>, url: Option<&str>, lines: &Lines<'_>) -> Result<Scenario> {
    if let Some(version) = top.get("version") {
        version.whole(1, 1)?;
    }
    let name = top.need("name", "write what reports call it, such as name = \"burst\"")?;
    let name = name.string()?.to_owned();
    let seed = top.get("seed").map(|seed| seed.whole(0, i64::MAX)).transpose()?.unwrap_or(1) as u64;
    let delta = data::delta(&mut top)?;
    let data = data::sources(top.table("data")?, lines)?;
    let search = top.table("search")?.map(read_search).transpose()?;
    let mut arrival = top.table_or_empty("arrival")?;
    let model = arrival::model(&mut arrival)?;
    let phases = phase::phases(&mut top, model, search.is_some())?;
    let (mut target, mix) = (target::table(&mut top)?, top.table("mix")?);
    let ends = target::read(&mut target, &phases, url)?;
    let operations = operation::read(&mut target, mix, &ends, &data)?;
    target.finish()?;
    let arrival = arrival::rest(arrival, model, &ends.target, &phases)?;
    let slos = read_slos(&mut top, &phases)?;
    let validity = top.table("validity")?.map(read_limits).transpose()?.unwrap_or_default();
    let output = read_output(top.table("output")?)?;
    top.finish()?;
    Ok(Scenario {
        name,
        seed,
        target: ends.target,
        data,
        operations,
        delta,
        arrival,
        phases,
        slos,
        validity,
        search,
        output,
    })
}

fn read_slos(top: &mut Table<'_>, phases: &[Phase]) -> Result<Vec<Slo>> {
    let Some(list) = top.get("slo") else { return Ok(Vec::new()) };
    list.array()?.into_iter().map(|slo| read_slo(slo.table()?, phases)).collect()
}

fn read_slo(mut table: Table<'_>, phases: &[Phase]) -> Result<Slo> {
    let phase = table.get("phase");
    if let Some(phase) = &phase {
        let name = phase.string()?;
        if !phases.iter().any(|other| other.name == name) {
            let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
            return Err(phase.wrong(&format!("the phases are {}", names.join(", "))));
        }
    }
    let checks = table.need("check", "write such as check = [\"response.p99 <= 20ms\"]")?;
    let checks = checks.items()?.iter().map(read_check).collect::<Result<_>>()?;
    table.finish()?;
    let phase = phase.and_then(|phase| phase.as_str()).map(str::to_owned);
    Ok(Slo { phase, checks })
}

fn read_check(value: &Value<'_>) -> Result<Check> {
    Check::parse(value.string()?).map_err(|source| ScenarioError::Slo {
        line: value.line(),
        path: value.path(),
        source,
    })
}

fn read_limits(mut table: Table<'_>) -> Result<Limits> {
    let mut limits = Limits::default();
    let shares: [(&str, &mut f64); 7] = [
        ("sent_of_planned", &mut limits.sent_of_planned),
        ("held_back", &mut limits.held_back),
        ("generator_cpu", &mut limits.generator_cpu),
        ("steal", &mut limits.steal),
        ("run_queue_wait", &mut limits.run_queue_wait),
        ("little", &mut limits.little),
        ("errors", &mut limits.errors),
    ];
    for (key, limit) in shares {
        if let Some(value) = table.get(key) {
            *limit = value.share()?;
        }
    }
    if let Some(value) = table.get("lag_p99") {
        limits.lag_p99 = value.span()?;
    }
    table.finish()?;
    Ok(limits)
}

fn read_search(mut table: Table<'_>) -> Result<Search> {
    if let Some(find) = table.get("find") {
        find.word(&[("max rate", ())])?;
    }
    let checks = table.need("where", "write such as where = [\"response.p99 <= 50ms\"]")?;
    let checks = checks.items()?.iter().map(read_check).collect::<Result<_>>()?;
    let from = table.need("from", "write the first rate that is tried, such as from = 1_000")?;
    let from = from.rate().and_then(|rate| {
        if rate.per_second() >= 1.0 { Ok(rate) } else { Err(from.wrong("write at least 1")) }
    })?;
    let mut search = Search { checks, from, ..Search::default() };
    if let Some(to) = table.get("to") {
        search.to = to.rate()?;
    }
    if let Some(precision) = table.get("precision") {
        search.precision = precision.share()?;
    }
    for (key, span) in [("trial", &mut search.trial), ("cooldown", &mut search.cooldown)] {
        if let Some(value) = table.get(key) {
            *span = value.span()?;
        }
    }
    if let Some(mut confirm) = table.table("confirm")? {
        search.confirm = read_confirm(&mut confirm)?;
        confirm.finish()?;
    }
    table.finish()?;
    Ok(search)
}

fn read_confirm(table: &mut Table<'_>) -> Result<Confirm> {
    let runs = table.need("runs", "write such as runs = 3")?.count(100)?;
    let lasts = table.need("for", "write such as for = \"2m\"")?.span()?;
    Ok(Confirm { runs, lasts })
}

fn read_output(table: Option<Table<'_>>) -> Result<Output> {
    let mut output = Output { dir: "out/{{name}}-{{time}}".to_owned(), write: Vec::new() };
    let Some(mut table) = table else { return Ok(output) };
    if let Some(dir) = table.get("dir") {
        dir.string()?.clone_into(&mut output.dir);
    }
    if let Some(write) = table.get("write") {
        let formats = write
            .items()?
            .into_iter()
            .map(|format| format.word(&Format::NAMES.map(|(format, name)| (name, format))));
        output.write = formats.collect::<Result<_>>()?;
    }
    table.finish()?;
    Ok(output)
}
