//! Decimal numbers as Redis reads them: no sign but minus, no leading zeros, no spaces.

/// Reads a signed 64-bit number. Cost: one pass.
#[inline]
pub fn signed(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = unsigned(digits)?;
    match (negative, magnitude) {
        (true, 0) => None,
        (true, _) => 0_i64.checked_sub_unsigned(magnitude),
        (false, _) => i64::try_from(magnitude).ok(),
    }
}

/// Reads an unsigned 64-bit number. Cost: one pass.
#[inline]
pub fn unsigned(bytes: &[u8]) -> Option<u64> {
    match bytes {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] if bytes.len() <= 20 => {}
        _ => return None,
    }
    let mut sum = 0_u64;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{signed, unsigned};

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(signed(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn only_the_canonical_form_of_a_number_is_one() {
        check("0", Some(0));
        check("-1", Some(-1));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        for text in ["", "-", "-0", "+1", "01", "-01", " 1", "1 ", "1.0", "1e3", "0x1"] {
            check(text, None);
        }
        check("9223372036854775808", None);
        check("-9223372036854775809", None);
        check("100000000000000000000000", None);
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"18446744073709551616"), None);
        assert_eq!(unsigned(b"-1"), None);
    }

    proptest! {
        #[test]
        fn every_number_reads_back(number in any::<i64>()) {
            prop_assert_eq!(signed(number.to_string().as_bytes()), Some(number));
        }
    }
}
