//! When a connection is held for dead.

use std::sync::Arc;

use quipu_lab::request::{Requests, Run};
use quipu_lab::scenario::Scenario;
use quipu_lab::slot::Slot;

use crate::connection::{Connection, Standstill};
use crate::driver::Driver;
use crate::driver::http::Http;
use crate::driver::http2::Http2;
use crate::driver::http2::encode::Fields;

/// After how long a request is given up.
const TIMEOUT_NS: u64 = 100;

fn requests() -> Requests {
    let text = "version = 1\nname = \"test\"\n[target]\nkind = \"http\"\nurl = \"http://h:1/a\"\n\
                [[phase]]\nname = \"main\"\nrate = 1\nfor = \"1s\"\n";
    let scenario = Scenario::parse(text, None, &|_| Err(String::new())).expect("a scenario");
    Requests::new(&scenario, Run { id: 1, start_wall_ms: 0 })
}

fn http2() -> Connection<Http2> {
    let requests = requests();
    let fields = Arc::new(Fields::new(&requests, "h:1", false));
    Connection::new(0, Http2::new(requests, fields, 4))
}

impl<D: Driver> Connection<D> {
    fn send_at(&mut self, now_ns: u64) {
        self.send(Slot { number: 1, phase: 0, due_ns: 0 }, now_ns);
    }

    /// Returns how many requests were given up at `now_ns`, or why the connection is.
    fn given_up_at(&mut self, now_ns: u64) -> Result<usize, Standstill> {
        let mut landings = Vec::new();
        self.give_up((now_ns - TIMEOUT_NS, now_ns), &mut landings)?;
        Ok(landings.len())
    }
}

#[test]
fn a_target_that_gives_no_sign_of_life_is_dead() {
    let mut connection = http2();
    connection.send_at(0);
    connection.send_at(0);
    assert_eq!(connection.given_up_at(101), Ok(2));
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0];
    let pings = connection.output.windows(ping.len()).filter(|head| *head == ping).count();
    assert_eq!(pings, 1);
    connection.send_at(102);
    connection.send_at(103);
    assert_eq!(connection.given_up_at(201), Ok(0), "it has time for its answer");
    assert_eq!(connection.given_up_at(203), Err(Standstill::Silent));
}

#[test]
fn a_target_that_is_only_slow_keeps_its_connection() {
    let mut connection = http2();
    for round in 0..5 {
        let now_ns = round * 200;
        connection.send_at(now_ns);
        assert_eq!(connection.given_up_at(now_ns + 101), Ok(1));
        // A PING comes back.
        connection.heard_bytes += 17;
    }
}

#[test]
fn a_protocol_of_answers_in_order_ends_with_the_first_that_is_late() {
    let check = |heard_bytes, expected| {
        let mut connection = Connection::new(0, Http::new(requests(), "h:1"));
        connection.send_at(0);
        connection.heard_bytes += heard_bytes;
        assert_eq!(connection.given_up_at(101), Err(expected));
    };
    check(0, Standstill::Silent);
    check(1, Standstill::InOrder);
}
