//! RESP commands on a real node and on its model: every answer is equal.
//!
//! The input is what a client sends, arrays or lines. Lines that begin with `!` are the world
//! around the node: `!cut` closes the open batches, `!durable 2` makes frames durable, `!crash 1`
//! keeps as many and starts again from the log, `!time 500` lets milliseconds pass, `!room ok|busy|full`
//! and `!memory ok|full` say what is left, `!reap` deletes what has expired. `MULTI` begins a group;
//! `EXEC` does each of it and `!atomic` all or nothing.

use quipu_core::op::{Op, Token};
use quipu_core::outcome::Refusal;
use quipu_wire::resp::command::{Command, command, place};
use quipu_wire::resp::frame::{Args, FrameLimits, Parsed, Request, parse};
use quipu_wire::resp::number;
use quipu_wire::resp::reply::{self, Proto};

use crate::world::World;

/// Most commands of one input: the model is slow by design, and a reaper takes so many at once.
const COMMANDS_MAX: usize = 60;

/// Most keys of one command that are looked at.
const KEYS_MAX: usize = 16;

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut session = Session { world: World::new(), group: None, out: Vec::new() };
    let (mut args, mut rest) = (Args::default(), input);
    for _ in 0..COMMANDS_MAX {
        let consumed = match parse(rest, &FrameLimits::default(), &mut args) {
            Ok(Parsed::Empty { consumed }) => consumed,
            Ok(Parsed::Command { consumed }) => {
                session.take(args.request(rest), &rest[..consumed]);
                consumed
            }
            Ok(Parsed::Incomplete) | Err(_) => break,
        };
        rest = &rest[consumed..];
    }
    session.world.cut();
    session.world.settle(usize::MAX);
    session.world.crash(0);
}

struct Session<'a> {
    world: World,
    /// The frames of an open group.
    group: Option<Vec<&'a [u8]>>,
    out: Vec<u8>,
}

impl<'a> Session<'a> {
    fn take(&mut self, request: Request<'_>, frame: &'a [u8]) {
        let word = request.get(0).unwrap_or_default();
        if let Some(order) = word.strip_prefix(b"!") {
            return self.order(order, request.get(1).unwrap_or_default());
        }
        let asked = command(request);
        match (&asked, &mut self.group) {
            (Ok(Command::Multi), _) => self.group = Some(Vec::new()),
            (Ok(Command::Discard | Command::Reset), _) => self.group = None,
            (Ok(Command::Exec), _) => self.end_group(false),
            (Ok(_), Some(group)) => group.push(frame),
            (Ok(asked), None) => self.perform(asked),
            (Err(error), _) => {
                self.out.clear();
                reply::command_error(&mut self.out, error);
                if let Some(place) = place(request) {
                    self.world.hold(place.counter, place.stream, place.sequence);
                }
            }
        }
    }

    fn order(&mut self, order: &[u8], word: &[u8]) {
        let count = number::unsigned(word).unwrap_or(1);
        match order {
            b"cut" => self.world.cut(),
            b"durable" => self.world.settle(count.min(64) as usize),
            b"crash" => self.world.crash(count.min(64) as usize),
            b"time" => self.world.pass(count),
            b"memory" => self.world.set_memory_full(word == b"full"),
            b"reap" => self.world.reap(),
            b"end" => self.world.end_stream(word, false),
            b"end!" => self.world.end_stream(word, true),
            b"atomic" => self.end_group(true),
            b"room" => self.world.set_room(match word {
                b"busy" => Some(Refusal::Busy),
                b"full" => Some(Refusal::NoSpace),
                _ => None,
            }),
            _ => {}
        }
    }

    fn perform(&mut self, asked: &Command<'_>) {
        match asked {
            Command::Op(asked) => {
                let answer = self.world.execute(&asked.op);
                self.out.clear();
                reply::answer(&mut self.out, Proto::Resp3, asked.shape, &answer, 0);
            }
            Command::Many(many) => {
                for name in many.keys.iter().take(KEYS_MAX) {
                    let op = Op { name, action: many.what.action(), token: Token::None };
                    self.world.execute(&op);
                }
            }
            Command::Scan(scan) => self.world.scan(scan.cursor, scan.count as usize),
            Command::DbSize => self.world.count(),
            Command::Stream(name) => self.world.stream(name),
            Command::Checkpoint { name, sequence } => self.world.checkpoint(name, *sequence),
            _ => {}
        }
    }

    /// Does what a group holds of operations on one counter each.
    fn end_group(&mut self, atomic: bool) {
        let frames = self.group.take().unwrap_or_default();
        let mut args: Vec<Args> = frames.iter().map(|_| Args::default()).collect();
        for (frame, args) in frames.iter().zip(&mut args) {
            let again = parse(frame, &FrameLimits::default(), args);
            assert_eq!(again, Ok(Parsed::Command { consumed: frame.len() }));
        }
        let mut ops = Vec::new();
        for (frame, args) in frames.iter().zip(&args) {
            match command(args.request(frame)) {
                Ok(Command::Op(asked)) => ops.push(asked.op),
                Ok(Command::Many(many)) => {
                    let action = many.what.action();
                    let each = |name| Op { name, action, token: Token::None };
                    ops.extend(many.keys.iter().take(KEYS_MAX).map(each));
                }
                _ => {}
            }
        }
        if atomic && !ops.is_empty() {
            self.world.atomic(&ops);
        } else {
            self.world.group(&ops);
        }
    }
}
