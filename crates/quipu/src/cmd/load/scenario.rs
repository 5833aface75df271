//! Which scenario, and what the command line changes of it.

use std::path::Path;

use anyhow::Context as _;
use quipu_lab::scenario::{self, Scenario};

/// Which scenario, and what is changed of it
#[derive(Debug, clap::Args)]
pub(super) struct ScenarioArgs {
    /// A scenario file, or the name of one that is built in: burst, ramp, soak, spike, step, capacity,
    /// mix
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// The target, in place of the scenario's: redis://HOST:PORT or http://HOST:PORT/PATH
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Multiply all spans of the plan: 0.01 makes a trial of a long test. No phase becomes shorter than
    /// its promises need to be judged, if a minute is enough for that
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    scale_time: Option<f64>,
    /// What everything drawn follows from, in place of the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().map_err(|_| "not a number".to_owned())?;
    if factor > 0.0 && factor <= 1_000.0 {
        return Ok(factor);
    }
    Err("must be above 0 and at most 1000".to_owned())
}

impl ScenarioArgs {
    /// Takes a scenario by its name, for a command that names several.
    pub(super) fn named(scenario: &str, target: Option<&str>) -> Self {
        let (scenario, target) = (scenario.to_owned(), target.map(str::to_owned));
        Self { scenario, target, scale_time: None, seed: None }
    }

    /// Returns the scenario as it is to be run.
    ///
    /// # Errors
    /// It cannot be read or makes no sense.
    pub(super) fn read(&self) -> anyhow::Result<Scenario> {
        let mut scenario = self.base()?;
        if let Some(seed) = self.seed {
            scenario.seed = seed;
        }
        if let Some(factor) = self.scale_time {
            scenario.scale_to_trial(factor);
        }
        Ok(scenario)
    }

    fn base(&self) -> anyhow::Result<Scenario> {
        let name = &self.scenario;
        let is_built_in = scenario::BUILT_IN.iter().any(|(known, _)| known == name);
        if is_built_in && !Path::new(name).is_file() {
            let url = self.target.as_deref();
            let url = url.context("a built-in scenario needs --target URL")?;
            return Ok(scenario::built_in(name, url)?);
        }
        let text = std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
        let folder = Path::new(name).parent().unwrap_or(Path::new("."));
        let lines = |file: &str| {
            let text = std::fs::read_to_string(folder.join(file)).map_err(|e| e.to_string())?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        Scenario::parse(&text, self.target.as_deref(), &lines).with_context(|| format!("in {name}"))
    }
}
