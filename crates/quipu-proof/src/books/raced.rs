//! Clients that race for the same few counters on several connections and over both surfaces. What
//! they saw must be linearizable: every life with the end that it met, the repeats of what had no
//! answer, and what the next life shows.

mod wish;

use std::sync::Arc;
use std::time::Instant;
use std::{io, mem};

use parking_lot::Mutex;
use quipu_history::event::{Call, Event, line};
use quipu_history::linear::{self, Linearity};

use self::wish::Wish;
use crate::Violation;
use crate::books::{Client, Stop, accepted, ask, values_of};
use crate::chance::Chance;
use crate::http::Http;
use crate::node::Node;
use crate::resp::{Resp, encode_line};

/// Counters of the race: few, so that several clients meet on each.
const COUNTERS: usize = 2;
/// Commands of one pipeline, at most: few, so that the history has much order in it.
const PIPELINE_MAX: usize = 6;
/// Operations of one history, at most. Guess: longer than a life has.
const EVENTS_MAX: usize = 600;
/// Placements that the search may try for one history. Measured: histories take some thousands.
const WORK: usize = 200_000;

/// How many histories were judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// Histories.
    pub checked: u64,
    /// Operations in them.
    pub events: u64,
    /// Histories whose search needed more work than it may do.
    pub undecided: u64,
}

/// One counter from a known value on.
#[derive(Debug, Default)]
struct Lane {
    start: i64,
    events: Vec<Event>,
}

impl Lane {
    fn judge(&self, counter: usize) -> Result<Linearity, Violation> {
        let linearity = linear::check(&self.events, self.start, WORK);
        if linearity != Linearity::Not {
            return Ok(linearity);
        }
        let short = line(&linear::shorten(&self.events, self.start, WORK));
        let start = self.start;
        Err(Violation::new("linearizable", format!("raced:{counter} from {start} on: {short}")))
    }
}

/// What all racers share: one clock, and the histories.
#[derive(Debug)]
pub struct Track {
    origin: Instant,
    lanes: Mutex<Vec<Lane>>,
}

/// An operation that was sent: its wish, and where it stands in the history.
#[derive(Debug)]
struct Sent {
    wish: Wish,
    event: usize,
}

impl Default for Track {
    fn default() -> Self {
        let lanes = (0..COUNTERS).map(|_| Lane::default()).collect();
        Self { origin: Instant::now(), lanes: Mutex::new(lanes) }
    }
}

impl Track {
    /// Nanoseconds since the track was made.
    fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Notes that an operation is about to be sent; none where its history is full.
    fn begin(&self, wish: Wish) -> Option<Sent> {
        let mut lanes = self.lanes.lock();
        let events = &mut lanes.get_mut(wish.counter)?.events;
        if events.len() >= EVENTS_MAX {
            return None;
        }
        events.push(Event::unknown(wish.call, self.now_ns()));
        Some(Sent { event: events.len() - 1, wish })
    }

    /// Notes the answer that has just come.
    fn end(&self, sent: &Sent, value: Option<i64>) {
        let now_ns = self.now_ns();
        let mut lanes = self.lanes.lock();
        let lane = lanes.get_mut(sent.wish.counter);
        if let Some(event) = lane.and_then(|lane| lane.events.get_mut(sent.event)) {
            event.answered = Some((now_ns, value));
        }
    }
}

/// One connection of the race.
#[derive(Debug)]
pub struct Racer {
    track: Arc<Track>,
    id: usize,
    tokens: u64,
    unresolved: Vec<Sent>,
}

impl Racer {
    /// A racer; `id` tells its tokens from those of others.
    pub fn new(track: Arc<Track>, id: usize) -> Self {
        Self { track, id, tokens: 0, unresolved: Vec::new() }
    }

    fn wish(&mut self, chance: &mut Chance) -> Wish {
        self.tokens += 1;
        let token = format!("r{}-{}", self.id, self.tokens);
        let counter = chance.below(COUNTERS);
        Wish::draw(chance, counter, token)
    }

    /// Sends wishes in one pipeline and notes each reply. Returns how many came.
    fn race(&mut self, node: &mut Resp, wishes: Vec<Wish>) -> Result<usize, Stop> {
        self.unresolved = wishes.into_iter().filter_map(|wish| self.track.begin(wish)).collect();
        if self.unresolved.is_empty() {
            return idle(node);
        }
        let lines = self.unresolved.iter().map(|sent| encode_line(&sent.wish.command()));
        node.send(&lines.flatten().collect::<Vec<u8>>())?;
        let count = self.unresolved.len();
        for _ in 0..count {
            let reply = node.receive()?;
            let sent = self.unresolved.first().map(|sent| sent.wish.command());
            let reply = accepted(reply, &sent.unwrap_or_default())?;
            let sent = self.unresolved.remove(0);
            self.track.end(&sent, sent.wish.value(&reply)?);
        }
        Ok(count)
    }

    /// Sends again what has a token and no answer: it is the same operation.
    fn resolve(&mut self, node: &mut Resp) -> Result<(), Violation> {
        let unresolved = mem::take(&mut self.unresolved);
        let tokened = unresolved.into_iter().filter(|sent| sent.wish.token.is_some());
        let tokened: Vec<Sent> = tokened.collect();
        let commands: Vec<String> = tokened.iter().map(|sent| sent.wish.command()).collect();
        for (sent, reply) in tokened.iter().zip(ask(node, &commands)?) {
            self.track.end(sent, sent.wish.value(&reply)?);
        }
        Ok(())
    }
}

/// The histories are full: what is asked now is in none.
fn idle(node: &mut Resp) -> Result<usize, Stop> {
    node.send(&encode_line("PING"))?;
    accepted(node.receive()?, "PING")?;
    Ok(1)
}

impl Client for Racer {
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop> {
        let count = 1 + chance.below(PIPELINE_MAX);
        let wishes = (0..count).map(|_| self.wish(chance)).collect();
        self.race(node, wishes)
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        self.resolve(node)
    }
}

/// The same over HTTP; what has no answer is asked again over RESP, where a token is the same.
#[derive(Debug)]
pub struct HttpRacer {
    racer: Racer,
    http: Option<Http>,
}

impl HttpRacer {
    /// A racer; `id` tells its tokens from those of others.
    pub fn new(track: Arc<Track>, id: usize) -> Self {
        Self { racer: Racer::new(track, id), http: None }
    }
}

impl Client for HttpRacer {
    fn meet(&mut self, node: &Node) -> io::Result<()> {
        self.http = Some(Http::try_connect(node.address("http"))?);
        Ok(())
    }

    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop> {
        let wish = self.racer.wish(chance);
        let (Some(http), Some(sent)) = (&mut self.http, self.racer.track.begin(wish)) else {
            return idle(node);
        };
        self.racer.unresolved = vec![sent];
        let Some(sent) = self.racer.unresolved.first() else { return Ok(0) };
        let reply = sent.wish.request(|request| http.try_call(request))?;
        // Too much at once, or the node is about to end: the client goes no further in this life.
        if matches!(reply.status, 429 | 503) {
            return Err(Stop::Broken);
        }
        self.racer.track.end(sent, Some(sent.wish.value_of_http(&reply)?));
        self.racer.unresolved.clear();
        Ok(1)
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        self.racer.resolve(node)
    }
}

/// Only reads; when all racers have settled, it judges what all of them saw.
#[derive(Debug)]
pub struct Umpire {
    racer: Racer,
    judged: Judged,
}

impl Umpire {
    /// The judge of a race.
    pub fn new(track: Arc<Track>) -> Self {
        Self { racer: Racer::new(track, usize::MAX), judged: Judged::default() }
    }

    /// Judges all histories and begins new ones at these values.
    fn judge(&mut self, values: &[i64]) -> Result<(), Violation> {
        let mut lanes = self.racer.track.lanes.lock();
        for (counter, (lane, value)) in lanes.iter_mut().zip(values).enumerate() {
            // The read at the end is one; alone it says nothing.
            if lane.events.len() > 1 {
                let linearity = lane.judge(counter)?;
                self.judged.checked += 1;
                self.judged.events += lane.events.len() as u64;
                self.judged.undecided += u64::from(linearity == Linearity::Undecided);
            }
            *lane = Lane { start: *value, events: Vec::new() };
        }
        Ok(())
    }
}

impl Client for Umpire {
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop> {
        let wishes = (0..COUNTERS).map(|counter| Wish::read(counter, chance.percent(50)));
        self.racer.race(node, wishes.collect())
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        self.racer.unresolved.clear();
        let asked_ns = self.racer.track.now_ns();
        let values = values_of(node, "raced", COUNTERS)?;
        let times = (asked_ns, self.racer.track.now_ns());
        for (lane, value) in self.racer.track.lanes.lock().iter_mut().zip(&values) {
            lane.events.push(Event::answered(Call::Read, times, *value));
        }
        self.judge(&values)
    }

    fn judged(&self) -> Judged {
        self.judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An umpire of one counter with an acknowledged add and a read of `seen`, and then `at_last`.
    fn judge(seen: i64, at_last: i64) -> Option<&'static str> {
        let mut umpire = Umpire::new(Arc::default());
        let track = Arc::clone(&umpire.racer.track);
        let mut chance = Chance::new(1);
        let mut drawn = (0..).map(|_| Wish::draw(&mut chance, 0, String::new()));
        let add = drawn.find(|wish| matches!(wish.call, Call::Add(_))).unwrap();
        let add = track.begin(add).unwrap();
        let Call::Add(delta) = add.wish.call else { panic!("it is an add: {add:?}") };
        track.end(&add, Some(delta));
        let read = track.begin(Wish::read(0, false)).unwrap();
        track.end(&read, Some(delta + seen));
        let times = (track.now_ns(), track.now_ns() + 1);
        let last = Event::answered(Call::Read, times, delta + at_last);
        track.lanes.lock()[0].events.push(last);
        let judged = umpire.judge(&[delta + at_last, 0]);
        assert_eq!(umpire.judged().checked, u64::from(judged.is_ok()));
        judged.err().map(|violation| violation.check)
    }

    #[test]
    fn a_doctored_history_of_the_race_is_found() {
        assert_eq!(judge(0, 0), None);
        assert_eq!(judge(-1, 0), Some("linearizable"), "a stale read");
        assert_eq!(judge(0, -1), Some("linearizable"), "what was read is taken back");
        assert_eq!(judge(0, 1), Some("linearizable"), "something counted that nobody asked for");
    }
}
