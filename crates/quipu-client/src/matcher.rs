//! From a line to the names of the counters that it counts for.

use regex::bytes::{CaptureLocations, Regex};
use thiserror::Error;

use crate::template::{Piece, Template};

/// Longest name of a counter, in bytes. Spec: DESIGN section 4.
pub const NAME_BYTES_MAX: usize = 256;

/// Why a pattern and its templates do not fit together.
#[derive(Debug, Error)]
pub enum MatcherError {
    /// The pattern is not a regular expression.
    #[error("the pattern is not a regular expression: {0}")]
    Pattern(#[source] Box<regex::Error>),
    /// A template names a group that the pattern does not have.
    #[error("the template '{template}' names the group '{group}', the pattern has: {known}")]
    UnknownGroup {
        /// The template as written.
        template: String,
        /// The group that it names.
        group: String,
        /// The named groups of the pattern.
        known: String,
    },
}

/// Why a name that a template made is not the name of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// No byte at all.
    #[error("the name is empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`].
    #[error("the name is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the name is not UTF-8")]
    NotUtf8,
    /// A control character.
    #[error("the name has a control character")]
    Control,
}

/// A pattern and the templates that its matches fill.
#[derive(Debug)]
pub struct Matcher {
    regex: Regex,
    locations: CaptureLocations,
    templates: Vec<Vec<Part>>,
    identities: Vec<String>,
    /// The name made last.
    name: Vec<u8>,
}

#[derive(Debug)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
}

impl Matcher {
    /// Compiles `pattern` and resolves the groups of `templates` against it.
    ///
    /// # Errors
    /// The pattern does not compile, or a template names a group that it does not have.
    pub fn new(pattern: &str, templates: &[Template]) -> Result<Matcher, MatcherError> {
        let regex = Regex::new(pattern).map_err(|error| MatcherError::Pattern(Box::new(error)))?;
        let identity = |template: &Template| format!("blocks\0{pattern}\0{}", template.text());
        let identities = templates.iter().map(identity).collect();
        let resolved = templates.iter().map(|template| resolve(&regex, template));
        let templates = resolved.collect::<Result<_, _>>()?;
        let locations = regex.capture_locations();
        Ok(Matcher { regex, locations, templates, identities, name: Vec::new() })
    }

    /// Returns how many templates there are.
    pub fn templates(&self) -> usize {
        self.templates.len()
    }

    /// Returns, for each template, a text that is another one whenever lines count otherwise.
    ///
    /// It begins with what a stream holds: sums of blocks.
    pub fn identities(&self) -> &[String] {
        &self.identities
    }

    /// Says whether `line` matches, and remembers where its groups did.
    pub fn matches(&mut self, line: &[u8]) -> bool {
        self.regex.captures_read(&mut self.locations, line).is_some()
    }

    /// Returns what template number `template` makes of `line`, which matched last.
    pub fn name(&mut self, template: usize, line: &[u8]) -> &[u8] {
        let name = &mut self.name;
        name.clear();
        for part in self.templates.get(template).into_iter().flatten() {
            let bytes = match part {
                Part::Text(text) => text.as_slice(),
                Part::Group(index) => {
                    let range = self.locations.get(*index);
                    range.and_then(|(start, end)| line.get(start..end)).unwrap_or_default()
                }
            };
            name.extend_from_slice(bytes);
        }
        name
    }
}

/// Says whether `name` may be the name of a counter.
///
/// # Errors
/// It is empty, too long, not UTF-8, or has a control character.
pub fn check_name(name: &[u8]) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    if name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    let text = str::from_utf8(name).map_err(|_| NameError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(())
}

fn resolve(regex: &Regex, template: &Template) -> Result<Vec<Part>, MatcherError> {
    let index = |group: &str| {
        let found = regex.capture_names().position(|name| name == Some(group));
        found.ok_or_else(|| MatcherError::UnknownGroup {
            template: template.text().to_owned(),
            group: group.to_owned(),
            known: known(regex),
        })
    };
    let part = |piece: &Piece| match piece {
        Piece::Text(text) => Ok(Part::Text(text.clone().into_bytes())),
        Piece::Group(group) => index(group).map(Part::Group),
    };
    template.pieces().iter().map(part).collect()
}

fn known(regex: &Regex) -> String {
    let names: Vec<_> = regex.capture_names().flatten().collect();
    if names.is_empty() { "no named groups".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{Matcher, MatcherError, NameError, check_name};
    use crate::template::Template;

    fn matcher(pattern: &str, templates: &[&str]) -> Result<Matcher, MatcherError> {
        let parsed: Vec<_> =
            templates.iter().map(|text| Template::parse(text).expect("a template")).collect();
        Matcher::new(pattern, &parsed)
    }

    /// The names that `line` counts for; `None` where it does not match.
    fn check(line: &[u8], expected: Option<&[Result<&str, NameError>]>) {
        let pattern = r"^(?<dir>/[^/]*)/(?:.*/)?(?:[^/]+\.(?<ext>[^./]+)|[^/]+)$";
        let mut matcher = matcher(pattern, &["{ext}", "dirs{dir}"]).expect("a matcher");
        let names = matcher.matches(line).then(|| {
            (0..matcher.templates())
                .map(|index| {
                    let name = matcher.name(index, line);
                    check_name(name).map(|()| lossy(name))
                })
                .collect::<Vec<_>>()
        });
        let expected = expected
            .map(|names| names.iter().map(|name| name.map(ToOwned::to_owned)).collect::<Vec<_>>());
        assert_eq!(names, expected, "{}", lossy(line));
    }

    fn lossy(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn every_template_makes_one_name_of_a_matching_line() {
        check(b"/usr/lib/a.tar.gz", Some(&[Ok("gz"), Ok("dirs/usr")]));
        check(b"nothing", None);
    }

    #[test]
    fn a_group_that_took_no_part_is_empty_text() {
        check(b"/usr/README", Some(&[Err(NameError::Empty), Ok("dirs/usr")]));
    }

    #[test]
    fn names_that_no_counter_can_have_are_told_apart() {
        let long = [b"/usr/a.".to_vec(), vec![b'x'; 257]].concat();
        check(&long, Some(&[Err(NameError::TooLong), Ok("dirs/usr")]));
        check(b"/usr/a.\xff", None);
        check(b"/usr/a.b\tc", Some(&[Err(NameError::Control), Ok("dirs/usr")]));
        check("/usr/a.\u{85}".as_bytes(), Some(&[Err(NameError::Control), Ok("dirs/usr")]));
        check("/usr/a.\u{e9}".as_bytes(), Some(&[Ok("\u{e9}"), Ok("dirs/usr")]));
        assert_eq!(check_name(b"a\xff"), Err(NameError::NotUtf8));
        assert_eq!(check_name(&[b'x'; 256]), Ok(()));
    }

    #[test]
    fn a_template_that_names_no_group_of_the_pattern_is_refused() {
        let error = matcher("(?<a>x)", &["{b}"]).expect_err("no group b");
        assert_eq!(error.to_string(), "the template '{b}' names the group 'b', the pattern has: a");
        assert!(matches!(matcher("(", &["x"]), Err(MatcherError::Pattern(_))));
    }
}
