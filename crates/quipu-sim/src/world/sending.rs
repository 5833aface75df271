//! The clients' side: requests and answers on their way.

use std::rc::Rc;

use quipu_core::op::{Ack, ReadLevel};

use crate::checks::Checked;
use crate::clients::{Patience, is_passing};
use crate::coverage::Met;
use crate::event::{Delivery, Event, Route, Source};
use crate::request::{Answer, Form, Request, Response, Ticket};
use crate::senders::{Sender, Step};
use crate::world::{LOOK_US, NODE, World};

/// How much more is lost while the network is bad.
const BAD_NETWORK: u64 = 10;

/// One in so many looks of a sender, an operator wants its stream to end. Guess: a few in a minute.
const LOOKS_PER_END: u64 = 60;

/// Most steps of a sender at once: a window and what belongs to it.
const STEPS_MAX: usize = 40;

impl World {
    /// How long a message travels.
    pub(super) fn delay_us(&mut self) -> u64 {
        let network = &self.options.network;
        let jitter =
            if self.is_network_bad { network.jitter_us * BAD_NETWORK } else { network.jitter_us };
        network.delay_us + self.network.below(jitter + 1)
    }

    fn is_lost(&mut self) -> bool {
        let lost = self.options.network.lost * if self.is_network_bad { BAD_NETWORK } else { 1 };
        !self.is_healed && self.network.chance(lost.min(900), 1000)
    }

    /// What a client's clock shows, in milliseconds.
    fn client_ms(&self) -> u64 {
        crate::clock::BEGIN_MS + self.schedule.now_us() / 1000
    }

    /// Clients wish something; how soon the next ones do follows from how much is to be done.
    ///
    /// # Errors
    /// A history that ends was not linearizable.
    pub(super) fn arrive(&mut self) -> Checked {
        if self.is_healed {
            return Ok(());
        }
        let burst = self.workload.burst();
        let ahead_us = self.options.duration_us() * self.ops / self.options.ops;
        if !self.clients.is_full() {
            for _ in 0..burst {
                self.wish()?;
            }
        }
        let mean = burst * self.options.duration_us() / self.options.ops;
        let pause = self.network.below(2 * mean + 1);
        // Never ahead of the plan for long, so that a burst is followed by a pause.
        let now = self.schedule.now_us();
        self.schedule.after(pause.max(ahead_us.saturating_sub(now).min(2 * mean)), Event::Arrive);
        Ok(())
    }

    fn wish(&mut self) -> Checked {
        use crate::workload::Wish;
        let now_us = self.schedule.now_us();
        match self.workload.wish(self.client_ms()) {
            Wish::Stream(stream) => {
                self.ops += 1;
                self.coverage.met(Met::Ops);
                if let Some(sender) = self.senders.get_mut(stream as usize) {
                    sender.wanted += 1;
                }
                self.drive(stream)?;
            }
            Wish::Replay => {
                let id = self.workload.next_id();
                if let Some(request) = self.clients.replay(id, now_us) {
                    self.ops += request.asks.len() as u64;
                    self.coverage.add(Met::Ops, request.asks.len() as u64);
                    self.histories.begin(&request, (true, true), now_us)?;
                    self.send(&request, 1);
                }
            }
            Wish::Request(request) => {
                let count = request.asks.len().max(1) as u64;
                self.ops += count;
                self.coverage.add(Met::Ops, count);
                self.watch(&request);
                let request = self.clients.begin(*request, now_us, &mut self.tally);
                let is_once = self.clients.counts_once(&request);
                self.histories.begin(&request, (is_once, false), now_us)?;
                self.send(&request, 1);
            }
        }
        Ok(())
    }

    /// Begins a history where one is due and the value is known.
    fn watch(&mut self, request: &Request) {
        let Some(ask) = request.asks.first() else { return };
        let is_raced = self.workload.raced() == Some(ask.counter);
        let is_sum = ask.counter < self.tally.len();
        if !(is_sum || is_raced) || !self.histories.wants(ask.counter, is_raced) {
            return;
        }
        if let Some(value) = self.durable_value(ask.counter) {
            self.histories.watch(ask.counter, value, self.schedule.now_us());
        }
    }

    /// The value of a counter that no crash can take back; none while it may change by itself.
    fn durable_value(&self, counter: u32) -> Option<i64> {
        let machine = self.machines.first().filter(|machine| machine.process.is_some())?;
        let shadow = &machine.witness.shadow;
        let entry = shadow.counter(counter);
        let is_durable = entry.touched <= shadow.durable(self.names.shard(counter));
        let (value, expiry) = entry.live.unwrap_or_default();
        (is_durable && expiry.is_none()).then_some(value as i64)
    }

    /// Sends a request of a client, perhaps twice, perhaps in vain.
    fn send(&mut self, request: &Rc<Request>, attempt: u32) {
        let copies = 1 + u64::from(self.network.chance(self.options.network.doubled, 1000));
        self.coverage.add(Met::Doubled, copies - 1);
        for _ in 0..copies {
            if self.is_lost() {
                self.coverage.met(Met::LostRequests);
                continue;
            }
            self.clients.note_copy(request, &mut self.tally);
            self.histories.copy(request);
            let route = Route { node: NODE, source: Source::Client, request: request.id };
            let upper = attempt.is_multiple_of(2);
            let request = Rc::clone(request);
            let delivery = Delivery { route, request, life: None, upper };
            let delay = self.delay_us();
            self.schedule.after(delay, Event::Deliver(Box::new(delivery)));
        }
        let doublings = attempt.min(5) - 1;
        let timeout = self.options.network.timeout_us << doublings;
        let jitter = self.network.below(timeout / 4 + 1);
        let request = request.id;
        self.schedule.after(timeout + jitter, Event::Timeout { request, attempt });
    }

    /// A client has waited long enough.
    ///
    /// # Errors
    /// A history that ends was not linearizable.
    pub(super) fn time_out(&mut self, request: u64, attempt: u32) -> Checked {
        let now_us = self.schedule.now_us();
        match self.clients.time_out(request, attempt, now_us) {
            Patience::Over => {}
            Patience::GivenUp(request) => {
                self.coverage.met(Met::GaveUp);
                self.histories.end(&request, None, now_us)?;
            }
            Patience::Again(request, attempt) => {
                self.coverage.met(Met::Retries);
                self.note("retry", [request.id, u64::from(attempt), 0]);
                self.send(&request, attempt);
            }
        }
        Ok(())
    }

    /// An answer arrives.
    pub(super) fn respond(&mut self, route: Route, response: &Response) -> Checked {
        self.note("respond", [route.request, digest(response), 0]);
        match route.source {
            Source::Client => {
                let answer = (route.request, response);
                let over = self.clients.respond(answer, &mut self.tally, &mut self.coverage)?;
                let (Some(request), Response::Answers(answers)) = (over, response) else {
                    return Ok(());
                };
                self.histories.end(&request, Some(answers), self.schedule.now_us())
            }
            Source::Sender { stream, connection } => {
                self.respond_to_sender((stream, connection), route.request, response)?;
                self.drive(stream)
            }
        }
    }

    /// Lets a sender do what it can.
    fn drive(&mut self, stream: u32) -> Checked {
        for _ in 0..STEPS_MAX {
            let fits = self.options.workload.groups > 0;
            let Some(sender) = self.senders.get_mut(stream as usize) else { break };
            let now_us = self.schedule.now_us();
            let Some(step) = sender.next(now_us, &mut self.network, fits) else { break };
            let is_last = matches!(step, Step::Resume | Step::End);
            self.send_step(stream, step)?;
            if is_last {
                break;
            }
        }
        Ok(())
    }

    fn send_step(&mut self, stream: u32, step: Step) -> Checked {
        let id = self.workload.next_id();
        let (ack, read) = (Ack::Fsync, ReadLevel::Committed);
        let request = match step {
            Step::Resume => {
                Request { id, asks: Vec::new(), form: Form::Resume { stream }, ack, read }
            }
            Step::End => Request { id, asks: Vec::new(), form: Form::End { stream }, ack, read },
            Step::Checkpoint(sequence) => {
                let form = Form::Checkpoint { stream, sequence };
                Request { id, asks: Vec::new(), form, ack, read }
            }
            Step::Send(places) => {
                let fresh = self.senders.get_mut(stream as usize).map(|s| s.note_sent(&places));
                for place in fresh.unwrap_or_default() {
                    self.book(stream, place, None)?;
                }
                let asks = places.iter().map(|place| self.workload.stream_ask(stream, *place));
                let asks: Vec<_> = asks.collect();
                let form = match (asks.len(), self.network.below(2)) {
                    (1, _) => Form::Each,
                    (_, 0) => Form::Multi,
                    _ => Form::Atomic,
                };
                Request { id, asks, form, ack, read }
            }
        };
        self.send_in_order(stream, request);
        Ok(())
    }

    /// Sends on a sender's connection: in order, or not at all once it is cut.
    fn send_in_order(&mut self, stream: u32, request: Request) {
        let (lost, delay) = (self.is_lost(), self.delay_us());
        let now = self.schedule.now_us();
        let Some(sender) = self.senders.get_mut(stream as usize) else { return };
        sender.is_cut |= lost;
        if sender.is_cut {
            self.coverage.met(Met::LostRequests);
            return;
        }
        let at = sender.arrival_us(now + delay);
        let (life, connection) = (sender.life, sender.connection);
        let source = Source::Sender { stream, connection };
        let route = Route { node: NODE, source, request: request.id };
        self.in_flight.insert(request.id, places(&request));
        let delivery = Delivery { route, request: Rc::new(request), life, upper: false };
        self.schedule.at(at, Event::Deliver(Box::new(delivery)));
    }

    /// Books a place of a stream as attempted, or as known to have counted by its answer.
    fn book(&mut self, stream: u32, place: u64, answer: Option<&Answer>) -> Checked {
        let ask = self.workload.stream_ask(stream, place);
        let now_us = self.schedule.now_us();
        let quipu_core::op::Action::Add(add) = ask.action else { return Ok(()) };
        if let Some(answer) = answer {
            self.tally.settle(ask.counter, add.delta);
            self.histories.end_place((stream, place), (&ask, answer.result), now_us)
        } else {
            self.tally.attempt(ask.counter, add.delta);
            self.histories.begin_place((stream, place), &ask, now_us)
        }
    }

    fn respond_to_sender(
        &mut self,
        (stream, connection): (u32, u64),
        request: u64,
        response: &Response,
    ) -> Checked {
        let places = self.in_flight.remove(&request).unwrap_or_default();
        let Some(sender) = self.senders.get_mut(stream as usize) else { return Ok(()) };
        if sender.connection != connection || sender.life.is_none() {
            return Ok(());
        }
        match response {
            Response::Answers(answers) if !places.is_empty() => {
                for (place, answer) in places.iter().zip(answers) {
                    sender.check_repeat(*place, answer)?;
                }
                let (fresh, is_fine) = sender.respond(&places, answers);
                sender.is_refused |= answers.iter().any(is_final);
                if !is_fine {
                    sender.disconnect();
                }
                let answered = places.iter().zip(answers);
                for (place, answer) in answered.filter(|(place, _)| fresh.contains(place)) {
                    self.book(stream, *place, Some(answer))?;
                }
            }
            Response::Stream { checkpoint: Some(stored), newest: 0 } => {
                sender.note_stored(*stored);
            }
            Response::Stream { .. } => {
                if sender.resume(response)? {
                    self.coverage.met(Met::Resumes);
                }
            }
            Response::Ended => {
                let is_repeated = sender.repeats_end();
                if sender.note_ended() {
                    self.coverage.met(Met::Ends);
                    self.coverage.add(Met::EndsRepeated, u64::from(is_repeated));
                    self.senders.iter_mut().for_each(Sender::try_again);
                }
            }
            Response::Answers(_) => {}
            Response::Unknown | Response::Unreachable => sender.disconnect(),
        }
        Ok(())
    }

    /// A sender looks whether it gets on; after any doubt it begins again where it was.
    ///
    /// # Errors
    /// A history that ends was not linearizable.
    pub(super) fn look(&mut self, stream: u32) -> Checked {
        self.schedule.after(LOOK_US, Event::Look { stream });
        let life = self.machine(NODE).process.as_ref().map(|process| process.life);
        let moves = !self.is_healed && self.network.chance(1, 400);
        let ends = !self.is_healed && self.network.chance(1, LOOKS_PER_END);
        self.connections += 1;
        let connection = self.connections;
        let Some(sender) = self.senders.get_mut(stream as usize) else { return Ok(()) };
        if ends {
            sender.want_end();
        }
        if moves {
            sender.forget();
        } else if sender.is_stalled() && sender.life.is_some() {
            sender.disconnect();
        }
        if let (None, Some(life)) = (sender.life, life) {
            sender.connect(life, connection);
            self.coverage.met(Met::Reconnects);
        }
        self.drive(stream)
    }
}

fn places(request: &Request) -> Vec<u64> {
    let place = |ticket| if let Ticket::Place { sequence, .. } = ticket { sequence } else { 0 };
    request.asks.iter().map(|ask| place(ask.ticket)).collect()
}

/// Whether a stream can never go on.
fn is_final(answer: &Answer) -> bool {
    use quipu_core::outcome::Refusal;
    let is_full = |refusal| matches!(refusal, Refusal::StreamsFull { .. });
    answer.result.err().is_some_and(|refusal| is_full(refusal) || !is_passing(refusal))
}

/// What of a response goes into the trace.
fn digest(response: &Response) -> u64 {
    match response {
        Response::Answers(answers) => answers.iter().fold(1, |digest, answer| {
            let value = match answer.result {
                Ok(outcome) => outcome.value.unwrap_or(-1) as u64 ^ answer.position.batch << 20,
                Err(_) => 7,
            };
            u64::wrapping_add(u64::wrapping_mul(digest, 31), value)
        }),
        Response::Stream { checkpoint, newest } => checkpoint.unwrap_or(0) * 31 + newest,
        Response::Ended => 4,
        Response::Unknown => 2,
        Response::Unreachable => 3,
    }
}
