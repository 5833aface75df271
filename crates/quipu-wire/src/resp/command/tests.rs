//! Claims about commands: what each line of arguments means, and what is refused.

use quipu_core::op::{Action, Add, Expire, ExpireWhen, Presence, Set, Token, Ttl};
use quipu_core::outcome::{Dependency, Outcome, Position, Refusal, Repeat, Reply, Verdict};

use super::{Command, Many, OpCommand, Shape, command, token};
use crate::resp::client::ClientLine;
use crate::resp::describe::commands;
use crate::resp::frame::{Args, FrameLimits, Parsed, Request, parse};
use crate::resp::reply::{self, Proto};

/// Parses one inline command and hands it to `look`.
fn with<T>(line: &str, look: impl FnOnce(Request<'_>) -> T) -> T {
    let line = format!("{line}\r\n");
    let mut args = Args::default();
    let parsed = parse(line.as_bytes(), &FrameLimits::default(), &mut args);
    assert_eq!(parsed, Ok(Parsed::Command { consumed: line.len() }));
    look(args.request(line.as_bytes()))
}

/// The action that a command asks of counter `k`.
fn check(line: &str, expected: (Action, Shape)) {
    with(line, |request| match command(request) {
        Ok(Command::Op(OpCommand { op, shape, .. })) => {
            assert_eq!((op.action, shape), expected, "{line}");
            assert_eq!(op.name, "k", "{line}");
        }
        other => panic!("{line}: {other:?}"),
    });
}

fn check_error(line: &str, expected: &str) {
    let why = with(line, |request| command(request).expect_err(line));
    assert_eq!(format!("{} {why}", why.code()), expected, "{line}");
}

fn check_ok(line: &str, expected: &str) {
    let shown = with(line, |request| format!("{:?}", command(request).expect(line)));
    assert!(shown.starts_with(expected), "{line}: {shown}");
}

fn add(delta: i64) -> (Action, Shape) {
    (Action::Add(Add::plain(delta)), Shape::Integer)
}

fn set(ttl: Ttl, when: Presence, shape: Shape) -> (Action, Shape) {
    (Action::Set(Set { value: 5, ttl, when }), shape)
}

fn expire(ttl: Ttl, when: ExpireWhen) -> (Action, Shape) {
    (Action::Expire(Expire { ttl, when }), Shape::Flag)
}

#[test]
fn commands_on_one_counter_become_operations() {
    check("INCR k", add(1));
    check("decr k", add(-1));
    check("INCRBY k -7", add(-7));
    check("DECRBY k 7", add(-7));
    check("DECRBY k -9223372036854775807", add(i64::MAX));
    check("GET k", (Action::Get, Shape::Value));
    check("TYPE k", (Action::Get, Shape::Type));
    check("EXISTS k", (Action::Get, Shape::Exists));
    check("TTL k", (Action::Get, Shape::TtlSeconds));
    check("PTTL k", (Action::Get, Shape::TtlMillis));
    check("EXPIRETIME k", (Action::Get, Shape::ExpirySeconds));
    check("PEXPIRETIME k", (Action::Get, Shape::ExpiryMillis));
    check("GETDEL k", (Action::Delete, Shape::Previous));
    check("DEL k", (Action::Delete, Shape::Flag));
    check("PERSIST k", expire(Ttl::Clear, ExpireWhen::Some));
}

#[test]
fn set_takes_the_options_of_redis() {
    let (any, absent, present) = (Presence::Any, Presence::Absent, Presence::Present);
    check("SET k 5", set(Ttl::Clear, any, Shape::Ok));
    check("SET k 5 nx", set(Ttl::Clear, absent, Shape::Ok));
    check("SET k 5 XX GET", set(Ttl::Clear, present, Shape::Previous));
    check("SET k 5 KEEPTTL", set(Ttl::Keep, any, Shape::Ok));
    check("SET k 5 KEEPTTL KEEPTTL", set(Ttl::Keep, any, Shape::Ok));
    check("SET k 5 EX abc EX 1 EX 2", set(Ttl::After(2_000), any, Shape::Ok));
    check("SET k 5 EX 3 NX", set(Ttl::After(3000), absent, Shape::Ok));
    check("SET k 5 PX 3", set(Ttl::After(3), any, Shape::Ok));
    check("SET k 5 EXAT 3", set(Ttl::At(3000), any, Shape::Ok));
    check("SET k 5 PXAT 3", set(Ttl::At(3), any, Shape::Ok));
    check("SETNX k 5", set(Ttl::Clear, absent, Shape::Flag));
    check("SETEX k 3 5", set(Ttl::After(3000), any, Shape::Ok));
    check("PSETEX k 3 5", set(Ttl::After(3), any, Shape::Ok));
    check("GETSET k 5", set(Ttl::Clear, any, Shape::Previous));
    for line in [
        "SET k 5 NX XX",
        "SET k 5 EX",
        "SET k 5 EX 1 PX 1",
        "SET k 5 KEEPTTL EX 1",
        "SET k 5 EX 1 EX",
        "SET k 5 EX 1 KEEPTTL",
        "SET k 5 6",
    ] {
        check_error(line, "ERR syntax error");
    }
    for line in ["SET k 5 EX 0", "SET k 5 PX -1", "SET k 5 EX 9223372036854775807"] {
        check_error(line, "ERR invalid expire time in 'set' command");
    }
    check_error("SETEX k 0 5", "ERR invalid expire time in 'setex' command");
    check_error("SET k 5 EX x", "ERR value is not an integer or out of range");
    let not_counter =
        "ERR value is not an integer or out of range (a counter holds a 64-bit integer)";
    for line in ["SET k hello", "SET k 1.5", "SET k +1", "SET k ' 1'", "SETNX k 01"] {
        check_error(line, not_counter);
    }
}

#[test]
fn increx_has_the_grammar_of_redis() {
    let plain = Add { min: Some(i64::MIN), max: Some(i64::MAX), ..Add::plain(1) };
    let check = |options: &str, add: Add| {
        check(&format!("INCREX k {options}"), (Action::Add(add), Shape::Increased));
    };
    check("", plain);
    check("BYINT -7", Add { delta: -7, ..plain });
    check("LBOUND -5 byint 2 UBOUND 9", Add { delta: 2, min: Some(-5), max: Some(9), ..plain });
    check("UBOUND 9 saturate", Add { max: Some(9), saturate: true, ..plain });
    check("EX 100 BYINT 5", Add { delta: 5, ttl: Ttl::After(100_000), ..plain });
    check("PX 5", Add { ttl: Ttl::After(5), ..plain });
    check("EXAT 7", Add { ttl: Ttl::At(7000), ..plain });
    check("PXAT 7", Add { ttl: Ttl::At(7), ..plain });
    check("PERSIST", Add { ttl: Ttl::Clear, ..plain });
    check("EX 2 ENX", Add { ttl: Ttl::AfterIfNone(2000), ..plain });
    check("ENX PXAT 9", Add { ttl: Ttl::AtIfNone(9), ..plain });
}

#[test]
fn increx_refuses_what_redis_refuses_in_its_words() {
    let refused = |text: &str, lines: &[&str]| {
        for line in lines {
            check_error(&format!("INCREX k {line}"), text);
        }
    };
    let syntax = "FOO|BYINT 1 FOO|BYINT 1 BYFLOAT 1.5|BYFLOAT 1.5 BYINT 1|BYINT|LBOUND|EX|\
                  BYINT 1 EX 10 PX 5000|BYINT 1 EX 10 EXAT 9999999999|\
                  BYINT 1 PX 5000 PXAT 9999999999000|BYINT 1 EX 10 PERSIST|\
                  BYINT 1 PERSIST EX 10|PERSIST ENX|ENX PERSIST|BYINT 1 BYINT 2|\
                  BYFLOAT 1.0 BYFLOAT 2.0|LBOUND 0 LBOUND 1|UBOUND 9 UBOUND 8|\
                  SATURATE SATURATE LBOUND 0|SAT LBOUND 0|ENX ENX EX 10|PERSIST PERSIST|\
                  EX 10 EX 20|PXAT 9999999999000 PXAT 9999999998000";
    refused("ERR syntax error", &syntax.split('|').collect::<Vec<_>>());
    refused("ERR ENX flag requires an expiration", &["BYINT 1 ENX", "ENX", "ENX BYINT x"]);
    refused("ERR Increment is not an integer or out of range", &["BYINT abc", "BYINT 1.5"]);
    refused("ERR LBOUND is not an integer or out of range", &["LBOUND abc", "LBOUND inf"]);
    refused("ERR UBOUND is not an integer or out of range", &["UBOUND 12.5"]);
    refused("ERR LBOUND can't be greater than UBOUND", &["BYINT 1 LBOUND 10 UBOUND 5 SATURATE"]);
    refused("ERR invalid expire time in 'increx' command", &["EX 0", "PX 0", "EX -1"]);
    let float = "ERR BYFLOAT is not for counters: a counter holds a 64-bit integer, use BYINT";
    refused(float, &["BYFLOAT 1.5", "UBOUND 9 BYFLOAT 1"]);
    check_error("INCREX", "ERR wrong number of arguments for 'increx' command");
}

#[test]
fn expire_takes_the_conditions_of_redis() {
    check("EXPIRE k 2", expire(Ttl::After(2000), ExpireWhen::Any));
    check("PEXPIRE k 2 NX", expire(Ttl::After(2), ExpireWhen::None));
    check("EXPIREAT k 2 XX", expire(Ttl::At(2000), ExpireWhen::Some));
    check("PEXPIREAT k 2 gt", expire(Ttl::At(2), ExpireWhen::Later));
    check("EXPIRE k 2 LT", expire(Ttl::After(2000), ExpireWhen::Earlier));
    check("EXPIRE k 2 XX GT", expire(Ttl::After(2000), ExpireWhen::Later));
    check("EXPIRE k 2 LT XX", expire(Ttl::After(2000), ExpireWhen::SomeEarlier));
    check("EXPIRE k -1", expire(Ttl::At(0), ExpireWhen::Any));
    check("EXPIRE k 0", expire(Ttl::At(0), ExpireWhen::Any));
    let nx = "ERR NX and XX, GT or LT options at the same time are not compatible";
    check_error("EXPIRE k 2 NX GT", nx);
    let gt = "ERR GT and LT options at the same time are not compatible";
    check_error("EXPIRE k 2 GT LT", gt);
    check_error("EXPIRE k 2 foo", "ERR Unsupported option foo");
    check_error("EXPIRE k x", "ERR value is not an integer or out of range");
    check_error("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command");
    check_error("PEXPIRE k 9223372036854770000", "ERR invalid expire time in 'pexpire' command");
}

#[test]
fn quipu_add_takes_token_or_stream_bounds_expiry_and_ack() {
    let plain = Add::plain(2);
    let check = |options: &str, add: Add| {
        check(&format!("QUIPU.ADD k 2 {options}"), (Action::Add(add), Shape::Added));
    };
    check("", plain);
    check("MIN -5 MAX 9 SATURATE", Add { min: Some(-5), max: Some(9), saturate: true, ..plain });
    check("ex 3", Add { ttl: Ttl::After(3000), ..plain });
    check("PX 3 ACK memory", Add { ttl: Ttl::After(3), ..plain });
    check("PERSIST", Add { ttl: Ttl::Clear, ..plain });
    with("QUIPU.ADD k 2 TOKEN abc ACK fsync", |request| {
        let Ok(Command::Op(add)) = command(request) else { panic!("an add") };
        assert_eq!(add.op.token, Token::Key { key: b"abc", item: 0 });
        assert_eq!(add.ack, Some(quipu_core::op::Ack::Fsync));
    });
    with("QUIPU.ADD k 2 STREAM s 18446744073709551615", |request| {
        let Ok(Command::Op(add)) = command(request) else { panic!("an add") };
        assert_eq!(add.op.token, Token::Stream { name: b"s", sequence: u64::MAX });
    });
    for options in
        ["TOKEN", "TOKEN a STREAM s 1", "MIN 1 MIN 1", "EX 1 PERSIST", "ACK never", "STREAM s", "x"]
    {
        check_error(&format!("QUIPU.ADD k 2 {options}"), "ERR syntax error");
    }
    check_error("QUIPU.ADD k 2 MIN 2 MAX 1", "ERR MIN is above MAX");
    let quorum = "ERR ACK quorum needs the Kafka log; this node acknowledges memory or fsync";
    check_error("QUIPU.ADD k 2 ACK quorum", quorum);
    check_error("QUIPU.ADD k 2 EX 0", "ERR invalid expire time in 'quipu.add' command");
    check_error("QUIPU.ADD k 2.5", "ERR value is not an integer or out of range");
}

#[test]
fn the_token_of_an_add_without_other_options_is_found_before_it_is_understood() {
    let check = |line: &str, expected: Option<&str>| {
        with(line, |request| assert_eq!(token(request), expected.map(str::as_bytes), "{line}"));
    };
    check("QUIPU.ADD k 1 TOKEN t-1", Some("t-1"));
    check("quipu.add k 1 token t-1", Some("t-1"));
    check("QUIPU.ADD k 1 STREAM s", None);
    check("QUIPU.ADD k 1 TOKEN t-1 ACK fsync", None);
    check("INCR k", None);
}

#[test]
fn other_quipu_commands_are_read() {
    check("QUIPU.GET k READ latest", (Action::Get, Shape::Found));
    check("QUIPU.TAKE k", (Action::Take, Shape::Taken));
    check("QUIPU.TAKE k TOKEN t", (Action::Take, Shape::Taken));
    check_ok("QUIPU.STREAM s", "Stream(");
    check_ok("QUIPU.CHECKPOINT s 7", "Checkpoint { name: [115], sequence: 7 }");
    check_ok("QUIPU.USE default", "Use(");
    check_ok("QUIPU.TOP 1000", "Top(1000)");
    for n in ["0", "1001"] {
        check_error(&format!("QUIPU.TOP {n}"), "ERR the number of counters is from 1 to 1000");
    }
    check_error("QUIPU.TOP -1", "ERR value is not an integer or out of range");
    let cached = "ERR READ cached needs a cluster; this node reads committed or latest";
    check_error("QUIPU.GET k READ cached", cached);
    check_error("QUIPU.GET k READ", "ERR syntax error");
    check_error("QUIPU.TAKE k STREAM s 1", "ERR syntax error");
    check_error("QUIPU.TAKE k TOKEN", "ERR syntax error");
}

#[test]
fn errors_are_in_the_words_of_redis() {
    check_error("INCR", "ERR wrong number of arguments for 'incr' command");
    check_error("Incr a b", "ERR wrong number of arguments for 'incr' command");
    check_error("PING a b", "ERR wrong number of arguments for 'ping' command");
    check_error("CLIENT ID x", "ERR wrong number of arguments for 'client|id' command");
    check_error("foo", "ERR unknown command 'foo', with args beginning with: ");
    check_error("foo a b", "ERR unknown command 'foo', with args beginning with: 'a' 'b' ");
    check_error(
        "EXEC a",
        "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
    );
    check_error("CONFIG SET a b", "ERR unknown subcommand 'SET'. Try CONFIG HELP.");
    check_error("INCRBY k x", "ERR value is not an integer or out of range");
    check_error("DECRBY k -9223372036854775808", "ERR decrement would overflow");
    check_error("GET ''", "ERR a counter name has at least 1 byte");
    check_error("MGET a ''", "ERR a counter name has at least 1 byte");
    check_error("SELECT 1", "ERR DB index is out of range");
    check_error("SELECT x", "ERR value is not an integer or out of range");
    check_error("HELLO 4", "NOPROTO unsupported protocol version");
    check_error("HELLO x", "ERR Protocol version is not an integer or out of range");
    check_error("HELLO 3 foo", "ERR Syntax error in HELLO option 'foo'");
    check_error("SCAN x", "ERR invalid cursor");
    check_error("SCAN 0 COUNT 0", "ERR syntax error");
    check_error("SCAN 0 MATCH", "ERR syntax error");
    let getkeys = "ERR wrong number of arguments for 'command|getkeys' command";
    check_error("COMMAND GETKEYS ping", getkeys);
}

#[test]
fn commands_of_the_connection_are_read() {
    check_ok("PING", "Ping(None)");
    check_ok("AUTH secret", "Auth { user: None");
    check_ok("AUTH default secret", "Auth { user: Some([100");
    check_ok("HELLO", "Hello(Hello { proto: None, auth: None, name: None })");
    check_ok("HELLO 3 AUTH u p SETNAME n", "Hello(Hello { proto: Some(Resp3), auth: Some");
    check_ok("SCAN 7 MATCH a* COUNT 5 TYPE string", "Scan(Scan { cursor: 7");
    check_ok("CLIENT SETINFO LIB-NAME redis-py", "Client(SetLibName(");
    check_ok("CLIENT NO-EVICT on", "Client(NoEvict)");
    check_ok("COMMAND", "Command(All)");
    check_ok("DEL a b", "Many(ManyCommand { what: Delete");
}

fn outcome(value: Option<i64>, previous: Option<i64>, verdict: Verdict) -> Outcome {
    Outcome { verdict, value, previous, applied: 2, expires_at: None, repeat: Repeat::None }
}

fn reply(result: Result<Outcome, Refusal>) -> Reply {
    let position = Position { shard: 3, epoch: 2, batch: 9 };
    Reply { result, position, depends: Dependency::default() }
}

fn check_reply(shape: Shape, outcome: Outcome, resp2: &str, resp3: &str) {
    for (proto, expected) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
        let mut out = Vec::new();
        reply::answer(&mut out, proto, shape, &reply(Ok(outcome)), 1000);
        assert_eq!(out.escape_ascii().to_string(), expected, "{shape:?} {outcome:?}");
    }
}

#[test]
fn outcomes_are_answered_in_the_shape_of_their_command() {
    let same = |shape, outcome, text| check_reply(shape, outcome, text, text);
    let done = outcome(Some(5), Some(3), Verdict::Done);
    let absent = outcome(None, None, Verdict::Unmet);
    same(Shape::Integer, done, r":5\r\n");
    same(Shape::Value, done, r"$1\r\n5\r\n");
    check_reply(Shape::Value, absent, r"$-1\r\n", r"_\r\n");
    same(Shape::Previous, done, r"$1\r\n3\r\n");
    same(Shape::Ok, done, r"+OK\r\n");
    check_reply(Shape::Ok, absent, r"$-1\r\n", r"_\r\n");
    same(Shape::Flag, done, r":1\r\n");
    same(Shape::Flag, absent, r":0\r\n");
    same(Shape::Exists, done, r":1\r\n");
    same(Shape::Exists, absent, r":0\r\n");
    same(Shape::Type, done, r"+string\r\n");
    same(Shape::Type, absent, r"+none\r\n");
    let expiring = Outcome { expires_at: Some(2499), ..done };
    same(Shape::TtlSeconds, expiring, r":1\r\n");
    same(Shape::TtlSeconds, Outcome { expires_at: Some(2500), ..done }, r":2\r\n");
    same(Shape::TtlMillis, expiring, r":1499\r\n");
    same(Shape::ExpirySeconds, expiring, r":2\r\n");
    same(Shape::ExpiryMillis, expiring, r":2499\r\n");
    same(Shape::ExpiryMillis, done, r":-1\r\n");
    same(Shape::ExpirySeconds, absent, r":-2\r\n");
    let never = Outcome { expires_at: Some(u64::MAX), ..done };
    same(Shape::TtlSeconds, never, r":18446744073709551\r\n");
    same(Shape::TtlMillis, never, r":9223372036854775807\r\n");
    same(Shape::TtlMillis, done, r":-1\r\n");
    same(Shape::TtlMillis, absent, r":-2\r\n");
    let added = r"*4\r\n:5\r\n:2\r\n$5\r\n3:2:9\r\n$4\r\nnone\r\n";
    same(Shape::Added, done, added);
    same(Shape::Increased, done, r"*2\r\n:5\r\n:2\r\n");
    let rejected = Outcome { applied: 0, ..outcome(None, None, Verdict::Rejected) };
    same(Shape::Increased, rejected, r"*2\r\n:0\r\n:0\r\n");
    let too_far = r"-ERR applied increment would overflow\r\n";
    same(Shape::Increased, outcome(Some(5), Some(5), Verdict::Overflow), too_far);
    same(Shape::Found, done, r"*2\r\n:5\r\n$5\r\n3:2:9\r\n");
    let taken = Outcome { repeat: Repeat::Token, ..done };
    same(Shape::Taken, taken, r"*3\r\n:3\r\n$5\r\n3:2:9\r\n$5\r\ntoken\r\n");
    let overflow = r"-ERR increment or decrement would overflow\r\n";
    same(Shape::Integer, outcome(Some(5), Some(5), Verdict::Overflow), overflow);
}

#[test]
fn refusals_have_the_words_of_their_table() {
    let check = |why: Refusal, expected: &str| {
        let mut out = Vec::new();
        reply::answer(&mut out, Proto::Resp2, Shape::Integer, &reply(Err(why)), 0);
        let out = String::from_utf8(out).expect("text");
        assert!(out.starts_with(expected) && out.ends_with("\r\n"), "{out}");
        assert_eq!(out.matches('\n').count(), 1);
    };
    check(Refusal::Held { sequence: 7 }, "-HELD 7 the stream");
    check(Refusal::BadSequence, "-ERR stream");
    check(Refusal::Conflict, "-CONFLICT ");
    check(Refusal::Expired, "-EXPIRED ");
    check(Refusal::TokensFull, "-BUSY ");
    check(Refusal::Busy, "-BUSY ");
    check(Refusal::NoMemory, "-OOM ");
    check(Refusal::NoSpace, "-NOSPACE ");
    check(Refusal::Stopping, "-UNKNOWN ");
}

/// What `line`, a COMMAND or CONFIG GET, is answered.
fn told(proto: Proto, line: &str) -> String {
    let settings = [("save", ""), ("appendonly", "yes"), ("maxmemory", "0")];
    let mut out = Vec::new();
    with(line, |request| match command(request) {
        Ok(Command::Command(asked)) => commands(&mut out, proto, asked),
        Ok(Command::ConfigGet(patterns)) => reply::config(&mut out, proto, &settings, patterns),
        other => panic!("{line}: {other:?}"),
    });
    String::from_utf8(out).expect("text").replace("\r\n", " ")
}

fn check_told(line: &str, resp2: &str, resp3: &str) {
    assert_eq!(told(Proto::Resp2, line), resp2, "{line}");
    assert_eq!(told(Proto::Resp3, line), resp3, "{line}");
}

/// What a command of `words` that does not exist gets.
fn check_echo(words: &[&[u8]], expected: &[u8]) {
    let mut frame = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        reply::bulk(&mut frame, word);
    }
    let (mut args, mut out) = (Args::default(), Vec::new());
    parse(&frame, &FrameLimits::default(), &mut args).expect("a frame");
    let why = command(args.request(&frame)).expect_err("no such command");
    reply::command_error(&mut out, &why);
    assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn an_error_repeats_bytes_up_to_a_nul_as_they_came() {
    let unknown =
        b"-ERR unknown command 'no\xff', with args beginning with: '\xc3\xa9' '' 'a  b' \r\n";
    check_echo(&[b"no\xff\0such", "\u{e9}".as_bytes(), b"\0x", b"a\r\nb"], unknown);
    let long = [b'w'; 200];
    let mut cut = b"-ERR unknown command 'x', with args beginning with: '".to_vec();
    cut.extend_from_slice(&long[..128]);
    cut.extend_from_slice(b"' \r\n");
    check_echo(&[b"x", &long, b"more"], &cut);
}

#[test]
fn the_commands_describe_themselves() {
    let incr2 = "*1 *10 $4 incr :2 *3 +write +denyoom +fast :1 :1 :1 *2 +@write +@fast *0 *0 *0 ";
    check_told("COMMAND INFO INCR", incr2, &incr2.replace("*3", "~3").replace("*2", "~2"));
    check_told("COMMAND INFO foo", "*1 $-1 ", "*1 _ ");
    let docs = "*2 $4 incr *4 $7 summary $42 Adds 1 to a counter and returns its value. ";
    assert!(told(Proto::Resp2, "COMMAND DOCS incr").starts_with(docs));
    assert!(told(Proto::Resp3, "COMMAND DOCS incr").starts_with("%1 $4 incr %2 $7 summary "));
    check_told("COMMAND DOCS foo", "*0 ", "%0 ");
    let list = "*2 $9 quipu.add $9 quipu.get ";
    check_told("COMMAND LIST FILTERBY PATTERN quipu.[ag]*", list, list);
    check_told("COMMAND GETKEYS mget a b", "*2 $1 a $1 b ", "*2 $1 a $1 b ");
    check_told("COMMAND GETKEYS set a 1 EX 5", "*1 $1 a ", "*1 $1 a ");
    let none = "-ERR The command has no key arguments ";
    check_told("COMMAND GETKEYS ping a", none, none);
    let count = format!(":{} ", super::table::ROWS.len());
    check_told("COMMAND COUNT", &count, &count);
    assert_eq!(told(Proto::Resp2, "COMMAND").matches("*10 ").count(), super::table::ROWS.len());
}

#[test]
fn config_get_finds_settings_by_pattern() {
    check_told("CONFIG GET save", "*2 $4 save $0  ", "%1 $4 save $0  ");
    check_told(
        "CONFIG GET APPEND* save",
        "*4 $4 save $0  $10 appendonly $3 yes ",
        "%2 $4 save $0  $10 appendonly $3 yes ",
    );
    check_told("CONFIG GET nothing", "*0 ", "%0 ");
}

#[test]
fn several_counters_are_answered_together() {
    let check = |what: Many, results: &[Result<Outcome, Refusal>], expected: &str| {
        let mut out = Vec::new();
        let replies: Vec<Reply> = results.iter().map(|r| reply(*r)).collect();
        reply::many(&mut out, Proto::Resp2, what, &replies);
        assert_eq!(out.escape_ascii().to_string(), expected, "{what:?}");
    };
    let found = Ok(outcome(Some(5), Some(5), Verdict::Done));
    let missing = Ok(outcome(None, None, Verdict::Done));
    check(Many::Get, &[found, missing], r"*2\r\n$1\r\n5\r\n$-1\r\n");
    check(Many::Exists, &[found, missing, found], r":2\r\n");
    let deleted = Ok(outcome(None, Some(5), Verdict::Done));
    let absent = Ok(outcome(None, None, Verdict::Unmet));
    check(Many::Delete, &[deleted, absent], r":1\r\n");
    let busy = r"-BUSY too much is in flight; retry\r\n";
    check(Many::Delete, &[deleted, Err(Refusal::Busy)], busy);
}

#[test]
fn texts_and_errors_keep_to_their_line() {
    let mut out = Vec::new();
    reply::error(&mut out, "ERR", &"a\r\nb");
    reply::verbatim(&mut out, Proto::Resp2, "hi");
    reply::verbatim(&mut out, Proto::Resp3, "hi");
    reply::scan(&mut out, 7, ["a"].into_iter());
    reply::stream(&mut out, Proto::Resp3, None, &[(2, 9)]);
    let expected = "-ERR a  b|$2|hi|=6|txt:hi|*2|$1|7|*1|$1|a|\
                    %2|$10|checkpoint|_|$5|marks|*1|*2|:2|:9|";
    assert_eq!(String::from_utf8(out).expect("text").replace("\r\n", "|"), expected);
}

#[test]
fn sequences_beyond_the_integers_of_resp_keep_all_their_digits() {
    let check = |proto, expected: &str| {
        let mut out = Vec::new();
        reply::stream(&mut out, proto, Some(i64::MAX as u64), &[(2, 1 << 63)]);
        assert_eq!(String::from_utf8(out).expect("text").replace("\r\n", "|"), expected);
    };
    let least = "$10|checkpoint|:9223372036854775807|$5|marks|*1|*2|:2|";
    check(Proto::Resp2, &format!("*4|{least}$19|9223372036854775808|"));
    check(Proto::Resp3, &format!("%2|{least}(9223372036854775808|"));
}

#[test]
fn a_connection_is_told_in_one_line() {
    let line = ClientLine {
        id: 3,
        peer: "127.0.0.1:5000",
        local: "127.0.0.1:7411",
        fd: 8,
        name: "",
        age_s: 9,
        idle_s: 0,
        queued: None,
        input_bytes: 26,
        output_bytes: 0,
        command: "client|info",
        proto: Proto::Resp3,
        lib_name: "redis-py",
        lib_version: "5.0",
    };
    let expected = "id=3 addr=127.0.0.1:5000 laddr=127.0.0.1:7411 fd=8 name= age=9 idle=0 flags=N \
                    db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=26 qbuf-free=0 omem=0 cmd=client|info \
                    user=default redir=-1 resp=3 lib-name=redis-py lib-ver=5.0";
    let mut out = Vec::new();
    reply::clients(&mut out, Proto::Resp2, [line, line].into_iter());
    let twice = format!("{expected}\n{expected}\n");
    assert_eq!(out, format!("${}\r\n{twice}\r\n", twice.len()).into_bytes());
}

#[test]
fn hello_tells_the_version_that_was_chosen() {
    let mut out = Vec::new();
    reply::hello(&mut out, reply::HelloFacts { proto: Proto::Resp3, id: 12 });
    let text = String::from_utf8(out).expect("text").replace("\r\n", " ");
    let expected = "%7 $6 server $5 redis $7 version $5 7.4.0 $5 proto :3 $2 id :12 \
                    $4 mode $10 standalone $4 role $6 master $7 modules *0 ";
    assert_eq!(text, expected);
}
