//! Why bytes are no command; the texts are Redis's own where it has one.

use std::fmt::{self, Display, Formatter};

use quipu_core::name::NameError;
use thiserror::Error;

use crate::limits::ECHOED_BYTES_MAX;

/// What a client sent, as an error repeats it: byte for byte up to the first NUL, which is how far
/// Redis prints, and shortened.
///
/// It prints one character for each byte, U+00FF for FF, so that
/// [`crate::resp::reply::command_error`] finds the bytes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo(Box<[u8]>);

impl Echo {
    /// The part of `bytes` that is repeated.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Self::head(bytes, ECHOED_BYTES_MAX).into())
    }

    /// Words, each in single quotes with a space after, until together they are long enough.
    pub(crate) fn of_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut echoed = Vec::new();
        for word in words {
            let Some(left @ 1..) = ECHOED_BYTES_MAX.checked_sub(echoed.len()) else { break };
            echoed.push(b'\'');
            echoed.extend_from_slice(Self::head(word, left));
            echoed.extend_from_slice(b"' ");
        }
        Self(echoed.into())
    }

    fn head(bytes: &[u8], most: usize) -> &[u8] {
        let shown = bytes.get(..most).unwrap_or(bytes);
        shown.split(|b| *b == 0).next().unwrap_or_default()
    }
}

impl Display for Echo {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
    }
}

/// The bytes are not the protocol. The error is answered and the connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The number after `*` is none or too big.
    #[error("Protocol error: invalid multibulk length")]
    ArrayLength,
    /// The number after `$` is none, negative or too big.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// An argument did not begin with `$`.
    #[error("Protocol error: expected '$', got '{}'", found.escape_ascii())]
    ExpectedBulk {
        /// The byte in its place.
        found: u8,
    },
    /// An argument was not followed by CR LF.
    #[error("Protocol error: expected CR LF after a bulk string")]
    BulkEnd,
    /// A line without end.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// Quotes that do not close, or text right after a closing one.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// All arguments together are too long.
    #[error("Protocol error: too big request")]
    FrameTooBig,
    /// A browser was led to send HTTP here.
    #[error("Protocol error: this port speaks RESP, not HTTP")]
    Http,
}

/// A command that was not understood. It had no effect; the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// No command has this name.
    #[error("unknown command '{name}', with args beginning with: {args}")]
    Unknown {
        /// Its name, shortened.
        name: Echo,
        /// Its arguments, each in quotes with a space after, shortened.
        args: Echo,
    },
    /// The command has no such subcommand.
    #[error("unknown subcommand '{sub}'. Try {command} HELP.")]
    UnknownSub {
        /// The command in upper case.
        command: &'static str,
        /// What was asked for, shortened.
        sub: Echo,
    },
    /// Too few or too many arguments.
    #[error("wrong number of arguments for '{name}' command")]
    Arity {
        /// The command, in lower case, with `|subcommand` where there is one.
        name: &'static str,
    },
    /// EXEC with arguments: it ends the group all the same, and performs nothing.
    #[error("Transaction discarded because of: wrong number of arguments for 'exec' command")]
    ExecArity,
    /// Options that do not exist or do not go together.
    #[error("syntax error")]
    Syntax,
    /// An argument that must be a number is none.
    #[error("value is not an integer or out of range")]
    NotInteger,
    /// A value to store that is no number.
    #[error("value is not an integer or out of range (a counter holds a 64-bit integer)")]
    NotCounter,
    /// The least number cannot be negated.
    #[error("decrement would overflow")]
    DecrementOverflow,
    /// An expiry that is not in the future or too far in it.
    #[error("invalid expire time in '{name}' command")]
    InvalidExpire {
        /// The command, in lower case.
        name: &'static str,
    },
    /// EXPIRE with conditions that exclude each other.
    #[error("NX and XX, GT or LT options at the same time are not compatible")]
    ExpireNx,
    /// EXPIRE with conditions that exclude each other.
    #[error("GT and LT options at the same time are not compatible")]
    ExpireGtLt,
    /// EXPIRE with a word it does not know.
    #[error("Unsupported option {option}")]
    ExpireOption {
        /// The word, shortened.
        option: Echo,
    },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A SCAN cursor that no SCAN gave.
    #[error("invalid cursor")]
    Cursor,
    /// A pattern that is too long to match in bounded time.
    #[error("a pattern has at most {max} bytes, this one has {bytes}", max = crate::limits::PATTERN_BYTES_MAX)]
    PatternTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A database other than 0.
    #[error("DB index is out of range")]
    DbIndex,
    /// A protocol version that is no number.
    #[error("Protocol version is not an integer or out of range")]
    HelloNotInteger,
    /// A protocol version other than 2 and 3.
    #[error("unsupported protocol version")]
    HelloVersion,
    /// HELLO with a word it does not know.
    #[error("Syntax error in HELLO option '{option}'")]
    HelloOption {
        /// The word, shortened.
        option: Echo,
    },
    /// A connection name with spaces, line ends or special characters.
    #[error("Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    /// CLIENT SETINFO of an attribute that it does not know.
    #[error("Unrecognized option '{option}'")]
    ClientInfo {
        /// The attribute, shortened.
        option: Echo,
    },
    /// COMMAND GETKEYS of a command without keys.
    #[error("The command has no key arguments")]
    NoKeys,
    /// COMMAND GETKEYS of a command that does not exist.
    #[error("Invalid command specified")]
    KeysOfUnknown,
    /// COMMAND GETKEYS of a command with another number of arguments.
    #[error("Invalid number of arguments specified for command")]
    KeysArity,
    /// A lower bound above the upper one.
    #[error("MIN is above MAX")]
    Bounds,
    /// A number of INCREX that is none.
    #[error("{option} is not an integer or out of range")]
    IncrExNumber {
        /// What the number is for.
        option: &'static str,
    },
    /// INCREX by a fraction.
    #[error("BYFLOAT is not for counters: a counter holds a 64-bit integer, use BYINT")]
    IncrExFloat,
    /// INCREX with a lower bound above the upper one.
    #[error("LBOUND can't be greater than UBOUND")]
    IncrExBounds,
    /// INCREX with ENX and nothing that it could be about.
    #[error("ENX flag requires an expiration")]
    IncrExEnx,
    /// A durability that only another log can give.
    #[error("ACK quorum needs the Kafka log; this node acknowledges memory or fsync")]
    AckQuorum,
    /// A ranking of none, or of too many.
    #[error("the number of counters is from 1 to {max}", max = quipu_core::limits::TOP_MAX)]
    TopRange,
    /// A read that only a cluster can give.
    #[error("READ cached needs a cluster; this node reads committed or latest")]
    ReadCached,
}

impl CommandError {
    /// The first word of the error reply.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HelloVersion => "NOPROTO",
            Self::ExecArity => "EXECABORT",
            _ => "ERR",
        }
    }

    /// Whether it makes a group fail as a whole when it is met while the group is queued: Redis
    /// looks at name and number of arguments then, and at the rest during EXEC.
    pub fn spoils_group(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::UnknownSub { .. } => true,
            // PING takes any number of words as far as the table goes, and counts them itself.
            Self::Arity { name } => *name != "ping",
            _ => false,
        }
    }
}

/// A command that the connection's state forbids. It had no effect; the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StateError {
    /// MULTI within MULTI.
    #[error("MULTI calls can not be nested")]
    NestedMulti,
    /// EXEC without MULTI.
    #[error("EXEC without MULTI")]
    ExecWithoutMulti,
    /// DISCARD without MULTI.
    #[error("DISCARD without MULTI")]
    DiscardWithoutMulti,
    /// EXEC of a group that [`CommandError::spoils_group`] spoiled.
    #[error("Transaction discarded because of previous errors.")]
    ExecAborted,
    /// QUIPU.TOP in a group.
    #[error("QUIPU.TOP cannot stand in a group: it looks at all counters while others go on")]
    TopInGroup,
    /// A command before authentication.
    #[error("Authentication required.")]
    Unauthenticated,
    /// AUTH with a wrong user or password.
    #[error("invalid username-password pair or user is disabled.")]
    WrongPassword,
    /// AUTH where no password is configured.
    #[error(
        "AUTH <password> called without any password configured for the default user. \
         Are you sure your configuration is correct?"
    )]
    NoPassword,
    /// QUIPU.USE of a namespace that does not exist or is not this connection's.
    #[error("no such namespace")]
    NoNamespace,
}

impl StateError {
    /// The first word of the error reply.
    pub fn code(self) -> &'static str {
        match self {
            Self::ExecAborted => "EXECABORT",
            Self::Unauthenticated => "NOAUTH",
            Self::WrongPassword => "WRONGPASS",
            _ => "ERR",
        }
    }
}
