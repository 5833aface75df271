//! The address of a Redis: `redis://[user:password@]host[:port][/database]`.

use quipu_wire::http::percent::decode_segment;
use thiserror::Error;

/// The port of a Redis where none is given.
const PORT: u16 = 6379;

/// Where a Redis is and how to enter it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`.
    pub host: String,
    /// The user; none means the default one.
    pub user: Option<String>,
    /// The password, if one is needed.
    pub password: Option<String>,
    /// The database.
    pub database: u32,
}

/// A password is not for logs.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "redis://{}/{}", self.host, self.database)
    }
}

/// Why a text is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("an address is redis://[user:password@]host[:port][/database]")]
    Form,
    /// TLS.
    #[error("rediss:// needs TLS, which this import does not speak; use a tunnel on this machine")]
    Tls,
    /// The database.
    #[error("the database after the host is a number")]
    Database,
    /// The percent-encoding of user or password.
    #[error("user and password are percent-encoded UTF-8")]
    Percent,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with("rediss://") {
            return Err(AddressError::Tls);
        }
        let rest = text.strip_prefix("redis://").ok_or(AddressError::Form)?;
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (entry, host) = match place.rsplit_once('@') {
            Some((entry, host)) => (Some(entry), host),
            None => (None, place),
        };
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| AddressError::Database)?,
        };
        let (user, password) = entry.map_or(Ok((None, None)), entry_of)?;
        Ok(Self { host: host_and_port(host)?, user, password, database })
    }
}

fn host_and_port(host: &str) -> Result<String, AddressError> {
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
        // The colons of an IPv6 address stand in brackets.
        (!name.contains(':') || name.ends_with(']')) && port.parse::<u16>().is_ok()
    });
    match host {
        "" => Err(AddressError::Form),
        host if has_port && !host.starts_with(':') => Ok(host.to_owned()),
        host if host.contains(':') && !host.ends_with(']') => Err(AddressError::Form),
        host => Ok(format!("{host}:{PORT}")),
    }
}

type Entry = (Option<String>, Option<String>);

fn entry_of(entry: &str) -> Result<Entry, AddressError> {
    let (user, password) = entry.split_once(':').ok_or(AddressError::Form)?;
    let decoded = |text: &str| match text {
        "" => Ok(None),
        text => decode(text).map(Some),
    };
    Ok((decoded(user)?, decoded(password)?))
}

fn decode(text: &str) -> Result<String, AddressError> {
    let bytes = decode_segment(text).map_err(|_| AddressError::Percent)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| AddressError::Percent)
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError};

    type Parts = (&'static str, Option<&'static str>, Option<&'static str>, u32);

    fn check(text: &str, expected: Result<Parts, AddressError>) {
        let expected = expected.map(|(host, user, password, database)| Address {
            host: host.to_owned(),
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            database,
        });
        assert_eq!(Address::parse(text), expected, "{text}");
    }

    #[test]
    fn an_address_has_host_port_entry_and_database() {
        check("redis://h", Ok(("h:6379", None, None, 0)));
        check("redis://h:7000/3", Ok(("h:7000", None, None, 3)));
        check("redis://[::1]", Ok(("[::1]:6379", None, None, 0)));
        check("redis://[::1]:7000", Ok(("[::1]:7000", None, None, 0)));
        check("redis://:p%40ss@h:1/", Ok(("h:1", None, Some("p@ss"), 0)));
        check("redis://u:a@b@h:1", Ok(("h:1", Some("u"), Some("a@b"), 0)));
        check("h:1", Err(AddressError::Form));
        check("redis://", Err(AddressError::Form));
        check("redis://:7000", Err(AddressError::Form));
        check("redis://h:x", Err(AddressError::Form));
        check("redis://pass@h", Err(AddressError::Form));
        check("redis://:%zz@h", Err(AddressError::Percent));
        check("redis://h/x", Err(AddressError::Database));
        check("rediss://h", Err(AddressError::Tls));
    }

    #[test]
    fn an_address_does_not_print_its_password() {
        let address = Address::parse("redis://u:secret@h/2").expect("an address");
        assert_eq!(format!("{address:?}"), "redis://h:6379/2");
    }
}
