//! What may follow the scheme of a transport over IP, as in `tcp://`: a pure parser, no look-ups.
//!
//! ```text
//! bind    := host ":" port
//! connect := [ source ";" ] host ":" port
//! host    := ipv4 | "[" ipv6 [ "%" zone ] "]" | ipv6 [ "%" zone ] | name      bind: or "*" or an interface
//! source  := ( "*" | interface | ipv4 | ipv6 ) ":" port
//! port    := 1..65535                                                 bind and source: or 0 or "*", any free
//! ```
//!
//! The grammar is libzmq's (zmq_tcp(7)): the port is what follows the last colon, the source what precedes the
//! last semicolon. Unlike there, numbers are taken strictly: no signs, no garbage behind them, nothing above
//! 65535. Invariant: what parses has a meaning; only the system can still refuse it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Purpose;
#[cfg(any(feature = "quic", feature = "tcp"))]
use crate::{Endpoint, EndpointError};

/// RFC 1035, 2.3.4: 255 octets on the wire are 253 characters.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
/// netdevice(7): `IFNAMSIZ` with its NUL is 16.
const LONGEST_INTERFACE: usize = 15;

#[cfg(any(feature = "quic", feature = "tcp"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) source: Option<Place>,
    pub(crate) target: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: Host,
    /// 0 is any free port.
    pub(crate) port: u16,
}

/// As in an endpoint.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.host {
            Host::Any => write!(f, "*:{port}"),
            Host::Ip(ip, _) => write!(f, "{}", SocketAddr::new(*ip, port)),
            Host::Name(name) => write!(f, "{name}:{port}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Any,
    Ip(IpAddr, Option<Zone>),
    /// Of an interface, or in DNS.
    Name(String),
}

/// Which link a link-local IPv6 address is on (RFC 4007).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Zone {
    Index(u32),
    Name(String),
}

/// The three places a host and port can stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Bind,
    Source,
    Connect,
}

impl From<Purpose> for Use {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Bind => Self::Bind,
            Purpose::Connect => Self::Connect,
        }
    }
}

#[cfg(any(feature = "quic", feature = "tcp"))]
pub(crate) fn parse(endpoint: &Endpoint, purpose: Purpose) -> Result<Address, EndpointError> {
    let address = endpoint.address();
    let wrong = |(part, reason): Wrong<'_>| EndpointError::address(endpoint, part, reason);
    let (source, target) = match (address.rsplit_once(';'), purpose) {
        (Some((source, _)), Purpose::Bind) => {
            return Err(wrong((source, "a source address fits only connect")));
        }
        (Some((source, target)), Purpose::Connect) => (Some(source), target),
        (None, _) => (None, address),
    };
    let source = source.map(|text| place(text, Use::Source)).transpose().map_err(wrong)?;
    Ok(Address { source, target: place(target, purpose.into()).map_err(wrong)? })
}

/// The part, and what is wrong with it.
pub(crate) type Wrong<'a> = (&'a str, &'static str);

pub(crate) fn place(text: &str, use_: Use) -> Result<Place, Wrong<'_>> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err((text, "the port is missing: write host:port"));
    };
    // An IPv6 address without a port loses its last group to the split, so the host is judged first.
    Ok(Place { host: self::host(host, use_)?, port: self::port(port, use_)? })
}

fn port(text: &str, use_: Use) -> Result<u16, Wrong<'_>> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(0) if use_ == Use::Connect => Err((text, "port 0 cannot be connected to")),
        Ok(port) if is_number => Ok(port),
        _ if text == "*" && use_ != Use::Connect => Ok(0),
        _ if text == "*" => Err((text, "a wildcard port cannot be connected to")),
        _ if text.is_empty() => Err((text, "the port behind the colon is missing")),
        _ => Err((text, "a port is a number from 0 to 65535")),
    }
}

pub(crate) fn host(text: &str, use_: Use) -> Result<Host, Wrong<'_>> {
    match text {
        "" => return Err((text, "the host before the port is missing")),
        "*" if use_ == Use::Connect => return Err((text, "a wildcard cannot be connected to")),
        "*" => return Ok(Host::Any),
        _ => {}
    }
    if text.starts_with('[') || text.ends_with(']') {
        let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            return Err((text, "brackets come in pairs around an IPv6 address"));
        };
        return ipv6(inner).map_err(|(_, reason)| (text, reason));
    }
    if text.contains(':') {
        return ipv6(text);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into(), None));
    }
    name(text, use_)
}

fn ipv6(text: &str) -> Result<Host, Wrong<'_>> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (text, None),
    };
    let Ok(ip) = ip.parse::<Ipv6Addr>() else {
        return Err((text, "not an IPv6 address"));
    };
    Ok(Host::Ip(ip.into(), zone.map(self::zone).transpose()?))
}

fn zone(text: &str) -> Result<Zone, Wrong<'_>> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse() {
            Ok(0) | Err(_) => Err((text, "a zone index is a number from 1 to 4294967295")),
            Ok(index) => Ok(Zone::Index(index)),
        };
    }
    if is_interface(text) { Ok(Zone::Name(text.into())) } else { Err((text, "not the name of an interface")) }
}

fn name(text: &str, use_: Use) -> Result<Host, Wrong<'_>> {
    if !text.is_ascii() {
        return Err((text, "names are ASCII: write an international one in its xn-- form"));
    }
    // Else the resolver would read `1.2` as 1.0.0.2.
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err((text, "not an IPv4 address"));
    }
    let is_valid = match use_ {
        Use::Connect => is_dns_name(text),
        Use::Bind => is_dns_name(text) || is_interface(text),
        Use::Source => is_interface(text),
    };
    match use_ {
        _ if is_valid => Ok(Host::Name(text.into())),
        Use::Source => Err((text, "a source is `*`, an address or an interface, not a DNS name")),
        Use::Bind | Use::Connect => Err((text, "not a host name")),
    }
}

fn is_dns_name(text: &str) -> bool {
    // One dot at the end marks the name as complete.
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            // Underscores are no part of a host name, yet container networks use them.
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

fn is_interface(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@' | b'+');
    (1..=LONGEST_INTERFACE).contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(address: &str, purpose: Purpose) -> Result<Address, (String, String)> {
        let endpoint = Endpoint::new("tcp", address).unwrap();
        parse(&endpoint, purpose).map_err(|error| match error {
            EndpointError::Address { part, reason, endpoint } => {
                assert_eq!(endpoint, format!("tcp://{address}"));
                (part, reason.into_owned())
            }
            other => panic!("{other}"),
        })
    }

    fn ip(text: &str) -> Host {
        Host::Ip(text.parse().unwrap(), None)
    }

    fn zoned(text: &str, zone: Zone) -> Host {
        Host::Ip(text.parse().unwrap(), Some(zone))
    }

    #[test]
    fn what_both_may_use() {
        let name = |text: &str| Host::Name(text.into());
        for (address, host, port) in [
            ("127.0.0.1:5555", ip("127.0.0.1"), 5555),
            ("0.0.0.0:1", ip("0.0.0.0"), 1),
            ("10.0.0.1:65535", ip("10.0.0.1"), 65535),
            ("10.0.0.1:0080", ip("10.0.0.1"), 80),
            ("[::1]:5555", ip("::1"), 5555),
            ("::1:5555", ip("::1"), 5555),
            ("2001:db8::1:5555", ip("2001:db8::1"), 5555),
            ("[::ffff:1.2.3.4]:1", ip("::ffff:1.2.3.4"), 1),
            ("[fe80::1%eth0]:1", zoned("fe80::1", Zone::Name("eth0".into())), 1),
            ("fe80::1%eth0:1", zoned("fe80::1", Zone::Name("eth0".into())), 1),
            ("[fe80::1%3]:1", zoned("fe80::1", Zone::Index(3)), 1),
            ("localhost:1", name("localhost"), 1),
            ("db-1.example.com:1", name("db-1.example.com"), 1),
            ("example.com.:1", name("example.com."), 1),
            ("my_service:1", name("my_service"), 1),
            ("eth0.100:1", name("eth0.100"), 1),
            ("3com.example:1", name("3com.example"), 1),
        ] {
            for purpose in [Purpose::Bind, Purpose::Connect] {
                let expected = Address { source: None, target: Place { host: host.clone(), port } };
                assert_eq!(parsed(address, purpose), Ok(expected), "{address} {purpose:?}");
            }
        }
    }

    #[test]
    fn what_only_bind_may_use() {
        let name = |text: &str| Host::Name(text.into());
        for (address, host, port) in [
            ("*:*", Host::Any, 0),
            ("*:0", Host::Any, 0),
            ("*:5555", Host::Any, 5555),
            ("127.0.0.1:*", ip("127.0.0.1"), 0),
            ("[::]:*", ip("::"), 0),
            (":::*", ip("::"), 0),
            ("veth@if2:1", name("veth@if2"), 1),
        ] {
            let expected = Address { source: None, target: Place { host, port } };
            assert_eq!(parsed(address, Purpose::Bind), Ok(expected), "{address}");
            assert!(parsed(address, Purpose::Connect).is_err(), "{address}");
        }
    }

    #[test]
    fn sources() {
        for (source, host, port) in [
            ("*:*", Host::Any, 0),
            ("*:1234", Host::Any, 1234),
            ("192.168.1.17:0", ip("192.168.1.17"), 0),
            ("[::1]:*", ip("::1"), 0),
            ("eth0:5555", Host::Name("eth0".into()), 5555),
        ] {
            let expected = Address {
                source: Some(Place { host, port }),
                target: Place { host: Host::Name("example.com".into()), port: 80 },
            };
            let address = format!("{source};example.com:80");
            assert_eq!(parsed(&address, Purpose::Connect), Ok(expected), "{address}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        use Purpose::{Bind, Connect};
        let long = format!("{}:1", "a.".repeat(127) + "a");
        let long_label = format!("{}:1", "a".repeat(64));
        for (purpose, address, part, reason) in [
            (Connect, "127.0.0.1", "127.0.0.1", "port is missing"),
            (Connect, "localhost:", "", "behind the colon"),
            (Connect, ":1", "", "host before"),
            (Bind, ":1", "", "host before"),
            (Connect, "*:5", "*", "wildcard cannot"),
            (Connect, "127.0.0.1:*", "*", "wildcard port"),
            (Connect, "127.0.0.1:0", "0", "port 0"),
            (Connect, "127.0.0.1:000", "000", "port 0"),
            (Connect, "127.0.0.1:99999", "99999", "0 to 65535"),
            (Bind, "127.0.0.1:65536", "65536", "0 to 65535"),
            (Bind, "127.0.0.1:55x", "55x", "0 to 65535"),
            (Bind, "127.0.0.1:+5", "+5", "0 to 65535"),
            (Bind, "127.0.0.1:-5", "-5", "0 to 65535"),
            (Bind, "127.0.0.1: 5", " 5", "0 to 65535"),
            (Connect, "localhost:invalid", "invalid", "0 to 65535"),
            (Connect, "127.0.0.1:٣", "٣", "0 to 65535"),
            (Connect, "in val:1", "in val", "host name"),
            (Connect, "-a:1", "-a", "host name"),
            (Connect, "a-:1", "a-", "host name"),
            (Connect, "a..b:1", "a..b", "host name"),
            (Connect, ".:1", ".", "IPv4"),
            (Connect, "a/b:1", "a/b", "host name"),
            (Connect, "veth@if2:1", "veth@if2", "host name"),
            (Connect, &long, &long[..long.len() - 2], "host name"),
            (Connect, &long_label, &long_label[..64], "host name"),
            (Connect, "bücher.example:1", "bücher.example", "xn--"),
            (Connect, "256.0.0.1:1", "256.0.0.1", "IPv4"),
            (Connect, "1.2.3:1", "1.2.3", "IPv4"),
            (Connect, "80:1", "80", "IPv4"),
            (Connect, "[::1:5", "[::1", "pairs"),
            (Connect, "::1]:5", "::1]", "pairs"),
            (Connect, "[]:5", "[]", "IPv6"),
            (Connect, "[127.0.0.1]:5", "[127.0.0.1]", "IPv6"),
            (Connect, "[localhost]:5", "[localhost]", "IPv6"),
            (Connect, "[::1]", "[:", "pairs"),
            (Connect, "2001:db8::1:2:3:4:5:6:7", "2001:db8::1:2:3:4:5:6", "IPv6"),
            (Connect, "2001:db8::g:1", "2001:db8::g", "IPv6"),
            (Connect, "localhost:1:2", "localhost:1", "IPv6"),
            (Connect, "fe80::1%:1", "", "interface"),
            (Connect, "fe80::1%0:1", "0", "zone index"),
            (Connect, "fe80::1%4294967296:1", "4294967296", "zone index"),
            (Connect, "fe80::1%a b:1", "a b", "interface"),
            (Bind, "eth0:1;*:1", "eth0:1", "only connect"),
            (Connect, ";127.0.0.1:1", "", "port is missing"),
            (Connect, "eth0;127.0.0.1:1", "eth0", "port is missing"),
            (Connect, "a.long.example.com:1;127.0.0.1:1", "a.long.example.com", "not a DNS name"),
            (Connect, "*:1;*:2;127.0.0.1:1", "2", ""),
            (Connect, "127.0.0.1:1;", "", "port is missing"),
        ] {
            let (found, why) = parsed(address, purpose).expect_err(address);
            if reason.is_empty() {
                continue;
            }
            assert_eq!(found, part, "{address}: {why}");
            assert!(why.contains(reason), "{address}: {why}");
        }
    }
}
