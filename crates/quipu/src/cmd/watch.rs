//! `quipu watch`: values and rates of some counters, live.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use quipu_client::client::{Client, ClientError};
use serde_json::{Value, json};

use super::live::{self, PATIENCE, Pace, View};
use crate::figure::{fitted, grouped, per_second, rate, sparkline};
use crate::output::{FAILURE, fail};

/// Show the values and rates of some counters, live
///
/// Each counter has a line with its value, its rate and the rates of the last minute; a dot stands
/// where the node did not answer. What a pattern matches is found once, at the beginning. `q` or
/// Ctrl-C ends.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Names, or patterns: `*` is any text, `?` any character, `[ab]` one of these; a backslash
    /// takes the meaning away
    #[arg(required = true, value_name = "NAME|PATTERN")]
    names: Vec<String>,
    /// RESP address of the node
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7411", env = "QUIPU_NODE")]
    node: String,
    /// Print one JSON object per reading
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pace: Pace,
}

/// Most counters watched at once. Guess: more than a screen shows, and one MGET.
const WATCHED_MAX: usize = 64;

/// Rates kept of each counter: a minute at one reading a second.
const RATES_MAX: usize = 60;

/// Watches until it is to end.
pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let mut client = match Client::connect(&args.node, PATIENCE) {
        Ok(client) => client,
        Err(error) => return fail(FAILURE, error),
    };
    let names = match resolve(&mut client, &args.names) {
        Ok(names) => names,
        Err(error) => return fail(FAILURE, error),
    };
    let counter = |name| Watched { name, value: None, before: None, rate: None, rates: Vec::new() };
    let mut watching = Watching {
        node: args.node.clone(),
        client: Some(client),
        counters: names.into_iter().map(counter).collect(),
        read_at: None,
    };
    live::run(&mut watching, &args.pace, args.json)
}

/// The counters that names and patterns stand for.
fn resolve(client: &mut Client, asked: &[String]) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str, from: &str| -> anyhow::Result<()> {
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        if names.len() >= WATCHED_MAX {
            bail!("{from} makes more than {WATCHED_MAX} counters; watch fewer, or use quipu top");
        }
        names.push(name.to_owned());
        Ok(())
    };
    for text in asked {
        if !text.contains(['*', '?', '[', '\\']) {
            add(text, text)?;
            continue;
        }
        for name in matching(client, text)? {
            add(&name, text)?;
        }
    }
    Ok(names)
}

/// The counters that match a pattern, in order; one more than may be watched ends the search.
fn matching(client: &mut Client, pattern: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let searched = client.scan::<Search>(pattern, |name, _| {
        found.insert(name.to_owned());
        if found.len() > WATCHED_MAX { Err(Search::Enough) } else { Ok(()) }
    });
    match searched {
        Err(Search::Client(error)) => Err(error.into()),
        Ok(()) if found.is_empty() => bail!("no counter matches {pattern}"),
        Ok(()) | Err(Search::Enough) => Ok(found),
    }
}

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
enum Search {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("there is enough")]
    Enough,
}

/// One counter.
#[derive(Debug)]
struct Watched {
    name: String,
    value: Option<i64>,
    before: Option<i64>,
    rate: Option<f64>,
    rates: Vec<Option<f64>>,
}

impl Watched {
    /// Takes a value in; `elapsed` is the time since the last one.
    fn take(&mut self, value: Option<i64>, elapsed: Option<Duration>) {
        self.before = std::mem::replace(&mut self.value, value);
        let change = value.zip(self.before).map(|(now, was)| i128::from(now) - i128::from(was));
        self.rate = change.zip(elapsed).and_then(|(change, time)| per_second(change, time));
        if elapsed.is_some() {
            self.note(self.rate);
        }
    }

    fn note(&mut self, rate: Option<f64>) {
        if self.rates.len() >= RATES_MAX {
            self.rates.remove(0);
        }
        self.rates.push(rate);
    }
}

struct Watching {
    node: String,
    client: Option<Client>,
    counters: Vec<Watched>,
    /// When the newest values were read.
    read_at: Option<Instant>,
}

impl Watching {
    fn read(&mut self) -> anyhow::Result<Vec<Option<i64>>> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.node, PATIENCE)?,
        };
        let names: Vec<&str> = self.counters.iter().map(|counter| &*counter.name).collect();
        let values = client.values(&names)?;
        self.client = Some(client);
        Ok(values)
    }
}

impl View for Watching {
    fn look(&mut self) -> anyhow::Result<()> {
        let values = match self.read() {
            Ok(values) => values,
            Err(error) => {
                self.counters.iter_mut().for_each(|counter| counter.note(None));
                return Err(error);
            }
        };
        let now = Instant::now();
        let elapsed = self.read_at.replace(now).map(|before| now.duration_since(before));
        for (counter, value) in self.counters.iter_mut().zip(values) {
            counter.take(value, elapsed);
        }
        Ok(())
    }

    fn picture(&self, (columns, rows): (usize, usize)) -> Vec<String> {
        let longest = self.counters.iter().map(|c| c.name.chars().count()).max().unwrap_or(0);
        let numbers = 26 + 14 + 2;
        let left = columns.saturating_sub(numbers);
        let width = longest.max(7).min((left * 2 / 3).max(8));
        let line = |counter: &Watched| {
            let name = fitted(&counter.name, width);
            let (value, rate) = (shown(counter.value), rate(counter.rate));
            let spark = sparkline(&counter.rates, left.saturating_sub(width));
            format!("{name}{value:>26}{rate:>14}  {spark}")
        };
        let head = format!("{}{:>26}{:>14}", fitted("COUNTER", width), "VALUE", "PER SECOND");
        let head = format!("\x1b[1m{head}\x1b[0m");
        let mut lines: Vec<String> =
            std::iter::once(head).chain(self.counters.iter().map(line)).collect();
        if lines.len() > rows && rows > 1 {
            let hidden = lines.len() - rows + 1;
            lines.truncate(rows - 1);
            lines.push(format!("{hidden} more do not fit"));
        }
        lines
    }

    fn lines(&self) -> Vec<String> {
        let line = |counter: &Watched| {
            let value = counter.value.map_or("(none)".to_owned(), |value| value.to_string());
            format!("{}\t{value}\t{}", counter.name, rate(counter.rate))
        };
        self.counters.iter().map(line).collect()
    }

    fn json(&self) -> Value {
        let item = |counter: &Watched| {
            let Watched { name, value, rate, .. } = counter;
            json!({ "counter": name, "value": value, "per_second": rate })
        };
        json!({ "items": self.counters.iter().map(item).collect::<Vec<_>>() })
    }

    fn node(&self) -> &str {
        &self.node
    }
}

fn shown(value: Option<i64>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| grouped(value.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{RATES_MAX, Watched};

    #[test]
    fn a_rate_spans_the_time_without_answers() {
        let mut counter =
            Watched { name: "a".into(), value: None, before: None, rate: None, rates: Vec::new() };
        counter.take(Some(10), None);
        assert_eq!(counter.rate, None);
        counter.take(Some(20), Some(Duration::from_secs(1)));
        counter.note(None);
        counter.take(Some(60), Some(Duration::from_secs(4)));
        assert_eq!(counter.rates, [Some(10.0), None, Some(10.0)]);
        (0..100).for_each(|_| counter.note(None));
        assert_eq!(counter.rates.len(), RATES_MAX);
    }
}
