//! Names of counters with holes: `files/{ext}`.
//!
//! `{field}` stands for the value of that field of the line, or for nothing where the line does not
//! have it; `{{` and `}}` stand for the braces themselves.

use thiserror::Error;

/// A template as written, cut into its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// The name of a field.
    Field(String),
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// No text at all: every name would be empty.
    #[error("the template is empty")]
    Empty,
    /// A brace opens and is never closed.
    #[error("the template '{0}' opens a brace that it does not close; write '{{{{' for a brace")]
    Unclosed(String),
    /// A brace closes and none was open.
    #[error("the template '{0}' closes a brace that it did not open; write '}}}}' for a brace")]
    Unopened(String),
    /// A pair of braces with no name in it.
    #[error("the template '{0}' has braces without the name of a field")]
    Nameless(String),
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// The text is empty or its braces do not pair.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '{' | '}' if chars.next_if_eq(&char).is_some() => literal.push(char),
                '{' => {
                    push_text(&mut pieces, &mut literal);
                    pieces.push(Piece::Field(field(text, &mut chars)?));
                }
                '}' => return Err(TemplateError::Unopened(text.to_owned())),
                char => literal.push(char),
            }
        }
        push_text(&mut pieces, &mut literal);
        Ok(Template { text: text.to_owned(), pieces })
    }

    /// Returns the template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

fn push_text(pieces: &mut Vec<Piece>, literal: &mut String) {
    if !literal.is_empty() {
        pieces.push(Piece::Text(std::mem::take(literal)));
    }
}

/// Reads a field's name up to its closing brace.
fn field(text: &str, chars: &mut impl Iterator<Item = char>) -> Result<String, TemplateError> {
    let mut name = String::new();
    for char in chars {
        match char {
            '}' if name.is_empty() => return Err(TemplateError::Nameless(text.to_owned())),
            '}' => return Ok(name),
            char => name.push(char),
        }
    }
    Err(TemplateError::Unclosed(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Piece, Template, TemplateError};

    fn check(text: &str, expected: &Result<&[Piece], TemplateError>) {
        let parsed = Template::parse(text);
        assert_eq!(parsed.as_ref().map(Template::pieces).map_err(Clone::clone), *expected);
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn field(name: &str) -> Piece {
        Piece::Field(name.to_owned())
    }

    #[test]
    fn fields_and_text_alternate() {
        check("total", &Ok(&[text("total")]));
        check("files/{ext}", &Ok(&[text("files/"), field("ext")]));
        check("{a}{b}/c", &Ok(&[field("a"), field("b"), text("/c")]));
        check("{{{a}}}", &Ok(&[text("{"), field("a"), text("}")]));
    }

    #[test]
    fn braces_that_do_not_pair_are_refused() {
        check("", &Err(TemplateError::Empty));
        check("a{b", &Err(TemplateError::Unclosed("a{b".to_owned())));
        check("a}b", &Err(TemplateError::Unopened("a}b".to_owned())));
        check("a{}b", &Err(TemplateError::Nameless("a{}b".to_owned())));
    }
}
