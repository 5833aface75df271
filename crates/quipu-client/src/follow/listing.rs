//! Which files are meant: those that were named, those in a folder, those that a pattern matches,
//! and beside them what rotation made of them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use glob::MatchOptions;
use thiserror::Error;

use crate::rotation::earlier_names;

/// Files that one listing looks at. Guess: more is a mistake in a pattern.
pub const LISTED_MAX: usize = 100_000;

/// What a person named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// One file.
    File(PathBuf),
    /// Every regular file in a folder that is not hidden.
    Folder(PathBuf),
    /// Every regular file that a pattern matches.
    Pattern(String),
}

/// Why files cannot be listed.
#[derive(Debug, Error)]
pub enum ListingError {
    /// A pattern is none.
    #[error("'{pattern}' is not a pattern: {why}")]
    Pattern {
        /// As written.
        pattern: String,
        /// Where it goes wrong.
        why: String,
    },
    /// A folder cannot be read.
    #[error("cannot list {folder}: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Far more files than anybody follows.
    #[error("more than {LISTED_MAX} files: name fewer")]
    TooMany,
}

/// The files of one moment.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that are meant.
    pub wanted: BTreeSet<PathBuf>,
    /// Those that may hold the rest of one that is meant.
    pub beside: BTreeSet<PathBuf>,
    /// Where new ones may appear.
    pub folders: BTreeSet<PathBuf>,
}

impl Wanted {
    /// Reads what a person wrote: the path of a file or folder, else a pattern where it has `*`,
    /// `?` or `[`, else the path of a file to come.
    ///
    /// # Errors
    /// It is not a pattern.
    pub fn parse(written: &Path) -> Result<Wanted, ListingError> {
        if written.is_dir() {
            return Ok(Wanted::Folder(written.to_owned()));
        }
        let text = written.to_string_lossy();
        if written.exists() || !text.contains(['*', '?', '[']) {
            return Ok(Wanted::File(written.to_owned()));
        }
        match glob::Pattern::new(&text) {
            Ok(_) => Ok(Wanted::Pattern(text.into_owned())),
            Err(error) => {
                let why = error.msg.to_owned();
                Err(ListingError::Pattern { pattern: text.into_owned(), why })
            }
        }
    }
}

impl Listing {
    /// Lists the files of `wanted` that are there.
    ///
    /// # Errors
    /// A folder cannot be read, or there are too many files.
    pub fn of(wanted: &[Wanted]) -> Result<Listing, ListingError> {
        let mut listing = Listing::default();
        for wanted in wanted {
            listing.add(wanted)?;
            if listing.wanted.len() > LISTED_MAX {
                return Err(ListingError::TooMany);
            }
        }
        Ok(listing)
    }

    fn add(&mut self, wanted: &Wanted) -> Result<(), ListingError> {
        match wanted {
            Wanted::File(path) => {
                self.folders.insert(folder_of(path));
                if path.is_file() {
                    self.wanted.insert(path.clone());
                }
            }
            Wanted::Folder(folder) => {
                self.folders.insert(folder.clone());
                let files = files_in(folder)?;
                self.wanted.extend(files.into_iter().filter(|file| !is_hidden(file)));
            }
            Wanted::Pattern(pattern) => self.add_pattern(pattern)?,
        }
        Ok(())
    }

    fn add_pattern(&mut self, pattern: &str) -> Result<(), ListingError> {
        self.folders.insert(fixed_folder(pattern));
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let paths = glob::glob_with(pattern, options).map_err(|error| ListingError::Pattern {
            pattern: pattern.to_owned(),
            why: error.msg.to_owned(),
        })?;
        // A folder that cannot be read has no files for us.
        for path in paths.filter_map(Result::ok).filter(|path| path.is_file()) {
            self.folders.insert(folder_of(&path));
            self.wanted.insert(path);
        }
        Ok(())
    }

    /// Adds what lies beside the files of `wanted` under the names that rotation gives.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn add_beside(&mut self, wanted: &[Wanted]) -> Result<(), ListingError> {
        let named = wanted.iter().filter_map(|wanted| match wanted {
            Wanted::File(path) => Some(path.clone()),
            Wanted::Folder(_) | Wanted::Pattern(_) => None,
        });
        let bases: BTreeSet<_> = named.chain(self.wanted.iter().cloned()).collect();
        for folder in self.folders.clone() {
            let files = files_in(&folder)?.into_iter();
            let new = files.filter(|file| !self.wanted.contains(file) && !is_hidden(file));
            let beside = new
                .filter(|file| earlier_names(file).iter().any(|earlier| bases.contains(earlier)));
            self.beside.extend(beside.collect::<Vec<_>>());
        }
        Ok(())
    }
}

/// Returns the folder of the file at `path`, in the form that its listing has.
fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// Returns the folder before the first wildcard of `pattern`.
fn fixed_folder(pattern: &str) -> PathBuf {
    let fixed = pattern.split(['*', '?', '[']).next().unwrap_or_default();
    let folder = fixed.rsplit_once('/').map_or(".", |(folder, _)| folder);
    PathBuf::from(if folder.is_empty() { "/" } else { folder })
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, ListingError> {
    let error = |source| ListingError::Folder { folder: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A folder that is not there yet has no files.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(error(source)),
    };
    let files = entries.filter_map(Result::ok).filter(|entry| entry.path().is_file());
    // Named as the person named the folder, so that one file has one path.
    let here = folder == Path::new(".");
    let named = |entry: std::fs::DirEntry| {
        if here { PathBuf::from(entry.file_name()) } else { entry.path() }
    };
    Ok(files.map(named).collect())
}

fn is_hidden(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Listing, Wanted, fixed_folder};

    fn names(paths: &std::collections::BTreeSet<PathBuf>) -> Vec<&str> {
        paths.iter().filter_map(|path| path.file_name()?.to_str()).collect()
    }

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("a folder");
        for name in ["a.log", "a.log.1", "a.log.2.gz", "b.log", ".hidden", "other.txt"] {
            std::fs::write(place.path().join(name), "").expect("written");
        }
        std::fs::create_dir(place.path().join("inner.log")).expect("made");
        place
    }

    fn check(written: &str, wanted: &[&str], beside: &[&str]) {
        let place = place();
        let parsed = Wanted::parse(&place.path().join(written)).expect("parsed");
        let parsed = [parsed];
        let mut listing = Listing::of(&parsed).expect("listed");
        listing.add_beside(&parsed).expect("listed");
        assert_eq!(
            (names(&listing.wanted), names(&listing.beside)),
            (wanted.into(), beside.into())
        );
    }

    #[test]
    fn files_folders_and_patterns_mean_regular_files_that_are_not_hidden() {
        check("a.log", &["a.log"], &["a.log.1", "a.log.2.gz"]);
        check("*.log", &["a.log", "b.log"], &["a.log.1", "a.log.2.gz"]);
        check("a.log*", &["a.log", "a.log.1", "a.log.2.gz"], &[]);
        check("", &["a.log", "a.log.1", "a.log.2.gz", "b.log", "other.txt"], &[]);
        check("to-come.log", &[], &[]);
    }

    #[test]
    fn a_pattern_is_watched_from_its_fixed_folder_on() {
        for (pattern, folder) in [("/var/*/a", "/var"), ("*.log", "."), ("/*.log", "/")] {
            assert_eq!(fixed_folder(pattern), Path::new(folder));
        }
    }
}
