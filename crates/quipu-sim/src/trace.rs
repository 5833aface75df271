//! All that happened as one number, and as text where somebody looks.

use std::fmt;

use stdx::hash::hash64;

/// Takes a line of the trace.
pub type Sink = Box<dyn FnMut(&str)>;

/// A rolling digest of all events.
#[derive(Default)]
pub struct Trace {
    digest: u64,
    events: u64,
    sink: Option<Sink>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Trace {
    /// A trace whose lines go to `sink`, if there is one.
    pub fn new(sink: Option<Sink>) -> Self {
        Self { sink, ..Self::default() }
    }

    /// Notes an event: when, what, and the numbers that say it whole.
    #[inline]
    pub fn note(&mut self, at_us: u64, what: &'static str, numbers: [u64; 3]) {
        self.events += 1;
        let mut bytes = [0; 48];
        let name = what.as_bytes();
        let name = name.get(..16).unwrap_or(name);
        bytes[..8].copy_from_slice(&at_us.to_le_bytes());
        bytes[8..8 + name.len()].copy_from_slice(name);
        for (place, number) in bytes[24..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.digest = hash64(self.digest, &bytes);
        if let Some(sink) = &mut self.sink {
            let [a, b, c] = numbers;
            sink(&format!("{:>13.6} {what:<14} {a} {b} {c}", at_us as f64 / 1e6));
        }
    }

    /// Says something that is not part of the digest.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(sink) = &mut self.sink {
            sink(&text());
        }
    }

    /// The digest of all so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }
}
