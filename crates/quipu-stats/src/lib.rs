//! What measured numbers allow to be said: tests, intervals, comparisons, fits, change points.
//!
//! Pure functions over numbers. Randomness comes from a seed that is an argument.
