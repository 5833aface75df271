//! The formats of lines: one table that the parsers, the help and the documentation share.

mod csv;
mod dpkg;
mod jsonl;
mod pattern;
mod syslog;
mod web;

use thiserror::Error;

use self::csv::Csv;
pub use self::csv::HeaderError;
use self::jsonl::Jsonl;
use self::pattern::Pattern;
use crate::record::Record;

/// A format that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The combined log of web servers.
    Combined,
    /// The common log of web servers.
    Common,
    /// The log of Debian's package manager.
    Dpkg,
    /// System messages.
    Syslog,
    /// One JSON value per line.
    Jsonl,
    /// Comma-separated values.
    Csv,
}

/// One row of the table.
#[derive(Debug)]
pub struct Description {
    /// Which.
    pub format: Format,
    /// Its name on the command line. It stands in the names of streams, so a parser that reads
    /// lines otherwise needs another `version`.
    pub name: &'static str,
    /// Goes up when the same line may get other fields.
    pub version: u32,
    /// What it is, for help and documentation.
    pub about: &'static str,
    /// Its fields in the order of the parser; none where the lines name them.
    pub fields: &'static [Field],
    /// The field that holds the line's time, unless another is named.
    pub time: &'static str,
}

/// One field of a format.
#[derive(Debug)]
pub struct Field {
    /// Its name in templates.
    pub name: &'static str,
    /// What it holds.
    pub about: &'static str,
}

const fn field(name: &'static str, about: &'static str) -> Field {
    Field { name, about }
}

/// All formats.
pub const FORMATS: [Description; 6] = [
    Description {
        format: Format::Combined,
        name: "combined",
        version: 1,
        about: "web servers: nginx, Apache",
        fields: &web::FIELDS,
        time: "time",
    },
    Description {
        format: Format::Common,
        name: "common",
        version: 1,
        about: "web servers: combined without referer and user agent",
        fields: web::COMMON_FIELDS,
        time: "time",
    },
    Description {
        format: Format::Dpkg,
        name: "dpkg",
        version: 1,
        about: "/var/log/dpkg.log of Debian",
        fields: &dpkg::FIELDS,
        time: "timestamp",
    },
    Description {
        format: Format::Syslog,
        name: "syslog",
        version: 1,
        about: "system messages: RFC 3164, the same with ISO timestamps, RFC 5424",
        fields: &syslog::FIELDS,
        time: "timestamp",
    },
    Description {
        format: Format::Jsonl,
        name: "jsonl",
        version: 1,
        about: "one JSON value per line; fields are paths such as request.method or tags.0",
        fields: &[],
        time: "time",
    },
    Description {
        format: Format::Csv,
        name: "csv",
        version: 1,
        about: "comma-separated values; fields are the columns of the first line or of --csv-header",
        fields: &[],
        time: "time",
    },
];

/// A template, a condition or another option names a field that the lines do not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no field '{field}', there are: {known}")]
pub struct UnknownField {
    /// What was named.
    pub field: String,
    /// What there is.
    pub known: String,
}

/// A pattern is not a regular expression.
#[derive(Debug, Error)]
#[error("the pattern is not a regular expression: {0}")]
pub struct BadPattern(pub(crate) Box<regex::Error>);

/// Why a line has no fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFields {
    /// It is not of the format.
    Unmatched,
    /// It is the line that names the columns.
    Header,
}

/// Finds the fields of lines.
#[derive(Debug)]
pub struct Parser {
    kind: Kind,
    record: Record,
}

#[derive(Debug)]
enum Kind {
    Web(Format, web::Wanted),
    Fixed(Format, &'static [Field]),
    Pattern(Pattern),
    Jsonl(Jsonl),
    Csv(Csv),
}

impl Format {
    /// Returns its row of the table.
    pub fn description(self) -> &'static Description {
        let row = FORMATS.iter().find(|row| row.format == self);
        row.expect("the table has every format, tested")
    }

    /// Finds a format by its name.
    pub fn named(name: &str) -> Option<Format> {
        FORMATS.iter().find(|row| row.name == name).map(|row| row.format)
    }
}

impl Parser {
    /// Prepares for lines of `format`; `columns` names those of CSV without a header.
    pub fn of_format(format: Format, columns: Option<Vec<String>>) -> Parser {
        let fields = format.description().fields;
        let kind = match format {
            Format::Jsonl => Kind::Jsonl(Jsonl::default()),
            Format::Csv => Kind::Csv(Csv::new(columns)),
            Format::Combined | Format::Common => Kind::Web(format, web::Wanted::default()),
            Format::Dpkg | Format::Syslog => Kind::Fixed(format, fields),
        };
        Parser { kind, record: Record::new(fields.len()) }
    }

    /// Prepares for lines that the regular expression `pattern` matches: its named groups are the
    /// fields.
    ///
    /// # Errors
    /// It is not a regular expression.
    pub fn of_pattern(pattern: &str) -> Result<Parser, BadPattern> {
        let kind = Kind::Pattern(Pattern::new(pattern)?);
        Ok(Parser { kind, record: Record::default() })
    }

    /// Returns the number of the field `name`, and from then on finds it.
    ///
    /// # Errors
    /// There is no such field.
    pub fn resolve(&mut self, name: &str) -> Result<usize, UnknownField> {
        let found = match &mut self.kind {
            Kind::Web(format, wanted) => {
                let field = field_of(format.description().fields, name)?;
                *wanted = wanted.and(field);
                field
            }
            Kind::Fixed(_, fields) => field_of(fields, name)?,
            Kind::Pattern(pattern) => pattern.resolve(name)?,
            Kind::Jsonl(jsonl) => jsonl.resolve(name),
            Kind::Csv(csv) => csv.resolve(name)?,
        };
        let fields = self.record.places().len().max(found + 1);
        self.record = Record::new(fields);
        Ok(found)
    }

    /// Learns the columns of a source from its `first` line, where it has them.
    ///
    /// # Errors
    /// A field that was resolved is not among them.
    pub fn start(&mut self, first: &[u8]) -> Result<(), HeaderError> {
        match &mut self.kind {
            Kind::Csv(csv) => csv.start(first),
            Kind::Web(..) | Kind::Fixed(..) | Kind::Pattern(_) | Kind::Jsonl(_) => Ok(()),
        }
    }

    /// Says whether the fields of lines follow from the first line of the source.
    pub fn needs_first_line(&self) -> bool {
        matches!(&self.kind, Kind::Csv(csv) if csv.has_header())
    }

    /// Finds the fields of line `number` (from 1) of the source.
    ///
    /// # Errors
    /// It has none.
    #[inline]
    pub fn parse(&mut self, line: &[u8], number: u64) -> Result<(), NoFields> {
        let Parser { kind, record } = self;
        let matched = match kind {
            Kind::Web(Format::Combined, wanted) => web::combined(line, *wanted, record.places()),
            Kind::Web(_, wanted) => web::common(line, *wanted, record.places()),
            Kind::Fixed(Format::Dpkg, _) => dpkg::parse(line, record),
            Kind::Fixed(..) => syslog::parse(line, record),
            Kind::Pattern(pattern) => pattern.parse(line, record),
            Kind::Jsonl(jsonl) => jsonl.parse(line, record),
            Kind::Csv(csv) if csv.has_header() && number == 1 => return Err(NoFields::Header),
            Kind::Csv(csv) => csv.parse(line, record),
        };
        if matched { Ok(()) } else { Err(NoFields::Unmatched) }
    }

    /// Returns the value of field number `field` of `line`, which was parsed last.
    #[inline]
    pub fn value<'a>(&'a self, field: usize, line: &'a [u8]) -> &'a [u8] {
        self.record.value(field, line)
    }
}

fn field_of(fields: &[Field], name: &str) -> Result<usize, UnknownField> {
    let names: Vec<_> = fields.iter().map(|field| field.name).collect();
    position(&names, name)
}

/// Returns the place of `name` among `names`.
fn position(names: &[&str], name: &str) -> Result<usize, UnknownField> {
    let found = names.iter().position(|known| *known == name);
    found.ok_or_else(|| {
        let none = names.is_empty();
        let known = if none { "no named fields".to_owned() } else { names.join(", ") };
        UnknownField { field: name.to_owned(), known }
    })
}

#[cfg(test)]
mod tests;
