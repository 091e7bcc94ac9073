//! Addresses of network interfaces by name: getifaddrs(3), if_nametoindex(3).
//!
//! Asked anew for each bind and connect, for interfaces come and go. Invariant: IPv4 addresses come first,
//! link-local ones last.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockaddrStorage;

/// All addresses of an interface, with a port. `None` if there is no such interface.
pub(crate) fn addresses(name: &str, port: u16) -> io::Result<Option<Vec<SocketAddr>>> {
    let mut is_known = false;
    let mut found = Vec::new();
    for entry in getifaddrs()?.filter(|entry| entry.interface_name == name) {
        is_known = true;
        found.extend(entry.address.and_then(|address| ip_address(&address, port)));
    }
    found.sort_by_key(|address| match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) if address.ip().is_unicast_link_local() => 2,
        SocketAddr::V6(_) => 1,
    });
    Ok(is_known.then_some(found))
}

/// The number of an interface, as in a zone.
pub(crate) fn index(name: &str) -> io::Result<u32> {
    if_nametoindex(name).map_err(|error| {
        io::Error::new(io::ErrorKind::NotFound, format!("zone {name}: no such interface: {error}"))
    })
}

fn ip_address(address: &SockaddrStorage, port: u16) -> Option<SocketAddr> {
    if let Some(address) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((address.ip(), port)));
    }
    let address = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(address.ip(), port, 0, address.scope_id()).into())
}
