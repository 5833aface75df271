//! Flipped bits, missing files, foreign files.
