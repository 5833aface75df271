//! Crowds: thousands of idle connections, clients that send a byte at a time, a flood of requests
//! and of connections. All bounded; those who behave are served meanwhile.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::faults::{Knobs as _, busy_log, count, share};
use crate::http::{Http, request};
use crate::node::{Node, PATIENCE, poll};
use crate::resp::{Resp, encode_line};

/// Idle connections, if the limits of descriptors of both sides allow them.
const IDLE_MAX: usize = 10_000;
/// Descriptors that both sides need beside their connections.
const DESCRIPTORS_SPARE: usize = 1_000;
/// The slowest answer that a client who behaves gets beside a crowd. Guess: a loaded machine with
/// a slow disk is far below; one that serves the crowd first is far above.
const ANSWER_MAX: Duration = Duration::from_secs(5);

fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| limit as usize)
}

/// Demands that `count` increments are answered, each in time.
fn behaves(node: &Node, name: &str, count: i64) {
    let mut socket = node.resp();
    for expected in 1..=count {
        let begin = Instant::now();
        assert_eq!(socket.call(&format!("INCR {name}")).int(), Some(expected));
        let took = begin.elapsed();
        assert!(took < ANSWER_MAX, "an answer beside the crowd took {took:?}");
    }
}

#[test]
fn thousands_of_idle_connections_are_held_and_the_others_served() {
    let folder = TempDir::new().expect("a temporary directory");
    // This process opens one end of each, and other tests run in it.
    let idle = IDLE_MAX.min(descriptors().saturating_sub(DESCRIPTORS_SPARE) / 2);
    let start = busy_log(&folder.path().join("data"));
    let start = start.knob("limits.connections", (idle + 100).to_string());
    let mut node =
        crate::faults::under::under(&start, "ulimit -n $(ulimit -H -n); exec \"$@\"").run();
    let address = node.address("resp");
    let crowd: Vec<TcpStream> = (0..idle)
        .map(|at| {
            TcpStream::connect(address).unwrap_or_else(|error| panic!("{at} of {idle}: {error}"))
        })
        .collect();
    behaves(&node, "beside", 100);
    for (index, mut socket) in crowd.iter().enumerate().step_by(1 + idle / 50) {
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        socket.write_all(b"PING\r\n").expect("an idle connection is open");
        let mut answer = [0; 7];
        socket.read_exact(&mut answer).unwrap_or_else(|error| panic!("{index}: {error}"));
        assert_eq!(&answer, b"+PONG\r\n");
    }
    assert!(node.runs(), "{}", node.stderr());
    count("limits", 1);
    drop(crowd);
    behaves(&node, "after", 10);
}

#[test]
fn clients_that_send_a_byte_at_a_time_hold_up_nobody() {
    let folder = TempDir::new().expect("a temporary directory");
    let node = busy_log(&folder.path().join("data")).run();
    let request = encode_line("INCR slow");
    let mut slow: Vec<Resp> = (0..200).map(|_| node.resp()).collect();
    for byte in &request {
        for socket in &mut slow {
            socket.send(&[*byte]).expect("the node reads");
        }
        behaves_once(&node);
    }
    let mut answers: Vec<i64> = slow
        .iter_mut()
        .map(|socket| socket.receive().expect("a reply").int().expect("a count"))
        .collect();
    answers.sort_unstable();
    assert_eq!(answers, (1..=200).collect::<Vec<i64>>(), "each was counted once");
    count("limits", 1);
}

fn behaves_once(node: &Node) {
    let begin = Instant::now();
    assert_eq!(node.resp().call("PING").text(), Some("PONG"));
    assert!(begin.elapsed() < ANSWER_MAX, "PING took {:?}", begin.elapsed());
}

#[test]
fn a_flood_is_counted_once_each_and_the_others_are_served() {
    let folder = TempDir::new().expect("a temporary directory");
    let mut node = busy_log(&folder.path().join("data")).run();
    let each = 20_000 * share();
    thread::scope(|scope| {
        let flooders: Vec<_> = (0..4)
            .map(|_| {
                let mut socket = node.resp();
                scope.spawn(move || flood(&mut socket, each))
            })
            .collect();
        behaves(&node, "beside", 50);
        // Connections that come and go without a word are a flood too.
        for _ in 0..500 {
            drop(TcpStream::connect(node.address("resp")));
        }
        let answered: usize =
            flooders.into_iter().map(|flooder| flooder.join().expect("a flooder ends")).sum();
        let counted = node.resp().call("GET flooded").int();
        assert_eq!(counted, Some(answered as i64), "counted and acknowledged");
    });
    assert!(node.runs(), "{}", node.stderr());
    count("limits", 1);
}

/// Sends `each` increments in deep pipelines; returns how many were acknowledged.
fn flood(socket: &mut Resp, each: usize) -> usize {
    let deep = 1000;
    let pipeline = encode_line("INCR flooded").repeat(deep);
    let mut answered = 0;
    for _ in 0..each / deep {
        socket.send(&pipeline).expect("the node reads");
        for _ in 0..deep {
            let reply = socket.receive().expect("each request is answered");
            assert!(reply.int().is_some() || reply.fails_with("BUSY"), "{reply:?}");
            answered += usize::from(reply.int().is_some());
        }
    }
    answered
}

/// Heads of HTTP requests that come a byte at a time: cut in time, and no place is lost to them.
#[test]
fn slow_heads_of_http_requests_are_cut_and_the_others_are_served() {
    let folder = TempDir::new().expect("a temporary directory");
    let node = busy_log(&folder.path().join("data")).knob("http.header_timeout", "500ms").run();
    let mut slow: Vec<Http> = (0..200).map(|_| node.http()).collect();
    let (head, begin) = (b"GET /health HTTP/1.1\r\nX-Slow: ", Instant::now());
    let mut bytes = head.iter().chain(std::iter::repeat(&b'a'));
    let cut = poll(PATIENCE, || {
        let byte = *bytes.next().expect("there is no end to them");
        slow.retain_mut(|socket| socket.send_bytes(&[byte]).is_ok());
        behaves_once(&node);
        assert_eq!(node.http().call(&request("GET", "/health", "")).status, 200);
        slow.is_empty().then_some(())
    });
    assert!(cut.is_some(), "{} are still fed after {:?}", slow.len(), begin.elapsed());
    count("limits", 1);
}
