//! `[data]` and `delta`.

use crate::data::{Draw, Keys, Names, SOURCES_MAX, Zipf};
use crate::scenario::read::{Lines, Result};
use crate::scenario::table::{Table, Value};
use crate::scenario::{Delta, ScenarioError, Source};

/// Keys of a source that does not say how many: enough to spread over shards, few enough that each is
/// asked often (guess).
const COUNT_DEFAULT: u32 = 10_000;

/// The exponent of YCSB's zipfian keys.
const EXPONENT_DEFAULT: f64 = 0.99;

/// The most that one request adds, up or down: sums of nine billion of them fit into 64 bits.
pub(super) const AMOUNT_MAX: i64 = 1_000_000_000;

#[derive(Clone, Copy)]
enum Dist {
    Uniform,
    Zipf,
    Hot,
    Sequential,
    File,
}

const DISTS: [(&str, Dist); 5] = [
    ("uniform", Dist::Uniform),
    ("zipf", Dist::Zipf),
    ("hot", Dist::Hot),
    ("sequential", Dist::Sequential),
    ("file", Dist::File),
];

pub(super) fn delta(top: &mut Table<'_>) -> Result<Delta> {
    let Some(value) = top.get("delta") else { return Ok(Delta::Fixed(1)) };
    if !value.is_table() {
        return Ok(Delta::Fixed(value.whole(-AMOUNT_MAX, AMOUNT_MAX)?));
    }
    let mut table = value.table()?;
    let from = table.need("from", "write such as from = 1")?.whole(-AMOUNT_MAX, AMOUNT_MAX)?;
    let to = table.need("to", "write such as to = 10")?.whole(from, AMOUNT_MAX)?;
    table.finish()?;
    Ok(Delta::Uniform(from, to))
}

pub(super) fn sources(table: Option<Table<'_>>, lines: &Lines<'_>) -> Result<Vec<Source>> {
    let named = table.map(Table::named).unwrap_or_default();
    if let Some((_, value)) = named.get(SOURCES_MAX) {
        return Err(value.wrong(&format!("there may be {SOURCES_MAX} sources, not more")));
    }
    let sources = named.into_iter().map(|(name, value)| {
        let keys = keys(name, value.table()?, lines)?;
        Ok(Source { name: name.to_owned(), keys })
    });
    sources.collect()
}

fn keys(name: &str, mut table: Table<'_>, lines: &Lines<'_>) -> Result<Keys> {
    let dist = table.get("dist").map(|dist| dist.word(&DISTS)).transpose()?;
    let dist = dist.unwrap_or(Dist::Uniform);
    let keys = if matches!(dist, Dist::File) {
        file(&mut table, lines)?
    } else {
        let count = table.get("count").map(|count| count.count(u32::MAX)).transpose()?;
        let count = count.unwrap_or(COUNT_DEFAULT);
        let prefix = table.get("prefix").map(|prefix| prefix.string()).transpose()?;
        let prefix = prefix.map_or_else(|| format!("{name}:"), str::to_owned);
        Keys::new(Names::Numbered { prefix, count }, draw(dist, count, &mut table)?)
    };
    table.finish()?;
    Ok(keys)
}

fn draw(dist: Dist, count: u32, table: &mut Table<'_>) -> Result<Draw> {
    Ok(match dist {
        Dist::Uniform | Dist::File => Draw::Uniform,
        Dist::Sequential => Draw::Sequential,
        Dist::Zipf => zipf(count, table.get("exponent").as_ref())?,
        Dist::Hot => {
            let keys = table.need("keys", "write how many keys are hot, such as keys = 10")?;
            let is_below = keys.whole(1, i64::from(count) - 1)?;
            let share = table.need("share", "write their share of all, such as share = \"90%\"")?;
            Draw::Hot {
                keys: is_below as u32,
                share: (share.share()? * f64::from(u32::MAX)) as u32,
            }
        }
    })
}

fn zipf(count: u32, exponent: Option<&Value<'_>>) -> Result<Draw> {
    let Some(value) = exponent else {
        let zipf = Zipf::new(count, EXPONENT_DEFAULT).expect("the exponent is in its range");
        return Ok(Draw::Zipf(zipf));
    };
    let number = value.number().ok_or_else(|| value.wrong("write a number such as 1.01"))?;
    let zipf = Zipf::new(count, number).map_err(|source| ScenarioError::Zipf {
        line: value.line(),
        path: value.path(),
        source,
    })?;
    Ok(Draw::Zipf(zipf))
}

fn file(table: &mut Table<'_>, lines: &Lines<'_>) -> Result<Keys> {
    let path = table.need("path", "write the file with one key per line")?;
    let names = lines(path.string()?).map_err(|error| path.wrong(&error))?;
    if names.is_empty() {
        return Err(path.wrong("the file has no line"));
    }
    let order = table.get("order");
    let order = order.map(|order| order.word(&[("sequential", false), ("uniform", true)]));
    let draw = if order.transpose()? == Some(true) { Draw::Uniform } else { Draw::Sequential };
    Ok(Keys::new(Names::Listed(names), draw))
}
