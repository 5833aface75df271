//! quipu-server.
