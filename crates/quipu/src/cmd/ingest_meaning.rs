//! The options of an ingest that say what a line means.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use quipu_client::condition::Condition;
use quipu_client::format::{FORMATS, Format};
use quipu_client::matcher::{Form, Meaning, TimeBucket};
use quipu_client::moment::Bucket;
use quipu_client::template::Template;

/// What a line means.
#[derive(Debug, Args)]
pub(super) struct MeaningArgs {
    /// Form of the lines, whose fields templates may name
    #[arg(
        long,
        value_name = "FORMAT",
        required_unless_present = "pattern",
        conflicts_with = "pattern",
        value_parser = format_parser()
    )]
    format: Option<Format>,
    /// Form of the lines as a regular expression with named groups, such as `(?<ext>[a-z]+)$`
    #[arg(long = "match", value_name = "REGEX")]
    pattern: Option<String>,
    /// Names of the columns of CSV; without it the first line has them
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    csv_header: Option<Vec<String>>,
    /// Count only lines whose field compares so, with = != < <= > >= or =~ for a regular
    /// expression: 'status>=500'; several must all hold
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Add the value of this field instead of 1
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,
    /// Counter to add to, with fields in braces: 'files/{ext}'; several are counted at once
    #[arg(long = "count", value_name = "TEMPLATE", required = true)]
    templates: Vec<String>,
    /// Give templates the field {bucket}: where the line's time falls, in parts of 1m to 1d
    #[arg(long, value_name = "LENGTH")]
    time_bucket: Option<String>,
    /// Field with the line's time, where it is not the format's own
    #[arg(long, value_name = "FIELD", requires = "time_bucket")]
    time_field: Option<String>,
    /// Year of times that are written without one, as syslog does
    #[arg(long, value_name = "YEAR", requires = "time_bucket", value_parser = clap::value_parser!(i64).range(1..=9999))]
    year: Option<i64>,
}

impl MeaningArgs {
    /// Returns the meaning; every fault here is one of usage.
    pub(super) fn meaning(&self) -> anyhow::Result<Meaning> {
        let parsed = self.templates.iter().map(|text| Template::parse(text));
        let templates = parsed.collect::<Result<Vec<_>, _>>()?;
        let distinct: std::collections::BTreeSet<_> = self.templates.iter().collect();
        anyhow::ensure!(distinct.len() == templates.len(), "a template is given twice");
        let conditions = self.conditions.iter().map(|text| Condition::parse(text));
        Ok(Meaning {
            form: self.form()?,
            conditions: conditions.collect::<Result<_, _>>()?,
            by: self.by.clone(),
            bucket: self.bucket()?,
            templates,
        })
    }

    fn form(&self) -> anyhow::Result<Form> {
        let is_csv = self.format == Some(Format::Csv);
        anyhow::ensure!(is_csv || self.csv_header.is_none(), "--csv-header is for --format csv");
        if let Some(format) = self.format {
            return Ok(Form::Format(format, self.csv_header.clone()));
        }
        let pattern = self.pattern.clone().context("--format or --match says what lines are")?;
        Ok(Form::Pattern(pattern))
    }

    fn bucket(&self) -> anyhow::Result<Option<TimeBucket>> {
        let Some(length) = &self.time_bucket else { return Ok(None) };
        let length = Bucket::parse(length)?;
        Ok(Some(TimeBucket { length, field: self.time_field.clone(), year: self.year }))
    }
}

fn format_parser() -> impl clap::builder::TypedValueParser<Value = Format> {
    let names = FORMATS.iter().map(|row| PossibleValue::new(row.name).help(row.about));
    PossibleValuesParser::new(names)
        .map(|name| Format::named(&name).expect("the parser takes names of the table only"))
}

/// The fields of every format, for the long help.
pub(super) fn fields_help() -> String {
    let mut text = "Fields of the formats:\n".to_owned();
    for row in &FORMATS {
        let names: Vec<_> = row.fields.iter().map(|field| field.name).collect();
        let fields = if names.is_empty() { row.about.to_owned() } else { names.join(" ") };
        writeln!(text, "  {:<9} {fields}", row.name).expect("a string takes it");
    }
    text
}

/// The page of the formats: docs/ingest-formats.md.
pub(super) fn formats_page() -> String {
    let mut page = "# Formats of lines\n\nWhat `quipu ingest --format` reads, and the fields that \
                    it gives to templates, `--where` and `--by`. Generated from the table that \
                    the parsers use; [ingest](ingest.md) says how.\n"
        .to_owned();
    for row in &FORMATS {
        let about = row.about;
        write!(page, "\n## {}\n\n{about}; time from `{}`.\n", row.name, row.time)
            .expect("a string takes it");
        if row.fields.is_empty() {
            continue;
        }
        page.push_str("\n| field | what |\n|---|---|\n");
        for field in row.fields {
            let about = field.about.replace('|', "\\|");
            writeln!(page, "| `{}` | {about} |", field.name).expect("a string takes it");
        }
    }
    page
}
