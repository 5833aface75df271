//! Atomic groups: all or nothing, on both sides.

use quipu_core::node::Abort;
use quipu_core::outcome::{Refusal, Reply};

use crate::script::Sent;
use crate::world::World;
use quipu_model::model::{Asked, Expected, goes_on};

impl World {
    /// Decides a group as one on both sides and compares.
    pub(crate) fn atomic(&mut self, group: &[Sent]) {
        let ops: Vec<_> = group.iter().map(Sent::op).collect();
        let mut replies = Vec::new();
        let ended = self.node.atomic(self.now, &ops, &mut replies);
        match ended {
            Ok(()) => self.check_committed(group, &replies),
            Err(abort) => {
                assert!(replies.is_empty(), "an aborted group has one answer");
                self.check_aborted(group, &abort);
            }
        }
    }

    fn check_committed(&mut self, group: &[Sent], replies: &[Reply]) {
        self.met.groups += 1;
        assert_eq!(group.len(), replies.len());
        let mut first = None;
        for (sent, reply) in group.iter().zip(replies) {
            let expected = self.judge(sent, reply);
            self.check(sent, reply, &expected);
            let outcome = reply.result.expect("a refusal ends a group");
            let first = first.get_or_insert(outcome);
            assert!(goes_on(first, &outcome), "{sent:?} should have ended the group: {reply:?}");
        }
    }

    fn judge(&mut self, sent: &Sent, seen: &Reply) -> Expected {
        let shard = self.node.shard_of(sent.name.as_bytes());
        self.model.step(&Asked { shard, now: self.now, op: sent.op(), seen })
    }

    /// The operations before the last were fine, that one was not, and nothing of it is left. Its
    /// answer depends on no batch that holds nothing.
    fn check_aborted(&mut self, group: &[Sent], abort: &Abort) {
        self.met.aborts += 1;
        let before = self.model.clone();
        let (fine, rest) = group.split_at(abort.index);
        let last = rest.first().expect("an operation of the group forbade it");
        let mut first = None;
        for sent in fine {
            // Nobody saw this answer, so nothing may hang on it where two are right.
            let unseen = Reply::refused(Refusal::Stopping);
            let outcome = self.judge(sent, &unseen).result.expect("fine up to there");
            let first = first.get_or_insert(outcome);
            assert!(goes_on(first, &outcome), "{sent:?} should have ended the group");
        }
        let mut expected = self.judge(last, &abort.reply);
        if let Ok(outcome) = expected.result {
            let is_mixed = first.is_some_and(|first| first.repeat != outcome.repeat);
            let is_done = outcome.verdict == quipu_core::outcome::Verdict::Done;
            assert!(!is_done || is_mixed, "{last:?} should not have ended the group");
            if is_done {
                expected.result = Err(Refusal::Conflict);
            }
        }
        self.model.abort(before);
        for sent in group {
            if let Some((name, sequence)) = sent.stream() {
                self.model.hold(self.node.shard_of(sent.name.as_bytes()), name, sequence);
            }
        }
        let shard = self.node.shard_of(last.name.as_bytes());
        let newest = self.model.tail(shard).newest();
        expected.touched = expected.touched.min(newest);
        expected.position.batch = expected.position.batch.min(newest);
        self.check(last, &abort.reply, &expected);
    }
}
