//! A disk that fails, is full or never answers.
