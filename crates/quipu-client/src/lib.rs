//! quipu-client.
