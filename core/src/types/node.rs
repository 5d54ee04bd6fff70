//! Brokers, and where they are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The id of a broker in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(i32);

impl NodeId {
    /// The node that the wire says; `None` for −1, its "none", and below.
    #[must_use]
    pub fn from_wire(raw: i32) -> Option<Self> {
        (raw >= 0).then_some(Self(raw))
    }

    /// The number, never negative.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A host and a port, as in `bootstrap.servers` and in what brokers advertise.
///
/// Shown as `host:port`, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A name or an address; an IPv6 address without brackets.
    pub host: Arc<str>,
    /// The port, not 0.
    pub port: u16,
}

impl HostPort {
    /// An address from its parts.
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    /// Reads `host:port`, or `[address]:port` for IPv6. What precedes `://` is passed over, as Java
    /// does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |why| HostPortError { text: text.into(), why };
        let address = text.split_once("://").map_or(text, |(_, address)| address);
        let (host, port) = address.rsplit_once(':').ok_or_else(|| refused("has no port"))?;
        let port = match port.parse() {
            Ok(0) | Err(_) => return Err(refused("has a port that is not within 1 to 65535")),
            Ok(port) => port,
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host) {
            "" => Err(refused("has no host")),
            host if bare.is_none() && host.contains(':') => {
                Err(refused("is an IPv6 address without brackets"))
            }
            host => Ok(Self::new(host, port)),
        }
    }
}

/// Text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {why}; write host:port, or [address]:port for IPv6")]
pub struct HostPortError {
    text: Box<str>,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in ["localhost:9092", "10.0.0.1:1", "[::1]:65535", "kafka.example.:9092"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_protocol_in_front_is_passed_over() {
        assert_eq!("PLAINTEXT://a:1".parse(), Ok(HostPort::new("a", 1)));
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, why) in [
            ("localhost", "no port"),
            (":9092", "no host"),
            ("a:0", "within 1 to"),
            ("a:65536", "within 1 to"),
            ("::1:9092", "without brackets"),
            ("", "no port"),
        ] {
            let refused = text.parse::<HostPort>().unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
