//! `quipu health`: whether a node serves, for images without curl.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::output::{FAILURE, fail, say};

/// Longest answer that is read. Guess: a head and one sentence are a tenth of it.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Ask a node whether it serves
///
/// Exits 0 where `GET /ready` answers 200, and 1 with the node's reason where not.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// HTTP or admin address of the node
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7413", env = "QUIPU_ADMIN_ADDR")]
    admin: SocketAddr,
    /// Longest wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// Asks, and says what was answered.
pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let answer = match ask(args.admin, Duration::from_secs(args.timeout)) {
        Ok(answer) => answer,
        Err(error) => {
            return fail(FAILURE, format_args!("{} does not answer: {error}", args.admin));
        }
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => say("ready").map(|()| ExitCode::SUCCESS).map_err(Into::into),
        _ => fail(FAILURE, if body.is_empty() { head } else { body }),
    }
}

fn ask(address: SocketAddr, patience: Duration) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, patience)?;
    socket.set_read_timeout(Some(patience))?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
