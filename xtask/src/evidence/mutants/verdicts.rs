//! What became of each mutation, kept between runs while no source changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What became of a mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A test failed.
    Caught,
    /// A test did not end.
    Timeout,
    /// It does not compile.
    Unviable,
    /// All tests passed.
    Missed,
}

/// The lists that the tool keeps up to date while it works.
const LISTS: [(&str, Verdict); 4] = [
    ("caught.txt", Verdict::Caught),
    ("timeout.txt", Verdict::Timeout),
    ("unviable.txt", Verdict::Unviable),
    ("missed.txt", Verdict::Missed),
];

/// Verdicts by the name of the mutation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdicts {
    by_name: BTreeMap<String, Verdict>,
}

/// Makes a folder for verdicts about `sources`; those about other sources go.
///
/// # Errors
/// The folder cannot be changed.
pub(super) fn open(folder: &Path, sources: &str) -> Result<()> {
    let path = folder.join("sources");
    if fs::read_to_string(&path).is_ok_and(|kept| kept == sources) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    fs::write(&path, sources).with_context(|| format!("writing {}", path.display()))
}

impl Verdicts {
    /// Reads the verdicts of a stage. The tool begins its lists anew with every run, so they are
    /// added to lists that stay.
    ///
    /// # Errors
    /// A list cannot be read or written.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut verdicts = Self::default();
        for (file, verdict) in LISTS {
            let kept = folder.join(file);
            let mut names = BTreeSet::new();
            for path in [&folder.join("mutants.out").join(file), &kept] {
                let text = fs::read_to_string(path).unwrap_or_default();
                names.extend(text.lines().map(str::to_owned));
            }
            let lines: Vec<_> = names.iter().map(String::as_str).collect();
            fs::write(&kept, lines.join("\n"))
                .with_context(|| format!("writing {}", kept.display()))?;
            verdicts.by_name.extend(names.into_iter().map(|name| (name, verdict)));
        }
        Ok(verdicts)
    }

    /// Says what became of one.
    pub(super) fn get(&self, name: &str) -> Option<Verdict> {
        self.by_name.get(name).copied()
    }

    /// Those with a verdict.
    pub(super) fn of(&self, verdict: Verdict) -> impl Iterator<Item = &str> {
        let those = self.by_name.iter().filter(move |(_, found)| **found == verdict);
        those.map(|(name, _)| name.as_str())
    }

    /// Takes over the verdicts of another stage.
    pub(super) fn extend(&mut self, other: Self) {
        self.by_name.extend(other.by_name);
    }

    /// Keeps only what is known of these.
    pub(super) fn keep<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        let names: BTreeSet<_> = names.collect();
        self.by_name.retain(|name, _| names.contains(name));
    }

    /// Takes those with a verdict out.
    pub(super) fn take(&mut self, verdict: Verdict) -> Vec<String> {
        let taken: Vec<_> = self.of(verdict).map(str::to_owned).collect();
        self.by_name.retain(|_, found| *found != verdict);
        taken
    }

    #[cfg(test)]
    pub(super) fn put(&mut self, name: &str, verdict: Verdict) {
        self.by_name.insert(name.to_owned(), verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::build_folder;

    #[test]
    fn verdicts_outlive_a_run_and_not_a_change_of_the_sources() {
        let folder = build_folder().join(format!("verdicts-{}", std::process::id()));
        open(&folder, "one").unwrap();
        let run = |file: &str, names: &str| {
            let lists = folder.join("mutants.out");
            if lists.exists() {
                fs::remove_dir_all(&lists).unwrap();
            }
            fs::create_dir_all(&lists).unwrap();
            fs::write(lists.join(file), names).unwrap();
            Verdicts::read(&folder).unwrap()
        };
        run("caught.txt", "a\n");
        let verdicts = run("missed.txt", "b\n");
        assert_eq!(verdicts.get("a"), Some(Verdict::Caught));
        assert_eq!(verdicts.of(Verdict::Missed).collect::<Vec<_>>(), ["b"]);
        open(&folder, "one").unwrap();
        assert_eq!(Verdicts::read(&folder).unwrap(), verdicts);
        open(&folder, "two").unwrap();
        assert_eq!(Verdicts::read(&folder).unwrap(), Verdicts::default());
        fs::remove_dir_all(folder).unwrap();
    }
}
