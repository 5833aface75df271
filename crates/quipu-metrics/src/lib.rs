//! quipu-metrics.
pub mod knob;
pub mod settings;
