//! `[[phase]]`.

use stdx::units::Nanos;

use crate::scenario::read::Result;
use crate::scenario::read::arrival::USERS_MAX;
use crate::scenario::table::{Table, Value};
use crate::scenario::{Load, Model, Phase, Rate, Repeat, ScenarioError, Shape};
use crate::slo::Sustained;

/// The most phases: their number has 16 bits in a slot, and no person writes more.
const PHASES_MAX: usize = 1_000;

/// The longest plan: a year, far from where nanoseconds and slots leave 64 bits.
const PLAN_MAX: Nanos = Nanos::from_secs(366 * 86_400);

/// The most segments of the schedule; each takes about a hundred bytes.
const SEGMENTS_MAX: u64 = 1_000_000;

/// The length of the windows of a phase that does not say.
const WINDOW_DEFAULT: Nanos = Nanos::from_secs(1);

pub(super) fn phases(top: &mut Table<'_>, model: Model, has_search: bool) -> Result<Vec<Phase>> {
    let Some(list) = top.get("phase") else {
        // A search makes its own.
        let missing = || top.missing("phase", "write at least one table [[phase]]");
        return if has_search { Ok(Vec::new()) } else { Err(missing()) };
    };
    let items = list.array()?;
    if items.len() > PHASES_MAX {
        return Err(list.wrong(&format!("there may be {PHASES_MAX} phases, not more")));
    }
    let mut phases: Vec<Phase> = Vec::new();
    let (mut lasts_ns, mut segments) = (0_u64, 0_u64);
    for item in items {
        let phase = phase(item.clone().table()?, model)?;
        lasts_ns = lasts_ns.saturating_add(whole_ns(&phase));
        segments += segments_of(&phase);
        if lasts_ns > PLAN_MAX.0 || segments > SEGMENTS_MAX {
            return Err(item.wrong("the plan is too long: a year, or a million steps and repeats"));
        }
        if phases.iter().any(|other| other.name == phase.name) {
            let remedy =
                format!("another phase is called `{}`: give it a name of its own", phase.name);
            return Err(item.wrong(&remedy));
        }
        phases.push(phase);
    }
    Ok(phases)
}

/// How long a phase lasts with all its repeats.
fn whole_ns(phase: &Phase) -> u64 {
    let repeated = |repeat: &Repeat| repeat.every.0.saturating_mul(u64::from(repeat.times));
    phase.repeat.as_ref().map_or(phase.lasts.0, repeated)
}

fn segments_of(phase: &Phase) -> u64 {
    let plateaus = match phase.load {
        Load::Ramp { shape: Shape::Steps(steps), .. } => u64::from(steps) + 1,
        _ => 1,
    };
    phase.repeat.map_or(plateaus, |repeat| u64::from(repeat.times) * (plateaus + 1))
}

fn phase(mut table: Table<'_>, model: Model) -> Result<Phase> {
    let name = table.need("name", "write what reports call it, such as name = \"baseline\"")?;
    let name = name.string()?.to_owned();
    let lasts = table.need("for", "write for how long, such as for = \"2m\"")?.span()?;
    let load = load(&mut table, model)?;
    let window = table.get("window").map(|window| window.span()).transpose()?;
    let record = table.get("record").map(|record| record.truth()).transpose()?.unwrap_or(true);
    let repeat = table.table("repeat")?.map(|repeat| read_repeat(repeat, lasts)).transpose()?;
    let abort_if = table.get("abort_if").map(|value| abort(&value)).transpose()?;
    table.finish()?;
    let window = window.unwrap_or(WINDOW_DEFAULT);
    Ok(Phase { name, load, lasts, window, record, repeat, abort_if })
}

fn abort(value: &Value<'_>) -> Result<Sustained> {
    Sustained::parse(value.string()?).map_err(|source| ScenarioError::Slo {
        line: value.line(),
        path: value.path(),
        source,
    })
}

fn load(table: &mut Table<'_>, model: Model) -> Result<Load> {
    match (model, table.get("rate"), table.get("users")) {
        (Model::Open, Some(rate), None) if rate.is_table() => ramp(rate.table()?),
        (Model::Open, Some(rate), None) => Ok(Load::Rate(rate.rate()?)),
        (Model::Open, None, None) => {
            Err(table.missing("rate", "write requests per second, such as rate = 5_000"))
        }
        (Model::Open, _, Some(users)) => Err(users
            .wrong("an open loop has no users: remove it, or write arrival.model = \"closed\"")),
        (Model::Closed { .. }, Some(rate), _) => {
            Err(rate
                .wrong("a closed loop has no rate: remove it, or write arrival.model = \"open\""))
        }
        (Model::Closed { .. }, None, Some(users)) => Ok(Load::Users(users.count(USERS_MAX)?)),
        (Model::Closed { users }, None, None) => Ok(Load::Users(users)),
    }
}

fn ramp(mut table: Table<'_>) -> Result<Load> {
    let from = table.need("from", "write the rate at the start, such as from = 1_000")?.rate()?;
    let to = table.need("to", "write the rate at the end, such as to = 15_000")?.rate()?;
    let shape = table.get("shape").map(shape).transpose()?.unwrap_or_default();
    table.finish()?;
    Ok(Load::Ramp { from, to, shape })
}

fn shape(value: Value<'_>) -> Result<Shape> {
    if value.is_table() {
        let mut table = value.table()?;
        let steps = table.need("steps", "write such as shape = { steps = 14 }")?.count(10_000)?;
        table.finish()?;
        return Ok(Shape::Steps(steps));
    }
    let words = [("linear", Shape::Linear), ("exp", Shape::Exponential)];
    let remedy = "write \"linear\", \"exp\" or { steps = 14 }";
    value.word(&words).map_err(|_| value.wrong(remedy))
}

fn read_repeat(mut table: Table<'_>, lasts: Nanos) -> Result<Repeat> {
    let times =
        table.need("times", "write how often in total, such as times = 5")?.count(100_000)?;
    let every = table.need("every", "write from start to start, such as every = \"1m\"")?;
    let span = every.span()?;
    if span < lasts {
        return Err(every.wrong(&format!("write at least the {lasts} that the phase lasts")));
    }
    let between = table.get("between").map(|rate| rate.rate()).transpose()?;
    table.finish()?;
    Ok(Repeat { times, every: span, between: between.unwrap_or(Rate::ZERO) })
}
