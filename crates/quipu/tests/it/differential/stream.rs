//! The random stream: what to send, and how its replies are to be compared.

use crate::chance::Chance;
use crate::differential::table::{CLOCK, COMMANDS, NAMES, VALUES};
use crate::resp::encode;

/// A command as its words.
pub(crate) type Words = Vec<Vec<u8>>;

/// How the two replies to one command are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Equal bytes.
    Exact,
    /// Integers that may be this far apart, because the clock moved (difference `clock`).
    Near(i64),
    /// The array of an `EXEC`, each reply in its own way.
    Each(Vec<Self>),
    /// The known difference of this id: Quipu refuses with an error of this prefix.
    Refused(&'static str, &'static str),
}

/// One command of the stream.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The command.
    pub(crate) words: Words,
    /// Its bytes: an array of bulk strings or an inline command.
    pub(crate) wire: Vec<u8>,
    /// How its replies are compared.
    pub(crate) compare: Compare,
    /// What Redis alone is sent afterwards, to forget what Quipu refused.
    pub(crate) undo: Option<Words>,
}

/// Two servers may be asked this many milliseconds apart (guess: a stalled machine).
const CLOCK_TOLERANCE_MS: i64 = 5_000;

const NAMES_GOOD: &[&[u8]] = &[
    b"k0",
    b"k1",
    b"k2",
    b"k3",
    b"k4",
    b"k5",
    b"k6",
    b"k7",
    b"k8",
    b"k9",
    b"k10",
    b"k11",
    b"k12",
    b"k13",
    b"k14",
    b"k15",
    b"k16",
    b"k17",
    b"k18",
    b"k19",
    b"user:1/likes",
    b"user:2/likes",
    b"caf\xc3\xa9",
    b"\xe6\x97\xa5\xe6\x9c\xac",
    b"a b",
    b"{tag}x",
    b"'quoted'",
    b"\"q\"",
    b"*",
    b"[x]",
    b"back\\slash",
    b"\xc2\xa0",
    &[b'x'; 256],
];
const NAMES_BAD: &[&[u8]] =
    &[b"", b"a\nb", b"a\0b", b"\xff\xfe", b"\x7f", b"tab\t", b"caf\xc3", b"\xc2\x85", &[b'y'; 257]];
const VALUES_GOOD: &[&str] = &[
    "0",
    "1",
    "-1",
    "5",
    "10",
    "42",
    "-300",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "4611686018427387904",
    "1000000",
];
const VALUES_BAD: &[&[u8]] = &[
    b"",
    b"abc",
    b"1.5",
    b"+5",
    b"05",
    b" 5",
    b"5 ",
    b"-0",
    b"9223372036854775808",
    b"1e3",
    b"0x10",
    b"-9223372036854775809",
    b"99999999999999999999999999",
    b"--1",
    b"\0",
    b"5\r\n",
    b"\xff",
    b"-",
];
const ARITY_WRONG: &[&str] = &[
    "INCR",
    "INCR k0 k1",
    "INCRBY k0",
    "INCRBY k0 1 2",
    "DECR",
    "DECR k0 k1",
    "DECRBY k0",
    "GET",
    "GET k0 k1",
    "MGET",
    "SET",
    "SET k0",
    "SETNX k0",
    "SETNX k0 1 2",
    "SETEX k0 10",
    "GETDEL",
    "GETDEL k0 k1",
    "GETSET k0",
    "DEL",
    "EXISTS",
    "EXPIRE k0",
    "PEXPIRE k0",
    "TTL",
    "TTL k0 k1",
    "PTTL",
    "PERSIST",
    "PERSIST k0 k1",
    "TYPE",
    "TYPE k0 k1",
    "SCAN",
    "DBSIZE k0",
    "MULTI k0",
    "EXEC k0",
    "DISCARD k0",
    "ECHO",
    "ECHO a b",
    "PING a b",
    "SELECT",
];
const SESSION: &[&str] = &[
    "EXEC",
    "DISCARD",
    "SELECT 0",
    "SELECT 1",
    "SELECT x",
    "SELECT -1",
    "SCAN x",
    "SCAN 0 COUNT 0",
    "SCAN 0 COUNT x",
    "SCAN 0 MATCH",
    "SCAN 0 NOSUCH 1",
    "SCAN 0 COUNT 5 COUNT x",
    "SCAN 0 TYPE hash COUNT 100000",
    "SCAN 0 COUNT 100000 MATCH nothing",
    "SCAN 18446744073709551616",
    "DBSIZE",
    "PING",
    "AUTH secret",
    "AUTH default secret",
    "AUTH other secret",
    "AUTH a b c",
    "HELLO x",
    "HELLO 4",
    "HELLO 3 AUTH other secret",
    "HELLO 3 NOSUCH",
    "HELLO 3 AUTH default",
    "CLIENT NOSUCH",
    "CLIENT SETNAME",
    "CLIENT SETNAME a b",
    "CLIENT SETNAME tester",
    "CLIENT SETNAME t\u{e4}ster",
    "CLIENT GETNAME",
    "CLIENT GETNAME x",
    "CONFIG NOSUCH",
    "CONFIG GET",
    "CONFIG GET maxmemory-policy",
    "COMMAND NOSUCH",
    "COMMAND COUNT x",
    "COMMAND GETKEYS",
    "COMMAND GETKEYS MGET a b c",
    "COMMAND GETKEYS GET a b",
    "COMMAND GETKEYS PING",
    "COMMAND GETKEYS NOSUCH x",
    "COMMAND LIST FILTERBY PATTERN mget*",
    "COMMAND INFO nosuch",
];
/// Commands that are not about one counter, as they may stand in a group.
const GROUPED: &[&str] = &[
    "DBSIZE",
    "SCAN x",
    "SCAN 0 COUNT 0",
    "SCAN 0 COUNT 100000 MATCH nothing",
    "PING",
    "PING a b",
    "ECHO x",
    "SELECT 0",
    "SELECT 1",
    "AUTH a b c",
    "HELLO x",
    "HELLO 4",
    "CLIENT GETNAME",
    "CONFIG GET maxmemory-policy",
];
/// What spoils a group.
const SPOILERS: &[&str] = &[
    "NOSUCH x",
    "INCR",
    "GET a b",
    "SET k0",
    "DISCARD x",
    "MULTI x",
    "CLIENT NOSUCH",
    "CLIENT GETNAME x",
    "CONFIG GET",
];
/// Commands of Redis on a key that no counter uses, so that one `DEL text` forgets them.
const ABSENT: &[&str] = &[
    "APPEND text x",
    "LPUSH text x",
    "HSET text f v",
    "STRLEN text",
    "SADD text x",
    "GETEX text",
    "KEYS text*",
    "ZADD text 1 x",
    "XADD text * a b",
    "SETRANGE text 1 x",
    "INCRBYFLOAT text 1",
];

/// Generates the stream.
#[derive(Debug)]
pub(crate) struct Stream {
    chance: Chance,
}

impl Stream {
    /// Returns the stream of `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed) }
    }

    /// Returns the chance that cuts the stream, from the same seed.
    pub(crate) const fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// Appends the next command, or the commands of the next group.
    pub(crate) fn next(&mut self, steps: &mut Vec<Step>) {
        match self.chance.below(100) {
            0..4 => self.group(steps),
            4..8 => self.step(steps, words(ARITY_WRONG), Compare::Exact),
            8..11 => self.step(steps, words(SESSION), Compare::Exact),
            11..13 => self.unknown(steps),
            13..15 => self.echo(steps),
            15..17 => self.refused_value(steps),
            17..19 => self.refused_name(steps),
            19..20 => {
                let absent = words(ABSENT);
                let compare = Compare::Refused(COMMANDS, "ERR unknown command");
                self.refused(steps, absent, compare, b"text");
            }
            _ => {
                let (words, compare) = self.plain();
                self.step(steps, |_| words, compare);
            }
        }
    }

    fn step(
        &mut self,
        steps: &mut Vec<Step>,
        words: impl FnOnce(&mut Chance) -> Words,
        compare: Compare,
    ) {
        let mut words = words(&mut self.chance);
        if self.chance.percent(20) {
            self.mix_case(&mut words);
        }
        let wire = self.wire(&words);
        steps.push(Step { words, wire, compare, undo: None });
    }

    fn refused(
        &mut self,
        steps: &mut Vec<Step>,
        words: impl FnOnce(&mut Chance) -> Words,
        compare: Compare,
        name: &[u8],
    ) {
        self.step(steps, words, compare);
        if let Some(step) = steps.last_mut() {
            step.undo = Some(vec![b"DEL".to_vec(), name.to_vec()]);
        }
    }

    fn mix_case(&mut self, words: &mut Words) {
        for letter in words.iter_mut().take(1).flatten() {
            if self.chance.percent(50) {
                *letter = other_case(*letter);
            }
        }
    }

    /// Writes a command as an array, or, one time in ten, as an inline command.
    fn wire(&mut self, words: &Words) -> Vec<u8> {
        if self.chance.percent(90) || words[0].is_empty() {
            return encode(words);
        }
        let mut line = Vec::new();
        // An empty line is no command and gets no reply.
        if self.chance.percent(10) {
            line.extend_from_slice(b"\r\n");
        }
        for word in words {
            line.extend_from_slice(inline_word(word).as_bytes());
            line.extend_from_slice(if self.chance.percent(10) { b"  " } else { b" " });
        }
        line.extend_from_slice(if self.chance.percent(50) { b"\n" } else { b"\r\n" });
        line
    }

    /// Returns a valid command on counters, or one whose arguments Redis refuses in words.
    fn plain(&mut self) -> (Words, Compare) {
        let name = self.name();
        match self.chance.below(24) {
            0..3 => (vec![b"INCR".to_vec(), name], Compare::Exact),
            3 => (vec![b"DECR".to_vec(), name], Compare::Exact),
            4..6 => (vec![b"INCRBY".to_vec(), name, self.number()], Compare::Exact),
            6 => (vec![b"DECRBY".to_vec(), name, self.number()], Compare::Exact),
            7..9 => (vec![b"GET".to_vec(), name], Compare::Exact),
            9 => (self.many(b"MGET"), Compare::Exact),
            10..13 => (self.set(name), Compare::Exact),
            13 => (vec![b"SETNX".to_vec(), name, self.value()], Compare::Exact),
            14 => (self.set_for(name), Compare::Exact),
            15 => (vec![b"GETDEL".to_vec(), name], Compare::Exact),
            16 => (vec![b"GETSET".to_vec(), name, self.value()], Compare::Exact),
            17 => (self.many(b"DEL"), Compare::Exact),
            18 => (self.many(b"EXISTS"), Compare::Exact),
            19..21 => (self.expire(name), Compare::Exact),
            21 => {
                let command = *self.chance.pick(&["TTL", "EXPIRETIME"]);
                (vec![command.into(), name], Compare::Near(CLOCK_TOLERANCE_MS / 1_000))
            }
            22 => {
                let command = *self.chance.pick(&["PTTL", "PEXPIRETIME"]);
                (vec![command.into(), name], Compare::Near(CLOCK_TOLERANCE_MS))
            }
            _ => {
                let command: &[u8] = if self.chance.percent(50) { b"PERSIST" } else { b"TYPE" };
                (vec![command.to_vec(), name], Compare::Exact)
            }
        }
    }

    fn set(&mut self, name: Vec<u8>) -> Words {
        let mut set = vec![b"SET".to_vec(), name, self.value()];
        let options = if self.chance.percent(60) { 0 } else { 1 + self.chance.below(3) };
        for _ in 0..options {
            match self.chance.below(9) {
                0 => set.push(b"NX".to_vec()),
                1 => set.push(b"xx".to_vec()),
                2 => set.push(b"GET".to_vec()),
                3 => set.push(b"KEEPTTL".to_vec()),
                4 => set.extend([b"EX".to_vec(), self.expiry()]),
                5 => set.extend([b"px".to_vec(), self.expiry_ms()]),
                6 => set.extend([b"EXAT".to_vec(), self.far_second()]),
                7 => set.extend([b"PXAT".to_vec(), [self.far_second(), b"000".to_vec()].concat()]),
                _ => set.push(self.chance.pick(&[&b"EX"[..], b"NOSUCH", b"", b"5"]).to_vec()),
            }
        }
        set
    }

    fn set_for(&mut self, name: Vec<u8>) -> Words {
        if self.chance.percent(50) {
            return vec![b"SETEX".to_vec(), name, self.expiry(), self.value()];
        }
        vec![b"PSETEX".to_vec(), name, self.expiry_ms(), self.value()]
    }

    fn expire(&mut self, name: Vec<u8>) -> Words {
        let (command, time): (&[u8], _) = match self.chance.below(6) {
            0 | 1 => (b"EXPIRE", self.expiry()),
            2 | 3 => (b"PEXPIRE", self.expiry_ms()),
            4 => (b"EXPIREAT", self.far_second()),
            _ => (b"PEXPIREAT", [self.far_second(), b"000".to_vec()].concat()),
        };
        let mut expire = vec![command.to_vec(), name, time];
        let options = if self.chance.percent(70) { 0 } else { 1 + self.chance.below(3) };
        for _ in 0..options {
            let options: &[&[u8]] = &[b"NX", b"XX", b"GT", b"lt", b"NOSUCH", b"\xff\0x"];
            expire.push(self.chance.pick(options).to_vec());
        }
        expire
    }

    fn many(&mut self, command: &[u8]) -> Words {
        let mut many = vec![command.to_vec()];
        let most = if self.chance.percent(5) { 100 } else { 4 };
        for _ in 0..=self.chance.below(most) {
            many.push(self.name());
        }
        many
    }

    fn name(&mut self) -> Vec<u8> {
        self.chance.pick(NAMES_GOOD).to_vec()
    }

    fn value(&mut self) -> Vec<u8> {
        self.chance.pick(VALUES_GOOD).as_bytes().to_vec()
    }

    /// Returns a delta: mostly small, sometimes huge, sometimes no integer.
    fn number(&mut self) -> Vec<u8> {
        match self.chance.below(10) {
            0 => self.chance.pick(VALUES_BAD).to_vec(),
            1..3 => self.value(),
            _ => (self.chance.below(2_000) as i64 - 1_000).to_string().into_bytes(),
        }
    }

    /// Returns seconds until an expiry that no run of the test can reach, or a refused number.
    fn expiry(&mut self) -> Vec<u8> {
        if self.chance.percent(12) {
            return self.no_expiry();
        }
        (10_000 + self.chance.below(1_000_000_000)).to_string().into_bytes()
    }

    fn expiry_ms(&mut self) -> Vec<u8> {
        if self.chance.percent(12) {
            return self.no_expiry();
        }
        (10_000_000 + self.chance.below(1_000_000_000_000)).to_string().into_bytes()
    }

    fn no_expiry(&mut self) -> Vec<u8> {
        let numbers: &[&[u8]] =
            &[b"0", b"-1", b"-9223372036854775808", b"9223372036854775807", b"abc", b"", b"1.5"];
        self.chance.pick(numbers).to_vec()
    }

    /// Returns a second after 2100, or a refused number, or a time that has passed.
    fn far_second(&mut self) -> Vec<u8> {
        if self.chance.percent(12) {
            return self.no_expiry();
        }
        (4_102_444_800 + self.chance.below(1_000_000_000)).to_string().into_bytes()
    }

    fn unknown(&mut self, steps: &mut Vec<Step>) {
        let commands: &[&[u8]] =
            &[b"NOSUCH", b"incr2", b"\xff\xfe", b"GE T", b"a\r\nb", &[b'z'; 200], b"quipu", b"0"];
        let mut unknown = vec![self.chance.pick(commands).to_vec()];
        for _ in 0..self.chance.below(4) {
            let words: &[&[u8]] = &[b"x", b"'", b"\0\x01\xff", b"", &[b'w'; 150], b"\r\n"];
            unknown.push(self.chance.pick(words).to_vec());
        }
        self.step(steps, |_| unknown, Compare::Exact);
    }

    fn echo(&mut self, steps: &mut Vec<Step>) {
        let command: &[u8] = if self.chance.percent(50) { b"ECHO" } else { b"PING" };
        let length = self.chance.below(200);
        let payload = (0..length).map(|_| self.chance.next() as u8).collect();
        self.step(steps, |_| vec![command.to_vec(), payload], Compare::Exact);
    }

    fn refused_value(&mut self, steps: &mut Vec<Step>) {
        let value = self.chance.pick(VALUES_BAD).to_vec();
        let text = b"text".to_vec();
        let command = match self.chance.below(4) {
            0 => vec![b"SET".to_vec(), text, value],
            1 => vec![b"SETNX".to_vec(), text, value],
            2 => vec![b"SETEX".to_vec(), text, b"10000".to_vec(), value],
            _ => vec![b"GETSET".to_vec(), text, value],
        };
        self.refused(steps, |_| command, Compare::Refused(VALUES, "ERR "), b"text");
    }

    fn refused_name(&mut self, steps: &mut Vec<Step>) {
        let name = self.chance.pick(NAMES_BAD).to_vec();
        let lines: &[&str] = &["INCR", "GET", "DEL", "TTL", "EXISTS", "GETDEL", "TYPE", "PERSIST"];
        let command = vec![self.chance.pick(lines).as_bytes().to_vec(), name.clone()];
        self.refused(steps, |_| command, Compare::Refused(NAMES, "ERR "), &name);
    }

    /// Appends a group: run, discarded, or aborted by a command that cannot be queued.
    fn group(&mut self, steps: &mut Vec<Step>) {
        self.step(steps, |_| vec![b"MULTI".to_vec()], Compare::Exact);
        let aborts = self.chance.percent(15);
        let mut queued = Vec::new();
        for _ in 0..self.chance.below(8) {
            if self.chance.percent(15) {
                queued.push(Compare::Exact);
                self.step(steps, words(GROUPED), Compare::Exact);
                continue;
            }
            let (words, compare) = self.plain();
            queued.push(compare);
            self.step(steps, |_| words, Compare::Exact);
        }
        if aborts {
            self.step(steps, words(SPOILERS), Compare::Exact);
        }
        if self.chance.percent(5) {
            self.step(steps, |_| vec![b"MULTI".to_vec()], Compare::Exact);
        }
        if self.chance.percent(15) {
            self.step(steps, |_| vec![b"DISCARD".to_vec()], Compare::Exact);
            return;
        }
        if self.chance.percent(5) {
            self.step(steps, words(&["EXEC k0"]), Compare::Exact);
            return;
        }
        let compare = if aborts { Compare::Exact } else { Compare::Each(queued) };
        self.step(steps, |_| vec![b"EXEC".to_vec()], compare);
    }
}

/// Returns a choice among command lines, as words.
fn words(lines: &'static [&'static str]) -> impl FnOnce(&mut Chance) -> Words {
    |chance| chance.pick(lines).split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

const fn other_case(letter: u8) -> u8 {
    if letter.is_ascii_alphabetic() { letter ^ 0x20 } else { letter }
}

/// Writes one word of an inline command, quoted where it must be.
fn inline_word(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b":/{}-_*[]".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let quoted: Vec<String> = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{}\"", quoted.concat())
}

/// Returns the id of the known difference that `compare` claims.
pub(crate) const fn claimed(compare: &Compare) -> Option<&'static str> {
    match compare {
        Compare::Near(_) => Some(CLOCK),
        Compare::Refused(id, _) => Some(id),
        Compare::Exact | Compare::Each(_) => None,
    }
}
