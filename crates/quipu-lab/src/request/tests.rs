//! What slots send: the same for the same slot, other tokens in another run.

use std::collections::BTreeSet;

use crate::request::{Drawn, Requests, Run, Stream};
use crate::scenario::{Counts, Delta, Request, Scenario, built_in};
use crate::slot::Slot;

const RUN: Run = Run { id: 7, start_wall_ms: 0x0123_4567_89ab };

fn scenario(name: &str) -> Scenario {
    built_in(name, "redis://h").unwrap()
}

fn slot(number: u64) -> Slot {
    Slot { number, phase: 0, due_ns: number * 1_000_000 }
}

fn body(requests: &Requests, drawn: Drawn) -> String {
    let mut out = Vec::new();
    let operation = &requests.operations()[usize::from(drawn.operation)];
    for template in operation.templates() {
        template.render(&requests.filling(drawn, Stream::of(3)), &mut out);
        out.push(b' ');
    }
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

#[test]
fn what_a_slot_sends_depends_on_its_number_and_the_seed_alone() {
    let scenario = scenario("mix");
    let requests = Requests::new(&scenario, RUN);
    let forwards: Vec<Drawn> = (0..500).map(|number| requests.draw(slot(number))).collect();
    let other_run = Requests::new(&scenario, Run { id: 8, start_wall_ms: 9 });
    let mut backwards: Vec<Drawn> = (0..500).rev().map(|n| other_run.draw(slot(n))).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let reseeded = Requests::new(&Scenario { seed: 43, ..scenario }, RUN);
    assert_ne!(reseeded.draw(slot(0)).keys, forwards[0].keys);
}

#[test]
fn operations_come_by_their_weights_and_deltas_from_their_range() {
    let requests = Requests::new(&scenario("mix"), RUN);
    let drawn: Vec<Drawn> = (0..20_000).map(|number| requests.draw(slot(number))).collect();
    let adds: Vec<&Drawn> = drawn.iter().filter(|drawn| drawn.operation == 0).collect();
    // 18,000 expected, deviation 42.
    assert!(adds.len().abs_diff(18_000) < 215, "{}", adds.len());
    let deltas: BTreeSet<i64> = adds.iter().map(|drawn| drawn.delta).collect();
    assert_eq!(deltas, (1..=10).collect());
    assert!(adds.iter().all(|drawn| requests.amount(drawn) == drawn.delta));
    let gets = drawn.iter().filter(|drawn| drawn.operation == 1);
    assert!(gets.into_iter().all(|drawn| requests.amount(drawn) == 0));
}

#[test]
fn the_widest_range_of_deltas_is_drawn_from() {
    let delta = Delta::Uniform(i64::MIN, i64::MAX);
    let requests = Requests::new(&Scenario { delta, ..scenario("mix") }, RUN);
    let deltas: BTreeSet<i64> = (0..100).map(|number| requests.draw(slot(number)).delta).collect();
    assert_eq!(deltas.len(), 100);
}

#[test]
fn a_slot_that_is_sent_again_is_the_same_byte_for_byte() {
    let requests = Requests::new(&scenario("mix"), RUN);
    let first = requests.draw(slot(9));
    assert_eq!(body(&requests, first), body(&requests, requests.draw(slot(9))));
}

/// A request whose one argument is `text`.
fn asking(text: &str) -> Requests {
    let mut scenario = scenario("burst");
    let template = crate::template::Template::compile(text, &["key"]).unwrap();
    scenario.operations[0].request = Request::Resp(vec![template]);
    scenario.operations[0].counts = Counts::Fixed(2);
    Requests::new(&scenario, RUN)
}

#[test]
fn every_hole_is_filled() {
    let requests = asking("n={{n}} d={{delta}} s={{stream}} q={{sequence}} k={{key}}");
    let drawn = Drawn { slot: slot(41), operation: 0, keys: [12, 0, 0, 0], delta: -5 };
    let expected = "n=41 d=-5 s=lab-0000000000000007-3 q=42 k=load:burst:12";
    assert_eq!((body(&requests, drawn).as_str(), requests.amount(&drawn)), (expected, 2));
}

#[test]
fn a_stream_that_was_left_is_followed_by_another() {
    let requests = asking("{{stream}}");
    let name = |turn| {
        let mut out = Vec::new();
        let filling = requests.filling(requests.draw(slot(0)), Stream { connection: 3, turn });
        for template in requests.operations()[0].templates() {
            template.render(&filling, &mut out);
        }
        String::from_utf8(out).unwrap()
    };
    assert_eq!([name(0), name(2)], ["lab-0000000000000007-3", "lab-0000000000000007-3-2"]);
}

#[test]
fn a_uuid_has_its_version_and_its_moment() {
    let text = body(&asking("{{uuid}}"), asking("").draw(slot(2)));
    // 48 bits of milliseconds: the start of the run and two more.
    assert!(text.starts_with("01234567-89ad-7"), "{text}");
    assert_eq!((text.len(), text.split('-').count()), (36, 5));
    assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
    let text = body(&asking("{{uuid4}}"), asking("").draw(slot(2)));
    assert_eq!(text.as_bytes()[14], b'4', "{text}");
    assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
}

#[test]
fn tokens_are_unlike_those_of_other_slots_and_other_runs() {
    for hole in ["{{token}}", "{{uuid}}", "{{uuid4}}"] {
        let requests = asking(hole);
        let texts: BTreeSet<String> =
            (0..1_000).map(|number| body(&requests, requests.draw(slot(number)))).collect();
        assert_eq!(texts.len(), 1_000, "{hole}");
        let other = Requests { run: Run { id: 8, ..RUN }, ..requests.clone() };
        assert!(!texts.contains(&body(&other, other.draw(slot(0)))), "{hole}");
    }
}
