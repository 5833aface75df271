//! `quipu top`: the greatest counters, live.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use quipu_client::client::{Client, Top};
use serde_json::{Value, json};

use super::live::{self, PATIENCE, Pace, View};
use crate::figure::{fitted, grouped, per_second, rate};

/// Show the greatest counters of a node, live
///
/// The node ranks all of its counters; each shard is exact as of one position. A rate is by the
/// node's own time between two rankings, so a node that was away shows its true rate. Names are cut
/// to the width of the terminal. `q` or Ctrl-C ends.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// How many counters, at most 1000 [default: what the terminal shows, 10 elsewhere]
    #[arg(short = 'n', long = "number", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    number: Option<u64>,
    /// RESP address of the node
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7411", env = "QUIPU_NODE")]
    node: String,
    /// Print one JSON object per reading
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pace: Pace,
}

/// Counters asked for where the terminal decides how many are shown. Guess: the tallest ones.
const SHOWN_MAX: u64 = 200;

/// Counters printed where nothing is said. Guess: a glance.
const PRINTED: usize = 10;

/// Shows rankings until it is to end.
pub(crate) fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let mut ranking = Ranking {
        node: args.node.clone(),
        number: args.number,
        client: None,
        before: None,
        newest: None,
    };
    live::run(&mut ranking, &args.pace, args.json)
}

/// The newest ranking and the one before it.
struct Ranking {
    node: String,
    number: Option<u64>,
    client: Option<Client>,
    before: Option<Top>,
    newest: Option<Top>,
}

/// One line of the table.
struct Row<'a> {
    name: &'a str,
    value: i64,
    rate: Option<f64>,
}

impl Ranking {
    fn rows(&self) -> Vec<Row<'_>> {
        let Some(newest) = &self.newest else { return Vec::new() };
        let values: BTreeMap<&str, i64> =
            self.before.iter().flat_map(|top| &top.items).map(|(n, v)| (n.as_str(), *v)).collect();
        let elapsed_ms = self.before.as_ref().map_or(0, |b| newest.to_ms.saturating_sub(b.to_ms));
        let row = |(name, value): &'_ (String, i64)| {
            let before = values.get(name.as_str());
            let change = before.map(|before| i128::from(*value) - i128::from(*before));
            change.and_then(|change| per_second(change, Duration::from_millis(elapsed_ms)))
        };
        newest.items.iter().map(|i| Row { name: &i.0, value: i.1, rate: row(i) }).collect()
    }

    fn table(&self, columns: usize, rows: usize) -> Vec<String> {
        let shown = self.rows();
        let width = columns.saturating_sub(26 + 12 + 4).max(8);
        let head = format!("{}{:>26}{:>14}", fitted("COUNTER", width), "VALUE", "PER SECOND");
        let line = |row: &Row<'_>| {
            let (name, value) = (fitted(row.name, width), grouped(row.value.into()));
            format!("{name}{value:>26}{:>14}", rate(row.rate))
        };
        std::iter::once(head).chain(shown.iter().map(line)).take(rows.max(1)).collect()
    }

    fn summary(&self) -> String {
        let Some(top) = &self.newest else { return String::new() };
        let looked_ms = top.to_ms.saturating_sub(top.from_ms);
        format!("{} counters, ranked within {looked_ms} ms", grouped(top.counters.into()))
    }
}

impl View for Ranking {
    fn look(&mut self) -> anyhow::Result<()> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.node, PATIENCE)?,
        };
        let top = client.top(self.number.unwrap_or(SHOWN_MAX))?;
        self.client = Some(client);
        // A ranking that is shared is no new one: rates stay.
        if self.newest.as_ref().is_none_or(|newest| newest.to_ms < top.to_ms) {
            self.before = self.newest.replace(top);
        }
        Ok(())
    }

    fn picture(&self, (columns, rows): (usize, usize)) -> Vec<String> {
        let mut lines = vec![self.summary(), String::new()];
        let mut table = self.table(columns, rows.saturating_sub(2));
        if let Some(head) = table.first_mut() {
            *head = format!("\x1b[1m{head}\x1b[0m");
        }
        lines.extend(table);
        lines
    }

    fn lines(&self) -> Vec<String> {
        let most = self.number.map_or(PRINTED, |n| n as usize);
        let shown = self.rows();
        let line = |row: &Row<'_>| format!("{}\t{}\t{}", row.name, row.value, rate(row.rate));
        shown.iter().take(most).map(line).collect()
    }

    fn json(&self) -> Value {
        let most = self.number.map_or(PRINTED, |n| n as usize);
        let shown = self.rows();
        let item = |row: &Row<'_>| json!({ "counter": row.name, "value": row.value, "per_second": row.rate });
        let items: Vec<Value> = shown.iter().take(most).map(item).collect();
        let top = self.newest.as_ref();
        json!({
            "items": items,
            "counters": top.map(|top| top.counters),
            "from_ms": top.map(|top| top.from_ms),
            "to_ms": top.map(|top| top.to_ms),
        })
    }

    fn node(&self) -> &str {
        &self.node
    }
}

#[cfg(test)]
mod tests {
    use quipu_client::client::Top;

    use super::{Ranking, View as _};

    fn top(to_ms: u64, items: &[(&str, i64)]) -> Top {
        let items = items.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Top { items, counters: 3, from_ms: to_ms, to_ms }
    }

    #[test]
    fn rates_are_by_the_time_between_two_rankings_and_names_are_cut() {
        let ranking = Ranking {
            node: "n".to_owned(),
            number: None,
            client: None,
            before: Some(top(1_000, &[("a", 10), ("gone", 5)])),
            newest: Some(top(3_500, &[("a", 1_010), ("a-name-that-is-long", 7)])),
        };
        assert_eq!(ranking.lines(), ["a\t1010\t400", "a-name-that-is-long\t7\t-"]);
        let table = ranking.table(54, 9);
        assert_eq!(table[1], format!("a           {:>26}{:>14}", "1,010", "400"));
        assert_eq!(table[2], format!("a-name-that\u{2026}{:>26}{:>14}", "7", "-"));
        assert_eq!(ranking.table(54, 2).len(), 2, "no more rows than the terminal has");
    }
}
