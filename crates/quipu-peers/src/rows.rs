//! The rows of the table: every system with the settings that are compared.

use std::path::Path;

use crate::etcd::Etcd;
use crate::nats::JetStream;
use crate::ours::{Ours, Surface};
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::sqlite::Sqlite;
use crate::system::System;

/// Quipu first, then its peers.
pub fn all(binary: &Path) -> Vec<Box<dyn System>> {
    let mut rows: Vec<Box<dyn System>> = Vec::new();
    for ack in ["fsync", "memory"] {
        for surface in [Surface::Resp, Surface::Http] {
            for has_tokens in [true, false] {
                let binary = binary.to_path_buf();
                rows.push(Box::new(Ours { binary, surface, ack, has_tokens }));
            }
        }
    }
    for appendfsync in ["always", "everysec"] {
        rows.push(Box::new(Redis { appendfsync }));
    }
    rows.push(Box::new(Etcd));
    rows.push(Box::new(JetStream));
    for synchronous_commit in ["on", "off"] {
        rows.push(Box::new(Postgres { synchronous_commit }));
    }
    for synchronous in ["FULL", "NORMAL"] {
        rows.push(Box::new(Sqlite { synchronous }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_only_quipu_promises() {
        let rows = all(Path::new("quipu"));
        let keys: BTreeSet<String> = rows.iter().map(|row| row.key()).collect();
        assert_eq!(keys.len(), rows.len());
        let promises = rows.iter().filter(|row| row.promise().always_starts);
        assert!(promises.clone().count() > 0);
        assert!(promises.clone().all(|row| row.key().starts_with("quipu_")));
    }
}
