//! The known differences from redis-server 7, once in code and once in `docs/differences.md`.

/// One known difference.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The short name by which a step of the stream claims it.
    pub(crate) id: &'static str,
    /// What redis-server does.
    pub(crate) redis: &'static str,
    /// What Quipu does.
    pub(crate) quipu: &'static str,
}

/// Values are counters: text that is no counter is refused.
pub(crate) const VALUES: &str = "values";
/// Names have a length and an alphabet.
pub(crate) const NAMES: &str = "names";
/// Quipu has the commands of counters only.
pub(crate) const COMMANDS: &str = "commands";
/// The order of a scan and its cursors are nobody's promise.
pub(crate) const CURSORS: &str = "cursors";
/// Two servers are asked one after the other.
pub(crate) const CLOCK: &str = "clock";
/// Who answers.
pub(crate) const IDENTITY: &str = "identity";

/// All known differences; anything else is a bug in Quipu.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        id: VALUES,
        redis: "a value is any string",
        quipu: "a value is an integer in its shortest decimal form, from -2^63 to 2^63-1; \
                anything else is refused with `-ERR` and changes nothing",
    },
    Difference {
        id: NAMES,
        redis: "a key is any string, also the empty one",
        quipu: "a name is 1 to 256 bytes of UTF-8 without control characters; \
                a command on anything else is refused with `-ERR`",
    },
    Difference {
        id: COMMANDS,
        redis: "strings, lists, hashes, sets, streams, `WATCH` and more",
        quipu: "a command that is not about counters gets Redis's own \
                `-ERR unknown command` reply",
    },
    Difference {
        id: CURSORS,
        redis: "`SCAN` answers the cursors and the order of its hash table",
        quipu: "`SCAN` answers other cursors in another order; \
                a full iteration yields the same set",
    },
    Difference {
        id: CLOCK,
        redis: "`TTL` and `PTTL` count from the moment when Redis ran the command",
        quipu: "they count from the log time of the batch; the test allows 5 s between the two",
    },
    Difference {
        id: IDENTITY,
        redis: "`HELLO` names its version and connection id",
        quipu: "the same fields with its own values; `proto`, `mode` and `role` are equal",
    },
];

/// Returns the rows of the table in `page`: the cells between bars, without head and rule.
fn rows(page: &str) -> Vec<Vec<&str>> {
    page.lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

#[test]
fn the_page_of_differences_is_the_table_that_the_stream_uses() {
    let page = include_str!("../../../../../docs/differences.md");
    let code: Vec<Vec<String>> = DIFFERENCES
        .iter()
        .map(|known| vec![format!("`{}`", known.id), known.redis.into(), known.quipu.into()])
        .collect();
    assert_eq!(rows(page), code);
}
