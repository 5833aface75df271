//! The fields of one line, found and not copied.

/// Where the value of a field stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// The line has no such field.
    #[default]
    Absent,
    /// In the line, from one byte to another.
    Line(u32, u32),
    /// Among the values that do not stand in the line as they are.
    Decoded(u32, u32),
}

/// The fields of one line. It is used for one line after the other, without allocation.
#[derive(Debug, Default)]
pub struct Record {
    places: Vec<Place>,
    decoded: Vec<u8>,
}

impl Place {
    /// Returns the place of `line[start..end]`.
    #[inline]
    pub fn of(start: usize, end: usize) -> Place {
        Place::Line(start as u32, end as u32)
    }
}

impl Record {
    /// Makes room for so many fields.
    pub fn new(fields: usize) -> Record {
        Record { places: vec![Place::Absent; fields], decoded: Vec::new() }
    }

    /// Forgets the last line.
    pub fn clear(&mut self) {
        self.places.fill(Place::Absent);
        self.decoded.clear();
    }

    /// Returns the places, to be filled in.
    #[inline]
    pub fn places(&mut self) -> &mut [Place] {
        &mut self.places
    }

    /// Puts field number `field` at `place`.
    #[inline]
    pub fn put(&mut self, field: usize, place: Place) {
        if let Some(found) = self.places.get_mut(field) {
            *found = place;
        }
    }

    /// Gives field number `field` a value that does not stand in the line.
    pub fn put_decoded(&mut self, field: usize, value: &[u8]) {
        let start = self.decoded.len();
        self.decoded.extend_from_slice(value);
        self.put(field, Place::Decoded(start as u32, self.decoded.len() as u32));
    }

    /// Returns the value of field number `field` of `line`; nothing where it is absent.
    #[inline]
    pub fn value<'a>(&'a self, field: usize, line: &'a [u8]) -> &'a [u8] {
        let (bytes, start, end) = match self.places.get(field) {
            Some(Place::Line(start, end)) => (line, start, end),
            Some(Place::Decoded(start, end)) => (self.decoded.as_slice(), start, end),
            Some(Place::Absent) | None => return &[],
        };
        bytes.get(*start as usize..*end as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Record};

    #[test]
    fn values_stand_in_the_line_or_beside_it_or_nowhere() {
        let mut record = Record::new(3);
        record.put(0, Place::of(1, 3));
        record.put_decoded(1, b"xyz");
        record.put(9, Place::of(0, 1));
        let line = b"abcd";
        let values: Vec<_> = (0..4).map(|field| record.value(field, line)).collect();
        assert_eq!(values, [&b"bc"[..], b"xyz", b"", b""]);
        record.clear();
        assert!((0..3).all(|field| record.value(field, line).is_empty()));
    }
}
