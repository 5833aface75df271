//! Numbers for people: digits in groups, rates, shares of a width.

use std::time::Duration;

use stdx::units::Nanos;

/// The steps of a sparkline.
const STEPS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];

/// Returns a number with its digits in groups of three.
pub(crate) fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a rate: with a decimal below ten, in whole numbers above.
pub(crate) fn rate(per_s: Option<f64>) -> String {
    match per_s {
        None => "-".to_owned(),
        Some(per_s) if per_s != 0.0 && per_s.abs() < 10.0 => format!("{per_s:.1}"),
        Some(per_s) => grouped(per_s.round() as i128),
    }
}

/// Returns how much changed in a second.
pub(crate) fn per_second(change: i128, elapsed: Duration) -> Option<f64> {
    let seconds = elapsed.as_secs_f64();
    (seconds > 0.0).then(|| change as f64 / seconds)
}

/// Returns a span for people, or a dash.
pub(crate) fn span(time: Option<Nanos>) -> String {
    time.map_or_else(|| "-".to_owned(), Nanos::approximate)
}

/// Returns how long something lasts in its two greatest units.
pub(crate) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Returns the last `width` of some rates as steps; a dot stands where nothing is known.
pub(crate) fn sparkline(rates: &[Option<f64>], width: usize) -> String {
    let shown = rates.get(rates.len().saturating_sub(width)..).unwrap_or_default();
    let greatest = shown.iter().flatten().fold(0.0_f64, |most, rate| most.max(rate.abs()));
    let step = |rate: &Option<f64>| {
        let Some(rate) = rate else { return '\u{b7}' };
        let share = if greatest > 0.0 { rate.abs() / greatest } else { 0.0 };
        let index = (share * (STEPS.len() - 1) as f64).round() as usize;
        STEPS.get(index).copied().unwrap_or('\u{2588}')
    };
    shown.iter().map(step).collect()
}

/// Returns a text of exactly `width` characters: cut with an ellipsis, or filled up.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let letters = text.chars().count();
    if letters <= width {
        return format!("{text:<width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { String::new() } else { format!("{kept}\u{2026}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{fitted, grouped, lasting, per_second, rate, sparkline};

    #[test]
    fn digits_stand_in_groups_of_three() {
        let check = |number: i128, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(-999, "-999");
        check(1_000, "1,000");
        check(i128::from(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn small_rates_have_a_decimal() {
        let check = |per_s: Option<f64>, expected: &str| assert_eq!(rate(per_s), expected);
        check(None, "-");
        check(Some(0.0), "0");
        check(Some(0.25), "0.2");
        check(Some(-3.0), "-3.0");
        check(Some(12_345.6), "12,346");
    }

    #[test]
    fn a_rate_is_by_the_time_that_passed() {
        assert_eq!(per_second(30, Duration::from_millis(1_500)), Some(20.0));
        assert_eq!(per_second(30, Duration::ZERO), None);
    }

    #[test]
    fn times_have_two_units() {
        let check = |seconds, expected: &str| {
            assert_eq!(lasting(Duration::from_secs(seconds)), expected);
        };
        check(7, "7 s");
        check(61, "1 min 1 s");
        check(7_260, "2 h 1 min");
        check(90_000, "1 d 1 h");
    }

    #[test]
    fn a_sparkline_shows_gaps_and_the_newest() {
        let rates = [Some(9.0), Some(0.0), None, Some(7.0), Some(3.5)];
        assert_eq!(sparkline(&rates, 4), "\u{2581}\u{b7}\u{2588}\u{2585}");
        assert_eq!(sparkline(&[None, Some(0.0)], 9), "\u{b7}\u{2581}");
    }

    #[test]
    fn a_text_fits_its_width() {
        let check = |text, width, expected: &str| assert_eq!(fitted(text, width), expected);
        check("abc", 5, "abc  ");
        check("abcdef", 4, "abc\u{2026}");
        check("\u{e9}", 1, "\u{e9}");
        check("\u{e9}a", 1, "\u{2026}");
        check("a", 0, "");
    }
}
