//! What a person may have meant who wrote a word that is not known.

/// Returns the known word that takes the fewest edits, if those are few for its length.
pub fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let (edits, word) = known.map(|word| (edits(written, word), word)).min()?;
    // A third of the letters: a slip is found, another word is not (guess).
    (edits <= word.len().div_ceil(3)).then_some(word)
}

/// Returns how many letters must be inserted, deleted or replaced between two words (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (above, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *above;
            left = replaced.min(diagonal + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("", ""), 0);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let check = |written, expected| {
            assert_eq!(nearest(written, ["shards", "log.segment_bytes"].into_iter()), expected);
        };
        check("shard", Some("shards"));
        check("segment_bytes", Some("log.segment_bytes"));
        check("x", None);
    }
}
