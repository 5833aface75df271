//! The rule of the blocks against a model of a node and random faults, and each step of it alone.

use std::collections::{BTreeMap, VecDeque};

use stdx::prng::Prng;

use crate::block::{Block, Sums};
use crate::lines::Position;
use crate::window::{BLOCK_LINES_MAX, Cut, LINES_MAX, Request, Stored, Tangled, Window};

/// Shards of the model: few, so that marks and holds meet.
const SHARDS: usize = 3;
/// Counters of the model.
const COUNTERS: u64 = 5;
/// A line that counts nothing.
const NOTHING: u64 = COUNTERS;

fn at(lines: u64) -> Position {
    Position { lines, offset: lines * 10 }
}

/// What a line counts: a counter and by how much.
type Line = (u64, i64);

/// A node, as far as one stream sees it.
#[derive(Default)]
struct Node {
    totals: BTreeMap<u64, i64>,
    marks: [u64; SHARDS],
    held: [Option<u64>; SHARDS],
    checkpoint: u64,
    cut: Option<u64>,
}

/// A request as it travels.
enum Sent {
    Cut(u64),
    Checkpoint(u64),
    Add { counter: u64, delta: i64, sequence: u64 },
}

impl Node {
    /// Answers whether the request has to come again.
    fn take(&mut self, sent: &Sent, refuse: bool) -> bool {
        match *sent {
            Sent::Cut(_) | Sent::Checkpoint(_) if refuse => return true,
            Sent::Cut(cut) => self.cut = Some(cut),
            Sent::Checkpoint(sequence) => self.checkpoint = sequence,
            Sent::Add { counter, delta, sequence } => {
                return self.add(counter, delta, sequence, refuse);
            }
        }
        false
    }

    fn add(&mut self, counter: u64, delta: i64, sequence: u64, refuse: bool) -> bool {
        let shard = counter as usize % SHARDS;
        if sequence <= self.marks[shard] {
            return false;
        }
        if refuse || self.held[shard].is_some_and(|held| sequence > held) {
            let held = self.held[shard].get_or_insert(sequence);
            *held = sequence.min(*held);
            return true;
        }
        self.held[shard] = None;
        self.marks[shard] = sequence;
        *self.totals.entry(counter).or_default() += delta;
        false
    }

    fn stored(&self) -> Stored {
        Stored { checkpoint: self.checkpoint, cut: self.cut.and_then(Cut::decode) }
    }
}

/// A sender, its source and the wire to the node.
struct World {
    node: Node,
    source: Vec<Line>,
    window: Window,
    sums: Sums,
    read: u64,
    wire: VecDeque<(Request, Sent)>,
    answers: VecDeque<(Request, bool)>,
    obstacle: bool,
    /// The deliberate bug: whoever resumes does not look at the cut.
    forgets_cuts: bool,
}

impl World {
    fn new(forgets_cuts: bool) -> World {
        World {
            node: Node::default(),
            source: Vec::new(),
            window: Window::new(at(0), Vec::new()),
            sums: Sums::new(0),
            read: 0,
            wire: VecDeque::new(),
            answers: VecDeque::new(),
            obstacle: false,
            forgets_cuts,
        }
    }

    fn step(&mut self, prng: &mut Prng, faults: bool) {
        match prng.below(if faults { 14 } else { 8 }) {
            0..=2 => self.read(prng),
            3 | 4 => self.send(prng.below(5) + 1),
            5 | 6 => self.arrive(prng, faults),
            7 => self.take_answers(),
            8 | 9 => self.source.extend((0..prng.below(9)).map(|_| line(prng))),
            10 | 11 => self.cut(),
            12 => self.lose(prng),
            _ => self.crash(prng),
        }
    }

    fn read(&mut self, prng: &mut Prng) {
        for _ in 0..prng.below(6) {
            let end = self.window.end_to_come();
            if end.is_some_and(|end| self.read >= end) {
                return self.cut();
            }
            let Some((counter, delta)) = self.source.get(self.read as usize) else { return };
            self.read += 1;
            if *counter == NOTHING {
                continue;
            }
            let name = counter.to_string();
            self.sums.add(self.read, name.as_bytes(), *delta).expect("a name");
        }
    }

    fn cut(&mut self) {
        let end = self.window.end_to_come();
        let due = self.read > self.sums.from() && end.is_none_or(|end| end == self.read);
        if due && self.window.has_place() {
            self.window.push(self.sums.cut(at(self.read)));
        }
    }

    fn send(&mut self, most: u64) {
        for _ in 0..most {
            let request = if self.obstacle { None } else { self.window.next_request() };
            let Some(request) = request else { return };
            let sent = match request {
                Request::Cut(cut) => Sent::Cut(cut.encode()),
                Request::Checkpoint(sequence) => Sent::Checkpoint(sequence),
                Request::Add { block, index } => {
                    let increment = self.window.increment(block, index).expect("it is in flight");
                    let name = str::from_utf8(increment.name).expect("digits");
                    let (delta, sequence) = (increment.delta, increment.sequence);
                    Sent::Add { counter: name.parse().expect("digits"), delta, sequence }
                }
            };
            self.wire.push_back((request, sent));
        }
    }

    fn arrive(&mut self, prng: &mut Prng, faults: bool) {
        for _ in 0..prng.below(5) {
            let Some((request, sent)) = self.wire.pop_front() else { return };
            let again = self.node.take(&sent, faults && prng.chance(1, 8));
            self.answers.push_back((request, again));
        }
    }

    fn take_answers(&mut self) {
        while let Some((request, again)) = self.answers.pop_front() {
            self.window.answer(request, again);
            self.obstacle |= again;
        }
        if self.obstacle && self.wire.is_empty() {
            self.obstacle = false;
            self.window.go_back();
        }
    }

    /// Some of what is under way arrives, no answer does.
    fn lose(&mut self, prng: &mut Prng) {
        self.disconnect(prng);
        if !self.window.resume(self.node.stored()) {
            assert!(self.forgets_cuts, "the model loses nothing");
            self.crash(prng);
        }
    }

    fn disconnect(&mut self, prng: &mut Prng) {
        self.arrive(prng, true);
        self.wire.clear();
        self.answers.clear();
        self.obstacle = false;
    }

    /// The sender ends and another one begins with what the node knows.
    fn crash(&mut self, prng: &mut Prng) {
        self.disconnect(prng);
        let mut stored = self.node.stored();
        if self.forgets_cuts {
            stored.cut = None;
        }
        let ends = stored.ends().expect("one sender");
        self.window = Window::new(at(stored.checkpoint), ends);
        self.sums = Sums::new(stored.checkpoint);
        self.read = stored.checkpoint;
    }

    fn is_done(&self) -> bool {
        self.window.confirmed().lines == self.source.len() as u64
    }

    /// What the node has beyond a plain count, or lacks; `None` of an exact one.
    fn difference(&self) -> Option<String> {
        let mut plain = BTreeMap::new();
        for (counter, delta) in self.source.iter().filter(|line| line.0 != NOTHING) {
            *plain.entry(*counter).or_default() += delta;
        }
        (plain != self.node.totals).then(|| format!("{plain:?} {:?}", self.node.totals))
    }
}

fn line(prng: &mut Prng) -> Line {
    (prng.below(NOTHING + 1), prng.below(9) as i64 - 3)
}

/// Runs a world with faults and then to its end without.
fn run(seed: u64, forgets_cuts: bool) -> World {
    let mut prng = Prng::new(seed);
    let mut world = World::new(forgets_cuts);
    for _ in 0..400 {
        world.step(&mut prng, true);
    }
    for _ in 0..20_000 {
        if world.is_done() {
            return world;
        }
        world.step(&mut prng, false);
        world.cut();
    }
    panic!("seed {seed}: the world does not come to its end");
}

#[test]
fn whatever_is_lost_refused_or_killed_every_line_counts_once() {
    for seed in 0..2_000 {
        assert_eq!(run(seed, false).difference(), None, "seed {seed}");
    }
}

#[test]
fn without_the_cuts_the_model_finds_lost_and_doubled_lines() {
    let wrong = (0..200).filter(|seed| run(*seed, true).difference().is_some()).count();
    assert!(wrong > 10, "only {wrong} of 200 worlds noticed");
}

/// A block of one line for each of `from + 1` to `upto`.
fn block(from: u64, upto: u64) -> Block {
    let mut sums = Sums::new(from);
    for line in from + 1..=upto {
        sums.add(line, line.to_string().as_bytes(), 1).expect("a name");
    }
    sums.cut(at(upto))
}

fn requests(window: &mut Window) -> Vec<Request> {
    std::iter::from_fn(|| window.next_request()).collect()
}

fn add(block: usize, index: usize) -> Request {
    Request::Add { block, index }
}

/// A window with the block of lines 1 to 3, whose increments are in flight.
fn sending() -> Window {
    let mut window = Window::new(at(0), Vec::new());
    window.push(block(0, 3));
    let cut = Request::Cut(Cut { from: 0, upto: 3 });
    assert_eq!(requests(&mut window), [cut]);
    window.answer(cut, false);
    assert_eq!(requests(&mut window), [add(0, 0), add(0, 1), add(0, 2)]);
    window
}

#[test]
fn nothing_of_a_block_leaves_before_its_cut_is_durable() {
    let mut window = Window::new(at(0), Vec::new());
    window.push(block(0, 2));
    window.push(block(2, 3));
    assert!(!window.has_place());
    let cuts = [Cut { from: 0, upto: 2 }, Cut { from: 2, upto: 3 }].map(Request::Cut);
    assert_eq!(requests(&mut window), [cuts[0]]);
    window.answer(cuts[0], false);
    assert_eq!(requests(&mut window), [add(0, 0), add(0, 1), cuts[1]]);
    window.answer(add(0, 0), false);
    window.answer(add(0, 1), false);
    assert_eq!(requests(&mut window), [Request::Checkpoint(2)]);
    window.answer(cuts[1], false);
    assert_eq!(requests(&mut window), [add(1, 0)]);
}

#[test]
fn a_block_is_confirmed_when_all_its_answers_and_its_checkpoint_are_in() {
    let mut window = sending();
    for index in 0..3 {
        assert_eq!(window.answered(), at(0));
        assert_eq!(window.awaited().expect("in flight").sequence, index as u64 + 1);
        window.answer(add(0, index), false);
    }
    assert_eq!((window.answered(), window.confirmed()), (at(3), at(0)));
    assert_eq!(requests(&mut window), [Request::Checkpoint(3)]);
    window.answer(Request::Checkpoint(3), false);
    assert_eq!(window.confirmed(), at(3));
    assert!(window.is_empty());
}

#[test]
fn what_was_refused_first_comes_again_with_all_that_follows() {
    let mut window = sending();
    window.answer(add(0, 0), false);
    window.answer(add(0, 1), true);
    window.answer(add(0, 2), false);
    assert_eq!(requests(&mut window), []);
    window.go_back();
    assert_eq!(requests(&mut window), [add(0, 1), add(0, 2)]);
    assert_eq!(window.awaited().expect("in flight").sequence, 2);
}

#[test]
fn cuts_and_checkpoints_that_were_refused_come_again() {
    let mut window = Window::new(at(0), Vec::new());
    window.push(block(0, 1));
    let cut = Request::Cut(Cut { from: 0, upto: 1 });
    for again in [true, false] {
        assert_eq!(requests(&mut window), [cut]);
        window.answer(cut, again);
    }
    assert_eq!(requests(&mut window), [add(0, 0)]);
    window.answer(add(0, 0), false);
    for again in [true, false] {
        assert_eq!(requests(&mut window), [Request::Checkpoint(1)]);
        window.answer(Request::Checkpoint(1), again);
    }
    assert!(window.is_empty());
}

#[test]
fn after_a_lost_connection_a_known_block_is_sent_again_and_its_cut_is_not() {
    let mut window = sending();
    window.answer(add(0, 0), false);
    let stored = Stored { checkpoint: 0, cut: Some(Cut { from: 0, upto: 3 }) };
    assert!(window.resume(stored));
    assert_eq!(requests(&mut window), [add(0, 0), add(0, 1), add(0, 2)]);
}

#[test]
fn a_checkpoint_whose_answer_was_lost_is_found_at_the_node() {
    let mut window = sending();
    (0..3).for_each(|index| window.answer(add(0, index), false));
    assert_eq!(requests(&mut window), [Request::Checkpoint(3)]);
    assert!(window.resume(Stored { checkpoint: 3, cut: Some(Cut { from: 0, upto: 3 }) }));
    assert_eq!((window.confirmed(), window.is_empty()), (at(3), true));
}

#[test]
fn a_node_that_lost_what_it_confirmed_is_noticed() {
    assert!(!Window::new(at(5), Vec::new()).resume(Stored { checkpoint: 4, cut: None }));
    assert!(!sending().resume(Stored { checkpoint: 0, cut: None }));
}

#[test]
fn whoever_resumes_must_end_its_blocks_where_they_were_cut() {
    let stored = Stored { checkpoint: 2, cut: Some(Cut { from: 5, upto: 9 }) };
    let mut window = Window::new(at(2), stored.ends().expect("ends"));
    assert_eq!(window.end_to_come(), Some(5));
    window.push(block(2, 5));
    assert_eq!(window.end_to_come(), Some(9));
    assert_eq!(requests(&mut window), [add(0, 0), add(0, 1), add(0, 2)]);
    window.push(block(5, 9));
    assert_eq!((window.end_to_come(), window.has_place()), (None, false));
}

#[test]
fn a_block_without_increments_needs_no_cut() {
    let mut window = Window::new(at(0), Vec::new());
    window.push(Sums::new(0).cut(at(4)));
    assert_eq!(requests(&mut window), [Request::Checkpoint(4)]);
}

#[test]
fn cuts_fit_into_one_number_and_come_back() {
    for (from, upto) in [(0, 1), (7, 7 + BLOCK_LINES_MAX), (LINES_MAX - 1, LINES_MAX)] {
        let cut = Cut { from, upto };
        assert_eq!(Cut::decode(cut.encode()), Some(cut));
    }
    assert_eq!(Cut::decode(5), None, "a block cannot begin before the first line");
}

#[test]
fn ends_are_those_beyond_the_checkpoint() {
    let check = |checkpoint, expected: Result<Vec<u64>, Tangled>| {
        let cut = Cut { from: 5, upto: 9 };
        let expected = expected.map_err(|_| Tangled { checkpoint, cut });
        assert_eq!(Stored { checkpoint, cut: Some(cut) }.ends(), expected);
    };
    check(2, Ok(vec![5, 9]));
    check(5, Ok(vec![9]));
    check(9, Ok(vec![]));
    check(7, Err(Tangled { checkpoint: 7, cut: Cut { from: 5, upto: 9 } }));
}
