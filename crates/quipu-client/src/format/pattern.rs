//! Lines that a regular expression matches: its named groups are the fields.

use regex::bytes::{CaptureLocations, Regex};

use crate::format::{BadPattern, UnknownField, position};
use crate::record::{Place, Record};

/// A regular expression and where its groups matched last.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    locations: CaptureLocations,
    /// The groups that are asked for.
    groups: Vec<usize>,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Result<Pattern, BadPattern> {
        let regex = Regex::new(pattern).map_err(|error| BadPattern(Box::new(error)))?;
        let locations = regex.capture_locations();
        Ok(Pattern { regex, locations, groups: Vec::new() })
    }

    pub(super) fn resolve(&mut self, name: &str) -> Result<usize, UnknownField> {
        let found = self.regex.capture_names().position(|group| group == Some(name));
        let Some(group) = found else {
            let known: Vec<_> = self.regex.capture_names().flatten().collect();
            return position(&known, name);
        };
        let known = self.groups.iter().position(|known| *known == group);
        Ok(known.unwrap_or_else(|| {
            self.groups.push(group);
            self.groups.len() - 1
        }))
    }

    pub(super) fn parse(&mut self, line: &[u8], record: &mut Record) -> bool {
        let matched = if self.groups.is_empty() {
            self.regex.is_match(line)
        } else {
            self.regex.captures_read(&mut self.locations, line).is_some()
        };
        if !matched {
            return false;
        }
        for (field, group) in self.groups.iter().enumerate() {
            let range = self.locations.get(*group);
            record.put(field, range.map_or(Place::Absent, |(start, end)| Place::of(start, end)));
        }
        true
    }
}
