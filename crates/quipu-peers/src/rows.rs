//! The rows of the table: every system with the settings that are compared.

use std::path::Path;

use crate::ours::{Ours, Surface};
use crate::redis::Redis;
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
    rows
}
