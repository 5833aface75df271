//! The lines of a block added up: one increment per counter instead of one per line.
//!
//! A block is a run of lines of one source. What it adds to a counter is one operation of the
//! stream, whose sequence is the number of the first line that counts there: so sequences are
//! unique, rise in the order of the operations, and are the same whenever the same lines are added
//! up again. That the lines are the same is what [`crate::window`] takes care of.

use hashbrown::HashTable;

use crate::lines::Position;
use crate::matcher::{NameError, check_name};

/// The sums of a block that is being read.
#[derive(Debug)]
pub struct Sums {
    from: u64,
    /// In the order of their first lines.
    each: Vec<Sum>,
    names: Vec<u8>,
    /// Of each counter, the sum that grows: its place among them.
    table: HashTable<u32>,
}

/// The sums of a block whose end is decided.
#[derive(Debug)]
pub struct Block {
    from: u64,
    upto: Position,
    sums: Vec<Sum>,
    names: Vec<u8>,
}

/// What a block adds to one counter.
#[derive(Debug, Clone, Copy)]
struct Sum {
    hash: u64,
    sequence: u64,
    delta: i64,
    lines: u32,
    name_start: u32,
    name_bytes: u32,
}

/// One operation of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Increment<'a> {
    /// The counter.
    pub name: &'a [u8],
    /// How much it grows.
    pub delta: i64,
    /// The number of the first line that counts in it, from 1.
    pub sequence: u64,
    /// Lines that count in it.
    pub lines: u64,
}

impl Sums {
    /// Starts after line `from`.
    pub fn new(from: u64) -> Sums {
        Sums { from, each: Vec::new(), names: Vec::new(), table: HashTable::new() }
    }

    /// Returns the line after which the block begins.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Returns how much memory the sums take, in bytes.
    pub fn bytes(&self) -> usize {
        self.names.len() + self.each.len() * size_of::<Sum>()
    }

    /// Says whether no line was added.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Adds line number `line`, which counts `delta` in the counter `name`.
    ///
    /// Where a sum would leave the range of 64 bits another one begins, at this line.
    ///
    /// # Errors
    /// `name` is not the name of a counter; nothing is added.
    #[inline]
    pub fn add(&mut self, line: u64, name: &[u8], delta: i64) -> Result<(), NameError> {
        let hash = stdx::hash::hash64(0, name);
        let Sums { each: sums, names, table, .. } = self;
        let same = |&at: &u32| {
            let sum = sums.get(at as usize);
            sum.is_some_and(|sum| sum.hash == hash && sum.name(names) == name)
        };
        let found = table.find_mut(hash, same);
        let Some(place) = found else { return self.begin(line, name, delta, hash) };
        let Some(sum) = sums.get_mut(*place as usize) else { return Ok(()) };
        if let Some(delta) = sum.delta.checked_add(delta) {
            (sum.delta, sum.lines) = (delta, sum.lines + 1);
        } else {
            let next = Sum { sequence: line, delta, lines: 1, ..*sum };
            *place = sums.len() as u32;
            sums.push(next);
        }
        Ok(())
    }

    #[cold]
    fn begin(&mut self, line: u64, name: &[u8], delta: i64, hash: u64) -> Result<(), NameError> {
        check_name(name)?;
        let Sums { each: sums, names, table, .. } = self;
        let rehash = |&at: &u32| sums.get(at as usize).map_or(0, |sum| sum.hash);
        table.insert_unique(hash, sums.len() as u32, rehash);
        let (name_start, name_bytes) = (names.len() as u32, name.len() as u32);
        sums.push(Sum { hash, sequence: line, delta, lines: 1, name_start, name_bytes });
        names.extend_from_slice(name);
        Ok(())
    }

    /// Ends the block before `upto` and starts the next one there.
    pub fn cut(&mut self, upto: Position) -> Block {
        assert!(upto.lines >= self.from, "a block ends after it begins");
        let from = std::mem::replace(&mut self.from, upto.lines);
        self.table.clear();
        // As large as the last one: counters repeat from block to block.
        let sums = Vec::with_capacity(self.each.len());
        let names = Vec::with_capacity(self.names.len());
        let sums = std::mem::replace(&mut self.each, sums);
        let names = std::mem::replace(&mut self.names, names);
        Block { from, upto, sums, names }
    }
}

impl Sum {
    fn name<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        let start = self.name_start as usize;
        names.get(start..start + self.name_bytes as usize).unwrap_or_default()
    }
}

impl Block {
    /// Returns the line after which it begins.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Returns where it ends.
    pub fn upto(&self) -> Position {
        self.upto
    }

    /// Returns how many operations it has.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Says whether no line of it counts.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Returns operation number `index`, from 0, in the order of the sequences.
    pub fn increment(&self, index: usize) -> Option<Increment<'_>> {
        let sum = self.sums.get(index)?;
        let Sum { delta, sequence, lines, .. } = *sum;
        Some(Increment { name: sum.name(&self.names), delta, sequence, lines: lines.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, Sums};
    use crate::lines::Position;
    use crate::matcher::NameError;

    fn end(lines: u64) -> Position {
        Position { lines, offset: lines * 10 }
    }

    fn shown(block: &Block) -> Vec<(u64, String, i64, u64)> {
        let increments = (0..block.len()).filter_map(|index| block.increment(index));
        let shown = increments.map(|increment| {
            let name = String::from_utf8_lossy(increment.name).into_owned();
            (increment.sequence, name, increment.delta, increment.lines)
        });
        shown.collect()
    }

    /// Adds lines from 1 on up to a cut, and compares the operations.
    fn check(lines: &[(&str, i64)], expected: &[(u64, &str, i64, u64)]) {
        let mut sums = Sums::new(0);
        for (line, (name, delta)) in (1..).zip(lines) {
            sums.add(line, name.as_bytes(), *delta).expect("a name");
        }
        let block = sums.cut(end(lines.len() as u64));
        let owned =
            expected.iter().map(|(at, name, by, lines)| (*at, name.to_string(), *by, *lines));
        assert_eq!(shown(&block), owned.collect::<Vec<_>>());
    }

    #[test]
    fn a_counter_gets_one_operation_at_its_first_line() {
        check(
            &[("a", 1), ("b", 1), ("a", 1), ("a", 5), ("b", -3)],
            &[(1, "a", 7, 3), (2, "b", -2, 2)],
        );
    }

    #[test]
    fn a_sum_that_leaves_its_range_goes_on_as_another_operation() {
        check(
            &[("a", i64::MAX), ("b", 1), ("a", 1), ("a", 2), ("a", i64::MAX)],
            &[(1, "a", i64::MAX, 1), (2, "b", 1, 1), (3, "a", 3, 2), (5, "a", i64::MAX, 1)],
        );
    }

    #[test]
    fn the_next_block_begins_empty_where_the_last_one_ended() {
        let mut sums = Sums::new(7);
        sums.add(8, b"a", 1).expect("a name");
        let block = sums.cut(end(9));
        assert_eq!((block.from(), block.upto()), (7, end(9)));
        assert!(sums.is_empty() && sums.from() == 9);
        sums.add(10, b"a", 1).expect("a name");
        assert_eq!(shown(&sums.cut(end(10))), [(10, "a".to_owned(), 1, 1)]);
    }

    #[test]
    fn what_no_counter_can_be_called_is_not_added() {
        let mut sums = Sums::new(0);
        assert_eq!(sums.add(1, b"", 1), Err(NameError::Empty));
        assert_eq!(sums.add(2, b"a\tb", 1), Err(NameError::Control));
        assert!(sums.cut(end(2)).is_empty());
    }

    #[test]
    fn many_counters_are_all_found_again() {
        let mut sums = Sums::new(0);
        for line in 1..=10_000 {
            sums.add(line, format!("n/{}", line % 1000).as_bytes(), 1).expect("a name");
        }
        let block = sums.cut(end(10_000));
        assert_eq!(block.len(), 1000);
        assert!((0..1000).all(|index| block.increment(index).is_some_and(|it| it.lines == 10)));
    }
}
