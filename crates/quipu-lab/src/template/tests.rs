//! Texts with holes: what is a hole, and what is refused.

use crate::data::{Draw, Keys, Names};
use crate::request::{Requests, Run, Stream};
use crate::scenario::built_in;
use crate::slot::Slot;
use crate::template::{Hole, Template};

fn compile(text: &str) -> Template {
    Template::compile(text, &["key", "user"]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn two_braces_are_a_hole_and_one_is_text() {
    let check = |text: &str, expected: &[Hole]| {
        assert_eq!(compile(text).holes().collect::<Vec<_>>(), expected, "{text}");
    };
    check("", &[]);
    check("a", &[]);
    check("{{key}}", &[Hole::Key(0)]);
    check("{{ user }}{{key}}", &[Hole::Key(1), Hole::Key(0)]);
    check("{\"add\": {{delta}}}", &[Hole::Delta]);
    check("{\"a\":{\"b\":1}}", &[]);
    assert_eq!((compile("").as_text(), compile("a").as_text()), (Some(""), Some("a")));
    assert_eq!(compile("a{{n}}").as_text(), None);
}

#[test]
fn a_source_goes_before_what_is_built_in() {
    let template = Template::compile("{{token}}", &["token"]).unwrap();
    assert_eq!(template.holes().collect::<Vec<_>>(), [Hole::Key(0)]);
}

#[test]
fn what_nothing_fills_is_refused() {
    let check = |text: &str, message: &str| {
        let error = Template::compile(text, &["key"]).expect_err(text);
        assert_eq!(error.to_string(), message);
    };
    check(
        "a {{kee}}",
        "nothing is called `kee`: write one of key, delta, n, uuid, uuid4, token, stream, sequence, \
         or define [data.kee]",
    );
    check(
        "a {{key",
        "`{{key` is not closed: write two braces after the name, or one brace before it",
    );
}

#[test]
fn filling_allocates_nothing_where_there_is_room() {
    let scenario = built_in("burst", "redis://h").unwrap();
    let requests = Requests::new(&scenario, Run { id: 1, start_wall_ms: 2 });
    let text = "{{key}} {{delta}} {{n}} {{uuid}} {{uuid4}} {{token}} {{stream}} {{sequence}}";
    let template = Template::compile(text, &["key"]).unwrap();
    let mut out = Vec::with_capacity(512);
    let (start, capacity) = (out.as_ptr(), out.capacity());
    let drawn = requests.draw(Slot { number: u64::MAX / 2, phase: 0, due_ns: 3 });
    template.render(
        &requests.filling(drawn, Stream { connection: u32::MAX, turn: u32::MAX }),
        &mut out,
    );
    assert_eq!((out.as_ptr(), out.capacity()), (start, capacity));
}

#[test]
fn a_key_in_a_path_is_one_segment() {
    let mut scenario = built_in("burst", "redis://h").unwrap();
    let names = ["plain-1.x_y~:z", "a b/c?d", "\u{e9}%"].map(str::to_owned).to_vec();
    scenario.data[0].keys = Keys::new(Names::Listed(names), Draw::Sequential);
    let requests = Requests::new(&scenario, Run { id: 1, start_wall_ms: 2 });
    let template = Template::compile_path("/c/{{key}}?n={{n}}", &["key"]).unwrap();
    let rendered = |number| {
        let drawn = requests.draw(Slot { number, phase: 0, due_ns: 0 });
        let mut out = Vec::new();
        template.render(&requests.filling(drawn, Stream::of(0)), &mut out);
        String::from_utf8(out).unwrap()
    };
    let paths = ["/c/plain-1.x_y~:z?n=0", "/c/a%20b%2fc%3fd?n=1", "/c/%c3%a9%25?n=2"];
    assert_eq!([rendered(0), rendered(1), rendered(2)], paths);
}
