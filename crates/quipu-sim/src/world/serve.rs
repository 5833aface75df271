//! A request at a node: decided by the real core, judged by the shadow, answered or held.

use quipu_core::node::Abort;
use quipu_core::op::{Ack, Action, Op, ReadLevel};
use quipu_core::outcome::{Dependency, Outcome, Position, Refusal, Repeat, Reply, Verdict};

use crate::checks::{Check, Checked, Violation, ensure};
use crate::coverage::{Coverage, Met};
use crate::event::{Delivery, Event, NodeId, Route, Source};
use crate::machine::Machine;
use crate::process::{Held, Process};
use crate::request::{Answer, Ask, Form, KeyText, Names, Request, Response};
use crate::shadow::{Asked, Expected, compare, goes_on};
use crate::world::World;

/// Expired counters that a look at a whole shard deletes first. Spec of `quipu_core::node`.
const REAP_STEPS: usize = 64;

/// One request at one node.
pub(super) struct Serving<'a> {
    pub(super) machine: &'a mut Machine,
    pub(super) names: &'a Names,
    pub(super) coverage: &'a mut Coverage,
    pub(super) now_ms: u64,
    pub(super) is_outside: bool,
}

/// An answer and what it must wait for.
type Served = (Response, Vec<Dependency>);

impl World {
    /// A request reaches its node.
    pub(super) fn deliver(&mut self, delivery: &Delivery) -> Checked {
        let Delivery { route, request, life, upper } = delivery;
        let node = route.node;
        self.coverage.met(Met::Deliveries);
        if route.source == Source::Client {
            self.histories.arrive(request);
        }
        let runs = self.machine(node).process.as_ref().map(|process| process.life);
        self.note("deliver", [request.id, runs.unwrap_or(0), request.asks.len() as u64]);
        if life.is_some() && runs != *life {
            // The connection ended with the process that it led to.
            return Ok(());
        }
        let is_crowded = |process: &Process<Route>| process.held() >= process.held_most();
        if self.machine(node).process.as_ref().is_none_or(is_crowded) {
            self.coverage.met(Met::Unreachable);
            self.answer(*route, Response::Unreachable);
            return Ok(());
        }
        let now_ms = self.log_time(node)?;
        let machine = self.machines.get_mut(usize::from(node.0)).expect("the node was just seen");
        let (names, coverage) = (&self.names, &mut self.coverage);
        let is_outside = self.options.is_outside;
        let mut serving = Serving { machine, names, coverage, now_ms, is_outside };
        let (response, depends) = serving.serve(request, *upper)?;
        self.leave_or_hold(*route, request, (response, depends))?;
        self.commit_if_wanted(node)
    }

    /// Reads log time at a node that runs.
    pub(super) fn log_time(&mut self, node: NodeId) -> Checked<u64> {
        let now_us = self.schedule.now_us();
        let machine = self.machine(node);
        let clocks = machine.clocks(now_us);
        let Some(process) = &mut machine.process else { return Ok(0) };
        let now_ms = process.now_ms(clocks);
        let elapsed_ms = now_us / 1000 - machine.read_us / 1000;
        machine.read_us = now_us;
        machine.witness.note_time(now_ms, elapsed_ms)?;
        Ok(now_ms)
    }

    fn leave_or_hold(&mut self, route: Route, request: &Request, served: Served) -> Checked {
        let (response, depends) = served;
        let machine = self.machine(route.node);
        let Some(process) = &mut machine.process else { return Ok(()) };
        if depends.iter().any(|on| process.must_wait(*on)) {
            process.hold(Held { route, response, depends });
            let is_read = request.asks.iter().all(|ask| ask.action == Action::Get);
            self.coverage.met(if is_read { Met::HeldReads } else { Met::HeldReplies });
            return Ok(());
        }
        if request.ack == Ack::Memory {
            self.coverage.met(Met::MemoryAcks);
        }
        self.leave(route, response, &depends)
    }

    /// A reply leaves its node: everything that it was to wait for must be durable.
    pub(super) fn leave(
        &mut self,
        route: Route,
        response: Response,
        depends: &[Dependency],
    ) -> Checked {
        let machine = self.machine(route.node);
        machine.witness.note_reply(depends)?;
        ensure(depends.is_empty() || !machine.has_failed(), Check::AckAfterFailure, || {
            format!("request {} was answered after the disk had failed", route.request)
        })?;
        if !depends.is_empty() {
            self.coverage.met(Met::Acked);
        }
        self.answer(route, response);
        Ok(())
    }

    /// An answer is on its way.
    pub(super) fn answer(&mut self, route: Route, response: Response) {
        let lost = self.options.network.answers_lost * if self.is_network_bad { 10 } else { 1 };
        let delay = self.delay_us();
        if !self.is_healed && self.network.chance(lost.min(900), 1000) {
            self.coverage.met(Met::LostAnswers);
            return;
        }
        self.schedule.after(delay, Event::Respond(route, Box::new(response)));
    }
}

impl Serving<'_> {
    fn serve(&mut self, request: &Request, upper: bool) -> Checked<Served> {
        match request.form {
            Form::Each => self.each(request, upper),
            Form::Multi => self.multi(request, upper),
            Form::Atomic => self.atomic(request, upper),
            Form::Scan => self.scan(request),
            Form::Checkpoint { stream, sequence } => self.checkpoint(stream, sequence),
            Form::Resume { stream } => Ok(self.resume(stream)),
            Form::End { stream } => self.end_stream(stream),
        }
    }

    /// The batches that the answer to an operation must wait for.
    fn waits(request: &Request, ask: &Ask, reply: &Reply) -> Option<Dependency> {
        let waits = match ask.action {
            Action::Get => request.read == ReadLevel::Committed,
            _ => request.ack == Ack::Fsync,
        };
        (waits && reply.depends.batch > 0).then_some(reply.depends)
    }

    fn each(&mut self, request: &Request, upper: bool) -> Checked<Served> {
        let (mut answers, mut depends) = (Vec::new(), Vec::new());
        if request.asks.len() > 1 {
            self.coverage.met(Met::Batches);
        }
        for ask in &request.asks {
            let text = ask.key_text(upper);
            let op = ask.op(self.names, text.as_ref());
            let Some(process) = &self.machine.process else { break };
            let no_room = process.admission(1);
            let before = process.node.tokens();
            let reply = process.node.execute(self.now_ms, &op);
            self.check_tokens(&reply, before)?;
            let expected = self.judge(ask, &reply, no_room);
            self.check(ask, &reply, &expected)?;
            self.count(request, ask, &reply);
            depends.extend(Self::waits(request, ask, &reply));
            answers.push(Answer { result: reply.result, position: reply.position });
        }
        Ok((Response::Answers(answers), depends))
    }

    /// The token memory has its bound, and says so only when it is reached.
    fn check_tokens(&self, reply: &Reply, before: u64) -> Checked {
        let Some(process) = &self.machine.process else { return Ok(()) };
        let (tokens, most) = (process.node.tokens(), self.machine.settings.tokens_max);
        let bound = most.max(self.machine.recovered_tokens);
        ensure(tokens <= bound, Check::Limits, || format!("{tokens} tokens, {most} may be"))?;
        let is_full = reply.result == Err(Refusal::TokensFull);
        ensure(!is_full || before >= most, Check::Limits, || {
            format!("the token memory is said to be full with {before} of {most}")
        })
    }

    fn judge(&mut self, ask: &Ask, seen: &Reply, no_room: Option<Refusal>) -> Expected {
        let memory_full = self.machine.process.as_ref().is_some_and(|p| p.memory_full);
        let shard = self.names.shard(ask.counter);
        let now_ms = self.now_ms;
        let asked = Asked { shard, now_ms, ask, no_room, memory_full, seen };
        self.machine.witness.shadow.step(&asked)
    }

    fn check(&self, ask: &Ask, reply: &Reply, expected: &Expected) -> Checked {
        if self.is_outside {
            return Ok(());
        }
        compare(&self.machine.witness.shadow, ask, reply, expected)
    }

    /// One frame, each operation with its own answer.
    fn multi(&mut self, request: &Request, upper: bool) -> Checked<Served> {
        let texts: Vec<Option<KeyText>> = request.asks.iter().map(|a| a.key_text(upper)).collect();
        let Some(process) = &self.machine.process else { return Ok(unknown()) };
        let no_room = process.admission(request.asks.len());
        let names = request.asks.iter().map(|ask| self.names.counter(ask.counter));
        let mut group = process.node.group(self.now_ms, names).map_err(|refusal| {
            Violation::new(Check::GroupWhole, format!("a group is refused: {refusal}"))
        })?;
        let asks = request.asks.iter().zip(&texts);
        let replies: Vec<Reply> =
            asks.map(|(ask, text)| group.execute(&ask.op(self.names, text.as_ref()))).collect();
        drop(group);
        self.coverage.met(Met::Groups);
        let (mut answers, mut depends) = (Vec::new(), Vec::new());
        for (ask, reply) in request.asks.iter().zip(&replies) {
            let expected = self.judge(ask, reply, no_room);
            self.check(ask, reply, &expected)?;
            self.count(request, ask, reply);
            depends.extend(Self::waits(request, ask, reply));
            answers.push(Answer { result: reply.result, position: reply.position });
        }
        Ok((Response::Answers(answers), depends))
    }

    /// All or nothing.
    fn atomic(&mut self, request: &Request, upper: bool) -> Checked<Served> {
        let texts: Vec<Option<KeyText>> = request.asks.iter().map(|a| a.key_text(upper)).collect();
        let asks = request.asks.iter().zip(&texts);
        let ops: Vec<Op<'_>> = asks.map(|(ask, text)| ask.op(self.names, text.as_ref())).collect();
        let Some(process) = &self.machine.process else { return Ok(unknown()) };
        let no_room = process.admission(ops.len());
        let mut replies = Vec::new();
        match process.node.atomic(self.now_ms, &ops, &mut replies) {
            Ok(()) => self.kept(request, &replies, no_room),
            Err(abort) => self.aborted(request, &abort, no_room),
        }
    }

    fn kept(
        &mut self,
        request: &Request,
        replies: &[Reply],
        no_room: Option<Refusal>,
    ) -> Checked<Served> {
        self.coverage.met(Met::Atomics);
        let (mut answers, mut depends, mut first) = (Vec::new(), Vec::new(), None);
        for (ask, reply) in request.asks.iter().zip(replies) {
            let expected = self.judge(ask, reply, no_room);
            self.check(ask, reply, &expected)?;
            self.count(request, ask, reply);
            let fine =
                reply.result.is_ok_and(|outcome| goes_on(first.get_or_insert(outcome), &outcome));
            ensure(fine, Check::GroupWhole, || {
                format!("{ask:?} should have ended its group: {reply:?}")
            })?;
            depends.extend(Self::waits(request, ask, reply));
            answers.push(Answer { result: reply.result, position: reply.position });
        }
        Ok((Response::Answers(answers), depends))
    }

    /// The operations before the last were fine, that one was not, and nothing of it is left.
    fn aborted(
        &mut self,
        request: &Request,
        abort: &Abort,
        no_room: Option<Refusal>,
    ) -> Checked<Served> {
        self.coverage.met(Met::Aborts);
        let moment = self.machine.witness.shadow.moment();
        let mut first: Option<Outcome> = None;
        for ask in request.asks.iter().take(abort.index) {
            // Nobody saw this answer, so nothing may hang on it where two are right.
            let unseen = Reply::refused(Refusal::Stopping);
            let expected = self.judge(ask, &unseen, no_room);
            let fine = expected
                .result
                .is_ok_and(|outcome| goes_on(first.get_or_insert(outcome), &outcome));
            ensure(fine, Check::GroupWhole, || {
                format!("{ask:?} should have ended its group before {abort:?}: {expected:?}")
            })?;
        }
        let Some(last) = request.asks.get(abort.index) else { return Ok(unknown()) };
        let mut expected = self.judge(last, &abort.reply, no_room);
        if let Ok(outcome) = expected.result {
            let is_mixed = first.is_some_and(|first| first.repeat != outcome.repeat);
            let is_done = outcome.verdict == Verdict::Done;
            ensure(!is_done || is_mixed, Check::GroupWhole, || {
                format!("{last:?} should not have ended its group: {abort:?}")
            })?;
            if is_done {
                expected.result = Err(Refusal::Conflict);
            }
        }
        self.take_back(request, moment);
        let newest = self.machine.witness.shadow.tail(self.names.shard(last.counter)).newest();
        expected.touched = expected.touched.min(newest);
        expected.position.batch = expected.position.batch.min(newest);
        self.check(last, &abort.reply, &expected)?;
        self.count(request, last, &abort.reply);
        let depends = Self::waits(request, last, &abort.reply).into_iter().collect();
        let Reply { result, position, .. } = abort.reply;
        Ok((Response::Answers(vec![Answer { result, position }]), depends))
    }

    fn take_back(&mut self, request: &Request, moment: u64) {
        let shadow = &mut self.machine.witness.shadow;
        shadow.abort(moment);
        for ask in &request.asks {
            shadow.hold(self.names.shard(ask.counter), ask.ticket);
        }
    }

    /// A look at all counters. Only where it is known which expired ones it deletes: all, or none.
    fn scan(&mut self, request: &Request) -> Checked<Served> {
        let Some(process) = &self.machine.process else { return Ok(unknown()) };
        let shards = 0..self.machine.witness.shards();
        let shadow = &mut self.machine.witness.shadow;
        let over: usize = shards.clone().map(|id| shadow.expired(id, self.now_ms)).sum();
        let none = process.admission(REAP_STEPS).is_some();
        if !none && process.admission(REAP_STEPS + over).is_some() {
            return Ok(unknown());
        }
        self.coverage.met(Met::Scans);
        let (mut found, mut depends) = (Vec::new(), Vec::new());
        let visit = |name: &str, value: i64| found.push((name.to_owned(), value));
        process.node.scan(self.now_ms, (0, usize::MAX >> 1), visit, &mut depends);
        found.sort_unstable();
        let (mut expected, mut newest) = (Vec::new(), Vec::new());
        for shard in shards {
            if !none {
                shadow.reap(shard, self.now_ms, REAP_STEPS);
            }
            let visible = shadow.visible(shard, self.now_ms);
            expected.extend(visible.map(|(id, value)| (self.names.counter(id).to_owned(), value)));
            newest.push(Dependency { shard, batch: shadow.tail(shard).newest() });
        }
        expected.sort_unstable();
        ensure(found == expected, Check::ValueIsSum, || {
            format!("a scan found {found:?}, there is {expected:?}")
        })?;
        ensure(depends == newest, Check::ReplyDepends, || {
            format!("a scan depends on {depends:?}, not on {newest:?}")
        })?;
        let waits = request.read == ReadLevel::Committed;
        Ok((Response::Answers(Vec::new()), if waits { depends } else { Vec::new() }))
    }

    fn checkpoint(&mut self, stream: u32, sequence: u64) -> Checked<Served> {
        let Some(process) = &self.machine.process else { return Ok(unknown()) };
        let no_room = process.admission(1);
        let name = self.names.stream(stream).as_bytes();
        let stored = process.node.checkpoint(self.now_ms, name, sequence);
        let shard = self.names.home(stream);
        let place = (shard, self.now_ms);
        let shadow = &mut self.machine.witness.shadow;
        let expected = shadow.checkpoint(place, (stream, sequence), no_room);
        let expected = expected.map(|batch| Dependency { shard, batch });
        ensure(stored == expected, Check::StreamOnce, || {
            format!("checkpoint {sequence} of stream {stream}: {stored:?}, not {expected:?}")
        })?;
        match stored {
            Ok(on) => {
                self.coverage.met(Met::Checkpoints);
                let newest = 0;
                Ok((Response::Stream { checkpoint: Some(sequence), newest }, vec![on]))
            }
            Err(refusal) => Ok(refused(refusal)),
        }
    }

    /// What the node knows of a stream.
    fn resume(&self, stream: u32) -> Served {
        let Some(process) = &self.machine.process else { return unknown() };
        let view = process.node.stream(self.names.stream(stream).as_bytes());
        let newest = view.marks.iter().map(|(_, mark)| *mark).max().unwrap_or(0);
        (Response::Stream { checkpoint: view.checkpoint, newest }, view.depends)
    }

    /// An operator's word: the stream is gone from all shards, in one frame.
    fn end_stream(&mut self, stream: u32) -> Checked<Served> {
        let Some(process) = &self.machine.process else { return Ok(unknown()) };
        let no_room = process.admission(process.node.end_ops());
        let name = self.names.stream(stream).as_bytes();
        let ended = process.node.end_stream(self.now_ms, name, false);
        let shadow = &mut self.machine.witness.shadow;
        let expected = shadow.end_stream(self.now_ms, stream, no_room);
        let found = ended.as_ref().map(|view| view.marks.clone()).map_err(|refusal| *refusal);
        ensure(found == expected, Check::StreamOnce, || {
            format!("the end of stream {stream}: {found:?}, not {expected:?}")
        })?;
        let view = match ended {
            Ok(view) => view,
            Err(refusal) => return Ok(refused(refusal)),
        };
        let is_undurable = |on: &Dependency| on.batch > shadow.durable(on.shard);
        let waits: Vec<Dependency> = view.depends.into_iter().filter(is_undurable).collect();
        let expected = shadow.stream_waits(stream);
        ensure(self.is_outside || waits == expected, Check::ReplyDepends, || {
            format!("the end of stream {stream} depends on {waits:?}, not on {expected:?}")
        })?;
        Ok((Response::Ended, waits))
    }

    fn count(&mut self, request: &Request, ask: &Ask, reply: &Reply) {
        let coverage = &mut *self.coverage;
        if ask.action == Action::Get {
            let is_latest = request.read == ReadLevel::Latest;
            coverage.met(if is_latest { Met::LatestReads } else { Met::CommittedReads });
        }
        match reply.result {
            Ok(Outcome { repeat: Repeat::Token, .. }) => coverage.met(Met::TokenRepeats),
            Ok(Outcome { repeat: Repeat::Stream, .. }) => coverage.met(Met::StreamRepeats),
            Ok(outcome) => coverage.met(match outcome.verdict {
                Verdict::Done => Met::Done,
                Verdict::Rejected => Met::Rejected,
                Verdict::Overflow => Met::Overflows,
                Verdict::Unmet => Met::Unmet,
            }),
            Err(refusal) => count_refusal(coverage, refusal),
        }
    }
}

fn unknown() -> Served {
    (Response::Unknown, Vec::new())
}

fn refused(refusal: Refusal) -> Served {
    let answer = Answer { result: Err(refusal), position: Position::default() };
    (Response::Answers(vec![answer]), Vec::new())
}

fn count_refusal(coverage: &mut Coverage, refusal: Refusal) {
    coverage.met(match refusal {
        Refusal::Conflict => Met::Conflicts,
        Refusal::Held { .. } => Met::HeldStreams,
        Refusal::Expired => Met::Expired,
        Refusal::FutureToken { .. } => Met::FutureTokens,
        Refusal::TokensFull => Met::TokensFull,
        Refusal::StreamsFull { .. } => Met::StreamsFull,
        Refusal::NoMemory => Met::NoMemory,
        Refusal::NoSpace => Met::NoSpace,
        _ => Met::Busy,
    });
}
