//! Directories over files: names that readers see, and names that a power cut leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use stdx::hash::hash64;

use super::file::File;
use super::{Counts, Keep, Names};

/// The inode of the root.
pub(super) const ROOT: u64 = 1;

/// What an inode is.
#[derive(Debug)]
pub(super) enum Content {
    /// A file.
    File(File),
    /// A directory: its names as readers see them, and as a cut leaves them.
    Directory { seen: BTreeMap<OsString, u64>, durable: BTreeMap<OsString, u64> },
    /// A symbolic link.
    Link(PathBuf),
}

/// One inode. Owner and mode are durable at once.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) content: Content,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// How often the kernel was told of it and has not forgotten it.
    pub(super) lookups: u64,
}

/// What failed; the number is that of the C library.
pub(super) type Failed = fuser::Errno;

/// A change of names that waits for a sync.
#[derive(Debug)]
struct Change {
    /// The directories it is in.
    parents: [u64; 2],
    steps: Vec<(u64, OsString, Option<u64>)>,
}

/// All inodes.
#[derive(Debug)]
pub(super) struct Tree {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    names: Names,
    changes: Vec<Change>,
    counts: Counts,
    sync_failure: Option<u64>,
    limit: Option<u64>,
}

impl Tree {
    pub(super) fn new(names: Names) -> Self {
        let content = Content::Directory { seen: BTreeMap::new(), durable: BTreeMap::new() };
        let root = Inode { content, mode: 0o777, uid: 0, gid: 0, lookups: 1 };
        Self {
            inodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            names,
            changes: Vec::new(),
            counts: Counts::default(),
            sync_failure: None,
            limit: None,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn fail_sync_after(&mut self, syncs: u64) {
        self.sync_failure = Some(syncs);
    }

    pub(super) fn limit(&mut self, bytes: Option<u64>) {
        self.limit = bytes;
    }

    pub(super) fn inode(&mut self, number: u64) -> Result<&mut Inode, Failed> {
        self.inodes.get_mut(&number).ok_or(Failed::ENOENT)
    }

    fn directory(&mut self, number: u64) -> Result<&mut BTreeMap<OsString, u64>, Failed> {
        match &mut self.inode(number)?.content {
            Content::Directory { seen, .. } => Ok(seen),
            _ => Err(Failed::ENOTDIR),
        }
    }

    pub(super) fn file(&mut self, number: u64) -> Result<&mut File, Failed> {
        match &mut self.inode(number)?.content {
            Content::File(file) => Ok(file),
            Content::Directory { .. } => Err(Failed::EISDIR),
            Content::Link(_) => Err(Failed::EINVAL),
        }
    }

    /// The inode of a name.
    pub(super) fn lookup(&mut self, parent: u64, name: &OsStr) -> Result<u64, Failed> {
        self.directory(parent)?.get(name).copied().ok_or(Failed::ENOENT)
    }

    /// The names of a directory, with their inodes.
    pub(super) fn list(&mut self, number: u64) -> Result<Vec<(OsString, u64)>, Failed> {
        Ok(self.directory(number)?.iter().map(|(name, inode)| (name.clone(), *inode)).collect())
    }

    /// Makes an inode with a name.
    pub(super) fn make(&mut self, parent: u64, name: &OsStr, inode: Inode) -> Result<u64, Failed> {
        if self.directory(parent)?.contains_key(name) {
            return Err(Failed::EEXIST);
        }
        let number = self.next;
        self.next += 1;
        self.inodes.insert(number, inode);
        self.rename_steps([parent, parent], vec![(parent, name.to_owned(), Some(number))]);
        Ok(number)
    }

    /// Gives an inode one more name.
    pub(super) fn link(&mut self, number: u64, parent: u64, name: &OsStr) -> Result<(), Failed> {
        if self.directory(parent)?.contains_key(name) {
            return Err(Failed::EEXIST);
        }
        self.rename_steps([parent, parent], vec![(parent, name.to_owned(), Some(number))]);
        Ok(())
    }

    /// Removes a name.
    pub(super) fn unlink(
        &mut self,
        parent: u64,
        name: &OsStr,
        wants_directory: bool,
    ) -> Result<(), Failed> {
        let number = self.lookup(parent, name)?;
        match &self.inode(number)?.content {
            Content::Directory { .. } if !wants_directory => return Err(Failed::EISDIR),
            Content::Directory { seen, .. } if !seen.is_empty() => return Err(Failed::ENOTEMPTY),
            Content::File(_) | Content::Link(_) if wants_directory => return Err(Failed::ENOTDIR),
            _ => {}
        }
        self.rename_steps([parent, parent], vec![(parent, name.to_owned(), None)]);
        Ok(())
    }

    /// Renames, and replaces what has the name.
    pub(super) fn rename(
        &mut self,
        (from, name): (u64, &OsStr),
        (to, new_name): (u64, &OsStr),
    ) -> Result<(), Failed> {
        let number = self.lookup(from, name)?;
        self.directory(to)?;
        let steps = vec![(from, name.to_owned(), None), (to, new_name.to_owned(), Some(number))];
        self.rename_steps([from, to], steps);
        Ok(())
    }

    fn rename_steps(&mut self, parents: [u64; 2], steps: Vec<(u64, OsString, Option<u64>)>) {
        for (parent, name, number) in &steps {
            if let Ok(names) = self.directory(*parent) {
                set(names, name, *number);
            }
        }
        self.changes.push(Change { parents, steps });
        if self.names == Names::AtOnce {
            self.settle(|_| true);
        }
    }

    /// Makes those changes of names durable that `takes` says.
    fn settle(&mut self, takes: impl Fn(&Change) -> bool) {
        let settled = self.changes.extract_if(.., |change| takes(change));
        let steps: Vec<_> = settled.flat_map(|change| change.steps).collect();
        for (parent, name, number) in steps {
            if let Some(durable) = self.durable_names(parent) {
                set(durable, &name, number);
            }
        }
        self.collect();
    }

    fn durable_names(&mut self, number: u64) -> Option<&mut BTreeMap<OsString, u64>> {
        match &mut self.inodes.get_mut(&number)?.content {
            Content::Directory { durable, .. } => Some(durable),
            _ => None,
        }
    }

    /// Forgets inodes that have no name left and that nobody has open.
    fn collect(&mut self) {
        let mut used = BTreeSet::from([ROOT]);
        for inode in self.inodes.values() {
            if let Content::Directory { seen, durable } = &inode.content {
                used.extend(seen.values().chain(durable.values()));
            }
        }
        let waiting = self.changes.iter().flat_map(|change| &change.steps);
        used.extend(waiting.filter_map(|(_, _, number)| *number));
        self.inodes.retain(|number, inode| inode.lookups > 0 || used.contains(number));
    }

    /// The kernel forgets an inode so many times.
    pub(super) fn forget(&mut self, number: u64, lookups: u64) {
        if let Ok(inode) = self.inode(number) {
            inode.lookups = inode.lookups.saturating_sub(lookups);
            if inode.lookups == 0 {
                self.collect();
            }
        }
    }

    /// Writes to a file.
    pub(super) fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<(), Failed> {
        self.make_room(number, offset + bytes.len() as u64)?;
        self.counts.writes += 1;
        self.file(number)?.write(offset, bytes);
        Ok(())
    }

    /// Sets the length of a file.
    pub(super) fn set_length(&mut self, number: u64, length: u64) -> Result<(), Failed> {
        self.make_room(number, length)?;
        self.file(number)?.set_length(length);
        Ok(())
    }

    fn make_room(&mut self, number: u64, length: u64) -> Result<(), Failed> {
        let Some(limit) = self.limit else { return Ok(()) };
        let grows = length.saturating_sub(self.file(number)?.length());
        let fits = grows == 0 || self.used_bytes() + grows <= limit;
        if fits { Ok(()) } else { Err(Failed::ENOSPC) }
    }

    /// Bytes of all files.
    pub(super) fn used_bytes(&self) -> u64 {
        let length = |inode: &Inode| match &inode.content {
            Content::File(file) => file.length(),
            _ => 0,
        };
        self.inodes.values().map(length).sum()
    }

    /// Bytes that may still be written.
    pub(super) fn free_bytes(&self) -> u64 {
        self.limit.map_or(1 << 40, |limit| limit.saturating_sub(self.used_bytes()))
    }

    /// Syncs a file.
    pub(super) fn sync_file(&mut self, number: u64) -> Result<(), Failed> {
        if self.sync_fails() {
            self.file(number)?.lose();
            return Err(Failed::EIO);
        }
        self.file(number)?.sync();
        Ok(())
    }

    /// Syncs a directory.
    pub(super) fn sync_directory(&mut self, number: u64) -> Result<(), Failed> {
        if self.sync_fails() {
            return Err(Failed::EIO);
        }
        self.settle(|change| change.parents.contains(&number));
        Ok(())
    }

    fn sync_fails(&mut self) -> bool {
        self.counts.syncs += 1;
        match self.sync_failure {
            Some(0) => {
                self.sync_failure = None;
                true
            }
            Some(left) => {
                self.sync_failure = Some(left - 1);
                false
            }
            None => false,
        }
    }

    /// Power goes and comes back.
    pub(super) fn cut(&mut self, keep: Keep) {
        let kept = match keep {
            Keep::Nothing => 0,
            Keep::Everything => self.changes.len(),
            Keep::Some(seed) | Keep::Garbled(seed) => {
                (hash64(seed, b"names") % (self.changes.len() as u64 + 1)) as usize
            }
        };
        self.counts.names_lost += (self.changes.len() - kept) as u64;
        // A journal is written in order: what is kept is what came first.
        self.changes.truncate(kept);
        self.settle(|_| true);
        for (number, inode) in &mut self.inodes {
            match &mut inode.content {
                Content::File(file) => file.cut(keep, *number, &mut self.counts),
                Content::Directory { seen, durable } => seen.clone_from(durable),
                Content::Link(_) => {}
            }
            inode.lookups = u64::from(*number == ROOT);
        }
        self.collect();
    }
}

fn set(names: &mut BTreeMap<OsString, u64>, name: &OsStr, number: Option<u64>) {
    match number {
        Some(number) => names.insert(name.to_owned(), number),
        None => names.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Inode {
        Inode { content: Content::File(File::default()), mode: 0o644, uid: 0, gid: 0, lookups: 0 }
    }

    fn names(tree: &mut Tree) -> Vec<String> {
        let list = tree.list(ROOT).unwrap();
        list.into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
    }

    /// A synced `a`, renamed to `b`, and a `c`, both not synced.
    fn check(kind: Names, keep: Keep, expected: &[&str]) {
        let mut tree = Tree::new(kind);
        tree.make(ROOT, OsStr::new("a"), file()).unwrap();
        tree.sync_directory(ROOT).unwrap();
        tree.rename((ROOT, OsStr::new("a")), (ROOT, OsStr::new("b"))).unwrap();
        tree.make(ROOT, OsStr::new("c"), file()).unwrap();
        assert_eq!(names(&mut tree), ["b", "c"]);
        tree.cut(keep);
        assert_eq!(names(&mut tree), expected, "{kind:?} {keep:?}");
    }

    #[test]
    fn names_are_durable_when_their_directory_was_synced() {
        check(Names::WhenSynced, Keep::Nothing, &["a"]);
        check(Names::WhenSynced, Keep::Everything, &["b", "c"]);
        check(Names::AtOnce, Keep::Nothing, &["b", "c"]);
    }

    #[test]
    fn a_full_disk_refuses_to_grow_and_still_overwrites() {
        let mut tree = Tree::new(Names::WhenSynced);
        let number = tree.make(ROOT, OsStr::new("a"), file()).unwrap();
        tree.write(number, 0, b"1234").unwrap();
        tree.limit(Some(4));
        assert!(tree.write(number, 0, b"12345").is_err());
        tree.write(number, 0, b"4321").unwrap();
        assert_eq!(tree.free_bytes(), 0);
    }

    #[test]
    fn the_chosen_sync_fails_and_later_ones_do_not_help() {
        let mut tree = Tree::new(Names::AtOnce);
        let number = tree.make(ROOT, OsStr::new("a"), file()).unwrap();
        tree.write(number, 0, b"x").unwrap();
        tree.fail_sync_after(0);
        assert!(tree.sync_file(number).is_err());
        tree.sync_file(number).unwrap();
        tree.cut(Keep::Nothing);
        assert_eq!(tree.file(number).unwrap().read(0, 1), b"\0");
    }
}
