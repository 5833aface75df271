//! A load test that runs: threads, sockets, probes.
