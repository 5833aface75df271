//! What a line means: whether it counts, by how much, and for which counters.

use thiserror::Error;

use crate::condition::{Condition, whole};
use crate::format::{BadPattern, Format, HeaderError, NoFields, Parser, UnknownField};
use crate::moment::{self, Bucket};
use crate::reject::Reason;
use crate::template::{Piece, Template};

/// Longest name of a counter, in bytes. Spec: DESIGN section 4.
pub const NAME_BYTES_MAX: usize = 256;
/// The field that a bucket of time gives to templates.
pub const BUCKET_FIELD: &str = "bucket";

/// How lines are to be understood. Whatever changes here makes other streams.
#[derive(Debug, Clone)]
pub struct Meaning {
    /// Where the fields come from.
    pub form: Form,
    /// What must hold for a line to count.
    pub conditions: Vec<Condition>,
    /// The field that says by how much; a line counts 1 without it.
    pub by: Option<String>,
    /// The bucket that the line's time falls into.
    pub bucket: Option<TimeBucket>,
    /// The counters.
    pub templates: Vec<Template>,
}

/// What lines look like.
#[derive(Debug, Clone)]
pub enum Form {
    /// A regular expression with named groups.
    Pattern(String),
    /// A format of the table; of CSV perhaps the columns.
    Format(Format, Option<Vec<String>>),
}

/// Which bucket of time a line falls into.
#[derive(Debug, Clone)]
pub struct TimeBucket {
    /// How long it is.
    pub length: Bucket,
    /// The field with the time; `None` is the format's own.
    pub field: Option<String>,
    /// The year of times that are written without one.
    pub year: Option<i64>,
}

/// Why lines cannot be understood in the way that is asked for.
#[derive(Debug, Error)]
pub enum MatcherError {
    /// The pattern is not a regular expression.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// A template names a field that the lines do not have.
    #[error("the template '{template}': {unknown}")]
    Template {
        /// The template as written.
        template: String,
        /// The field.
        unknown: UnknownField,
    },
    /// A condition does.
    #[error("the condition '{condition}': {unknown}")]
    Condition {
        /// The condition as written.
        condition: String,
        /// The field.
        unknown: UnknownField,
    },
    /// Another option does.
    #[error("{option}: {unknown}")]
    Option {
        /// The option.
        option: &'static str,
        /// The field.
        unknown: UnknownField,
    },
    /// A bucket of time is asked for and no counter is named by it.
    #[error("no template has the field {{bucket}}, which a bucket of time gives")]
    BucketUnused,
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

/// What a line comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It counts, by so much.
    Counts(i64),
    /// It is not asked for.
    Filtered,
    /// It cannot be counted.
    Rejected(Reason),
}

/// Understands one line after the other.
#[derive(Debug)]
pub struct Matcher {
    parser: Parser,
    templates: Vec<Vec<Part>>,
    conditions: Vec<(usize, Condition)>,
    by: Option<usize>,
    clock: Option<Clock>,
    identities: Vec<String>,
    /// The name made last.
    name: Vec<u8>,
}

#[derive(Debug)]
enum Part {
    Text(Vec<u8>),
    Field(usize),
    Bucket,
}

/// The bucket of the line read last. Lines that follow each other often have the same time.
#[derive(Debug)]
struct Clock {
    length: Bucket,
    field: usize,
    year: Option<i64>,
    text: Vec<u8>,
    label: String,
    is_known: bool,
}

impl Matcher {
    /// Prepares to understand lines as `meaning` says.
    ///
    /// # Errors
    /// The pattern does not compile, or something names a field that the lines do not have.
    pub fn new(meaning: &Meaning) -> Result<Matcher, MatcherError> {
        let mut parser = match &meaning.form {
            Form::Pattern(pattern) => Parser::of_pattern(pattern)?,
            Form::Format(format, columns) => Parser::of_format(*format, columns.clone()),
        };
        let clock = meaning.bucket.as_ref();
        let clock = clock.map(|bucket| Clock::new(bucket, meaning, &mut parser)).transpose()?;
        let has_bucket = clock.is_some();
        let resolve = |template| resolve(&mut parser, template, has_bucket);
        let templates = meaning.templates.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        if has_bucket && !templates.iter().flatten().any(|part| matches!(part, Part::Bucket)) {
            return Err(MatcherError::BucketUnused);
        }
        let mut conditions = Vec::new();
        for condition in &meaning.conditions {
            let field = parser.resolve(condition.field()).map_err(|unknown| {
                MatcherError::Condition { condition: condition.text().to_owned(), unknown }
            })?;
            conditions.push((field, condition.clone()));
        }
        let option = |unknown| MatcherError::Option { option: "--by", unknown };
        let by = meaning.by.as_ref().map(|field| parser.resolve(field)).transpose();
        let by = by.map_err(option)?;
        let identities = meaning.identities();
        Ok(Matcher { parser, templates, conditions, by, clock, identities, name: Vec::new() })
    }

    /// Returns how many templates there are.
    pub fn templates(&self) -> usize {
        self.templates.len()
    }

    /// Returns, for each template, a text that is another one whenever lines count otherwise.
    pub fn identities(&self) -> &[String] {
        &self.identities
    }

    /// Says whether the fields of lines follow from the first line of the source.
    pub fn needs_first_line(&self) -> bool {
        self.parser.needs_first_line()
    }

    /// Learns from the first line of a source what its fields are called, where it says that.
    ///
    /// # Errors
    /// A field that is asked for is not among them.
    pub fn start(&mut self, first: &[u8]) -> Result<(), HeaderError> {
        self.parser.start(first)
    }

    /// Says what `line`, number `number` of its source, comes to.
    #[inline]
    pub fn read(&mut self, line: &[u8], number: u64) -> Reading {
        match self.parser.parse(line, number) {
            Ok(()) => {}
            Err(NoFields::Header) => return Reading::Filtered,
            Err(NoFields::Unmatched) => return Reading::Rejected(Reason::Unmatched),
        }
        let holds = |(field, condition): &(usize, Condition)| {
            condition.holds(self.parser.value(*field, line))
        };
        if !self.conditions.iter().all(holds) {
            return Reading::Filtered;
        }
        if let Some(clock) = &mut self.clock {
            clock.read(self.parser.value(clock.field, line));
        }
        let Some(by) = self.by else { return Reading::Counts(1) };
        let delta = whole(self.parser.value(by, line));
        delta.map_or(Reading::Rejected(Reason::NotANumber), Reading::Counts)
    }

    /// Returns what template number `template` makes of `line`, which was read last.
    ///
    /// # Errors
    /// It needs the line's time, which cannot be read.
    #[inline]
    pub fn name(&mut self, template: usize, line: &[u8]) -> Result<&[u8], Reason> {
        let Matcher { parser, templates, clock, name, .. } = self;
        name.clear();
        for part in templates.get(template).into_iter().flatten() {
            let bytes = match (part, &clock) {
                (Part::Text(text), _) => text.as_slice(),
                (Part::Field(field), _) => parser.value(*field, line),
                (Part::Bucket, Some(clock)) if clock.is_known => clock.label.as_bytes(),
                (Part::Bucket, _) => return Err(Reason::NoTime),
            };
            name.extend_from_slice(bytes);
        }
        Ok(name)
    }
}

impl Meaning {
    /// It begins with what a stream holds: sums of blocks. All but the template comes first, so
    /// that no text of one option can be taken for another's.
    fn identities(&self) -> Vec<String> {
        let mut common = vec!["blocks".to_owned()];
        match &self.form {
            Form::Pattern(pattern) => common.extend(["match".to_owned(), pattern.clone()]),
            Form::Format(format, columns) => {
                let row = format.description();
                common.push(format!("format {} {}", row.name, row.version));
                common.extend(columns.iter().map(|columns| columns.join("\u{1}")));
            }
        }
        for condition in &self.conditions {
            common.push(format!("where {}", condition.text()));
        }
        common.extend(self.by.iter().map(|by| format!("by {by}")));
        if let Some(TimeBucket { length, field, year }) = &self.bucket {
            common.push(format!("bucket {} {field:?} {year:?}", length.seconds()));
        }
        let common = common.join("\0");
        let identity = |template: &Template| format!("{common}\0count {}", template.text());
        self.templates.iter().map(identity).collect()
    }

    fn time_field(&self, bucket: &TimeBucket) -> String {
        let own = match &self.form {
            Form::Pattern(_) => "time",
            Form::Format(format, _) => format.description().time,
        };
        bucket.field.clone().unwrap_or_else(|| own.to_owned())
    }
}

impl Clock {
    fn new(
        bucket: &TimeBucket,
        meaning: &Meaning,
        parser: &mut Parser,
    ) -> Result<Clock, MatcherError> {
        let field = parser.resolve(&meaning.time_field(bucket));
        let field =
            field.map_err(|unknown| MatcherError::Option { option: "--time-bucket", unknown })?;
        Ok(Clock {
            length: bucket.length,
            field,
            year: bucket.year,
            text: Vec::new(),
            label: String::new(),
            is_known: false,
        })
    }

    fn read(&mut self, text: &[u8]) {
        if text == self.text {
            return;
        }
        self.text.clear();
        self.text.extend_from_slice(text);
        let moment = moment::read(text, self.year);
        self.is_known = moment.is_some();
        if let Some(moment) = moment {
            self.length.label(moment, &mut self.label);
        }
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

fn resolve(
    parser: &mut Parser,
    template: &Template,
    has_bucket: bool,
) -> Result<Vec<Part>, MatcherError> {
    let mut part = |piece: &Piece| match piece {
        Piece::Text(text) => Ok(Part::Text(text.clone().into_bytes())),
        Piece::Field(field) if has_bucket && field == BUCKET_FIELD => Ok(Part::Bucket),
        Piece::Field(field) => parser.resolve(field).map(Part::Field),
    };
    let parts: Result<Vec<_>, _> = template.pieces().iter().map(&mut part).collect();
    parts
        .map_err(|unknown| MatcherError::Template { template: template.text().to_owned(), unknown })
}

#[cfg(test)]
mod tests {
    use super::{Form, Matcher, MatcherError, Meaning, NameError, Reading, TimeBucket, check_name};
    use crate::condition::Condition;
    use crate::format::Format;
    use crate::moment::Bucket;
    use crate::reject::Reason;
    use crate::template::Template;

    fn meaning(form: Form, templates: &[&str]) -> Meaning {
        let parsed = templates.iter().map(|text| Template::parse(text).expect("a template"));
        let templates = parsed.collect();
        Meaning { form, conditions: Vec::new(), by: None, bucket: None, templates }
    }

    fn pattern(pattern: &str, templates: &[&str]) -> Meaning {
        meaning(Form::Pattern(pattern.to_owned()), templates)
    }

    fn dpkg(templates: &[&str]) -> Meaning {
        meaning(Form::Format(Format::Dpkg, None), templates)
    }

    fn lossy(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// What `line` comes to and, where it counts, the names that it counts for.
    fn check(meaning: &Meaning, line: &str, reading: Reading, names: &[Result<&str, Reason>]) {
        let mut matcher = Matcher::new(meaning).expect("a matcher");
        assert_eq!(matcher.read(line.as_bytes(), 1), reading, "{line}");
        if !matches!(reading, Reading::Counts(_)) {
            return;
        }
        let made = (0..matcher.templates())
            .map(|template| matcher.name(template, line.as_bytes()).map(lossy));
        let expected = names.iter().map(|name| name.map(ToOwned::to_owned));
        assert_eq!(made.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{line}");
    }

    #[test]
    fn every_template_makes_one_name_of_a_matching_line() {
        let meaning = pattern(
            r"^(?<dir>/[^/]*)/(?:.*/)?(?:[^/]+\.(?<ext>[^./]+)|[^/]+)$",
            &["{ext}", "dirs{dir}"],
        );
        check(&meaning, "/usr/a.tar.gz", Reading::Counts(1), &[Ok("gz"), Ok("dirs/usr")]);
        check(&meaning, "/usr/README", Reading::Counts(1), &[Ok(""), Ok("dirs/usr")]);
        check(&meaning, "nothing", Reading::Rejected(Reason::Unmatched), &[]);
    }

    #[test]
    fn all_conditions_must_hold() {
        let condition = |text| Condition::parse(text).expect("a condition");
        let conditions = vec![condition("status>=500"), condition("verb=GET")];
        let meaning =
            Meaning { conditions, ..pattern(r"^(?<verb>\w+) (?<status>\d+)$", &["{verb}"]) };
        check(&meaning, "GET 503", Reading::Counts(1), &[Ok("GET")]);
        check(&meaning, "GET 404", Reading::Filtered, &[]);
        check(&meaning, "POST 503", Reading::Filtered, &[]);
        check(&meaning, "503", Reading::Rejected(Reason::Unmatched), &[]);
    }

    #[test]
    fn a_field_says_by_how_much_or_the_line_is_rejected() {
        let by = Some("bytes".to_owned());
        let meaning = Meaning { by, ..pattern(r"^(?<bytes>\S+)?", &["bytes"]) };
        check(&meaning, "512", Reading::Counts(512), &[Ok("bytes")]);
        check(&meaning, "-7", Reading::Counts(-7), &[Ok("bytes")]);
        for text in ["-", "1.5", "9223372036854775808", ""] {
            check(&meaning, text, Reading::Rejected(Reason::NotANumber), &[]);
        }
    }

    #[test]
    fn a_bucket_comes_from_the_time_of_the_line() {
        let length = Bucket::parse("1h").expect("a bucket");
        let bucket = Some(TimeBucket { length, field: None, year: None });
        let meaning = Meaning { bucket, ..dpkg(&["{action}/{bucket}", "{action}"]) };
        let line = |time| format!("2026-11-30 {time} startup archives unpack");
        let names = [Ok("startup/2026-11-30T01:00Z"), Ok("startup")];
        check(&meaning, &line("01:02:03"), Reading::Counts(1), &names);
        let names = [Err(Reason::NoTime), Ok("startup")];
        check(&meaning, &line("25:02:03"), Reading::Counts(1), &names);
    }

    #[test]
    fn names_that_no_counter_can_have_are_told_apart() {
        assert_eq!(check_name(b""), Err(NameError::Empty));
        assert_eq!(check_name(&[b'x'; 257]), Err(NameError::TooLong));
        assert_eq!(check_name(&[b'x'; 256]), Ok(()));
        assert_eq!(check_name(b"a\xff"), Err(NameError::NotUtf8));
        assert_eq!(check_name(b"b\tc"), Err(NameError::Control));
        assert_eq!(check_name("a\u{85}".as_bytes()), Err(NameError::Control));
        assert_eq!(check_name("\u{e9}".as_bytes()), Ok(()));
    }

    #[test]
    fn fields_that_lines_do_not_have_are_named_with_those_that_they_have() {
        let check = |meaning: &Meaning, expected: &str| {
            let error = Matcher::new(meaning).expect_err("an unknown field");
            assert_eq!(error.to_string(), expected);
        };
        let group = pattern("(?<a>x)", &["{b}"]);
        check(&group, "the template '{b}': there is no field 'b', there are: a");
        let by = Meaning { by: Some("size".to_owned()), ..pattern("(?<a>x)", &["{a}"]) };
        check(&by, "--by: there is no field 'size', there are: a");
        let conditions = vec![Condition::parse("c=1").expect("a condition")];
        let condition = Meaning { conditions, ..pattern("x", &["x"]) };
        check(&condition, "the condition 'c=1': there is no field 'c', there are: no named fields");
        assert!(matches!(Matcher::new(&pattern("(", &["x"])), Err(MatcherError::Pattern(_))));
        let length = Bucket::parse("1h").expect("a bucket");
        let bucket = Some(TimeBucket { length, field: None, year: None });
        let unused = Meaning { bucket, ..dpkg(&["x"]) };
        assert!(matches!(Matcher::new(&unused), Err(MatcherError::BucketUnused)));
    }

    #[test]
    fn whatever_changes_what_lines_count_makes_another_stream() {
        let plain = || dpkg(&["{action}"]);
        let length = Bucket::parse("1h").expect("a bucket");
        let condition = |text| vec![Condition::parse(text).expect("a condition")];
        let meanings = [
            plain(),
            dpkg(&["{state}"]),
            pattern("dpkg", &["{action}"]),
            meaning(Form::Format(Format::Csv, None), &["{action}"]),
            meaning(Form::Format(Format::Csv, Some(vec!["action".to_owned()])), &["{action}"]),
            Meaning { conditions: condition("state=x"), ..plain() },
            Meaning { conditions: condition("state=y"), ..plain() },
            Meaning { by: Some("state".to_owned()), ..plain() },
            Meaning { bucket: Some(TimeBucket { length, field: None, year: None }), ..plain() },
            Meaning { bucket: Some(TimeBucket { length, field: None, year: Some(1) }), ..plain() },
        ];
        let identities: Vec<_> = meanings.iter().flat_map(Meaning::identities).collect();
        let distinct: std::collections::BTreeSet<_> = identities.iter().collect();
        assert_eq!(distinct.len(), meanings.len(), "{identities:?}");
    }
}
