//! The header `Date`, worded once a second.

use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::clock;

/// The time as it was last worded.
#[derive(Debug, Default)]
pub(crate) struct Date {
    worded: Mutex<(u64, String)>,
}

impl Date {
    /// Appends the time of the wall clock as HTTP words it. Cost: a read of the coarse clock, a lock
    /// and a copy.
    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        self.append_second(clock::wall_s(), out);
    }

    fn append_second(&self, second: u64, out: &mut Vec<u8>) {
        let mut worded = self.worded.lock();
        let (known, text) = &mut *worded;
        if text.is_empty() || *known != second {
            *known = second;
            *text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn each_second_has_its_own_words() {
        let date = Date::default();
        for (second, words) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778, "Sun, 06 Nov 1994 08:49:38 GMT"),
        ] {
            let mut out = Vec::new();
            date.append_second(second, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), words);
        }
    }
}
