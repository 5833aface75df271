//! Results of tests that have ended, kept in a folder: the newest, never more than a bound.
//!
//! A result is two files: `ID.finding.json`, all that was found, and `ID.json`, what clients read,
//! written last: a result is there when the second is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::serve::result::TestResult;

/// The ends of names.
const RESULT: &str = ".json";
const FINDING: &str = ".finding.json";
const PART: &str = ".part";

/// The folder and what is in it.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    keep: usize,
    results: BTreeMap<String, Arc<TestResult>>,
    /// Held as long as the folder is this service's.
    _lock: File,
}

impl Shelf {
    /// Opens a folder, makes it where it is missing, and reads its results. A file that is none is
    /// left alone and told.
    ///
    /// # Errors
    /// The folder cannot be used, or another service uses it.
    pub(crate) fn open(folder: &Path, keep: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::Error(error) => error,
            fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another service keeps its results there",
            ),
        })?;
        let mut results = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(PART) {
                fs::remove_file(&path)?;
            }
            let Some(id) = name.strip_suffix(RESULT).filter(|_| !name.ends_with(FINDING)) else {
                continue;
            };
            if let Some(result) = read(&path).filter(|result| result.id == id) {
                results.insert(id.to_owned(), Arc::new(result));
            } else {
                tracing::warn!(file = name, "this is no result and is left alone");
            }
        }
        let mut shelf = Self { folder: folder.to_owned(), keep: keep.max(1), results, _lock: lock };
        shelf.trim()?;
        Ok(shelf)
    }

    /// Keeps a result, and its finding where there is one. In memory it is kept in any case.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn put(&mut self, result: Arc<TestResult>, finding: Option<&str>) -> io::Result<()> {
        let id = result.id.clone();
        let text = serde_json::to_vec_pretty(&*result)?;
        self.results.insert(id.clone(), result);
        if let Some(finding) = finding {
            self.write(&format!("{id}{FINDING}"), finding.as_bytes())?;
        }
        self.write(&format!("{id}{RESULT}"), &text)?;
        self.trim()
    }

    /// Writes a file as a whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part = self.folder.join(format!("{name}{PART}"));
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(part, self.folder.join(name))
    }

    /// Removes the oldest beyond the bound.
    fn trim(&mut self) -> io::Result<()> {
        while self.results.len() > self.keep {
            let Some((id, _)) = self.results.pop_first() else { break };
            remove(&self.folder.join(format!("{id}{RESULT}")))?;
            remove(&self.folder.join(format!("{id}{FINDING}")))?;
        }
        Ok(())
    }

    /// The result of this name.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<TestResult>> {
        self.results.get(id).cloned()
    }

    /// All, the newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Arc<TestResult>> {
        self.results.values().rev()
    }

    /// The file with all that was found by a test that is here.
    pub(crate) fn finding(&self, id: &str) -> Option<PathBuf> {
        self.results.contains_key(id).then(|| self.folder.join(format!("{id}{FINDING}")))
    }
}

/// Removes a file that may be gone.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Option<TestResult> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::Shelf;
    use crate::serve::Caps;
    use crate::serve::order::{Kind, Order};
    use crate::serve::result::TestResult;

    fn result(id: &str) -> Arc<TestResult> {
        let targets = ["http://127.0.0.1:7412".to_owned()];
        let order =
            Order::read(Kind::Burst, b"{}", &Caps::default(), &targets).expect("it is good");
        Arc::new(TestResult::begun(id.to_owned(), &order, "then".to_owned()))
    }

    fn ids(shelf: &Shelf) -> Vec<String> {
        shelf.newest_first().map(|result| result.id.clone()).collect()
    }

    #[test]
    fn the_newest_results_outlive_the_service_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut shelf = Shelf::open(folder.path(), 2).expect("it opens");
        assert!(Shelf::open(folder.path(), 2).is_err(), "a folder has one service");
        for id in ["a", "b", "c"] {
            shelf.put(result(id), Some("{}")).expect("it is written");
        }
        assert_eq!(ids(&shelf), ["c", "b"]);
        drop(shelf);
        fs::write(folder.path().join("d.json"), "{").expect("it is written");
        fs::write(folder.path().join("e.json.part"), "{").expect("it is written");
        let shelf = Shelf::open(folder.path(), 1).expect("it opens");
        assert_eq!(ids(&shelf), ["c"]);
        let names =
            fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("it").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names, ["c.finding.json", "c.json", "d.json", "lock"]);
    }
}
