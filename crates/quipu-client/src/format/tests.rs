//! Lines of each format and their fields.

use stdx::prng::Prng;

use crate::format::{FORMATS, Format, NoFields, Parser, UnknownField};

/// The named fields of `line` by `parser`; `None` where the line is of another form.
fn check(parser: &mut Parser, line: &[u8], fields: &[&str], expected: Option<&[&str]>) {
    let numbers: Vec<_> =
        fields.iter().map(|field| parser.resolve(field).expect("a field")).collect();
    let parsed = parser.parse(line, 2);
    let values = parsed.is_ok().then(|| {
        let value = |number: &usize| String::from_utf8_lossy(parser.value(*number, line));
        numbers.iter().map(|number| value(number).into_owned()).collect::<Vec<_>>()
    });
    let expected =
        expected.map(|values| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
    assert_eq!(values, expected, "{}", String::from_utf8_lossy(line));
}

fn check_format(format: Format, line: &str, fields: &[&str], expected: Option<&[&str]>) {
    check(&mut Parser::of_format(format, None), line.as_bytes(), fields, expected);
}

const WEB: [&str; 14] = [
    "host",
    "ident",
    "user",
    "time",
    "request",
    "method",
    "uri",
    "path",
    "query",
    "protocol",
    "status",
    "bytes",
    "referer",
    "user_agent",
];

fn combined(line: &str, expected: Option<&[&str]>) {
    check_format(Format::Combined, line, &WEB, expected);
}

#[test]
fn a_line_of_a_web_server_has_all_its_fields() {
    let time = "21/Nov/2026:13:55:36 +0000";
    let line = format!(
        r#"10.0.0.1 - - [{time}] "GET /a/b?c=1&d HTTP/1.1" 200 2326 "http://x/" "Moz (X11; y) \"z\"""#
    );
    let request = "GET /a/b?c=1&d HTTP/1.1";
    let expected = [
        "10.0.0.1",
        "-",
        "-",
        time,
        request,
        "GET",
        "/a/b?c=1&d",
        "/a/b",
        "c=1&d",
        "HTTP/1.1",
        "200",
        "2326",
        "http://x/",
        r#"Moz (X11; y) \"z\""#,
    ];
    combined(&line, Some(&expected));
    combined(&format!("{line} \"10.9.8.7\" 0.003"), Some(&expected));
    let (common, _) = line.split_once(r#" "http"#).expect("a referer");
    combined(common, None);
    check_format(Format::Common, common, &WEB[..12], Some(&expected[..12]));
    check_format(Format::Common, &line, &WEB[..12], Some(&expected[..12]));
}

#[test]
fn requests_that_are_none_leave_their_parts_absent() {
    let check = |request: &str, parts: [&str; 5]| {
        let line = format!(r#"::1 i some one [t] "{request}" 400 - "-" "-""#);
        let [method, uri, path, query, protocol] = parts;
        let expected = [
            "::1", "i", "some one", "t", request, method, uri, path, query, protocol, "400", "-",
            "-", "-",
        ];
        combined(&line, Some(&expected));
    };
    check("", ["", "", "", "", ""]);
    check("-", ["", "", "", "", ""]);
    check(r"\x16\x03\x01 \x00", ["", "", "", "", ""]);
    check("GET /old", ["GET", "/old", "/old", "", ""]);
    check("GET /a b HTTP/1.0", ["GET", "/a b", "/a b", "", "HTTP/1.0"]);
    check("OPTIONS * HTTP/1.1", ["OPTIONS", "*", "*", "", "HTTP/1.1"]);
    check("GET /a? HTTP/2.0", ["GET", "/a?", "/a", "", "HTTP/2.0"]);
    check(r"GET /\\", ["GET", r"/\\", r"/\\", "", ""]);
}

#[test]
fn what_no_web_server_writes_does_not_match() {
    for line in [
        "",
        "x",
        r#"h - - [t] "GET / HTTP/1.1" 20 5 "-" "-""#,
        r#"h - - [t] "GET / HTTP/1.1" abc 5 "-" "-""#,
        r#"h - - [t] "GET / HTTP/1.1" 200 5 "-" "-"#,
        r#"h - - [t] "GET / HTTP/1.1 200 5"#,
        r#"h - - t "GET / HTTP/1.1" 200 5 "-" "-""#,
        r#"h -[t] "GET / HTTP/1.1" 200 5 "-" "-""#,
        r#"h - - [t "GET / HTTP/1.1" 200 5 "-" "-""#,
        r#"h - - [t] "GET / HTTP/1.1" 200  "-" "-""#,
        r#"h - - [t] "GET / HTTP/1.1" 200"#,
    ] {
        combined(line, None);
    }
}

#[test]
fn every_action_of_dpkg_has_its_fields() {
    let fields = ["action", "state", "package", "arch", "version", "old_version"];
    let check = |rest: &str, expected: Option<&[&str]>| {
        check_format(Format::Dpkg, &format!("2026-11-30 01:01:08 {rest}"), &fields, expected);
    };
    check(
        "status half-installed man-db:amd64 2.11.2-2",
        Some(&["status", "half-installed", "man-db", "amd64", "2.11.2-2", ""]),
    );
    check("install a:all <none> 1.2", Some(&["install", "", "a", "all", "1.2", ""]));
    check("upgrade a:all 1.1 1.2", Some(&["upgrade", "", "a", "all", "1.2", "1.1"]));
    check("configure a:all 1.2 <none>", Some(&["configure", "", "a", "all", "1.2", ""]));
    check("remove a 1.2 <none>", Some(&["remove", "", "a", "", "1.2", ""]));
    check("remove a", None);
    check("status", None);
    check("", None);
    let line = "2026-11-30 01:01:08 startup archives unpack";
    let fields = ["timestamp", "date", "time", "action", "mode", "command"];
    let time = "2026-11-30 01:01:08";
    let expected = [time, "2026-11-30", "01:01:08", "startup", "archives", "unpack"];
    check_format(Format::Dpkg, line, &fields, Some(&expected));
    let line = "2026-11-30 01:01:08 conffile /etc/x keep";
    check_format(Format::Dpkg, line, &["file", "decision"], Some(&["/etc/x", "keep"]));
    check_format(Format::Dpkg, "30.11.2026 01:01:08 startup archives unpack", &[], None);
}

fn syslog(line: &str, expected: Option<&[&str; 5]>) {
    let fields = ["timestamp", "host", "program", "pid", "message"];
    check_format(Format::Syslog, line, &fields, expected.map(|values| &values[..]));
}

#[test]
fn messages_of_the_old_form_are_read_with_either_time() {
    syslog(
        "Nov  1 06:25:01 web1 CRON[123]: (root) CMD (x: y)",
        Some(&["Nov  1 06:25:01", "web1", "CRON", "123", "(root) CMD (x: y)"]),
    );
    let time = "2026-11-21T06:25:01.123456+01:00";
    syslog(
        &format!("{time} web1 postfix/smtpd[9]: connect"),
        Some(&[time, "web1", "postfix/smtpd", "9", "connect"]),
    );
    syslog("Nov 21 06:25:01 h kernel: x", Some(&["Nov 21 06:25:01", "h", "kernel", "", "x"]));
    syslog("Nov 21 06:25:01 h no tag here", Some(&["Nov 21 06:25:01", "h", "", "", "no tag here"]));
    for line in ["", "Nov 21", "hello world", "Nov 21 06:25:01 host", "<999>Nov 21 06:25:01 h a: b"]
    {
        syslog(line, None);
    }
}

#[test]
fn messages_of_the_new_form_and_priorities_are_read() {
    let time = "2026-11-21T06:25:01.003Z";
    syslog(
        &format!(r#"<165>1 {time} host app 77 ID47 [a@1 k="v\"]" l="]"][b] the message"#),
        Some(&[time, "host", "app", "77", "the message"]),
    );
    syslog(&format!("<13>1 {time} h a - - -"), Some(&[time, "h", "a", "-", ""]));
    syslog(&format!("<13>1 {time} h a - - x"), None);
    syslog(&format!("<13>1 {time} h a - - [x"), None);
    let fields = ["priority", "facility", "severity", "program"];
    let line = "<38>Nov 21 06:25:01 h sshd[4]: x";
    check_format(Format::Syslog, line, &fields, Some(&["38", "auth", "info", "sshd"]));
}

fn jsonl(line: &str, paths: &[&str], expected: Option<&[&str]>) {
    check_format(Format::Jsonl, line, paths, expected);
}

#[test]
fn paths_lead_into_objects_and_arrays() {
    let line =
        r#"{"request": {"method": "GET", "n": 5}, "tags": ["a", {"b": "\u00e9\n"}], "x": 1.50}"#;
    let paths = ["request.method", "request.n", "tags.0", "tags.1.b", "x", "absent", "request.z"];
    jsonl(line, &paths, Some(&["GET", "5", "a", "\u{e9}\n", "1.50", "", ""]));
    let scalars = r#"{"t": true, "n": null, "o": {}, "a": [1], "big": 12345678901234567890}"#;
    let paths = ["t", "n", "o", "a", "big", "a.0"];
    jsonl(scalars, &paths, Some(&["true", "", "", "", "12345678901234567890", "1"]));
    jsonl(r#"[{"a": 1}, 2]"#, &["0.a", "1"], Some(&["1", "2"]));
    jsonl(r#"{"a": "1", "a.b": "c", "a": "2"}"#, &["a"], Some(&["2"]));
    jsonl(r#"{"a": 7}"#, &["a", "a.b"], Some(&["7", ""]));
    jsonl(r#"  {"a": 1}  "#, &[], Some(&[]));
}

#[test]
fn what_is_no_object_or_array_does_not_match() {
    for line in ["", "5", "\"a\"", "{", "{\"a\": 1} x", "{\"a\": 1,}", "[1", "{\"b\": \"\\q\"}"] {
        jsonl(line, &["a"], None);
    }
}

#[test]
fn columns_are_named_by_the_first_line_or_by_hand() {
    let fields = ["b", "a"];
    let columns = ["a", "b", "c"].map(ToOwned::to_owned).to_vec();
    let mut named = Parser::of_format(Format::Csv, Some(columns));
    check(&mut named, b"1,2,3", &fields, Some(&["2", "1"]));
    let mut headed = Parser::of_format(Format::Csv, None);
    assert!(headed.needs_first_line());
    for field in fields {
        headed.resolve(field).expect("any column may come");
    }
    headed.start(b"\xef\xbb\xbfa,\"b\",c").expect("a header");
    assert_eq!(headed.parse(b"a,b,c", 1), Err(NoFields::Header));
    check(&mut headed, b"1,2,3", &fields, Some(&["2", "1"]));
    check(&mut headed, b"1", &fields, Some(&["", "1"]));
    check(&mut headed, b"\"x, \"\"y\"\"\",\"\"", &fields, Some(&["", "x, \"y\""]));
    check(&mut headed, b",,", &fields, Some(&["", ""]));
    for line in ["", "\"open", "\"a\"b,c", "a,\"b\"\""] {
        check(&mut headed, line.as_bytes(), &fields, None);
    }
    let missing = headed.start(b"a,c").expect_err("no column b");
    assert_eq!(missing.to_string(), "the first line has no column 'b', it has: a, c");
}

#[test]
fn groups_of_a_pattern_are_fields() {
    let pattern = || Parser::of_pattern(r"^(?<a>\w+)(?: (?<b>\w+))?$").expect("a pattern");
    check(&mut pattern(), b"x y", &["b", "a", "b"], Some(&["y", "x", "y"]));
    check(&mut pattern(), b"x", &["b", "a"], Some(&["", "x"]));
    check(&mut pattern(), b"x", &[], Some(&[]));
    check(&mut pattern(), b"-", &["a"], None);
    let unknown = pattern().resolve("c");
    let known = "a, b".to_owned();
    assert_eq!(unknown, Err(UnknownField { field: "c".to_owned(), known }));
    assert!(Parser::of_pattern("(").is_err());
}

#[test]
fn the_table_has_every_format_once_and_its_time_is_one_of_its_fields() {
    for row in &FORMATS {
        assert_eq!(row.format.description().name, row.name);
        assert_eq!(Format::named(row.name), Some(row.format));
        let is_open = row.fields.is_empty();
        assert!(is_open || row.fields.iter().any(|field| field.name == row.time), "{}", row.name);
    }
    assert_eq!(Format::named("x"), None);
}

/// Good lines with bytes changed, taken out and put in: whatever comes, values stay within them.
#[test]
fn no_line_breaks_a_parser() {
    let good: [&[u8]; 5] = [
        br#"::1 - a [21/Nov/2026:13:55:36 +0000] "GET /a?b HTTP/1.1" 200 5 "-" "x \" y""#,
        b"2026-11-30 01:01:08 upgrade a:all 1.1 1.2",
        br#"<165>1 2026-11-21T06:25:01Z host app 7 ID [a@1 k="v\"]"] message"#,
        br#"{"a": {"b": [1, "x\u00e9"]}, "c": null}"#,
        br#"a,"b ""c""",,d"#,
    ];
    let mut prng = Prng::new(1);
    let names = ["a.b.1", "c"];
    for row in &FORMATS {
        let columns = names.map(ToOwned::to_owned).to_vec();
        let mut parser = Parser::of_format(row.format, Some(columns));
        let fields = row.fields.iter().map(|field| field.name);
        let fields: Vec<_> = if row.fields.is_empty() { names.to_vec() } else { fields.collect() };
        let fields: Vec<_> =
            fields.iter().map(|name| parser.resolve(name).expect("a field")).collect();
        for _ in 0..4_000 {
            let mut line = prng.pick(&good).expect("not empty").to_vec();
            for _ in 0..=prng.below(4) {
                let at = prng.below(line.len() as u64 + 1) as usize;
                let byte = *prng.pick(br#" "\[]:,{}<>?-a1"#).expect("not empty");
                match prng.below(3) {
                    0 => line.insert(at, byte),
                    1 => line.truncate(at),
                    _ => line.iter_mut().skip(at).take(1).for_each(|found| *found = byte),
                }
            }
            if parser.parse(&line, 2).is_ok() {
                let most = fields.iter().map(|field| parser.value(*field, &line).len()).max();
                assert!(most.unwrap_or(0) <= line.len());
            }
        }
    }
}
