//! Counts the event ids on standard input, each exactly once: HOST PORT COUNTER.

use std::time::Duration;
use std::{env, io, thread};

use redis::{Client, Connection, RedisResult, cmd};

/// A value, what was added, the position in the log, and whether it was counted before.
type Answer = (i64, i64, String, String);

fn add_once(
    client: &Client,
    connection: &mut Option<Connection>,
    counter: &str,
    token: &str,
) -> RedisResult<Answer> {
    let mut add = cmd("QUIPU.ADD");
    add.arg(counter).arg(1).arg("TOKEN").arg(token);
    let mut pauses = (1..100).map(|attempt| Duration::from_millis(20 << attempt.min(5)));
    loop {
        let answer = match connection {
            Some(open) => add.query(open),
            None => client.get_connection().and_then(|open| add.query(connection.insert(open))),
        };
        let code = answer.as_ref().err().map(|error| error.code().unwrap_or("UNKNOWN"));
        match (code, pauses.next()) {
            // Counted or not: the same token settles it.
            (Some("UNKNOWN" | "BUSY"), Some(pause)) => thread::sleep(pause),
            _ => return answer,
        }
        *connection = None;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [host, port, counter] =
        env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "three arguments")?;
    let client = Client::open(format!("redis://{host}:{port}"))?;
    let (mut connection, mut events, mut repeats) = (None, 0, 0);
    for token in io::stdin().lines() {
        let (_, _, _, repeat) = add_once(&client, &mut connection, &counter, token?.trim())?;
        events += 1;
        repeats += i32::from(repeat == "token");
    }
    println!("{events} events, {repeats} of them answered again");
    Ok(())
}
