//! How a target is spoken to: the first connection agrees on it, and the run keeps to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use quipu_lab::scenario::{HttpVersion, Protocol, Target};

use crate::link::{Endpoint, Link};
use crate::tls::{TlsError, Trust};

/// How long the first connection may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// HTTP/1.1 and HTTP/2 in ALPN.
const HTTP1: &str = "http/1.1";
const HTTP2: &str = "h2";

/// How a target is spoken to.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) endpoint: Endpoint,
    /// Whether it is HTTP/2.
    pub(crate) is_http2: bool,
    /// What was agreed on, for the record.
    pub(crate) agreed: BTreeMap<String, String>,
    /// Why the first connection could not be made, in words.
    pub(crate) refusal: Option<String>,
}

impl Greeting {
    /// Makes the first connection, where there is something to agree on. That it fails is not the end:
    /// a run may want to see just that.
    ///
    /// # Errors
    /// What the scenario says of TLS is of no use.
    pub(crate) fn new(target: &Target, address: SocketAddr) -> Result<Self, TlsError> {
        let offered: &[&str] = match target.protocol {
            Protocol::Resp => &[],
            Protocol::Http(HttpVersion::Http1) => &[HTTP1],
            Protocol::Http(HttpVersion::Http2) => &[HTTP2],
            Protocol::Http(HttpVersion::Auto) => &[HTTP2, HTTP1],
        };
        let trust = target.tls.as_ref().map(|tls| Trust::new(tls, &target.host, offered));
        let endpoint = Endpoint { address, trust: trust.transpose()? };
        let is_http2 = target.protocol == Protocol::Http(HttpVersion::Http2);
        let mut greeting = Self { endpoint, is_http2, agreed: BTreeMap::new(), refusal: None };
        if greeting.endpoint.trust.is_some() {
            match greeting.endpoint.open(PATIENCE) {
                Ok(link) => greeting.agree(target.protocol, &link),
                Err(error) => greeting.refusal = Some(error.to_string()),
            }
        }
        if target.protocol == Protocol::Http(HttpVersion::Auto) {
            let kept = if greeting.is_http2 { HTTP2 } else { HTTP1 };
            greeting.endpoint = greeting.endpoint.offering(&[kept]);
        }
        if let Protocol::Http(_) = target.protocol {
            let version = if greeting.is_http2 { "2" } else { "1.1" };
            greeting.agreed.insert("http".to_owned(), version.to_owned());
        }
        Ok(greeting)
    }

    fn agree(&mut self, protocol: Protocol, link: &Link) {
        if protocol == Protocol::Http(HttpVersion::Auto) {
            self.is_http2 = link.protocol() == Some(HTTP2.as_bytes());
        }
        if let Some(encryption) = link.encryption() {
            self.agreed.insert("tls".to_owned(), encryption);
        }
    }

    /// Returns where the target can be asked something beside the load: in RESP or HTTP/1.1, or not if
    /// it may speak HTTP/2 alone.
    pub(crate) fn beside(&self) -> Option<Endpoint> {
        if !self.is_http2 {
            return Some(self.endpoint.clone());
        }
        self.endpoint.trust.as_ref().map(|_| self.endpoint.offering(&[HTTP1]))
    }
}
