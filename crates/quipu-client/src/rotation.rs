//! What the name of a file says about rotation: `access.log.2.gz` was `access.log` once.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// Suffixes of compressed files, as rotation makes them.
const PACKED: [&str; 7] = [".gz", ".zst", ".xz", ".bz2", ".Z", ".lz4", ".zip"];

/// A number or a date behind the name, or a word for an old file.
static BEHIND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?<base>.+?)(?:[.\-_]\d[\d\-_.T:]*|\.old|\.bak|~)$").expect("constant, tested")
});
/// A number or a date before the extension, as logrotate's `extension` makes it.
static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?<base>.+?)[.\-_]\d[\d\-_T:]*(?<extension>\.[A-Za-z][A-Za-z0-9]*)$")
        .expect("constant, tested")
});

/// Returns the paths that the file at `path` may have had before: without the suffix of its
/// compression, then also without a number or date. None for a name that rotation does not make.
pub fn earlier_names(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let plain = PACKED.iter().find_map(|suffix| name.strip_suffix(suffix));
    let mut names: Vec<String> = plain.map(ToOwned::to_owned).into_iter().collect();
    let name = plain.unwrap_or(name);
    names.extend(BEHIND.captures(name).map(|found| found["base"].to_owned()));
    names.extend(
        BEFORE.captures(name).map(|found| format!("{}{}", &found["base"], &found["extension"])),
    );
    names.into_iter().map(|name| path.with_file_name(name)).collect()
}

/// Says whether `path` is the name of a compressed file.
pub fn is_packed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    PACKED.iter().any(|suffix| name.ends_with(suffix))
}

/// Returns the path that the file at `path` had before it was rotated away, or has.
pub fn first_name(path: &Path) -> PathBuf {
    earlier_names(path).pop().unwrap_or_else(|| path.to_owned())
}

/// Says whether `path` is the name of a file that was rotated away: rotation makes such names, and
/// the file that took its place is there.
pub fn is_rotated(path: &Path) -> bool {
    earlier_names(path).iter().any(|earlier| earlier.exists())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::earlier_names;

    fn check(name: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|name| PathBuf::from("/d").join(name)).collect();
        assert_eq!(earlier_names(&Path::new("/d").join(name)), expected, "{name}");
    }

    #[test]
    fn usual_names_of_rotated_files_lead_back_to_the_file() {
        check("access.log", &[]);
        check("access.log.1", &["access.log"]);
        check("access.log.12.gz", &["access.log.12", "access.log"]);
        check("access.log.gz", &["access.log"]);
        check("access.log-20261130", &["access.log"]);
        check("access.log-20261130-131500.zst", &["access.log-20261130-131500", "access.log"]);
        check("access.log.2026-11-30T13:15", &["access.log"]);
        check("access.log.old", &["access.log"]);
        check("access-20261130.log", &["access.log"]);
        check("access.1.log.gz", &["access.1.log", "access.log"]);
        check("syslog.1", &["syslog"]);
    }
}
