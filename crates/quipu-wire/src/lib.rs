//! quipu-wire.
