//! A table of a page. It scrolls by itself where it is wider than a phone.

use crate::markup::escaped;

/// What stands in a cell.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// A number, at the right.
    Number(String),
    /// An outcome in words, with its class: `good`, `bad` or `unsure`.
    State(&'static str, String),
}

impl Cell {
    /// Returns a cell with words.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn html(&self, tag: &str) -> String {
        match self {
            Self::Text(text) => format!("<{tag}>{}</{tag}>", escaped(text)),
            Self::Number(text) => format!("<{tag} class=n>{}</{tag}>", escaped(text)),
            Self::State(class, text) => {
                format!("<{tag}><b class={class}>{}</b></{tag}>", escaped(text))
            }
        }
    }
}

/// Returns a table; nothing if it has no rows. Heads stand as the cells below them do.
pub(super) fn table(head: &[&str], rows: &[Vec<Cell>]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let heads = head.iter().zip(first).map(|(text, below)| match below {
        Cell::Number(_) => Cell::Number((*text).to_owned()).html("th"),
        _ => Cell::text(*text).html("th"),
    });
    let rows = rows.iter().map(|row| {
        let cells = row.iter().map(|cell| cell.html("td"));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    });
    let (heads, rows) = (heads.collect::<String>(), rows.collect::<String>());
    format!("<div class=wide><table><tr>{heads}</tr>\n{rows}</table></div>\n")
}

/// Returns names and values in two columns; pairs without a value are left out.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let known = pairs.iter().filter(|(_, value)| !value.is_empty());
    let shown = known
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value)));
    format!("<dl>\n{}</dl>\n", shown.collect::<String>())
}
