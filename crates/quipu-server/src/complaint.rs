//! What goes wrong many times a second is said once in a while.

use std::time::Duration;

use crate::clock::Stopwatch;

/// How often the same complaint is worth a line. Guess: seen at once, and no flood in a day.
const INTERVAL: Duration = Duration::from_secs(60);

/// One kind of trouble; it is logged at most once a minute.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    said: Option<Stopwatch>,
}

impl Complaint {
    /// Whether to say it now; then it is not due again for a minute.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.said.is_none_or(|said| said.elapsed() >= INTERVAL);
        if due {
            self.said = Some(Stopwatch::start());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::Complaint;

    #[test]
    fn a_complaint_is_not_repeated_at_once() {
        let mut complaint = Complaint::default();
        let mut due = 0;
        for _ in 0..1000 {
            due += usize::from(complaint.is_due());
        }
        assert_eq!(due, 1);
    }
}
