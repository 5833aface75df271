//! Limits of the process and of the kernel.

use quipu_server::node::BACKLOG;
use rustix::process::{Resource, getrlimit};
use stdx::units::Bytes;

use crate::doctor::finding::Finding;
use crate::doctor::subject::{Subject, fact};

/// Files that a node opens beside its connections: listeners, the log, snapshots, a fold. Guess: a
/// node without clients has some thirty.
const FILES_OF_ITS_OWN: u64 = 64;

/// Whether all connections that may come find a file.
pub(super) fn open_files(subject: &Subject) -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    judge_files(limit.unwrap_or(u64::MAX), subject.settings.limits.connections as u64)
}

fn judge_files(limit: u64, connections: u64) -> Finding {
    let needed = connections + FILES_OF_ITS_OWN;
    let figure = format!("{} may be open, {connections} connections need {needed}", number(limit));
    match limit {
        _ if limit < FILES_OF_ITS_OWN => {
            Finding::bad(figure, "raise the limit: LimitNOFILE= of the service, or ulimit -n")
        }
        _ if limit < needed => Finding::warn(
            figure,
            "raise the limit (LimitNOFILE= of the service, ulimit -n), or lower limits.connections",
        ),
        _ => Finding::ok(figure),
    }
}

fn number(limit: u64) -> String {
    if limit == u64::MAX { "any number".to_owned() } else { limit.to_string() }
}

/// Whether a segment may be as large as it is.
pub(super) fn file_size(subject: &Subject) -> Finding {
    let segment = subject.settings.log.segment_bytes;
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < segment.0 => Finding::bad(
            format!("{} at most, and a segment has {segment}", Bytes(limit).approximate()),
            "raise the limit: LimitFSIZE= of the service, or ulimit -f",
        ),
        Some(limit) => Finding::ok(format!("{} at most", Bytes(limit).approximate())),
        None => Finding::ok("no limit"),
    }
}

/// Whether connections that come at once may wait.
pub(super) fn backlog(_: &Subject) -> Finding {
    let limit = fact("/proc/sys/net/core/somaxconn").and_then(|text| text.parse::<u64>().ok());
    match limit {
        Some(limit) if limit < BACKLOG as u64 => Finding::warn(
            format!("net.core.somaxconn is {limit}, and a node asks for {BACKLOG}"),
            "raise net.core.somaxconn: who does not fit tries again after a second",
        ),
        Some(limit) => Finding::ok(format!("net.core.somaxconn is {limit}")),
        None => Finding::ok("the kernel does not say"),
    }
}

#[cfg(test)]
mod tests {
    use super::judge_files;
    use crate::doctor::finding::State;

    #[test]
    fn connections_need_files() {
        let check = |limit, expected| assert_eq!(judge_files(limit, 1000).state, expected);
        check(63, State::Bad);
        check(1063, State::Warn);
        check(1064, State::Ok);
        check(u64::MAX, State::Ok);
    }
}
