//! `[arrival]`.

use stdx::units::Nanos;

use crate::scenario::read::Result;
use crate::scenario::table::{Table, Value};
use crate::scenario::{Arrival, Late, Model, Pacing, Phase, Process, Target};

/// The most requests in flight: each takes some tens of bytes in the generator.
const IN_FLIGHT_MAX: u32 = 10_000_000;

/// The most users of a closed loop.
pub(super) const USERS_MAX: u32 = 1_000_000;

const PROCESSES: [(&str, Process); 2] =
    [("uniform", Process::Uniform), ("poisson", Process::Poisson)];

const PACINGS: [(&str, Pacing); 3] =
    [("precise", Pacing::Precise), ("balanced", Pacing::Balanced), ("batch", Pacing::Batch)];

/// Reads what decides that a request leaves.
pub(super) fn model(table: &mut Table<'_>) -> Result<Model> {
    let model = table.get("model").map(|model| model.word(&[("open", true), ("closed", false)]));
    let is_open = model.transpose()?.unwrap_or(true);
    match (is_open, table.get("users")) {
        (true, None) => Ok(Model::Open),
        (true, Some(users)) => {
            Err(users.wrong("an open loop has no users: remove it, or write model = \"closed\""))
        }
        (false, Some(users)) => Ok(Model::Closed { users: users.count(USERS_MAX)? }),
        (false, None) => {
            Err(table.missing("users", "write how many there are, such as users = 50"))
        }
    }
}

/// Reads the rest of the table.
pub(super) fn rest(
    mut table: Table<'_>,
    model: Model,
    target: &Target,
    phases: &[Phase],
) -> Result<Arrival> {
    let process = table.get("process").map(|value| value.word(&PROCESSES)).transpose()?;
    let pacing = table.get("pacing").map(|value| value.word(&PACINGS)).transpose()?;
    let late = table.get("late").map(|value| late(&value)).transpose()?;
    let most = table.get("max_in_flight").map(|value| value.count(IN_FLIGHT_MAX)).transpose()?;
    let process = process.unwrap_or_default();
    let burst = table.get("burst").map(|value| burst(&value, process)).transpose()?;
    table.finish()?;
    Ok(Arrival {
        model,
        process,
        pacing: pacing.unwrap_or_default(),
        late: late.unwrap_or_default(),
        max_in_flight: most.unwrap_or_else(|| in_flight(target, phases)),
        burst: burst.unwrap_or(1),
    })
}

fn late(value: &Value<'_>) -> Result<Late> {
    let wrong = || value.wrong("write \"queue\", \"drop:1s\" or \"no-catchup\"");
    match value.as_str() {
        Some("queue") => Ok(Late::Queue),
        Some("no-catchup") => Ok(Late::NoCatchUp),
        Some(text) => {
            let after = text.strip_prefix("drop:").ok_or_else(wrong)?;
            after.parse::<Nanos>().map(Late::Drop).map_err(|_| wrong())
        }
        None => Err(wrong()),
    }
}

fn burst(value: &Value<'_>, process: Process) -> Result<u32> {
    match process {
        Process::Uniform => value.count(1_000_000),
        Process::Poisson => {
            Err(value.wrong("drawn moments are not shared: remove it, or the poisson process"))
        }
    }
}

/// The greatest rate for as long as a request may take: what a stall of that length piles up.
fn in_flight(target: &Target, phases: &[Phase]) -> u32 {
    let peak = phases.iter().map(|phase| phase.load.peak().per_second()).fold(0.0, f64::max);
    let stalled = (peak * target.timeout.as_secs_f64()).ceil() as u32;
    stalled.max(target.places()).clamp(1, IN_FLIGHT_MAX)
}
