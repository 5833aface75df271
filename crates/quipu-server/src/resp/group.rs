//! MULTI and EXEC: commands kept as they came, then performed as one frame of the log.
//!
//! Errors stay with their command, as in Redis. A group is held for its strongest acknowledgement.

use quipu_core::node;
use quipu_core::outcome::Refusal;
use quipu_wire::resp::command::{Command, OpCommand, command};
use quipu_wire::resp::error::{CommandError, StateError};
use quipu_wire::resp::frame::{Args, FrameLimits, Parsed, Request, parse};
use quipu_wire::resp::reply;

use crate::cells::SharedShards;
use crate::resp::output::Output;
use crate::resp::session::{Flow, Session, Turn, end_held, hold_place};
use crate::resp::wide::{Depends, needs_all};

/// The commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Whole commands in wire form.
    frames: Vec<u8>,
    commands: usize,
    /// Whether one of them was not understood: then EXEC performs none.
    spoiled: bool,
}

/// The shards of a group and what its replies depend on.
struct Performing<'a> {
    shards: node::Group<'a, SharedShards>,
    depends: Depends,
}

impl Performing<'_> {
    /// One reply of the group that waits makes all of it wait.
    fn note(&mut self, depends: Depends) {
        self.depends.on.extend(depends.on);
        self.depends.waits |= depends.waits;
    }
}

impl Group {
    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.commands
    }

    fn keep(&mut self, request: Request<'_>) {
        reply::array(&mut self.frames, request.len());
        request.iter().for_each(|word| reply::bulk(&mut self.frames, word));
        self.commands += 1;
    }

    /// Holds the streams of the requests that were not understood.
    fn hold_refused(&self, turn: &Turn<'_>) {
        self.visit(|request| {
            if command(request).is_err() {
                hold_place(turn.hub, request);
            }
        });
    }

    /// Takes the shards that its commands need.
    fn take<'h>(&self, turn: &Turn<'h>) -> Result<node::Group<'h, SharedShards>, Refusal> {
        let (mut names, mut all) = (Vec::new(), false);
        self.visit(|request| match command(request) {
            Ok(Command::Op(asked)) => names.push(asked.op.name.to_owned()),
            Ok(Command::Many(many)) => names.extend(many.keys.iter().map(str::to_owned)),
            Ok(other) => all |= needs_all(&other),
            Err(_) => {}
        });
        let node = &turn.hub.node;
        if all {
            return node.group_all(turn.now_ms, names.len() + self.commands);
        }
        node.group(turn.now_ms, names.iter().map(String::as_str))
    }

    /// Calls `each` with every request in order.
    fn visit(&self, mut each: impl FnMut(Request<'_>)) {
        let (mut args, mut at) = (Args::default(), 0);
        // What was within the client's limits is within these.
        let limits = FrameLimits { bulk_bytes: u32::MAX as usize / 2, ..FrameLimits::default() };
        while let Some(rest) = self.frames.get(at..)
            && let Ok(Parsed::Command { consumed }) = parse(rest, &limits, &mut args)
        {
            each(args.request(rest));
            at += consumed;
        }
    }
}

impl Session {
    /// A command while a group is open.
    pub(crate) fn perform_in_group(
        &mut self,
        request: Request<'_>,
        parsed: Result<Command<'_>, CommandError>,
        turn: &mut Turn<'_>,
        out: &mut Output,
    ) -> Flow {
        let at = out.position();
        match parsed {
            Ok(Command::Exec) => {
                self.exec(turn, out);
                return Flow::More;
            }
            Ok(Command::Discard) => {
                self.group = None;
                reply::ok(out.buffer());
            }
            Ok(Command::Quit) => return self.other(&Command::Quit, turn, out),
            Ok(Command::Reset) => return self.other(&Command::Reset, turn, out),
            Ok(Command::Multi) => reply::state_error(out.buffer(), StateError::NestedMulti),
            Err(CommandError::ExecArity) => {
                self.group = None;
                reply::command_error(out.buffer(), &CommandError::ExecArity);
            }
            Err(error) if error.spoils_group() => {
                hold_place(turn.hub, request);
                self.spoil();
                reply::command_error(out.buffer(), &error);
            }
            Ok(Command::Top(_)) => {
                self.spoil();
                reply::state_error(out.buffer(), StateError::TopInGroup);
            }
            Ok(_) | Err(_) => self.queue(request, turn, out),
        }
        out.end_reply(at, None);
        Flow::More
    }

    fn spoil(&mut self) {
        if let Some(group) = &mut self.group {
            group.spoiled = true;
        }
    }

    fn queue(&mut self, request: Request<'_>, turn: &Turn<'_>, out: &mut Output) {
        let max = self.group_max();
        let Some(group) = &mut self.group else { return };
        if group.commands >= max {
            group.spoiled = true;
            hold_place(turn.hub, request);
            let why = format!("a group has at most {max} commands; send it in parts");
            return reply::error(out.buffer(), "ERR", &why);
        }
        // A group that will not be performed need not be kept.
        if group.spoiled {
            hold_place(turn.hub, request);
        } else {
            group.keep(request);
        }
        reply::queued(out.buffer());
    }

    fn exec(&mut self, turn: &mut Turn<'_>, out: &mut Output) {
        let at = out.position();
        let Some(group) = self.group.take() else { return };
        if group.spoiled {
            group.visit(|request| hold_place(turn.hub, request));
            reply::state_error(out.buffer(), StateError::ExecAborted);
            return out.end_reply(at, None);
        }
        match group.take(turn) {
            Err(refusal) => {
                group.visit(|request| hold_place(turn.hub, request));
                reply::refusal(out.buffer(), &refusal);
                out.end_reply(at, None);
            }
            Ok(shards) => {
                let mut performing = Performing { shards, depends: Depends::default() };
                reply::array(out.buffer(), group.commands);
                group.visit(|request| {
                    self.in_exec(command(request), &mut performing, turn, out.buffer());
                });
                // The shards are let go before anything else is done: holds take them again.
                let Performing { shards, depends } = performing;
                drop(shards);
                group.hold_refused(turn);
                end_held(out, at, turn.hub, depends);
            }
        }
    }

    /// Performs one command of a group.
    fn in_exec(
        &mut self,
        asked: Result<Command<'_>, CommandError>,
        group: &mut Performing<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) {
        match asked {
            Ok(Command::Op(asked)) => self.op_in_exec(&asked, group, turn, out),
            Ok(other) => match self.wide(&other, &mut group.shards, turn, out) {
                Some(depends) => group.note(depends),
                None => self.about_connection(&other, turn, out),
            },
            Err(error) => reply::command_error(out, &error),
        }
    }

    fn op_in_exec(
        &self,
        asked: &OpCommand<'_>,
        group: &mut Performing<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) {
        let answer = group.shards.execute(&asked.op);
        turn.tally.reply(&asked.op.action, &answer);
        reply::answer(out, self.proto, asked.shape, &answer, turn.now_ms);
        let waits = self.hold(turn.hub, asked, &answer).is_some();
        group.note(Depends { on: vec![answer.depends], waits });
    }
}
