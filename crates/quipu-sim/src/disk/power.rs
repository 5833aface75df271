//! What a power cut leaves on the disk.

use std::collections::BTreeSet;

use stdx::prng::Prng;

use crate::disk::file::put;
use crate::disk::{Change, Disk, Facts, Inode, SECTOR_BYTES, State};

/// Which of the unsynced changes a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None.
    Nothing,
    /// All of them.
    Everything,
    /// Each is kept, lost or torn, as the disk's generator says.
    Some,
}

impl Disk {
    /// Cuts the power and brings it back: the cache is gone, and what was unsynced is kept, lost
    /// or torn.
    pub fn power_cut(&self, keep: Keep) {
        self.state.lock().power_cut(keep);
    }
}

impl State {
    fn power_cut(&mut self, keep: Keep) {
        self.facts.power_cuts += 1;
        let mut prng = self.prng.clone();
        for rename in std::mem::take(&mut self.renames) {
            if survives(keep, &mut prng) {
                self.apply(&rename);
            } else {
                self.facts.names_lost += 1;
            }
        }
        let (inodes, facts) = (&mut self.inodes, &mut self.facts);
        for inode in inodes.values_mut() {
            inode.lose_cache(keep, &mut prng, facts);
        }
        self.names = self.durable_names.clone();
        let used: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| used.contains(id));
        for (name, id) in &self.names {
            if let Some(inode) = self.inodes.get_mut(id) {
                inode.role = super::role(name);
            }
        }
        self.prng = prng;
        (self.dead, self.fuse) = (false, None);
    }
}

fn survives(keep: Keep, prng: &mut Prng) -> bool {
    match keep {
        Keep::Nothing => false,
        Keep::Everything => true,
        Keep::Some => prng.below(2) == 0,
    }
}

impl Inode {
    fn lose_cache(&mut self, keep: Keep, prng: &mut Prng, facts: &mut Facts) {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() && !self.is_stale {
            return;
        }
        for change in &pending {
            match change {
                Change::Data { offset, bytes } if keep == Keep::Some && prng.below(3) == 0 => {
                    facts.torn += 1;
                    self.tear((*offset, bytes), prng);
                }
                _ if survives(keep, prng) => {
                    facts.kept += 1;
                    self.make_durable(change);
                }
                _ => facts.lost += 1,
            }
        }
        self.is_stale = false;
        self.cached.clear();
        self.cached.extend_from_slice(&self.durable);
    }

    /// Keeps only some sectors of a write.
    fn tear(&mut self, (offset, bytes): (u64, &[u8]), prng: &mut Prng) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset as usize + done;
            let length = (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len() - done);
            if prng.below(2) == 0
                && let Some(sector) = bytes.get(done..done + length)
            {
                put(&mut self.durable, sector, at as u64);
            }
            done += length;
        }
    }
}
