//! What one Redis client says, command after command.

use quipu_core::op::{Ack, ReadLevel};
use quipu_core::outcome::{Dependency, Reply};
use quipu_metrics::label::{ConnectionCut, OperationKind, Surface};
use quipu_metrics::name::Counter;
use quipu_metrics::settings::{self, Settings};
use quipu_wire::resp::command::{Command, OpCommand, command, place};
use quipu_wire::resp::describe;
use quipu_wire::resp::error::StateError;
use quipu_wire::resp::frame::{Args, FrameLimits, Request};
use quipu_wire::resp::reply::{self, Proto};

use crate::clock::Stopwatch;
use crate::hub::Hub;
use crate::ranker::Ticket;
use crate::resp::facts;
use crate::resp::group::Group;
use crate::resp::output::Output;
use crate::resp::peers::Peers;
use crate::resp::pipeline::{Pipeline, Stop};
use crate::resp::wide::{Depends, Shared};
use crate::tally::Tally;

/// One turn of an event loop, as its sessions see it.
#[derive(Debug)]
pub(crate) struct Turn<'h> {
    pub(crate) hub: &'h Hub,
    pub(crate) peers: &'h Peers,
    pub(crate) now_ms: u64,
    /// When the turn began.
    pub(crate) watch: Stopwatch,
    pub(crate) tally: Tally,
    /// Room for commands found ahead.
    pipeline: Pipeline,
}

impl<'h> Turn<'h> {
    /// Begins a turn: the time is read once.
    pub(crate) fn begin(hub: &'h Hub, peers: &'h Peers, pipeline: Pipeline) -> Self {
        let (now_ms, watch) = (hub.clock.now_ms(), Stopwatch::start());
        Self { hub, peers, now_ms, watch, tally: Tally::default(), pipeline }
    }

    /// Ends it and gives the room back.
    pub(crate) fn end(self) -> Pipeline {
        self.tally.publish(&self.hub.registry, Surface::Resp);
        self.pipeline
    }

    pub(crate) fn note_input(&mut self, bytes: usize) {
        self.tally.input(bytes);
    }
}

/// How a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It needs more bytes.
    More,
    /// There is enough to send first.
    Full,
    /// A ranking must come first.
    Wait,
    /// It is over.
    End,
}

/// One client's side of the conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) peer: u64,
    pub(crate) proto: Proto,
    args: Args,
    limits: FrameLimits,
    pub(crate) group: Option<Group>,
    group_max: usize,
    /// The ranking that the next command waits for.
    awaited: Option<Ticket>,
    pub(crate) default_ack: Ack,
    default_read: ReadLevel,
}

impl Session {
    pub(crate) fn new(peer: u64, settings: &Settings) -> Self {
        let limits = &settings.limits;
        let (default_ack, default_read) = match settings.ack_default {
            settings::Ack::Fsync => (Ack::Fsync, ReadLevel::Committed),
            settings::Ack::Memory => (Ack::Memory, ReadLevel::Latest),
        };
        let limits_of_frames = FrameLimits {
            inline_bytes: limits.inline_bytes.0 as usize,
            bulk_bytes: limits.bulk_bytes.0 as usize,
            array_len: limits.array_len,
            frame_bytes: u32::try_from(limits.pipeline_bytes.0).unwrap_or(u32::MAX),
        };
        Self {
            peer,
            proto: Proto::Resp2,
            args: Args::default(),
            limits: limits_of_frames,
            group: None,
            group_max: limits.multi_commands,
            awaited: None,
            default_ack,
            default_read,
        }
    }

    pub(crate) fn peer(&self) -> u64 {
        self.peer
    }

    /// Runs the complete commands of `bytes` until `stall_bytes` of replies wait; returns how many
    /// bytes they took, and how to go on.
    pub(crate) fn run(
        &mut self,
        bytes: &[u8],
        stall_bytes: usize,
        turn: &mut Turn<'_>,
        out: &mut Output,
    ) -> (usize, Flow) {
        let mut taken = 0;
        // Lent out while the turn is used; it comes back below.
        let mut pipeline = std::mem::take(&mut turn.pipeline);
        let flow = loop {
            let stop = pipeline.look(bytes, taken, &self.limits, &mut self.args);
            pipeline.prefetch(turn.hub, bytes);
            let flow = self.run_found((&pipeline, bytes, stall_bytes), &mut taken, turn, out);
            match (flow, stop) {
                (Flow::More, Stop::Enough) => {}
                (Flow::More, Stop::Incomplete) => break Flow::More,
                (Flow::More, Stop::Broken(error)) => {
                    let cut = Counter::ConnectionsCut(ConnectionCut::Protocol);
                    turn.hub.registry.add(cut, 1);
                    let at = out.position();
                    reply::protocol_error(out.buffer(), &error);
                    out.end_reply(at, None);
                    taken = bytes.len();
                    break Flow::End;
                }
                (flow, _) => {
                    // What was found further on is found again; no progress on it is kept.
                    self.args = Args::default();
                    break flow;
                }
            }
        };
        turn.pipeline = pipeline;
        (taken, flow)
    }

    /// Runs the commands that were found until `stall_bytes` of replies wait.
    fn run_found(
        &mut self,
        (pipeline, bytes, stall_bytes): (&Pipeline, &[u8], usize),
        taken: &mut usize,
        turn: &mut Turn<'_>,
        out: &mut Output,
    ) -> Flow {
        for index in 0..pipeline.len() {
            if out.pending() > stall_bytes {
                return Flow::Full;
            }
            let Some((request, end)) = pipeline.get(index, bytes) else { return Flow::More };
            let flow = self.perform(request, turn, out);
            if flow == Flow::Wait {
                return flow;
            }
            *taken = end;
            turn.tally.command();
            if flow == Flow::End {
                return flow;
            }
        }
        Flow::More
    }

    #[inline]
    fn perform(&mut self, request: Request<'_>, turn: &mut Turn<'_>, out: &mut Output) -> Flow {
        let at = out.position();
        let parsed = command(request);
        if self.group.is_some() {
            return self.perform_in_group(request, parsed, turn, out);
        }
        match parsed {
            Ok(Command::Op(op)) => self.op(&op, turn, out),
            Ok(other) => return self.other(&other, turn, out),
            Err(error) => {
                hold_place(turn.hub, request);
                reply::command_error(out.buffer(), &error);
                out.end_reply(at, None);
            }
        }
        Flow::More
    }

    /// One operation on one counter: the way of nearly all commands.
    #[inline]
    fn op(&mut self, asked: &OpCommand<'_>, turn: &mut Turn<'_>, out: &mut Output) {
        let at = out.position();
        let answer = turn.hub.node.execute(turn.now_ms, &asked.op);
        turn.tally.reply(&asked.op.action, &answer);
        reply::answer(out.buffer(), self.proto, asked.shape, &answer, turn.now_ms);
        out.end_reply(at, self.hold(turn.hub, asked, &answer));
    }

    /// What the reply to an operation waits for.
    #[inline]
    pub(crate) fn hold(
        &self,
        hub: &Hub,
        asked: &OpCommand<'_>,
        reply: &Reply,
    ) -> Option<Dependency> {
        let waits = if asked.op.action.is_write() {
            asked.ack.unwrap_or(self.default_ack) == Ack::Fsync
        } else {
            self.read_waits(asked.read)
        };
        (waits && hub.must_wait(reply.depends)).then_some(reply.depends)
    }

    pub(crate) fn read_waits(&self, level: Option<ReadLevel>) -> bool {
        level.unwrap_or(self.default_read) == ReadLevel::Committed
    }

    /// Everything that is not about one counter.
    pub(crate) fn other(
        &mut self,
        asked: &Command<'_>,
        turn: &mut Turn<'_>,
        out: &mut Output,
    ) -> Flow {
        let at = out.position();
        if let Command::Quit = asked {
            reply::ok(out.buffer());
            out.end_reply(at, None);
            return Flow::End;
        }
        if let Command::Top(n) = asked {
            return self.top(*n, turn, out);
        }
        let mut shards = Shared { hub: turn.hub, now_ms: turn.now_ms };
        if let Some(depends) = self.wide(asked, &mut shards, turn, out.buffer()) {
            end_held(out, at, turn.hub, depends);
        } else {
            self.about_connection(asked, turn, out.buffer());
            out.end_reply(at, None);
        }
        Flow::More
    }

    /// QUIPU.TOP: answered when the ranking is there; until then the command stays where it is.
    fn top(&mut self, n: usize, turn: &mut Turn<'_>, out: &mut Output) -> Flow {
        let (at, ranker) = (out.position(), &turn.hub.ranker);
        let ticket = *self.awaited.get_or_insert_with(|| ranker.ask());
        let Some(top) = ranker.get(ticket) else { return Flow::Wait };
        self.awaited = None;
        turn.tally.operation(OperationKind::Top);
        reply::top(out.buffer(), self.proto, &top, n);
        let on = top.depends().collect();
        end_held(out, at, turn.hub, Depends { on, waits: self.read_waits(None) });
        Flow::More
    }

    /// Whether a command waits for a ranking.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Whether it still has to.
    pub(crate) fn must_await(&self, hub: &Hub) -> bool {
        self.awaited.is_some_and(|ticket| hub.ranker.get(ticket).is_none())
    }

    pub(crate) fn group_max(&self) -> usize {
        self.group_max
    }

    /// Commands that depend on no counter.
    pub(crate) fn about_connection(
        &mut self,
        asked: &Command<'_>,
        turn: &Turn<'_>,
        out: &mut Vec<u8>,
    ) {
        match asked {
            Command::Ping(message) => reply::pong(out, *message),
            Command::Echo(message) => reply::bulk(out, message),
            Command::Multi => {
                self.group = Some(Group::default());
                reply::ok(out);
            }
            Command::Exec => reply::state_error(out, StateError::ExecWithoutMulti),
            Command::Discard => reply::state_error(out, StateError::DiscardWithoutMulti),
            Command::Select => reply::ok(out),
            Command::Reset => {
                self.proto = Proto::Resp2;
                self.group = None;
                turn.peers.update(self.peer, |peer| peer.name.clear());
                reply::simple(out, "RESET");
            }
            Command::Hello(hello) => facts::hello(self, hello, turn, out),
            Command::Auth { user, .. } => facts::auth(*user, out),
            Command::ConfigGet(patterns) => facts::config(self, *patterns, turn, out),
            Command::Command(asked) => describe::commands(out, self.proto, *asked),
            Command::Client(asked) => facts::client(self, asked, turn, out),
            Command::Use(namespace) => facts::namespace(namespace, out),
            _ => unreachable!("commands about counters are performed before"),
        }
    }
}

/// Ends a reply that depends on several batches.
pub(crate) fn end_held(out: &mut Output, at: u64, hub: &Hub, depends: Depends) {
    let mut last = None;
    for depends in depends.on.into_iter().filter(|d| depends.waits && hub.must_wait(*d)) {
        if let Some(earlier) = last.replace(depends) {
            out.also_hold(at, earlier);
        }
    }
    out.end_reply(at, last);
}

/// Holds the stream of a request that is refused before it is decided, if it names one.
#[cold]
pub(crate) fn hold_place(hub: &Hub, request: Request<'_>) {
    if let Some(place) = place(request) {
        hub.node.hold_stream(place.counter, place.stream, place.sequence);
    }
}
