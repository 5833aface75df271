//! What a node must answer and recover: its shadow, and the fold of all its frames.

use std::collections::VecDeque;

use quipu_core::outcome::Dependency;
use quipu_core::shard::Shard;

use crate::checks::{Check, Checked, Violation, ensure};
use crate::process::Flight;
use crate::recovery::fold;
use crate::request::Names;
use crate::shadow::Shadow;
use crate::store::Found;

/// A frame that was written, and the shadow's moment after it.
#[derive(Debug)]
struct Written {
    position: u64,
    moment: u64,
    batches: Vec<(u16, u64)>,
}

/// Follows one node through all its lives.
#[derive(Debug)]
pub struct Witness {
    /// What must be answered.
    pub shadow: Shadow,
    /// Frames that are not known to be durable.
    undurable: VecDeque<Written>,
    /// The newest durable frame, and the shadow's moment after it.
    base: (u64, u64),
    /// The newest batch of each shard that an acknowledged reply depended on.
    acked: Vec<u64>,
    /// Everything folded, up to what the last start recovered.
    reference: Vec<Shard>,
    /// Frames since then.
    payloads: Vec<(u64, Vec<u8>)>,
    /// The newest life of any shard that a client may have heard of.
    epochs: Vec<u64>,
    last_ms: u64,
    /// The newest log time of a start, whether it succeeded or not.
    newest_ms: u64,
}

impl Witness {
    /// A node that has done nothing.
    pub fn new(shadow: Shadow, fresh: Vec<Shard>) -> Self {
        let count = fresh.len();
        Self {
            shadow,
            undurable: VecDeque::new(),
            base: (0, 0),
            acked: vec![0; count],
            reference: fresh,
            payloads: Vec::new(),
            epochs: vec![0; count],
            last_ms: 0,
            newest_ms: 0,
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.acked.len() as u16
    }

    /// Log time as the node says it.
    ///
    /// # Errors
    /// It stepped back, or ran away within a life.
    pub fn note_time(&mut self, now_ms: u64, elapsed_ms: u64) -> Checked {
        let last = self.last_ms;
        let most = last + elapsed_ms + elapsed_ms / 50 + 2;
        ensure((last..=most).contains(&now_ms), Check::LogTime, || {
            format!("log time went from {last} to {now_ms} ms in {elapsed_ms} ms")
        })?;
        self.last_ms = now_ms;
        Ok(())
    }

    /// A frame was written; the shadow is cut, too.
    ///
    /// # Errors
    /// It does not hold what was open.
    pub fn note_written(&mut self, flight: &Flight) -> Checked {
        let expected = self.shadow.cut();
        ensure(flight.batches == expected, Check::GroupWhole, || {
            format!("the frame holds {:?}, open was {expected:?}", flight.batches)
        })?;
        let moment = self.shadow.moment();
        let (position, batches) = (flight.position, expected);
        self.undurable.push_back(Written { position, moment, batches });
        self.note_payload(position, flight.payload.clone());
        Ok(())
    }

    /// A frame is at this position, and none after it.
    fn note_payload(&mut self, position: u64, payload: Vec<u8>) {
        while self.payloads.pop_if(|(at, _)| *at >= position).is_some() {}
        self.payloads.push((position, payload));
    }

    /// A start wrote the beginning of a life at this position, whether or not it got any farther.
    pub fn note_epoch(&mut self, position: u64, payload: Vec<u8>, now_ms: u64) {
        self.note_payload(position, payload);
        self.newest_ms = self.newest_ms.max(now_ms);
    }

    /// The log says that this is durable.
    ///
    /// # Errors
    /// It is not what was written.
    pub fn note_durable(&mut self, durable: &[(u16, u64)]) -> Checked<u64> {
        let mut frames = 0;
        while let Some(written) = self.undurable.pop_front() {
            self.base = (written.position, written.moment);
            for (shard, batch) in written.batches {
                self.shadow.set_durable(shard, batch);
            }
            frames += 1;
        }
        self.shadow.forget_before(self.base.1);
        for (shard, batch) in durable {
            let expected = self.shadow.durable(*shard);
            ensure(*batch == expected, Check::AckedDurable, || {
                format!("batch {batch} of shard {shard} is said to be durable, not {expected}")
            })?;
        }
        Ok(frames)
    }

    /// A reply leaves that was to wait for these.
    ///
    /// # Errors
    /// One of them is not durable.
    pub fn note_reply(&mut self, depends: &[Dependency]) -> Checked {
        for on in depends {
            let durable = self.shadow.durable(on.shard);
            if let Some(acked) = self.acked.get_mut(usize::from(on.shard)) {
                *acked = on.batch.max(*acked);
            }
            ensure(on.batch <= durable, Check::HeldReply, || {
                format!("a reply left that depends on {on:?}; durable is {durable}")
            })?;
        }
        Ok(())
    }

    /// A restart found this: everything acknowledged must be in it, and the shadow goes back.
    ///
    /// # Errors
    /// Something is missing or is not what was decided.
    pub fn note_recovered(&mut self, found: &Found, shards: &[Shard], names: &Names) -> Checked {
        let base = self.base.0;
        ensure(found.damaged_snapshots == 0, Check::SnapshotIsLog, || {
            format!("{} snapshots do not check", found.damaged_snapshots)
        })?;
        self.check_acked(shards)?;
        ensure(found.position >= base, Check::AckedDurable, || {
            format!("the log ends at {}, durable was {base}", found.position)
        })?;
        let kept = self.undurable.iter().rev().find(|written| written.position <= found.position);
        let moment = kept.map_or(self.base.1, |written| written.moment);
        self.shadow.go_back(moment);
        self.undurable.clear();
        // All that a start returns is durable.
        self.base = (found.position, moment);
        self.fold_reference(found)?;
        let differing = differ(&self.reference, shards, names);
        ensure(differing.is_none(), Check::SnapshotIsLog, || {
            let difference = differing.clone().unwrap_or_default();
            format!("from snapshot {}: {difference}", found.snapshot)
        })?;
        self.compare_shadow(shards, names)
    }

    fn check_acked(&self, shards: &[Shard]) -> Checked {
        for (shard, acked) in shards.iter().zip(&self.acked) {
            ensure(shard.sealed() >= *acked, Check::AckedDurable, || {
                let (id, sealed) = (shard.id(), shard.sealed());
                format!("shard {id} recovered up to batch {sealed}, acknowledged was {acked}")
            })?;
        }
        Ok(())
    }

    /// Folds the frames that were recovered into everything folded before.
    fn fold_reference(&mut self, found: &Found) -> Checked {
        for (position, payload) in std::mem::take(&mut self.payloads) {
            if position > found.position {
                break;
            }
            fold(&mut self.reference, &payload).map_err(|error| {
                Violation::new(Check::RecoveredState, format!("frame {position}: {error}"))
            })?;
        }
        Ok(())
    }

    fn compare_shadow(&self, shards: &[Shard], names: &Names) -> Checked {
        for (id, _) in names.counters.iter().enumerate() {
            let (id, name) = (id as u32, names.counter(id as u32));
            let expected = self.shadow.counter(id).live;
            let Some(shard) = shards.get(usize::from(names.shard(id))) else { continue };
            let counter = shard.peek(name);
            let found = counter.value.map(|value| (i128::from(value), counter.expires_at));
            ensure(found == expected, Check::RecoveredState, || {
                format!("{name} was recovered as {found:?}, decided was {expected:?}")
            })?;
        }
        for shard in shards {
            self.compare_shard(shard, names)?;
        }
        Ok(())
    }

    fn compare_shard(&self, shard: &Shard, names: &Names) -> Checked {
        let (id, tail) = (shard.id(), self.shadow.tail(shard.id()));
        let what = |what: String| Violation::new(Check::RecoveredState, what);
        let (found, expected) = (shard.sealed(), tail.sealed);
        if found != expected {
            return Err(what(format!("shard {id} ends at batch {found}, decided was {expected}")));
        }
        if shard.time_ms() > tail.time.max(self.last_ms).max(self.newest_ms) {
            return Err(what(format!("shard {id} is at {} ms", shard.time_ms())));
        }
        let present = self.shadow.present(id);
        if shard.counters() != present {
            return Err(what(format!("shard {id} has {} counters", shard.counters())));
        }
        for stream in 0..names.streams.len() as u32 {
            let name = names.stream(stream);
            let found = shard.stream(name.as_bytes()).map(|s| (s.mark, s.checkpoint));
            let expected = self.shadow.stream(id, stream).map(|s| (s.mark, s.checkpoint));
            if found.unwrap_or_default() != expected.unwrap_or_default() {
                return Err(what(format!("stream {name}: {found:?}, decided {expected:?}")));
            }
        }
        Ok(())
    }

    /// A new life begins at this time, after a log that ends at `newest_ms`: its positions are
    /// new, and its time is not before what was.
    ///
    /// # Errors
    /// A life that was already, or a time that stepped back.
    pub fn begin_life(
        &mut self,
        shards: &[Shard],
        (now_ms, newest_ms): (u64, u64),
        position: u64,
    ) -> Checked {
        for (shard, seen) in shards.iter().zip(&mut self.epochs) {
            let epoch = shard.epoch();
            ensure(epoch > *seen, Check::Position, || {
                format!("shard {} begins life {epoch} after life {seen}", shard.id())
            })?;
            *seen = epoch;
        }
        ensure(now_ms >= newest_ms, Check::LogTime, || {
            format!("a life begins at {now_ms} ms, the log is at {newest_ms} ms")
        })?;
        self.last_ms = now_ms;
        let times: Vec<u64> = shards.iter().map(Shard::time_ms).collect();
        let epochs: Vec<u64> = shards.iter().map(Shard::epoch).collect();
        self.shadow.begin_life(now_ms, &times, &epochs);
        self.base = (position, self.shadow.moment());
        Ok(())
    }
}

/// The first difference of two states, the fold of everything first.
fn differ(whole: &[Shard], found: &[Shard], names: &Names) -> Option<String> {
    for (a, b) in whole.iter().zip(found) {
        let (meta, other) = (a.meta(), b.meta());
        if meta != other {
            return Some(format!("shard {}: {other:?}, folded {meta:?}", a.id()));
        }
        if a.counters() != b.counters() {
            let (a, b) = (a.counters(), b.counters());
            return Some(format!("{b} counters, folded {a}"));
        }
    }
    for (id, name) in names.counters.iter().enumerate() {
        let at = usize::from(names.shard(id as u32));
        let (Some(a), Some(b)) = (whole.get(at), found.get(at)) else { continue };
        let (a, b) = (a.peek(name), b.peek(name));
        if a != b {
            return Some(format!("{name} is {b:?}, folded {a:?}"));
        }
    }
    None
}
