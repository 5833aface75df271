//! A web server's log that is the same at every run.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Different paths: as many counters. They are equally likely, which makes sums as small as they
/// get: with a few hot ones among them there is less to send.
const PATHS: u64 = 10_000;

/// Names that paths are made of.
const PARTS: [&str; 4] = ["item", "user", "page", "cart"];

const STATUSES: [u16; 6] = [200, 200, 200, 304, 404, 500];

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 \
     Safari/537.36",
    "curl/7.88.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
];

/// SplitMix64 (Steele, Lea, Flood, 2014): the draws of a log.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

/// Writes so many lines and returns their bytes.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, lines: u64) -> Result<u64> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut draws = Draws(1);
    for number in 0..lines {
        line(&mut out, number, &mut draws)?;
    }
    let file = out.into_inner()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// About a thousand lines a second, from one day on.
fn line(out: &mut impl Write, number: u64, draws: &mut Draws) -> Result<()> {
    let second = number / 1000;
    let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
    let (a, b, c) = (draws.below(256), draws.below(256), draws.below(256));
    let path = draws.below(PATHS);
    let part = PARTS[(path % PARTS.len() as u64) as usize];
    let (status, bytes) = (draws.pick(&STATUSES), draws.below(100_000));
    let agent = draws.pick(&AGENTS);
    writeln!(
        out,
        "10.{a}.{b}.{c} - - [21/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] \"GET \
         /shop/{part}/{path} HTTP/1.1\" {status} {bytes} \"https://example.com/\" \"{agent}\""
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_the_same_at_every_run() {
        let make = || {
            let (mut out, mut draws) = (Vec::new(), Draws(1));
            (0..3).try_for_each(|number| line(&mut out, number, &mut draws)).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(make(), make());
        assert_eq!(make().lines().count(), 3);
        assert!(make().contains("- - [21/Nov/2026:00:00:00 +0000] \"GET /shop/"));
    }
}
