//! What every bench can be told: how often, with which binary, where.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::bench::build_folder;
use crate::checkout;

/// What a run of any bench does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunOptions {
    /// A trial: its results stand beside the build.
    pub(crate) quick: bool,
    /// Interleaved rounds.
    pub(crate) rounds: usize,
    /// A binary instead of building one.
    pub(crate) quipu: Option<PathBuf>,
    /// Where the servers keep their data.
    pub(crate) dir: PathBuf,
    /// Folder for results.
    pub(crate) out: PathBuf,
}

/// The words of a command line, one after the other.
#[derive(Debug)]
pub(crate) struct Words<'w> {
    rest: std::slice::Iter<'w, &'w str>,
    option: &'w str,
}

impl<'w> Words<'w> {
    /// The value of the option that was read last.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn value(&mut self) -> Result<&'w str> {
        self.rest.next().copied().with_context(|| format!("{} needs a value", self.option))
    }

    /// The value of the option that was read last, as a number.
    ///
    /// # Errors
    /// There is none, or it is no number.
    pub(crate) fn number<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &mut self,
    ) -> Result<T> {
        let option = self.option;
        self.value()?.parse().with_context(|| format!("{option} is a number"))
    }
}

impl RunOptions {
    /// The defaults: so many rounds, and data in a folder of this name beside the build.
    pub(crate) fn new(rounds: usize, folder: &str) -> Self {
        Self {
            quick: false,
            rounds,
            quipu: None,
            dir: build_folder().join("bench").join(folder),
            out: checkout::root().join("docs/benchmarks"),
        }
    }

    /// Reads a command line. What is not an option of every bench goes to `more`, which says
    /// whether it knows it.
    ///
    /// # Errors
    /// An option is unknown (`usage` is said then), or its value is no good.
    pub(crate) fn read<'w>(
        &mut self,
        words: &'w [&'w str],
        usage: &str,
        mut more: impl FnMut(&str, &mut Words<'w>) -> Result<bool>,
    ) -> Result<()> {
        let mut words = Words { rest: words.iter(), option: "" };
        while let Some(&option) = words.rest.next() {
            words.option = option;
            match option {
                "--quick" => {
                    (self.quick, self.rounds) = (true, 1);
                    self.out = build_folder().join("bench");
                }
                "--rounds" => self.rounds = words.number()?,
                "--quipu" => self.quipu = Some(PathBuf::from(words.value()?)),
                "--dir" => self.dir = PathBuf::from(words.value()?),
                "--out" => self.out = PathBuf::from(words.value()?),
                other if more(other, &mut words)? => {}
                unknown => bail!("unknown option {unknown}\n{usage}"),
            }
        }
        if self.rounds == 0 {
            bail!("--rounds must be more than zero");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<(RunOptions, u64)> {
        let (mut options, mut lines) = (RunOptions::new(3, "data"), 7);
        options.read(words, "usage", |option, words| {
            if option == "--lines" {
                lines = words.number()?;
            }
            Ok(option == "--lines")
        })?;
        Ok((options, lines))
    }

    #[test]
    fn options_are_read_and_others_go_on() {
        let (options, lines) = read(&["--rounds", "5", "--lines", "9", "--dir", "d"]).unwrap();
        assert_eq!((options.rounds, lines), (5, 9));
        assert!(options.dir.ends_with("d") && options.out.ends_with("docs/benchmarks"));
    }

    #[test]
    fn a_trial_does_not_write_into_the_documentation() {
        let (options, _) = read(&["--quick"]).unwrap();
        assert!(options.quick && options.rounds == 1 && !options.out.ends_with("docs/benchmarks"));
    }

    #[test]
    fn wrong_options_are_refused() {
        for words in [&["--round"][..], &["--rounds"], &["--rounds", "0"], &["--lines", "x"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
