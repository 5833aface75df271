//! quipu-log.
