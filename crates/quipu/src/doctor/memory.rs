//! Memory that a node may use against memory that there is.

use quipu_server::machine::{available_memory, memory_limit, memory_max_default};
use rustix::process::{Resource, getrlimit};
use stdx::units::Bytes;

use crate::doctor::finding::Finding;
use crate::doctor::subject::{Subject, fact};

/// The most that the node may use, and what bounds it.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// `memory.max`, or what stands for it.
    wanted: u64,
    /// The machine's, or less by a limit of the process.
    total: u64,
    /// What could be given now.
    available: u64,
}

/// Whether what the node may use is there.
pub(super) fn memory(subject: &Subject) -> Finding {
    let limit = [Resource::As, Resource::Data].map(|of| getrlimit(of).current);
    let limit = limit.into_iter().flatten().min().unwrap_or(u64::MAX);
    judge(Facts {
        wanted: subject.settings.memory_max.map_or_else(memory_max_default, |bytes| bytes.0),
        total: memory_limit().min(limit),
        available: available_memory().unwrap_or(u64::MAX),
    })
}

fn judge(facts: Facts) -> Finding {
    let [wanted, total, available] = [facts.wanted, facts.total, facts.available];
    let shown = |bytes| Bytes(bytes).approximate();
    let figure = format!(
        "a node may use {} of {}; {} are available",
        shown(wanted),
        shown(total),
        shown(available)
    );
    if wanted > total {
        Finding::bad(
            figure,
            "lower memory.max, or raise the limit: the kernel ends what exceeds it",
        )
    } else if wanted > available {
        Finding::warn(figure, "lower memory.max, or end what uses the rest")
    } else {
        Finding::ok(figure)
    }
}

/// Whether the kernel refuses memory that is there.
pub(super) fn overcommit(_: &Subject) -> Finding {
    match fact("/proc/sys/vm/overcommit_memory").as_deref() {
        Some("2") => Finding::warn(
            "vm.overcommit_memory is 2: the kernel refuses memory before there is none",
            "set it to 0, or memory.max well below CommitLimit: a refused allocation ends the node",
        ),
        Some(value) => Finding::ok(format!("vm.overcommit_memory is {value}")),
        None => Finding::ok("the kernel does not say"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, judge};
    use crate::doctor::finding::State;

    #[test]
    fn memory_that_is_not_there_is_bad_and_memory_in_use_a_warning() {
        let check = |wanted, expected| {
            let found = judge(Facts { wanted, total: 100, available: 60 });
            assert_eq!(found.state, expected, "{found:?}");
        };
        check(60, State::Ok);
        check(61, State::Warn);
        check(101, State::Bad);
    }
}
