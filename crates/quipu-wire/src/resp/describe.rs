//! What COMMAND tells of the commands, out of their table.

use crate::resp::command::CommandInfo;
use crate::resp::command::table::{Flags, KeyWords, ROWS, Row, find, lookup};
use crate::resp::error::CommandError;
use crate::resp::frame::Request;
use crate::resp::pattern::matches;
use crate::resp::reply::{Proto, array, bulk, command_error, integer, map, null, set, simple};

/// Writes the answer to COMMAND or one of its subcommands.
pub fn commands(out: &mut Vec<u8>, proto: Proto, asked: CommandInfo<'_>) {
    match asked {
        CommandInfo::All => all(out, proto),
        CommandInfo::Count => integer(out, ROWS.len() as i64),
        CommandInfo::List(pattern) => list(out, pattern),
        CommandInfo::Info(names) if names.is_empty() => all(out, proto),
        CommandInfo::Info(names) => {
            array(out, names.len());
            names.iter().for_each(|name| match find(name) {
                Some(row) => facts(out, proto, row),
                None => null(out, proto),
            });
        }
        CommandInfo::Docs(names) => docs(out, proto, names),
        CommandInfo::GetKeys(line) => match keys(line) {
            Ok(keys) => {
                array(out, keys.len());
                for key in keys {
                    bulk(out, key);
                }
            }
            Err(why) => command_error(out, &why),
        },
    }
}

fn all(out: &mut Vec<u8>, proto: Proto) {
    array(out, ROWS.len());
    for row in ROWS {
        facts(out, proto, row);
    }
}

fn list(out: &mut Vec<u8>, pattern: Option<&[u8]>) {
    let wanted = |row: &&Row| pattern.is_none_or(|p| matches(p, row.name.as_bytes()));
    array(out, ROWS.iter().filter(wanted).count());
    ROWS.iter().filter(wanted).for_each(|row| bulk(out, row.name.as_bytes()));
}

/// Ten facts, as Redis 7: name, arity, flags, keys, categories, and three empty lists.
fn facts(out: &mut Vec<u8>, proto: Proto, row: &Row) {
    array(out, 10);
    bulk(out, row.name.as_bytes());
    integer(out, i64::from(row.arity));
    words(out, proto, &row.flags.words().collect::<Vec<_>>());
    for number in [row.keys.first, row.keys.last, row.keys.step] {
        integer(out, i64::from(number));
    }
    words(out, proto, &categories(row.flags));
    for _ in ["tips", "key specifications", "subcommands"] {
        array(out, 0);
    }
}

fn words(out: &mut Vec<u8>, proto: Proto, words: &[&str]) {
    set(out, proto, words.len());
    for word in words {
        simple(out, word);
    }
}

fn categories(flags: Flags) -> Vec<&'static str> {
    let kind = match flags {
        _ if flags.has(Flags::WRITE) => "@write",
        _ if flags.has(Flags::READ) => "@read",
        _ if flags.has(Flags::ADMIN) => "@admin",
        _ => "@connection",
    };
    vec![kind, if flags.has(Flags::FAST) { "@fast" } else { "@slow" }]
}

fn docs(out: &mut Vec<u8>, proto: Proto, names: Request<'_>) {
    let rows: Vec<&Row> = if names.is_empty() {
        ROWS.iter().collect()
    } else {
        names.iter().filter_map(find).collect()
    };
    map(out, proto, rows.len());
    for row in rows {
        bulk(out, row.name.as_bytes());
        map(out, proto, 2);
        bulk(out, b"summary");
        bulk(out, row.summary.as_bytes());
        bulk(out, b"group");
        bulk(out, group(row).as_bytes());
    }
}

fn group(row: &Row) -> &'static str {
    match row.flags {
        _ if row.name.starts_with("quipu.") => "quipu",
        _ if row.keys != (KeyWords { first: 0, last: 0, step: 0 }) => "string",
        flags if flags.has(Flags::READ) => "generic",
        flags if flags.has(Flags::ADMIN) => "server",
        flags if flags.has(Flags::NO_AUTH) => "connection",
        flags if flags.has(Flags::UNQUEUED) => "transactions",
        _ => "connection",
    }
}

/// The keys of a command line.
///
/// # Errors
/// There is no such command, it has another number of words, or no keys.
fn keys(line: Request<'_>) -> Result<Vec<&[u8]>, CommandError> {
    let row = lookup(line).map_err(|why| match why {
        CommandError::Unknown { .. } => CommandError::KeysOfUnknown,
        _ => CommandError::KeysArity,
    })?;
    let first = usize::try_from(row.keys.first).unwrap_or(0);
    if first == 0 {
        return Err(CommandError::NoKeys);
    }
    let last = match usize::try_from(row.keys.last) {
        Ok(last) => last,
        Err(_) => line.len().saturating_sub(usize::from(row.keys.last.unsigned_abs())),
    };
    let step = usize::from(row.keys.step.unsigned_abs()).max(1);
    Ok((first..=last).step_by(step).filter_map(|at| line.get(at)).collect())
}
