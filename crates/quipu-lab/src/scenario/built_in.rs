//! Scenarios that are there by name, for any target given by its URL.

use crate::scenario::{Scenario, ScenarioError};

/// The names of the scenarios that are built in, and what each is for.
pub const BUILT_IN: [(&str, &str); 7] = [
    (
        "burst",
        "5,000/s, 20,000/s for a minute, 5,000/s: how far a burst pushes back, how soon it is over",
    ),
    ("ramp", "1,000/s to 15,000/s in ten minutes, then five there: where latency leaves the line"),
    ("soak", "3,000/s for eight hours: what grows that should not"),
    ("spike", "five spikes of 10,000/s over 1,000/s: whether each is forgotten by the next"),
    ("step", "1,000/s to 10,000/s in plateaus of half a minute: latency at each rate"),
    ("capacity", "a search for the greatest rate at which p99 stays below 50 ms"),
    ("mix", "adds and reads of skewed keys by independent users"),
];

const TEXTS: [(&str, &str); 7] = [
    ("burst", include_str!("../../scenarios/burst.toml")),
    ("ramp", include_str!("../../scenarios/ramp.toml")),
    ("soak", include_str!("../../scenarios/soak.toml")),
    ("spike", include_str!("../../scenarios/spike.toml")),
    ("step", include_str!("../../scenarios/step.toml")),
    ("capacity", include_str!("../../scenarios/capacity.toml")),
    ("mix", include_str!("../../scenarios/mix.toml")),
];

/// What is sent to a target: to a node over HTTP, to anything that speaks RESP, to any other page.
const HTTP: &str = include_str!("../../scenarios/targets/http.toml");
const HTTP_MIX: &str = include_str!("../../scenarios/targets/http-mix.toml");
const RESP: &str = include_str!("../../scenarios/targets/resp.toml");
const RESP_MIX: &str = include_str!("../../scenarios/targets/resp-mix.toml");
const PAGE: &str = include_str!("../../scenarios/targets/page.toml");

/// Returns a scenario by its name, for the target at `url`: `http://host:port` is a node, any longer
/// path a page that is got, `redis://host:port` what speaks RESP.
///
/// # Errors
/// There is none of this name, or the URL is none that can be tested.
pub fn built_in(name: &str, url: &str) -> Result<Scenario, ScenarioError> {
    let text = built_in_text(name, url)?;
    Scenario::parse(&text, Some(url), &|_| Err("a built-in scenario reads no file".to_owned()))
}

/// Returns the text of a scenario by its name, as a file that can be changed and run.
///
/// # Errors
/// There is none of this name.
pub fn built_in_text(name: &str, url: &str) -> Result<String, ScenarioError> {
    let known = || TEXTS.map(|(name, _)| name).join(", ");
    let (_, plan) = TEXTS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| ScenarioError::UnknownName { name: name.to_owned(), known: known() })?;
    Ok(format!("{plan}\n{}", target(name == "mix", url)))
}

fn target(is_mix: bool, url: &str) -> &'static str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let has_path = rest.split_once('/').is_some_and(|(_, path)| !path.is_empty());
    match (url.starts_with("redis"), has_path, is_mix) {
        (true, _, true) => RESP_MIX,
        (true, _, false) => RESP,
        (false, true, _) => PAGE,
        (false, false, true) => HTTP_MIX,
        (false, false, false) => HTTP,
    }
}
