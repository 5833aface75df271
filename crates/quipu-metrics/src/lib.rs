//! quipu-metrics.
