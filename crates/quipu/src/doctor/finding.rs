//! What a check found.

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, and costs something or hides a risk.
    Warn,
    /// A node would not start, would not go on, or could not keep what it promises.
    Bad,
}

impl State {
    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Bad => "BAD",
        }
    }
}

/// A state, the figure that it follows from, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How good it is.
    pub(crate) state: State,
    /// What was seen, with units.
    pub(crate) figure: String,
    /// What to do; none where all is well.
    pub(crate) remedy: Option<&'static str>,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(figure: impl Into<String>) -> Self {
        Self { state: State::Ok, figure: figure.into(), remedy: None }
    }

    /// Something to know.
    pub(crate) fn warn(figure: impl Into<String>, remedy: &'static str) -> Self {
        Self { state: State::Warn, figure: figure.into(), remedy: Some(remedy) }
    }

    /// Something to mend.
    pub(crate) fn bad(figure: impl Into<String>, remedy: &'static str) -> Self {
        Self { state: State::Bad, figure: figure.into(), remedy: Some(remedy) }
    }
}
