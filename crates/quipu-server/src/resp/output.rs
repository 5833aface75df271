//! The replies of one connection, in order, and what they wait for.
//!
//! Replies leave in the order of their commands. One that depends on a batch that is not durable
//! holds back itself and all behind it; what is before it may leave.

use std::collections::VecDeque;

use quipu_core::outcome::Dependency;

/// Bytes to send and what holds them.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How many of `bytes` were sent.
    sent: usize,
    /// Stream offset of the first of `bytes`.
    base: u64,
    holds: VecDeque<Hold>,
    /// Replies that wait.
    held: u32,
}

/// From `at` on, bytes wait for `depends`.
#[derive(Debug, Clone, Copy)]
struct Hold {
    at: u64,
    depends: Dependency,
    /// How many replies begin at or after `at`, before the next hold.
    replies: u32,
}

impl Output {
    /// Where replies are written; tell [`Output::end_reply`] after each.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Offset at which the next reply begins.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Ends a reply that began at `at` and waits for `depends`, if for anything.
    #[inline]
    pub(crate) fn end_reply(&mut self, at: u64, depends: Option<Dependency>) {
        if depends.is_some() || self.is_held() {
            self.held += 1;
        }
        match (depends, self.holds.back_mut()) {
            (Some(depends), Some(last)) if last.depends == depends => last.replies += 1,
            (Some(depends), _) => self.holds.push_back(Hold { at, depends, replies: 1 }),
            (None, Some(last)) => last.replies += 1,
            (None, None) => {}
        }
    }

    /// Adds a further dependency to the reply that began at `at`; call before its end.
    pub(crate) fn also_hold(&mut self, at: u64, depends: Dependency) {
        self.holds.push_back(Hold { at, depends, replies: 0 });
    }

    /// Whether something is held.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        !self.holds.is_empty()
    }

    /// How many replies are held.
    #[inline]
    pub(crate) fn held(&self) -> u32 {
        self.held
    }

    /// Bytes not sent yet, held or not.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Lets go what `must_wait` no longer holds; returns how many replies were let go.
    pub(crate) fn release(&mut self, must_wait: impl Fn(Dependency) -> bool) -> u32 {
        let mut released = 0;
        while let Some(hold) = self.holds.front()
            && !must_wait(hold.depends)
        {
            released += hold.replies;
            self.holds.pop_front();
        }
        self.held -= released;
        released
    }

    /// Whether the first hold no longer holds.
    pub(crate) fn front_is_free(&self, must_wait: impl Fn(Dependency) -> bool) -> bool {
        self.holds.front().is_some_and(|hold| !must_wait(hold.depends))
    }

    /// The bytes that may leave now.
    #[inline]
    pub(crate) fn sendable(&self) -> &[u8] {
        let end = match self.holds.front() {
            Some(hold) => (hold.at - self.base) as usize,
            None => self.bytes.len(),
        };
        self.bytes.get(self.sent..end).unwrap_or(&[])
    }

    /// Notes that the first `n` of the sendable bytes were sent.
    pub(crate) fn note_sent(&mut self, n: usize) {
        self.sent += n;
        // Moving the rest is worth it only when most of the buffer is spent.
        if self.sent == self.bytes.len() || self.sent > self.bytes.len() / 2 {
            self.base += self.sent as u64;
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Puts `answer` in the place of every held reply.
    pub(crate) fn fail(&mut self, answer: &[u8]) {
        let Some(first) = self.holds.front() else { return };
        self.bytes.truncate((first.at - self.base) as usize);
        let replies: u32 = self.holds.iter().map(|hold| hold.replies).sum();
        self.holds.clear();
        self.held = 0;
        for _ in 0..replies {
            self.bytes.extend_from_slice(answer);
        }
    }

    /// Gives back the memory of an idle connection.
    pub(crate) fn shrink(&mut self, keep: usize) {
        if self.bytes.is_empty() && self.bytes.capacity() > keep {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use quipu_core::outcome::Dependency;

    use super::Output;

    fn reply(out: &mut Output, text: &str, batch: Option<u64>) {
        let at = out.position();
        out.buffer().extend_from_slice(text.as_bytes());
        out.end_reply(at, batch.map(|batch| Dependency { shard: 0, batch }));
    }

    fn filled() -> Output {
        let mut out = Output::default();
        for (text, batch) in
            [("a", None), ("b", Some(5)), ("c", None), ("d", Some(5)), ("e", Some(7))]
        {
            reply(&mut out, text, batch);
        }
        out
    }

    #[test]
    fn what_depends_on_nothing_leaves_unless_it_stands_behind_what_waits() {
        let mut out = filled();
        assert_eq!(out.sendable(), b"a");
        assert_eq!(out.release(|d| d.batch > 5), 3);
        assert_eq!(out.sendable(), b"abcd");
        out.note_sent(3);
        assert_eq!(out.sendable(), b"d");
        assert_eq!(out.release(|_| false), 1);
        assert_eq!(out.sendable(), b"de");
    }

    #[test]
    fn a_failed_log_answers_every_held_reply_once() {
        let mut out = filled();
        out.note_sent(1);
        out.fail(b"?");
        assert_eq!(out.sendable(), b"????");
    }
}
