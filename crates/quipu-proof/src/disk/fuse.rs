//! What the kernel calls: each call is one step on the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    AccessFlags, BsdFileFlags, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;

use super::file::{File, PAGE_BYTES};
use super::tree::{Content, Failed, Inode, Tree};

/// How long the kernel may believe a name or an attribute. Only this file system changes them.
const BELIEVED: Duration = Duration::from_secs(1);

/// Allocates without changing the length.
const KEEP_SIZE: i32 = 1;

/// The tree as the kernel's server.
#[derive(Debug)]
pub(super) struct Served {
    tree: Arc<Mutex<Tree>>,
}

impl Served {
    pub(super) fn new(tree: Arc<Mutex<Tree>>) -> Self {
        Self { tree }
    }

    fn attributes(tree: &mut Tree, number: u64) -> Result<FileAttr, Failed> {
        let inode = tree.inode(number)?;
        let (kind, size) = match &inode.content {
            Content::File(file) => (FileType::RegularFile, file.length()),
            Content::Directory { .. } => (FileType::Directory, 0),
            Content::Link(target) => (FileType::Symlink, target.as_os_str().len() as u64),
        };
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: (inode.mode & 0o7777) as u16,
            nlink: 1,
            uid: inode.uid,
            gid: inode.gid,
            rdev: 0,
            blksize: PAGE_BYTES as u32,
            flags: 0,
        })
    }

    /// Makes an inode and tells the kernel of it.
    fn make(
        &self,
        request: &Request,
        (parent, name): (INodeNo, &OsStr),
        mode: u32,
        content: Content,
    ) -> Result<FileAttr, Failed> {
        let mut tree = self.tree.lock();
        let (uid, gid) = (request.uid(), request.gid());
        let inode = Inode { content, mode, uid, gid, lookups: 1 };
        let number = tree.make(parent.into(), name, inode)?;
        Self::attributes(&mut tree, number)
    }

    fn found(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Failed> {
        let mut tree = self.tree.lock();
        let number = tree.lookup(parent.into(), name)?;
        tree.inode(number)?.lookups += 1;
        Self::attributes(&mut tree, number)
    }
}

fn entry(reply: ReplyEntry, found: Result<FileAttr, Failed>) {
    match found {
        Ok(attributes) => reply.entry(&BELIEVED, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn empty(reply: ReplyEmpty, done: Result<(), Failed>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.found(parent, name));
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        self.tree.lock().forget(ino.into(), lookups);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match Self::attributes(&mut self.tree.lock(), ino.into()) {
            Ok(attributes) => reply.attr(&BELIEVED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.tree.lock();
        let number = u64::from(ino);
        let mut set = || {
            if let Some(size) = size {
                tree.set_length(number, size)?;
            }
            let inode = tree.inode(number)?;
            inode.mode = mode.unwrap_or(inode.mode);
            inode.uid = uid.unwrap_or(inode.uid);
            inode.gid = gid.unwrap_or(inode.gid);
            Self::attributes(&mut tree, number)
        };
        match set() {
            Ok(attributes) => reply.attr(&BELIEVED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.tree.lock().inode(ino.into()).map(|inode| &inode.content) {
            Ok(Content::Link(target)) => reply.data(target.as_os_str().as_encoded_bytes()),
            Ok(_) => reply.error(Failed::EINVAL),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let content = Content::Directory { seen: BTreeMap::new(), durable: BTreeMap::new() };
        entry(reply, self.make(request, (parent, name), mode & !umask, content));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.tree.lock().unlink(parent.into(), name, false));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.tree.lock().unlink(parent.into(), name, true));
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let content = Content::Link(target.to_path_buf());
        entry(reply, self.make(request, (parent, name), 0o777, content));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // Exchanging two names, or not replacing one: nothing here asks for it.
        if !flags.is_empty() {
            return reply.error(Failed::EINVAL);
        }
        let to = (new_parent.into(), new_name);
        empty(reply, self.tree.lock().rename((parent.into(), name), to));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.tree.lock().link(ino.into(), parent.into(), name);
        entry(reply, linked.and_then(|()| self.found(parent, name)));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.tree.lock().file(ino.into()) {
            Ok(file) => reply.data(&file.read(offset, size as usize)),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.tree.lock().write(ino.into(), offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.tree.lock().sync_file(ino.into()));
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut tree = self.tree.lock();
        let names = match tree.list(ino.into()) {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        for (index, (name, number)) in names.iter().enumerate().skip(offset as usize) {
            let Ok(attributes) = Self::attributes(&mut tree, *number) else { continue };
            if reply.add(INodeNo(*number), index as u64 + 1, attributes.kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.tree.lock().sync_directory(ino.into()));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let tree = self.tree.lock();
        let page = PAGE_BYTES as u64;
        let (used, free) = (tree.used_bytes() / page, tree.free_bytes() / page);
        reply.statfs(used + free, free, free, 1 << 20, 1 << 20, page as u32, 255, page as u32);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let content = Content::File(File::default());
        match self.make(request, (parent, name), mode & !umask, content) {
            Ok(attributes) => reply.created(
                &BELIEVED,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mut tree = self.tree.lock();
        let done = match mode {
            0 => tree
                .file(ino.into())
                .map(|file| file.length())
                .and_then(|now| tree.set_length(ino.into(), now.max(offset + length))),
            KEEP_SIZE => Ok(()),
            _ => Err(Failed::EOPNOTSUPP),
        };
        empty(reply, done);
    }
}
