//! Reading a request's arguments.

use quipu_core::limits::TTL_MS_MAX;
use quipu_core::name;
use quipu_core::op::Ttl;

use crate::resp::error::CommandError;
use crate::resp::frame::Request;
use crate::resp::number;

/// The argument with this number.
#[inline]
pub(crate) fn arg(request: Request<'_>, index: usize) -> Result<&[u8], CommandError> {
    // Not `ok_or`: it would build and drop the error of every argument that is there.
    let Some(arg) = request.get(index) else { return Err(CommandError::Syntax) };
    Ok(arg)
}

/// The argument with this number as a counter's name.
#[inline]
pub(crate) fn name_arg(request: Request<'_>, index: usize) -> Result<&str, CommandError> {
    Ok(name::check(arg(request, index)?)?)
}

/// The argument with this number as a signed number.
#[inline]
pub(crate) fn integer_arg(request: Request<'_>, index: usize) -> Result<i64, CommandError> {
    number::signed(arg(request, index)?).ok_or(CommandError::NotInteger)
}

/// The argument with this number as an unsigned number.
pub(crate) fn unsigned_arg(request: Request<'_>, index: usize) -> Result<u64, CommandError> {
    number::unsigned(arg(request, index)?).ok_or(CommandError::NotInteger)
}

/// Whether `word` is this lower-case keyword, in any case.
#[inline]
pub(crate) fn is(word: &[u8], keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword.as_bytes())
}

/// The units and origins in which an expiry is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpiryUnit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Seconds since the Unix epoch.
    AtSeconds,
    /// Milliseconds since the Unix epoch.
    AtMillis,
}

impl ExpiryUnit {
    /// The unit that an option of SET names.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            _ if is(word, "ex") => Self::Seconds,
            _ if is(word, "px") => Self::Millis,
            _ if is(word, "exat") => Self::AtSeconds,
            _ if is(word, "pxat") => Self::AtMillis,
            _ => return None,
        })
    }

    /// This many of the unit as an expiry, or none if it is too far away. What lies in the past is
    /// the beginning of time.
    pub(crate) fn ttl(self, count: i64) -> Option<Ttl> {
        let factor = match self {
            Self::Seconds | Self::AtSeconds => 1000,
            Self::Millis | Self::AtMillis => 1,
        };
        let ms = count.checked_mul(factor)?;
        let relative = matches!(self, Self::Seconds | Self::Millis);
        match u64::try_from(ms) {
            Err(_) | Ok(0) => Some(Ttl::At(0)),
            Ok(ms) if !relative => Some(Ttl::At(ms)),
            Ok(ms) => (ms <= TTL_MS_MAX).then_some(Ttl::After(ms)),
        }
    }

    /// The same, where only a positive count is an expiry.
    pub(crate) fn positive_ttl(
        self,
        word: &[u8],
        command: &'static str,
    ) -> Result<Ttl, CommandError> {
        let count = number::signed(word).ok_or(CommandError::NotInteger)?;
        let ttl = if count > 0 { self.ttl(count) } else { None };
        ttl.ok_or(CommandError::InvalidExpire { name: command })
    }
}
