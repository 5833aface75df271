//! A client of many connections on one thread: each keeps one pipeline in flight.
//!
//! redis-benchmark cannot send a fresh token with every command, nor walk through ten million names
//! in order, so this does, and the same client drives both sides of a row. It sweeps over
//! non-blocking sockets, as fast as it can.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::machine;

/// Longest time without any answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// How many connections, and how many commands each has in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) pipeline: u64,
}

/// What to send, and how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// First number that is made into a command.
    pub(crate) first: u64,
    /// Commands to send.
    pub(crate) count: u64,
    /// Most commands in a second; none is as fast as it goes.
    pub(crate) rate: Option<f64>,
    /// Lines of one reply.
    pub(crate) reply_lines: u64,
}

impl Load {
    /// Commands with numbers from `first` on whose replies have one line.
    pub(crate) fn new(first: u64, count: u64) -> Self {
        Self { first, count, rate: None, reply_lines: 1 }
    }
}

struct Lane {
    stream: TcpStream,
    /// Lines that are to come.
    open_lines: u64,
    out: Vec<u8>,
    written: usize,
    at_line_start: bool,
}

/// Sends commands that `put` makes of numbers, and returns the time until all were answered.
///
/// # Errors
/// A connection ends, a reply is an error, or the server falls silent.
pub(crate) fn run(
    port: u16,
    shape: Shape,
    load: Load,
    put: impl Fn(u64, &mut Vec<u8>),
) -> Result<Duration> {
    let mut lanes = (0..shape.connections).map(|_| Lane::open(port)).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    let (mut next, end) = (load.first, load.first + load.count);
    let (mut answered, mut heard) = (0, Instant::now());
    let mut buffer = vec![0; READ_BYTES];
    while answered < load.count * load.reply_lines {
        let due = load.rate.map_or(u64::MAX, |rate| (began.elapsed().as_secs_f64() * rate) as u64);
        let mut lines = 0;
        for lane in &mut lanes {
            lines += lane.receive(&mut buffer)?;
            let is_due = next < end && next - load.first < due;
            if lane.open_lines == 0 && is_due {
                let until = (next + shape.pipeline).min(end);
                (next..until).for_each(|number| put(number, &mut lane.out));
                lane.open_lines = (until - next) * load.reply_lines;
                next = until;
            }
            lane.send()?;
        }
        answered += lines;
        if lines > 0 {
            heard = Instant::now();
        } else if heard.elapsed() > SILENCE_MAX {
            bail!("no answer for {SILENCE_MAX:?}, {answered} lines came");
        } else if load.rate.is_some() {
            machine::pause(Duration::from_micros(50));
        }
    }
    Ok(began.elapsed())
}

impl Lane {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, open_lines: 0, out: Vec::new(), written: 0, at_line_start: true })
    }

    fn send(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(self.out.get(self.written..).unwrap_or_default()) {
                Ok(0) => bail!("the connection ended"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("sending"),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what is there and returns how many lines it ends.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<u64> {
        if self.open_lines == 0 {
            return Ok(0);
        }
        match self.stream.read(buffer) {
            Ok(0) => bail!("the connection ended"),
            Ok(count) => {
                let read = buffer.get(..count).unwrap_or_default();
                let lines = lines(read, &mut self.at_line_start)?;
                let left = self.open_lines.checked_sub(lines);
                self.open_lines = left.context("more lines came than were asked for")?;
                Ok(lines)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error).context("receiving"),
        }
    }
}

/// Counts the lines that end in `bytes`; none may be an error.
fn lines(bytes: &[u8], at_line_start: &mut bool) -> Result<u64> {
    // Where nothing can be an error there is nothing to look for but ends.
    if !bytes.contains(&b'-') {
        *at_line_start = bytes.last().map_or(*at_line_start, |byte| *byte == b'\n');
        return Ok(bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum());
    }
    let mut count = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *at_line_start && *byte == b'-' {
            let rest = bytes.get(at..).unwrap_or_default();
            let text = String::from_utf8_lossy(rest.get(..rest.len().min(120)).unwrap_or(rest));
            bail!("the server answered {text}");
        }
        *at_line_start = *byte == b'\n';
        count += u64::from(*at_line_start);
    }
    Ok(count)
}

/// Appends `INCR key:000000000042`: 16 bytes of name, as redis-benchmark makes them.
pub(crate) fn put_incr(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"*2\r\n$4\r\nINCR\r\n$16\r\nkey:");
    put_digits(number, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in twelve digits.
pub(crate) fn put_digits(number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut rest) = ([b'0'; 12], number);
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Mixes the bits of a number: the same numbers in another order, as if by chance.
pub(crate) fn mixed(number: u64) -> u64 {
    // The finalizer of SplitMix64.
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Creates counters `key:0...` up to `count`, over a few deep pipelines.
///
/// # Errors
/// See [`run`].
pub(crate) fn grow(port: u16, count: u64) -> Result<Duration> {
    run(port, Shape { connections: 8, pipeline: 200 }, Load::new(0, count), put_incr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_name_of_sixteen_bytes() {
        let mut out = Vec::new();
        put_incr(42, &mut out);
        assert_eq!(out, b"*2\r\n$4\r\nINCR\r\n$16\r\nkey:000000000042\r\n");
    }

    #[test]
    fn lines_are_counted_and_errors_found_across_reads() {
        let mut start = true;
        assert_eq!(lines(b":1\r\n:-2\r\n$", &mut start).unwrap(), 2);
        assert_eq!(lines(b"-1\r\n", &mut start).unwrap(), 1);
        assert_eq!((lines(b":4\r\n:5", &mut start).unwrap(), start), (1, false));
        assert_eq!((lines(b"\r\n", &mut start).unwrap(), start), (1, true));
        assert!(lines(b"-BUSY no\r\n", &mut start).is_err());
    }
}
