//! quipu-core.
