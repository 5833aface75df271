//! ARCHITECTURE.md says of every crate what it never does.
//!
//! Absences cannot be read from code, and newcomers break them.

use crate::checkout::TextFile;
use crate::tidy::Finding;
use crate::tidy::crates::RULES;

const PAGE: &str = "ARCHITECTURE.md";

/// Checks that the page has a line "`crate` never ..." for every crate of the rule table.
pub(crate) fn check(files: &[TextFile]) -> Vec<Finding> {
    let page = files.iter().find(|file| file.path == PAGE).map_or("", |file| file.text.as_str());
    RULES
        .iter()
        .filter(|rule| !page.contains(&format!("`{}` never ", rule.name)))
        .map(|rule| {
            let text = format!("no sentence says what `{}` never does", rule.name);
            Finding::at(PAGE, 1, text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_a_sentence_is_found() {
        let lines = RULES.iter().map(|rule| format!("- `{}` never sleeps.\n", rule.name));
        let sentences = lines.collect::<Vec<_>>().concat();
        let page = |text: &str| TextFile { path: PAGE.to_owned(), text: text.to_owned() };
        assert_eq!(check(&[page(&sentences)]).len(), 0);
        let without = sentences.replace("- `stdx` never sleeps.", "");
        assert_eq!(check(&[page(&without)]).len(), 1);
        assert_eq!(check(&[]).len(), RULES.len());
    }
}
