//! A finding as a test report (JUnit XML): one case says whether the run may be believed, and each
//! promise is one more.

use std::fmt::Write as _;

use crate::finding::{Finding, Promise};
use crate::markup::escaped;
use crate::slo::Outcome;
use crate::validity::Verdict;

/// Returns the report. A promise that could not be judged is an error, as is a run that is invalid.
pub fn junit(finding: &Finding) -> String {
    let name = escaped(&finding.plan.name);
    let cases: Vec<String> = std::iter::once(run_case(finding))
        .chain(finding.promises.iter().map(|p| case(finding, p)))
        .collect();
    let count = |what: &str| cases.iter().filter(|case| case.contains(what)).count();
    let counts = format!(
        r#"tests="{}" failures="{}" errors="{}" time="{:.3}""#,
        cases.len(),
        count("<failure "),
        count("<error "),
        finding.lasted_ns as f64 / 1e9
    );
    // Readers of the form take a time without a zone.
    let started = escaped(finding.started.trim_end_matches('Z'));
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    writeln!(text, r#"<testsuites name="quipu load" {counts}>"#).expect("a string takes text");
    writeln!(text, r#"<testsuite name="{name}" {counts} skipped="0" timestamp="{started}">"#)
        .expect("a string takes text");
    text.extend(cases);
    text + "</testsuite>\n</testsuites>\n"
}

fn run_case(finding: &Finding) -> String {
    let verdict = finding.validity.verdict;
    let reasons: Vec<_> = finding.validity.reasons().collect();
    let reasons = escaped(&reasons.join("\n"));
    let inside = match verdict {
        Verdict::Valid => String::new(),
        Verdict::Suspect => format!("<system-out>{verdict}: {reasons}</system-out>"),
        Verdict::Invalid => {
            format!(r#"<error type="{verdict}" message="the run is {verdict}">{reasons}</error>"#)
        }
    };
    test_case(&finding.plan.name, "run", "the run is valid", &inside)
}

fn case(finding: &Finding, promise: &Promise) -> String {
    let judgement = &promise.judgement;
    let found = escaped(&format!("{} against {}", judgement.left, judgement.right));
    let inside = match judgement.outcome {
        Outcome::Pass => format!("<system-out>found {found}</system-out>"),
        Outcome::Fail => format!(r#"<failure type="broken" message="found {found}"/>"#),
        Outcome::Unknown => {
            let reason = escaped(judgement.reason.as_deref().unwrap_or("unknown"));
            format!(r#"<error type="unknown" message="{reason}"/>"#)
        }
    };
    test_case(&finding.plan.name, promise.place(), &judgement.check, &inside)
}

fn test_case(scenario: &str, place: &str, name: &str, inside: &str) -> String {
    let class = escaped(&format!("{scenario}.{place}"));
    format!("<testcase classname=\"{class}\" name=\"{}\">{inside}</testcase>\n", escaped(name))
}

#[cfg(test)]
mod tests {
    use super::junit;
    use crate::finding::sample;

    #[test]
    fn every_promise_is_a_case_and_no_name_breaks_the_report() {
        let report = junit(&sample::finding());
        let count = |what: &str| report.matches(what).count();
        assert_eq!(count("<testcase "), 4, "{report}");
        assert_eq!(count("</testcase>"), 4);
        assert_eq!((count("<failure "), count("<error ")), (1, 1));
        assert_eq!(count(r#"tests="4" failures="1" errors="1""#), 2);
        assert!(!report.contains("<img"), "{report}");
    }
}
