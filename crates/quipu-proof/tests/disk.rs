//! The disk as programs see it: mounted, written to by ordinary calls, cut off from power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use quipu_proof::disk::{DiskError, Keep, LossyDisk, Names};
use quipu_proof::node::{PATIENCE, poll};
use tempfile::TempDir;

/// A mounted disk; none, with a word on standard error, where the machine does not permit it.
fn disk(folder: &TempDir) -> Option<LossyDisk> {
    match LossyDisk::mount(folder.path(), Names::WhenSynced) {
        Ok(disk) => Some(disk),
        Err(error @ DiskError::Mount { .. }) => {
            writeln!(io::stderr(), "skipped: {error}").expect("stderr takes a line");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn sync_folder(path: &Path) {
    File::open(path).and_then(|folder| folder.sync_all()).expect("the directory is synced");
}

#[test]
fn a_cut_takes_what_was_not_synced_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let Some(mut disk) = disk(&folder) else { return };
    let path = folder.path().join("file");
    let file = File::create(&path).unwrap();
    file.write_all_at(&[1; 10_000], 0).unwrap();
    file.sync_data().unwrap();
    sync_folder(folder.path());
    file.write_all_at(&[2; 5_000], 0).unwrap();
    assert_eq!(fs::read(&path).unwrap()[0], 2);
    fs::write(folder.path().join("other"), "x").unwrap();
    drop(file);
    disk.cut(Keep::Nothing).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [1; 10_000]);
    assert!(!folder.path().join("other").exists());
    let counts = disk.counts();
    assert!(counts.pages_lost >= 2 && counts.names_lost == 1, "{counts:?}");
}

#[test]
fn a_failed_sync_is_told_and_not_made_up_for() {
    let folder = TempDir::new().unwrap();
    let Some(mut disk) = disk(&folder) else { return };
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.sync_all().unwrap();
    sync_folder(folder.path());
    file.write_all_at(b"new", 0).unwrap();
    disk.fail_sync_after(0);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    file.sync_data().unwrap();
    drop(file);
    disk.cut(Keep::Everything).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_full_disk_says_so() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = disk(&folder) else { return };
    disk.limit(Some(1 << 16));
    let error = fs::write(folder.path().join("file"), vec![0; 1 << 17]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("Linux lists its mounts");
    mounts.lines().any(|line| line.split(' ').nth(4) == path.to_str())
}

/// The program that holds a disk, and its first line; none where the machine does not permit it.
fn holder(folder: &TempDir) -> Option<Child> {
    drop(disk(folder)?);
    let mut command = Command::new(env!("CARGO_BIN_EXE_quipu-proof"));
    command.arg("disk").arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut said = String::new();
    let stdout = child.stdout.as_mut().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut said).expect("it says something");
    assert!(said.starts_with("mounted at"), "{said}");
    Some(child)
}

#[test]
fn no_mount_outlives_a_process_that_was_killed() {
    let folder = TempDir::new().unwrap();
    let Some(mut child) = holder(&folder) else { return };
    assert!(is_mounted(folder.path()));
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = poll(PATIENCE, || (!is_mounted(folder.path())).then_some(()));
    assert!(gone.is_some(), "the disk is still mounted");
}
