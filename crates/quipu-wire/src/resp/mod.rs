//! RESP, versions 2 and 3 (specification: redis.io/docs/latest/develop/reference/protocol-spec).

pub mod value;
