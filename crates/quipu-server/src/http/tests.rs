//! HTTP over real sockets, on the real shards; what is durable is in the hands of the test.

mod bounds;
mod client;
mod ends;
mod held;
mod lanes;
mod node;
mod requests;
mod streams;
