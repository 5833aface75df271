//! The closed lists of label values: no series depends on what a client sends.

/// A label and all values that it can have.
#[derive(Debug, PartialEq, Eq)]
pub struct LabelSet {
    /// The name of the label.
    pub name: &'static str,
    /// Its values, in the order of the type's variants.
    pub values: &'static [&'static str],
}

/// Makes a type for the values of one label.
macro_rules! labels {
    ($($(#[$doc:meta])* $label:ident $name:literal {
        $($(#[$value_doc:meta])* $value:ident $text:literal,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $label {
                $($(#[$value_doc])* $value,)*
            }

            impl $label {
                /// The label's name and values.
                pub const SET: LabelSet = LabelSet { name: $name, values: &[$($text,)*] };

                /// All values.
                pub const ALL: &[Self] = &[$(Self::$value,)*];

                /// Returns the text of the value.
                pub const fn name(self) -> &'static str {
                    Self::SET.values[self as usize]
                }
            }
        )*
    };
}

labels! {
    /// Where a request came in.
    Surface "surface" {
        /// A Redis client.
        Resp "resp",
        /// HTTP, the counters.
        Http "http",
        /// HTTP, health and metrics.
        Admin "admin",
    }

    /// Why a connection was closed before it was served.
    ConnectionRefusal "reason" {
        /// As many are open as may be.
        Limit "limit",
        /// The operating system gave none.
        Accept "accept",
    }

    /// Why an open connection was closed by the node.
    ConnectionCut "reason" {
        /// Nothing came for too long.
        Idle "idle",
        /// A request came too slowly.
        Slow "slow",
        /// The client does not read its answers.
        Unread "unread",
        /// A request could not be understood.
        Protocol "protocol",
        /// A request went beyond a limit.
        TooLarge "too_large",
    }

    /// What an operation does.
    OperationKind "kind" {
        /// Adds a delta.
        Add "add",
        /// Reads a value.
        Get "get",
        /// Assigns a value.
        Set "set",
        /// Reads a value and leaves zero.
        Take "take",
        /// Deletes a counter.
        Delete "delete",
        /// Sets or clears an expiry.
        Expire "expire",
        /// Lists counters.
        Scan "scan",
        /// Ranks counters.
        Top "top",
        /// Reads a stream or stores its checkpoint.
        Stream "stream",
    }

    /// Why an operation was refused; the words are those of the error replies.
    Refusal "reason" {
        /// Too much at once, or the token memory is full.
        Busy "busy",
        /// No memory.
        Oom "oom",
        /// No disk.
        Nospace "nospace",
        /// The stream waits for an earlier sequence.
        Held "held",
        /// The same token with another operation.
        Conflict "conflict",
        /// The token is older than the window.
        Expired "expired",
        /// The request makes no sense.
        BadArgument "bad_argument",
        /// The log failed or the node is stopping: it may have been counted.
        Unknown "unknown",
    }

    /// Why an add was decided to change nothing.
    Rejection "reason" {
        /// The value would leave its bounds.
        Bounds "bounds",
        /// The value would leave 64 bits.
        Overflow "overflow",
    }

    /// What told a repeat.
    Repeat "kind" {
        /// A key or a UUIDv7.
        Token "token",
        /// A stream's mark.
        Stream "stream",
    }

    /// What a log file is there for.
    SegmentState "state" {
        /// Prepared ahead of need.
        Prepared "prepared",
        /// Newer than the last snapshot: recovery reads it.
        Live "live",
        /// Folded, kept for the audit.
        Retained "retained",
    }
}
