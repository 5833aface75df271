//! The query of a listing: `match`, `cursor`, `limit`; that of a ranking: `n`; and that of the end of
//! a stream: `force`.

use std::borrow::Cow;

use quipu_core::limits::{NAME_BYTES_MAX, STREAM_BYTES_MAX, TOP_MAX};

use crate::http::percent::{PercentError, decode_query};

/// Longest pattern in bytes. Spec: as long as the longest name.
pub const PATTERN_BYTES_MAX: usize = NAME_BYTES_MAX;

/// Counters looked at by one call where none is asked for. Guess: a page on a screen.
pub const LIMIT_DEFAULT: usize = 100;

/// Most counters looked at by one call. Guess: below a millisecond of one core.
pub const LIMIT_MAX: usize = 1_000;

/// Counters of a ranking where no number is asked for. Guess: a glance.
pub const TOP_DEFAULT: usize = 10;

/// What a listing asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanQuery<'a> {
    /// The pattern that names must match; none takes all.
    pub pattern: Option<Cow<'a, [u8]>>,
    /// Where to go on; 0 is the start.
    pub cursor: u64,
    /// About how many counters to look at.
    pub limit: usize,
}

/// A query that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Bad percent-encoding.
    #[error(transparent)]
    Percent(#[from] PercentError),
    /// A parameter that there is not.
    #[error("there is no parameter {name:?}; there are match, cursor and limit")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A parameter that a ranking has not.
    #[error("there is no parameter {name:?}; there is n")]
    UnknownOfTop {
        /// Its name.
        name: String,
    },
    /// A parameter that the end of a stream has not.
    #[error("there is no parameter {name:?}; there is force")]
    UnknownOfEnd {
        /// Its name.
        name: String,
    },
    /// Neither by force nor not.
    #[error("force is true or false")]
    Force,
    /// Not a number of counters.
    #[error("n is a number from 1 to {TOP_MAX}")]
    Top,
    /// A parameter that stands twice.
    #[error("the parameter {name} stands twice")]
    Twice {
        /// Its name.
        name: &'static str,
    },
    /// A pattern that is too long.
    #[error("a pattern has at most {PATTERN_BYTES_MAX} bytes, this one has {bytes}")]
    Pattern {
        /// Its length.
        bytes: usize,
    },
    /// Not the cursor of an earlier answer.
    #[error("a cursor is what the last answer gave; leave it out to start")]
    Cursor,
    /// Not a limit.
    #[error("limit is a number from 1 to {LIMIT_MAX}")]
    Limit,
}

/// What a listing of streams asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsQuery<'a> {
    /// The pattern that names must match; none takes all.
    pub pattern: Option<Cow<'a, [u8]>>,
    /// The name after which to go on; empty is the start.
    pub after: Cow<'a, [u8]>,
    /// How many streams to look at.
    pub limit: usize,
}

/// A listing whose cursor is a `C`.
struct Listing<'a, C> {
    pattern: Option<Cow<'a, [u8]>>,
    cursor: Option<C>,
    limit: usize,
}

/// Reads the query of a listing.
///
/// # Errors
/// Says which parameter is wrong.
pub fn parse_scan(query: &str) -> Result<ScanQuery<'_>, QueryError> {
    let Listing { pattern, cursor, limit } = parse_listing(query, |text| number(&text))?;
    Ok(ScanQuery { pattern, cursor: cursor.unwrap_or(0), limit })
}

/// Reads the query of a listing of streams.
///
/// # Errors
/// Says which parameter is wrong.
pub fn parse_streams(query: &str) -> Result<StreamsQuery<'_>, QueryError> {
    let is_name = |text: &Cow<'_, [u8]>| (1..=STREAM_BYTES_MAX).contains(&text.len());
    let Listing { pattern, cursor, limit } =
        parse_listing(query, |text| Some(text).filter(is_name))?;
    Ok(StreamsQuery { pattern, after: cursor.unwrap_or_default(), limit })
}

fn parse_listing<'a, C>(
    query: &'a str,
    read_cursor: impl Fn(Cow<'a, [u8]>) -> Option<C>,
) -> Result<Listing<'a, C>, QueryError> {
    let (mut pattern, mut cursor, mut limit) = (None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode_query(name)?, decode_query(value)?);
        match &*name {
            b"match" if value.len() > PATTERN_BYTES_MAX => {
                return Err(QueryError::Pattern { bytes: value.len() });
            }
            b"match" => set_once("match", &mut pattern, value)?,
            b"cursor" => {
                let read = read_cursor(value).ok_or(QueryError::Cursor)?;
                set_once("cursor", &mut cursor, read)?;
            }
            b"limit" => set_once("limit", &mut limit, number(&value).ok_or(QueryError::Limit)?)?,
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(QueryError::Unknown { name });
            }
        }
    }
    let limit = limit.unwrap_or(LIMIT_DEFAULT as u64);
    if !(1..=LIMIT_MAX as u64).contains(&limit) {
        return Err(QueryError::Limit);
    }
    Ok(Listing { pattern, cursor, limit: limit as usize })
}

/// Reads the query of the end of a stream: whether it ends by force.
///
/// # Errors
/// Says which parameter is wrong.
pub fn parse_end(query: &str) -> Result<bool, QueryError> {
    let mut force = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode_query(name)?, decode_query(value)?);
        if &*name != b"force" {
            let name = String::from_utf8_lossy(&name).into_owned();
            return Err(QueryError::UnknownOfEnd { name });
        }
        let is_forced = match &*value {
            b"true" => true,
            b"false" => false,
            _ => return Err(QueryError::Force),
        };
        set_once("force", &mut force, is_forced)?;
    }
    Ok(force.unwrap_or(false))
}

/// Reads the query of a ranking: how many counters.
///
/// # Errors
/// Says which parameter is wrong.
pub fn parse_top(query: &str) -> Result<usize, QueryError> {
    let mut n = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode_query(name)?, decode_query(value)?);
        if &*name != b"n" {
            let name = String::from_utf8_lossy(&name).into_owned();
            return Err(QueryError::UnknownOfTop { name });
        }
        set_once("n", &mut n, number(&value).ok_or(QueryError::Top)?)?;
    }
    let n = n.unwrap_or(TOP_DEFAULT as u64);
    if !(1..=TOP_MAX as u64).contains(&n) {
        return Err(QueryError::Top);
    }
    Ok(n as usize)
}

fn set_once<T>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), QueryError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(QueryError::Twice { name }),
    }
}

/// A decimal number without sign.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{StreamsQuery, parse_end, parse_scan, parse_streams, parse_top};

    fn check(query: &str, expected: Result<(Option<&[u8]>, u64, usize), &str>) {
        let parsed = parse_scan(query).map_err(|e| e.to_string());
        let short = parsed.as_ref().map(|q| (q.pattern.as_deref(), q.cursor, q.limit));
        assert_eq!(short.map_err(Clone::clone), expected.map_err(str::to_owned), "{query}");
    }

    #[test]
    fn a_listing_takes_match_cursor_and_limit() {
        check("", Ok((None, 0, 100)));
        check("match=a*&cursor=18446744073709551615&limit=7", Ok((Some(b"a*"), u64::MAX, 7)));
        check("match=a%26b+c&", Ok((Some(b"a&b c"), 0, 100)));
        check("match=", Ok((Some(b""), 0, 100)));
    }

    #[test]
    fn a_listing_of_streams_goes_on_after_a_name_of_any_bytes() {
        let check = |query: &str, expected: Result<&str, &str>| {
            let parsed = parse_streams(query).map_err(|e| e.to_string());
            let short = parsed.map(|StreamsQuery { pattern, after, limit }| {
                let pattern = pattern.unwrap_or_default();
                format!("{} {} {limit}", pattern.escape_ascii(), after.escape_ascii())
            });
            assert_eq!(short.as_deref().map_err(|error| &**error), expected, "{query}");
        };
        check("", Ok("  100"));
        check("match=file/*&cursor=%FF%00&limit=7", Ok("file/* \\xff\\x00 7"));
        let cursor = "a cursor is what the last answer gave; leave it out to start";
        check("cursor=", Err(cursor));
        check(&format!("cursor={}", "x".repeat(65)), Err(cursor));
        check("n=1", Err("there is no parameter \"n\"; there are match, cursor and limit"));
    }

    #[test]
    fn a_stream_ends_by_force_or_not() {
        let check = |query: &str, expected: Result<bool, &str>| {
            let parsed = parse_end(query).map_err(|e| e.to_string());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{query}");
        };
        check("", Ok(false));
        check("force=true", Ok(true));
        check("&force=false&", Ok(false));
        check("force", Err("force is true or false"));
        check("force=1", Err("force is true or false"));
        check("force=true&force=true", Err("the parameter force stands twice"));
        check("all=true", Err("there is no parameter \"all\"; there is force"));
    }

    #[test]
    fn a_ranking_takes_a_number() {
        let check = |query: &str, expected: Result<usize, &str>| {
            let parsed = parse_top(query).map_err(|e| e.to_string());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{query}");
        };
        check("", Ok(10));
        check("n=1000&", Ok(1_000));
        for query in ["n=0", "n=1001", "n=", "n=-1", "n=x"] {
            check(query, Err("n is a number from 1 to 1000"));
        }
        check("n=1&n=1", Err("the parameter n stands twice"));
        check("limit=1", Err("there is no parameter \"limit\"; there is n"));
    }

    #[test]
    fn other_parameters_and_values_are_refused() {
        check("macht=a", Err("there is no parameter \"macht\"; there are match, cursor and limit"));
        check("limit=1&limit=2", Err("the parameter limit stands twice"));
        for limit in ["limit=0", "limit=1001", "limit=-1", "limit=", "limit=+1", "limit=x"] {
            check(limit, Err("limit is a number from 1 to 1000"));
        }
        let long = format!("match={}", "a".repeat(257));
        check(&long, Err("a pattern has at most 256 bytes, this one has 257"));
        check("cursor=abc", Err("a cursor is what the last answer gave; leave it out to start"));
        check("cursor=", Err("a cursor is what the last answer gave; leave it out to start"));
    }
}
