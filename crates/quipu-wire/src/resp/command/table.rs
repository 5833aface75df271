//! The one list of commands. It feeds look-up, arity errors and the replies of COMMAND.

use super::counter::Parsed;
use super::{Command, connection, counter, expire, increx, keys, quipu};
use crate::resp::error::{CommandError, Echo};
use crate::resp::frame::Request;

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, in lower case; 1 to 16 bytes.
    pub name: &'static str,
    /// How many words it has, the name included; negative: at least as many.
    pub arity: i8,
    /// What kind of command it is.
    pub flags: Flags,
    /// Which of its words are counters.
    pub keys: KeyWords,
    /// One sentence for COMMAND DOCS.
    pub summary: &'static str,
    pub(crate) parse: for<'a> fn(&'static str, Request<'a>) -> Parsed<'a>,
}

/// Which words of a command are keys: as in Redis, `last` is negative where it counts from the
/// end, and all are 0 where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyWords {
    /// The first key.
    pub first: i8,
    /// The last one.
    pub last: i8,
    /// From one key to the next.
    pub step: i8,
}

/// Properties of a command, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// May change something.
    pub const WRITE: Flags = Flags(1);
    /// Reads counters and changes none.
    pub const READ: Flags = Flags(2);
    /// May need memory.
    pub const GROWS: Flags = Flags(4);
    /// Takes about the time of one operation.
    pub const FAST: Flags = Flags(8);
    /// Allowed before authentication.
    pub const NO_AUTH: Flags = Flags(16);
    /// Performed at once between MULTI and EXEC, not queued.
    pub const UNQUEUED: Flags = Flags(32);
    /// About the server, not about counters.
    pub const ADMIN: Flags = Flags(64);

    const NAMES: &[(Flags, &str)] = &[
        (Flags::WRITE, "write"),
        (Flags::READ, "readonly"),
        (Flags::GROWS, "denyoom"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::ADMIN, "admin"),
    ];

    const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether it has all of `other`.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Redis's words for it.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| *word)
    }
}

const NO_KEYS: KeyWords = KeyWords { first: 0, last: 0, step: 0 };
const ONE_KEY: KeyWords = KeyWords { first: 1, last: 1, step: 1 };
const ALL_KEYS: KeyWords = KeyWords { first: 1, last: -1, step: 1 };

const PUT: Flags = Flags::WRITE.and(Flags::GROWS).and(Flags::FAST);
const CHANGE: Flags = Flags::WRITE.and(Flags::FAST);
const LOOK: Flags = Flags::READ.and(Flags::FAST);
const SCAN: Flags = Flags::READ;
const CONNECTION: Flags = Flags::FAST;
const OPEN: Flags = Flags::FAST.and(Flags::NO_AUTH);
const GROUP: Flags = Flags::FAST.and(Flags::UNQUEUED);
const LEAVE: Flags = OPEN.and(Flags::UNQUEUED);
const SERVER: Flags = Flags::ADMIN;

type Parse = for<'a> fn(&'static str, Request<'a>) -> Parsed<'a>;

const fn row(
    (name, arity): (&'static str, i8),
    flags: Flags,
    keys: KeyWords,
    parse: Parse,
    summary: &'static str,
) -> Row {
    Row { name, arity, flags, keys, summary, parse }
}

/// All commands.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row(("incr", 2), PUT, ONE_KEY, counter::incr, "Adds 1 to a counter and returns its value."),
    row(("incrby", 3), PUT, ONE_KEY, counter::incrby, "Adds a number to a counter and returns its value."),
    row(("decr", 2), PUT, ONE_KEY, counter::decr, "Takes 1 from a counter and returns its value."),
    row(("decrby", 3), PUT, ONE_KEY, counter::decrby, "Takes a number from a counter and returns its value."),
    row(("increx", -2), PUT, ONE_KEY, increx::increx, "Adds a number within bounds, sets the expiry, and returns value and applied."),
    row(("get", 2), LOOK, ONE_KEY, counter::get, "Returns a counter's value."),
    row(("mget", -2), LOOK, ALL_KEYS, keys::mget, "Returns the values of several counters."),
    row(("set", -3), PUT, ONE_KEY, counter::set, "Sets a counter to a number."),
    row(("setnx", 3), PUT, ONE_KEY, counter::setnx, "Sets a counter to a number where there is none."),
    row(("setex", 4), PUT, ONE_KEY, counter::setex, "Sets a counter to a number for some seconds."),
    row(("psetex", 4), PUT, ONE_KEY, counter::psetex, "Sets a counter to a number for some milliseconds."),
    row(("getdel", 2), CHANGE, ONE_KEY, counter::getdel, "Removes a counter and returns its value."),
    row(("getset", 3), PUT, ONE_KEY, counter::getset, "Sets a counter to a number and returns the value before."),
    row(("del", -2), CHANGE, ALL_KEYS, keys::del, "Removes counters and returns how many there were."),
    row(("exists", -2), LOOK, ALL_KEYS, keys::exists, "Returns how many of the counters there are."),
    row(("expire", -3), CHANGE, ONE_KEY, expire::expire, "Sets after how many seconds a counter expires."),
    row(("pexpire", -3), CHANGE, ONE_KEY, expire::pexpire, "Sets after how many milliseconds a counter expires."),
    row(("expireat", -3), CHANGE, ONE_KEY, expire::expireat, "Sets at which Unix time in seconds a counter expires."),
    row(("pexpireat", -3), CHANGE, ONE_KEY, expire::pexpireat, "Sets at which Unix time in milliseconds a counter expires."),
    row(("ttl", 2), LOOK, ONE_KEY, expire::ttl, "Returns in how many seconds a counter expires."),
    row(("pttl", 2), LOOK, ONE_KEY, expire::pttl, "Returns in how many milliseconds a counter expires."),
    row(("expiretime", 2), LOOK, ONE_KEY, expire::expiretime, "Returns at which Unix time in seconds a counter expires."),
    row(("pexpiretime", 2), LOOK, ONE_KEY, expire::pexpiretime, "Returns at which Unix time in milliseconds a counter expires."),
    row(("persist", 2), CHANGE, ONE_KEY, expire::persist, "Takes a counter's expiry away."),
    row(("type", 2), LOOK, ONE_KEY, counter::r#type, "Returns string for a counter and none for no counter."),
    row(("scan", -2), SCAN, NO_KEYS, keys::scan, "Walks over the names of counters."),
    row(("dbsize", 1), LOOK, NO_KEYS, |_, _| Ok(Command::DbSize), "Returns how many counters there are."),
    row(("multi", 1), GROUP, NO_KEYS, |_, _| Ok(Command::Multi), "Begins a group of commands."),
    row(("exec", 1), GROUP, NO_KEYS, |_, _| Ok(Command::Exec), "Performs the group."),
    row(("discard", 1), GROUP, NO_KEYS, |_, _| Ok(Command::Discard), "Drops the group."),
    row(("ping", -1), CONNECTION, NO_KEYS, connection::ping, "Returns PONG, or what it was given."),
    row(("echo", 2), CONNECTION, NO_KEYS, connection::echo, "Returns what it was given."),
    row(("hello", -1), OPEN, NO_KEYS, connection::hello, "Chooses the protocol version and returns facts about the server."),
    row(("auth", -2), OPEN, NO_KEYS, connection::auth, "Authenticates the connection."),
    row(("select", 2), CONNECTION, NO_KEYS, connection::select, "Chooses database 0, the only one."),
    row(("quit", -1), LEAVE, NO_KEYS, |_, _| Ok(Command::Quit), "Closes the connection."),
    row(("reset", 1), LEAVE, NO_KEYS, |_, _| Ok(Command::Reset), "Brings the connection back to its beginning."),
    row(("info", -1), SERVER, NO_KEYS, |_, request| Ok(Command::Info(request.from(1))), "Returns facts and figures about the server."),
    row(("config", -2), SERVER, NO_KEYS, connection::config, "CONFIG GET returns settings."),
    row(("command", -1), SERVER, NO_KEYS, connection::command, "Returns facts about the commands."),
    row(("client", -2), SERVER, NO_KEYS, connection::client, "Names connections and returns facts about them."),
    row(("quipu.add", -3), PUT, ONE_KEY, quipu::add, "Adds exactly once, within bounds, and returns value, applied, position and repeat."),
    row(("quipu.get", -2), LOOK, ONE_KEY, quipu::get, "Returns a counter's value and position."),
    row(("quipu.take", -2), CHANGE, ONE_KEY, quipu::take, "Returns a counter's value and leaves 0, exactly once."),
    row(("quipu.top", 2), SCAN, NO_KEYS, quipu::top, "Returns the greatest counters and as of when."),
    row(("quipu.stream", 2), LOOK, NO_KEYS, quipu::stream, "Returns a stream's checkpoint and its mark on each shard."),
    row(("quipu.checkpoint", 3), PUT, NO_KEYS, quipu::checkpoint, "Stores up to where a stream was answered."),
    row(("quipu.use", 2), CONNECTION, NO_KEYS, quipu::r#use, "Chooses the namespace of the connection."),
];

/// Places of the look-up table. Guess: four per command keep probes at about one.
const SLOTS: usize = 256;
const SLOT_EMPTY: u8 = u8::MAX;
const _: () = assert!(ROWS.len() * 4 <= SLOTS && ROWS.len() < SLOT_EMPTY as usize);

/// The names, packed, in the order of [`ROWS`].
static PACKED: [u128; ROWS.len()] = pack_rows();
/// Row numbers at the place that the packed name hashes to, or the next free one.
static PLACES: [u8; SLOTS] = place_rows();

const fn pack_rows() -> [u128; ROWS.len()] {
    let mut packed = [0; ROWS.len()];
    let mut row = 0;
    while row < ROWS.len() {
        let name = ROWS[row].name.as_bytes();
        assert!(!name.is_empty() && name.len() <= 16, "a name fits 16 bytes");
        let mut at = 0;
        while at < name.len() {
            assert!(!name[at].is_ascii_uppercase(), "names are in lower case");
            packed[row] |= (name[at] as u128) << (8 * at);
            at += 1;
        }
        row += 1;
    }
    packed
}

const fn place_rows() -> [u8; SLOTS] {
    let packed = pack_rows();
    let mut places = [SLOT_EMPTY; SLOTS];
    let mut row = 0;
    while row < packed.len() {
        let mut place = place(packed[row]);
        while places[place] != SLOT_EMPTY {
            assert!(packed[places[place] as usize] != packed[row], "a name stands there once");
            place = (place + 1) % SLOTS;
        }
        places[place] = row as u8;
        row += 1;
    }
    places
}

const fn place(packed: u128) -> usize {
    let folded = (packed as u64) ^ ((packed >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
}

/// The bytes of a name as one number, lowest first; none beyond 16.
#[inline]
fn pack(name: &[u8]) -> Option<u128> {
    if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        let shift = (name.len() - 8) * 8;
        let high = u128::from(u64::from_le_bytes(*last)).checked_shl(shift as u32)?;
        return (name.len() <= 16).then_some(u128::from(u64::from_le_bytes(*first)) | high);
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let high = u64::from(u32::from_le_bytes(*last)) << ((name.len() - 4) * 8);
        return Some(u128::from(u64::from(u32::from_le_bytes(*first)) | high));
    }
    Some(name.iter().rev().fold(0, |packed, b| packed << 8 | u128::from(*b)))
}

/// Lowers the ASCII capitals of 16 bytes at once: adding to the low seven bits of each byte
/// carries into its eighth where the byte is at least `A`, or above `Z`.
#[inline]
fn lowered(packed: u128) -> u128 {
    const ONES: u128 = u128::MAX / 0xFF;
    const TOPS: u128 = ONES * 0x80;
    // 80 - `A` and 7F - `Z`, in hexadecimal.
    let low = packed & !TOPS;
    let at_least_a = low + ONES * 0x3F;
    let above_z = low + ONES * 0x25;
    let capital = (at_least_a ^ above_z) & !packed & TOPS;
    packed | capital >> 2
}

/// Finds a command by its name, in any case. Cost: one multiplication and about one comparison.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Row> {
    let packed = lowered(pack(name)?);
    let mut place = place(packed);
    loop {
        let row = usize::from(*PLACES.get(place)?);
        // An empty place has a number beyond all rows.
        if *PACKED.get(row)? == packed {
            // NUL bytes at the end do not show in the number.
            return ROWS.get(row).filter(|row| row.name.len() == name.len());
        }
        place = (place + 1) % SLOTS;
    }
}

/// Finds the command of a request and checks the number of its words: all that Redis checks while
/// a group is queued.
///
/// # Errors
/// There is no such command, or it takes another number of words.
#[inline]
pub fn lookup(request: Request<'_>) -> Result<&'static Row, CommandError> {
    let Some(row) = find(request.get(0).unwrap_or_default()) else { return Err(unknown(request)) };
    let words = request.len();
    let wanted = usize::from(row.arity.unsigned_abs());
    if words == wanted || (row.arity < 0 && words > wanted) {
        return Ok(row);
    }
    Err(wrong_arity(row))
}

#[cold]
fn unknown(request: Request<'_>) -> CommandError {
    let name = Echo::of(request.get(0).unwrap_or_default());
    CommandError::Unknown { name, args: Echo::of_words(request.from(1).iter()) }
}

#[cold]
fn wrong_arity(row: &Row) -> CommandError {
    match row.name {
        "exec" => CommandError::ExecArity,
        name => CommandError::Arity { name },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ROWS, find};

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else() {
        for row in ROWS {
            assert_eq!(find(row.name.as_bytes()).map(|r| r.name), Some(row.name));
            let upper = row.name.to_ascii_uppercase();
            assert_eq!(find(upper.as_bytes()).map(|r| r.name), Some(row.name));
        }
        for name in ["", "inc", "incr\0", "QUIPU\x0eADD", "quipu.checkpoints", "\u{e9}cho"] {
            assert!(find(name.as_bytes()).is_none(), "{name:?}");
        }
        assert!(find(&[b'x'; 300]).is_none());
    }

    proptest! {
        #[test]
        fn a_name_is_found_where_a_plain_search_finds_it(name in "[a-zA-Z.]{0,18}") {
            let plain = ROWS.iter().find(|r| r.name.eq_ignore_ascii_case(&name));
            prop_assert_eq!(find(name.as_bytes()).map(|r| r.name), plain.map(|r| r.name));
        }
    }
}
