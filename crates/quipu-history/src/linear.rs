//! Whether a history is linearizable: whether each operation can be given one moment between its
//! call and its answer, so that all answers are right one after the other.
//!
//! The search is that of Wing and Gong with the memory of Lowe: operations are placed in an order,
//! and no set of placed operations is tried twice with the same value. The general problem is
//! NP-complete, so the work is bounded, and a history that needs more is undecided.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::event::{Call, Event};

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linearity {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Not,
    /// The bound on work was reached first.
    Undecided,
}

/// The operations that are placed: all before `from` in the order of their calls but those that are
/// left out, and some beyond.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    value: i64,
    from: usize,
    beyond: Vec<usize>,
}

impl Placed {
    fn has(&self, index: usize) -> bool {
        index < self.from || self.beyond.binary_search(&index).is_ok()
    }

    fn with(&self, index: usize, value: i64) -> Self {
        let mut placed = self.clone();
        placed.value = value;
        let at = placed.beyond.binary_search(&index).unwrap_or_else(|at| at);
        placed.beyond.insert(at, index);
        let in_turn = |placed: &Self| placed.beyond.first() == Some(&placed.from);
        while in_turn(&placed) {
            placed.beyond.remove(0);
            placed.from += 1;
        }
        placed
    }
}

/// Looks for an order of the history that begins at `value`, trying at most `work` placements.
pub fn check(events: &[Event], value: i64, work: usize) -> Linearity {
    let mut events = events.to_vec();
    // Of those that were called at once, the ones that may never have happened come last, so that
    // they hold up nobody.
    events.sort_by_key(|event| (event.invoked, event.returned()));
    let answered = events.iter().filter(|event| event.answered.is_some()).count();
    let mut waiting = vec![(Placed { value, from: 0, beyond: Vec::new() }, 0)];
    let mut seen = BTreeSet::new();
    let mut done = 0;
    while let Some((placed, count)) = waiting.pop() {
        if count == answered {
            return Linearity::Linearizable;
        }
        for (index, event) in candidates(&events, &placed) {
            done += 1;
            let Some(value) = after(event, placed.value) else { continue };
            let next = placed.with(index, value);
            if seen.insert(next.clone()) {
                waiting.push((next, count + usize::from(event.answered.is_some())));
            }
        }
        if done > work {
            return Linearity::Undecided;
        }
    }
    Linearity::Not
}

/// The operations that may come next: no other that is not placed had ended before they began. The
/// one that ended first is the last, so that it is tried first. A read that fits the value changes
/// nothing and holds up nobody, so that nothing else need be tried before it.
fn candidates<'a>(events: &'a [Event], placed: &Placed) -> Vec<(usize, &'a Event)> {
    let (mut found, mut ends) = (Vec::new(), u64::MAX);
    let rest = events.iter().enumerate().skip(placed.from);
    for (index, event) in rest.filter(|(index, _)| !placed.has(*index)) {
        if event.invoked > ends {
            break;
        }
        ends = ends.min(event.returned());
        found.push((index, event));
    }
    found.retain(|(_, event)| event.invoked <= ends);
    let fits = |event: &Event| {
        event.call == Call::Read && event.answered.is_some() && after(event, placed.value).is_some()
    };
    if let Some(read) = found.iter().find(|(_, event)| fits(event)) {
        return vec![*read];
    }
    found.sort_by_key(|(_, event)| Reverse(event.returned()));
    found
}

/// The value after an operation on `value`; none if its answer says something else.
fn after(event: &Event, value: i64) -> Option<i64> {
    let after = match event.call {
        Call::Add(delta) => value.checked_add(delta)?,
        Call::Set(set) => set,
        Call::Take => 0,
        Call::Read => value,
    };
    let answer = if event.call == Call::Take { value } else { after };
    let said = event.answered.and_then(|(_, said)| said);
    said.is_none_or(|said| said == answer).then_some(after)
}

/// The shortest beginning of a history that is not linearizable, in the order of its calls: what
/// was answered after it is unknown in it. All of it where no beginning is found.
pub fn shorten(events: &[Event], value: i64, work: usize) -> Vec<Event> {
    let mut ends: Vec<u64> =
        events.iter().filter_map(|event| event.answered).map(|(returned, _)| returned).collect();
    ends.sort_unstable();
    let beginnings = ends.into_iter().map(|end| beginning(events, end));
    let mut wrong = beginnings.filter(|events| check(events, value, work) == Linearity::Not);
    let mut shortest = wrong.next().unwrap_or_else(|| events.to_vec());
    shortest.sort_by_key(|event| event.invoked);
    shortest
}

/// What was known of a history at a time.
fn beginning(events: &[Event], end: u64) -> Vec<Event> {
    let known = events.iter().filter(|event| event.invoked <= end);
    let at_the_time = |event: &Event| match event.answered {
        Some((returned, _)) if returned > end => Event { answered: None, ..*event },
        _ => *event,
    };
    known.map(at_the_time).filter(|e| e.call != Call::Read || e.answered.is_some()).collect()
}

#[cfg(test)]
mod tests {
    use stdx::prng::Prng;

    use super::*;

    const WORK: usize = 100_000;

    fn judge(events: &[Event], expected: Linearity) {
        assert_eq!(check(events, 0, WORK), expected, "{events:?}");
    }

    fn add(times: (u64, u64), value: i64) -> Event {
        Event::answered(Call::Add(1), times, value)
    }

    fn read(times: (u64, u64), value: i64) -> Event {
        Event::answered(Call::Read, times, value)
    }

    #[test]
    fn good_histories_are_found_good() {
        judge(&[], Linearity::Linearizable);
        judge(&[add((0, 1), 1), read((2, 3), 1)], Linearity::Linearizable);
        // Concurrent: in either order.
        judge(&[add((0, 9), 2), add((1, 8), 1)], Linearity::Linearizable);
        judge(&[add((0, 9), 1), read((1, 8), 0)], Linearity::Linearizable);
        judge(&[add((0, 9), 1), read((1, 8), 1)], Linearity::Linearizable);
        // An operation without an answer takes effect late, or never.
        let unknown = Event::unknown(Call::Add(1), 0);
        judge(&[unknown, read((5, 6), 0), read((7, 8), 1)], Linearity::Linearizable);
        judge(&[unknown, read((5, 6), 0), read((7, 8), 0)], Linearity::Linearizable);
        let set = Event::answered(Call::Set(7), (2, 3), 7);
        judge(&[add((0, 1), 1), set, add((4, 5), 8)], Linearity::Linearizable);
        let take = |value| Event::answered(Call::Take, (2, 3), value);
        judge(&[add((0, 1), 1), take(1), add((4, 5), 1)], Linearity::Linearizable);
        // It happened, and nobody knows which of both was first.
        let done = Event::done(Call::Add(1), (0, 3));
        judge(&[done, add((1, 2), 1), read((4, 5), 2)], Linearity::Linearizable);
        judge(&[done, add((1, 2), 2), read((4, 5), 2)], Linearity::Linearizable);
    }

    #[test]
    fn bad_histories_are_found_bad() {
        // A stale read, a lost update, a double count, a read from the future.
        judge(&[add((0, 1), 1), read((2, 3), 0)], Linearity::Not);
        judge(&[add((0, 1), 1), add((2, 3), 1)], Linearity::Not);
        judge(&[add((0, 1), 1), read((2, 3), 2)], Linearity::Not);
        judge(&[read((0, 1), 1), add((2, 3), 1)], Linearity::Not);
        let take = Event::answered(Call::Take, (2, 3), 2);
        judge(&[add((0, 1), 1), take], Linearity::Not);
        judge(&[add((0, 1), 1), take, read((4, 5), 1)], Linearity::Not);
        judge(&[Event::done(Call::Add(1), (0, 1)), read((2, 3), 0)], Linearity::Not);
        // What was read once is not taken back.
        let unknown = Event::unknown(Call::Add(1), 0);
        judge(&[unknown, read((5, 6), 1), read((7, 8), 0)], Linearity::Not);
        // Two reads that see two concurrent adds in different orders.
        let (a, b) = (Event::unknown(Call::Add(1), 0), Event::unknown(Call::Add(10), 0));
        judge(&[a, b, read((1, 4), 1), read((5, 6), 11), read((5, 6), 10)], Linearity::Not);
    }

    #[test]
    fn a_bad_history_is_shortened_to_its_bad_beginning() {
        let (bad, later) = (read((2, 3), 0), add((4, 9), 2));
        let pending = Event::unknown(Call::Add(7), 3);
        let events = [add((0, 1), 1), later, bad, pending, read((2, 30), 1)];
        assert_eq!(shorten(&events, 0, WORK), [add((0, 1), 1), bad, pending]);
    }

    #[test]
    fn too_much_work_is_said_to_be_undecided() {
        let concurrent: Vec<Event> =
            (0..16).map(|n| Event::answered(Call::Add(1 << n), (0, 100), -1)).collect();
        assert_eq!(check(&concurrent, 0, 10), Linearity::Undecided);
    }

    /// Tries every order of all operations, those without an answer left out or not.
    fn by_hand(left: &[Event], value: i64) -> bool {
        if left.iter().all(|event| event.answered.is_none()) {
            return true;
        }
        (0..left.len()).any(|index| {
            let event = left[index];
            let is_first = left.iter().all(|other| other.returned() >= event.invoked);
            let mut rest = left.to_vec();
            rest.remove(index);
            is_first && after(&event, value).is_some_and(|value| by_hand(&rest, value))
        })
    }

    #[test]
    fn the_search_agrees_with_every_order_tried_by_hand() {
        let mut random = Prng::new(7);
        let mut good = 0;
        for _ in 0..4000 {
            let events: Vec<Event> = (0..=random.below(5)).map(|_| draw(&mut random)).collect();
            let expected = by_hand(&events, 0);
            good += usize::from(expected);
            let expected = if expected { Linearity::Linearizable } else { Linearity::Not };
            judge(&events, expected);
        }
        assert!((400..3600).contains(&good), "{good} of 4000 are good");
    }

    fn draw(random: &mut Prng) -> Event {
        let call = match random.below(9) {
            0..=1 => Call::Set(random.below(3) as i64),
            2..=3 => Call::Read,
            4 => Call::Take,
            _ => Call::Add(random.below(2) as i64 + 1),
        };
        let invoked = random.below(12);
        if random.chance(1, 5) {
            return Event::unknown(call, invoked);
        }
        let returned = invoked + 1 + random.below(6);
        if random.chance(1, 8) {
            return Event::done(call, (invoked, returned));
        }
        Event::answered(call, (invoked, returned), random.below(4) as i64)
    }
}
