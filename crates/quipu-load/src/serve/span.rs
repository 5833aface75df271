//! Spans of time in the form of ISO 8601, strictly: `PT2M`, `P1DT12H`, `PT0.5S`.

use stdx::units::Nanos;

/// Nanoseconds of each unit of the date and of the time, the greatest first.
const DATE_UNITS: [(char, u64); 1] = [('D', 86_400_000_000_000)];
const TIME_UNITS: [(char, u64); 3] =
    [('H', 3_600_000_000_000), ('M', 60_000_000_000), ('S', 1_000_000_000)];
/// Digits after the point of a second: nanoseconds.
const FRACTION_DIGITS: usize = 9;

/// Reads a span. Years, months and weeks are refused: the first two have no fixed length.
///
/// Returns nothing where the text is no span, or one beyond 2^64 nanoseconds (584 years).
pub(crate) fn parse(text: &str) -> Option<Nanos> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    let days = parts(date, &DATE_UNITS)?;
    Some(Nanos(days.checked_add(parts(time, &TIME_UNITS)?)?))
}

/// Adds up numbers with their units, each unit at most once and the greatest first.
fn parts(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut units = units.iter();
    let mut sum: u64 = 0;
    while !text.is_empty() {
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(at);
        let unit = rest.chars().next()?;
        let (_, unit_ns) = units.find(|(letter, _)| *letter == unit)?;
        sum = sum.checked_add(amount(number, unit, *unit_ns)?)?;
        text = rest.strip_prefix(unit)?;
    }
    Some(sum)
}

/// Returns a number of units in nanoseconds; only seconds may have a fraction.
fn amount(number: &str, unit: char, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if unit == 'S' => (whole, fraction),
        Some(_) => return None,
        None => (number, "0"),
    };
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > FRACTION_DIGITS {
        return None;
    }
    let fraction_ns: u64 = format!("{fraction:0<FRACTION_DIGITS$}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(unit_ns)?.checked_add(fraction_ns)
}

/// Writes a span in its shortest form.
pub(crate) fn text(span: Nanos) -> String {
    let [(_, hour_ns), (_, minute_ns), (_, second_ns)] = TIME_UNITS;
    let part = |count: u64, letter: &str| match count {
        0 => String::new(),
        _ => format!("{count}{letter}"),
    };
    let hours = part(span.0 / hour_ns, "H");
    let minutes = part(span.0 % hour_ns / minute_ns, "M");
    let (rest, fraction) = (span.0 % minute_ns / second_ns, span.0 % second_ns);
    let is_bare = hours.is_empty() && minutes.is_empty();
    let seconds = match (rest, fraction) {
        (0, 0) if is_bare => "0S".to_owned(),
        (rest, 0) => part(rest, "S"),
        _ => format!("{rest}.{}S", format!("{fraction:09}").trim_end_matches('0')),
    };
    format!("PT{hours}{minutes}{seconds}")
}

#[cfg(test)]
mod tests {
    use stdx::units::Nanos;

    use super::{parse, text};

    #[test]
    fn a_span_is_read_and_written_back_in_its_shortest_form() {
        let cases = [
            ("PT2M", 120_000, "PT2M"),
            ("PT120S", 120_000, "PT2M"),
            ("PT1H30M", 5_400_000, "PT1H30M"),
            ("P1DT1S", 86_401_000, "PT24H1S"),
            ("P2D", 172_800_000, "PT48H"),
            ("PT0.25S", 250, "PT0.25S"),
            ("PT1M0.5S", 60_500, "PT1M0.5S"),
            ("PT0S", 0, "PT0S"),
        ];
        for (given, ms, shortest) in cases {
            assert_eq!(parse(given), Some(Nanos::from_millis(ms)), "{given}");
            assert_eq!(text(Nanos::from_millis(ms)), shortest, "{given}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        let cases = [
            "",
            "P",
            "PT",
            "P1DT",
            "2M",
            "pt2m",
            "PT2",
            "PT2m",
            "PT-2M",
            "-PT2M",
            "P1Y",
            "P1M",
            "P1W",
            "PT1S1M",
            "PT1M1M",
            "PT.5S",
            "PT5.S",
            "PT0.5M",
            "PT1.2.3S",
            "PT1.0123456789S",
            " PT1S",
            "PT1S ",
            "PT99999999999999999999S",
            "PT6000000H",
            "PT1\u{661}S",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
