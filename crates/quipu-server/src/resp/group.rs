//! MULTI and EXEC: commands kept as they came, then performed as one frame of the log.
//!
//! Errors stay with their command, as in Redis. A group is held for its strongest acknowledgement.

use quipu_core::node;
use quipu_core::outcome::Dependency;
use quipu_wire::resp::command::{Command, OpCommand, command};
use quipu_wire::resp::error::{CommandError, StateError};
use quipu_wire::resp::frame::{Args, FrameLimits, Parsed, Request, parse};
use quipu_wire::resp::reply;

use crate::cells::SharedShards;
use crate::resp::output::Output;
use crate::resp::session::{Flow, Session, Turn, end_held};

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
    depends: Vec<Dependency>,
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

    /// Calls `each` with every command in order.
    fn visit(&self, mut each: impl FnMut(Result<Command<'_>, CommandError>)) {
        let (mut args, mut at) = (Args::default(), 0);
        // What was within the client's limits is within these.
        let limits = FrameLimits { bulk_bytes: u32::MAX as usize / 2, ..FrameLimits::default() };
        while let Some(rest) = self.frames.get(at..)
            && let Ok(Parsed::Command { consumed }) = parse(rest, &limits, &mut args)
        {
            each(command(args.request(rest)));
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
            Ok(Command::Quit | Command::Reset | Command::Hello(_) | Command::Auth { .. }) => {
                return match parsed {
                    Ok(command) => self.other(&command, turn, out),
                    Err(_) => Flow::More,
                };
            }
            Ok(Command::Multi) => {
                self.spoil();
                reply::state_error(out.buffer(), StateError::NestedMulti);
            }
            Err(error) if error.spoils_group() => {
                self.spoil();
                reply::command_error(out.buffer(), &error);
            }
            Ok(_) | Err(_) => self.queue(request, out),
        }
        out.end_reply(at, None);
        Flow::More
    }

    fn spoil(&mut self) {
        if let Some(group) = &mut self.group {
            group.spoiled = true;
        }
    }

    fn queue(&mut self, request: Request<'_>, out: &mut Output) {
        let max = self.group_max();
        let Some(group) = &mut self.group else { return };
        if group.commands >= max {
            group.spoiled = true;
            let why = format!("a group has at most {max} commands; send it in parts");
            return reply::error(out.buffer(), "ERR", &why);
        }
        group.keep(request);
        reply::queued(out.buffer());
    }

    fn exec(&mut self, turn: &mut Turn<'_>, out: &mut Output) {
        let at = out.position();
        let Some(group) = self.group.take() else { return };
        if group.spoiled {
            reply::state_error(out.buffer(), StateError::ExecAborted);
            return out.end_reply(at, None);
        }
        let mut names = Vec::new();
        group.visit(|command| match command {
            Ok(Command::Op(asked)) => names.push(asked.op.name.to_owned()),
            Ok(Command::Many(many)) => names.extend(many.keys.iter().map(str::to_owned)),
            _ => {}
        });
        let hub = turn.hub;
        match hub.node.group(turn.now_ms, names.iter().map(String::as_str)) {
            Err(refusal) => {
                reply::refusal(out.buffer(), &refusal);
                out.end_reply(at, None);
            }
            Ok(shards) => {
                let mut performing = Performing { shards, depends: Vec::new() };
                reply::array(out.buffer(), group.commands);
                let mut held = false;
                group.visit(|command| {
                    held |= self.in_exec(command, &mut performing, turn, out.buffer());
                });
                // The shards are let go before anything else is done.
                let Performing { shards, depends } = performing;
                drop(shards);
                end_held(out, at, hub, depends.into_iter().filter(|_| held));
            }
        }
    }

    /// Performs one command of a group; says whether its acknowledgement waits.
    fn in_exec(
        &mut self,
        asked: Result<Command<'_>, CommandError>,
        group: &mut Performing<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        match asked {
            Ok(Command::Op(asked)) => self.op_in_exec(&asked, group, turn, out),
            Ok(Command::Many(many)) => {
                let action = many.what.action();
                let mut replies = Vec::new();
                for name in many.keys.iter() {
                    let op =
                        quipu_core::op::Op { name, action, token: quipu_core::op::Token::None };
                    replies.push(group.shards.execute(&op));
                }
                group.depends.extend(replies.iter().map(|reply| reply.depends));
                reply::many(out, self.proto, many.what, &replies);
                self.default_waits()
            }
            Ok(
                Command::Scan(_)
                | Command::DbSize
                | Command::Stream(_)
                | Command::Checkpoint { .. },
            ) => {
                let why = "commands about all counters or streams do not go into a group; send \
                           them before or after";
                reply::error(out, "ERR", &why);
                false
            }
            Ok(other) => {
                self.about_connection(&other, turn, out);
                false
            }
            Err(error) => {
                reply::command_error(out, &error);
                false
            }
        }
    }

    fn op_in_exec(
        &mut self,
        asked: &OpCommand<'_>,
        group: &mut Performing<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let answer = group.shards.execute(&asked.op);
        turn.tally.reply(&asked.op.action, &answer);
        reply::answer(out, self.proto, asked.shape, &answer, turn.now_ms);
        group.depends.push(answer.depends);
        self.hold(turn.hub, asked, &answer).is_some()
    }
}
