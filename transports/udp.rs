//! `udp://`: datagrams to one address, or to a multicast group.
//!
//! A bound address is one socket that all peers share, a connected one is a socket of its own. Groups follow libzmq
//! (zmq_udp(7)): whoever binds joins the group, whoever connects sends to it, and several may bind the same group on
//! one machine. References: udp(7), ip(7), ipv6(7).

#[cfg(any(target_os = "android", target_os = "linux"))]
mod linux;
#[cfg(any(test, not(any(target_os = "android", target_os = "linux"))))]
mod portable;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;

#[cfg(any(target_os = "android", target_os = "linux"))]
use self::linux::Line;
#[cfg(not(any(target_os = "android", target_os = "linux")))]
use self::portable::Line;
use crate::address::{self, Host, Place, Use, Zone};
use crate::resolve::{because, endpoint_of, interface_index, local_addresses, reachable};
use crate::{
    BoxFuture, Datagrams, Endpoint, EndpointError, Incoming, Link, LinkOptions, Listener, Medium, Purpose,
    Transport, Wire, resolve,
};

const SCHEME: &str = "udp";

/// The `udp://` transport.
///
/// * Bind: `udp://host:port`, as for tcp: the host is `*`, an interface (unix), an address or a name, the port a
///   number, or `*` or 0 for any free one. Or a group to join: `udp://239.1.2.3:port`, `udp://[ff02::1]:port`,
///   `udp://interface;group:port`.
/// * Connect: `udp://host:port`, or a group to send to, written in the same way.
///
/// The interface of a group is its name (unix), `*` for the system's choice, or for an IPv4 group an address of it.
/// Without one there is [`LinkOptions::multicast_interface`].
///
/// Needs a tokio runtime with I/O and timers.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// use std::future::poll_fn;
/// use zocket_transport::{LinkOptions, ReceiveBatch, SendBatch, Transport, Wire, udp::Udp};
///
/// let (udp, options) = (Udp::new(), LinkOptions::default());
/// let mut listener = udp.bind(&"udp://127.0.0.1:*".parse()?, &options).await?;
/// let bound = listener.datagrams().expect("the peers of udp share a socket");
/// let link = udp.connect(listener.endpoint(), &options).await?;
/// let Wire::Datagrams(connected) = link.wire else { unreachable!() };
///
/// let mut batch = SendBatch::new();
/// batch.push(b"hello", None);
/// batch.push(b"world", None);
/// while !batch.is_empty() {
///     let sent = poll_fn(|cx| connected.poll_send(cx, &batch)).await?;
///     batch.advance(sent);
/// }
///
/// let (mut arrived, mut count) = (ReceiveBatch::new(), 0);
/// while count < 2 {
///     poll_fn(|cx| bound.poll_receive(cx, &mut arrived)).await?;
///     for (from, datagram) in arrived.iter() {
///         assert_eq!(datagram, [b"hello", b"world"][count]);
///         assert_eq!(link.local.address(), from.peer.to_string());
///         count += 1;
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Udp;

impl Udp {
    /// The transport; it has no state.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Transport for Udp {
    fn schemes(&self) -> &'static [&'static str] {
        &[SCHEME]
    }

    fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
        parse(endpoint, purpose).map(drop)
    }

    fn medium(&self, endpoint: &Endpoint) -> Medium {
        match parse(endpoint, Purpose::Bind) {
            Ok(Target { group: Some(_), .. }) => Medium::Multicast,
            _ => Medium::Datagrams,
        }
    }

    fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        self.connect_after(0, to, options)
    }

    fn connect_after(
        &self,
        failed: usize,
        to: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Link>> {
        let (target, options, peer) = (parse(to, Purpose::Connect), options.clone(), to.clone());
        Box::pin(async move {
            let target = target?;
            if let Some(group) = &target.group {
                let socket = send_to_group(group, &target, &options)?;
                let local = endpoint_of(SCHEME, socket.local_addr()?)?;
                return Ok(Link::new(Wire::Datagrams(Box::new(Line::new(socket))), local, peer));
            }
            let attempt = |to| std::future::ready(connect(to, &options));
            let socket = resolve::connect(&target.place, &options, failed, attempt).await?;
            let (local, peer) = (socket.local_addr()?, socket.peer_addr()?);
            let wire = Wire::Datagrams(Box::new(Line::new(socket)));
            Ok(Link::new(wire, endpoint_of(SCHEME, local)?, endpoint_of(SCHEME, peer)?))
        })
    }

    fn bind(
        &self,
        at: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (target, options, at) = (parse(at, Purpose::Bind), options.clone(), at.clone());
        Box::pin(async move {
            let target = target?;
            let (socket, endpoint) = if let Some(group) = &target.group {
                let socket = join_group(group, &target, &options)
                    .map_err(|error| because(error, format_args!("cannot join {at}")))?;
                let endpoint = target.with_port(&at, socket.local_addr()?.port())?;
                (socket, endpoint)
            } else {
                let socket = resolve::bind(&target.place, &options, |at| listen(at, &options)).await?;
                let endpoint = endpoint_of(SCHEME, socket.local_addr()?)?;
                (socket, endpoint)
            };
            Ok(Box::new(Bound { socket: Some(Line::new(socket)), endpoint }) as Box<dyn Listener>)
        })
    }
}

#[derive(Debug)]
struct Bound {
    socket: Option<Line>,
    endpoint: Endpoint,
}

impl Listener for Bound {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn datagrams(&mut self) -> Option<Box<dyn Datagrams>> {
        self.socket.take().map(|socket| Box::new(socket) as Box<dyn Datagrams>)
    }

    /// Nobody ever is: datagrams come from anybody.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(pending())
    }
}

// ── Addresses ───────────────────────────────────────────────────────────────────────────────────

/// What an endpoint says.
#[derive(Debug)]
struct Target {
    place: Place,
    group: Option<Group>,
}

/// A multicast address, and where it is.
#[derive(Debug)]
struct Group {
    address: IpAddr,
    zone: Option<Zone>,
    interface: Option<Host>,
}

fn parse(endpoint: &Endpoint, purpose: Purpose) -> Result<Target, EndpointError> {
    let wrong = |(part, reason): address::Wrong<'_>| EndpointError::address(endpoint, part, reason);
    let (interface, target) = match endpoint.address().rsplit_once(';') {
        Some((interface, target)) => (Some(interface), target),
        None => (None, endpoint.address()),
    };
    let place = address::place(target, purpose.into()).map_err(wrong)?;
    let Host::Ip(address, zone) = &place.host else { return unicast(place, interface).map_err(wrong) };
    if !address.is_multicast() {
        return unicast(place, interface).map_err(wrong);
    }
    let host = interface.map(|text| interface_of(*address, text)).transpose().map_err(wrong)?;
    let group = Group { address: *address, zone: zone.clone(), interface: host };
    Ok(Target { place, group: Some(group) })
}

fn unicast(place: Place, interface: Option<&str>) -> Result<Target, address::Wrong<'_>> {
    match interface {
        Some(text) => Err((text, "an interface stands before a multicast group only")),
        None => Ok(Target { place, group: None }),
    }
}

/// An interface, written in a way that fits its group.
fn interface_of(group: IpAddr, text: &str) -> Result<Host, address::Wrong<'_>> {
    match address::host(text, Use::Source)? {
        Host::Ip(IpAddr::V6(_), _) => Err((text, "an interface goes by its name, or an IPv4 address of it")),
        Host::Ip(IpAddr::V4(_), _) if group.is_ipv6() => {
            Err((text, "the interface of an IPv6 group goes by its name"))
        }
        host => Ok(host),
    }
}

impl Target {
    /// The endpoint as it was written, with the port that was chosen.
    fn with_port(&self, written: &Endpoint, port: u16) -> io::Result<Endpoint> {
        if self.place.port != 0 {
            return Ok(written.clone());
        }
        let host = written.address().rsplit_once(':').map_or_else(|| written.address(), |(host, _)| host);
        Ok(Endpoint::new(SCHEME, format!("{host}:{port}"))?)
    }
}

impl Group {
    /// Its interface, of the endpoint or else of the options.
    fn interface(&self, options: &LinkOptions) -> io::Result<Host> {
        if let Some(host) = &self.interface {
            return Ok(host.clone());
        }
        let Some(name) = &options.multicast_interface else { return Ok(Host::Any) };
        interface_of(self.address, name).map_err(|(part, reason)| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("interface {part:?}: {reason}"))
        })
    }

    /// An IPv4 address of the interface; the unspecified one is the system's choice.
    fn interface_v4(&self, options: &LinkOptions) -> io::Result<Ipv4Addr> {
        let place = match self.interface(options)? {
            Host::Any => return Ok(Ipv4Addr::UNSPECIFIED),
            host => Place { host, port: 0 },
        };
        let found = local_addresses(&place, options)?.unwrap_or_default();
        let v4 = |address: &SocketAddr| if let IpAddr::V4(ip) = address.ip() { Some(ip) } else { None };
        found.iter().find_map(v4).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no interface {place} with an IPv4 address"))
        })
    }

    /// The interface's number; 0 is the system's choice.
    fn interface_v6(&self, options: &LinkOptions) -> io::Result<u32> {
        match (&self.interface(options)?, &self.zone) {
            (Host::Name(name), _) | (_, Some(Zone::Name(name))) => interface_index(name),
            (_, Some(Zone::Index(index))) => Ok(*index),
            (_, None) => Ok(0),
        }
    }
}

// ── Sockets ─────────────────────────────────────────────────────────────────────────────────────

fn new_socket(address: SocketAddr, options: &LinkOptions) -> io::Result<Socket> {
    if address.is_ipv6() && !options.ipv6 {
        let text = format!("{address}: IPv6 is switched off by an option");
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    options.set_buffers(&(&socket).into())?;
    Ok(socket)
}

fn finished(socket: Socket) -> io::Result<UdpSocket> {
    UdpSocket::from_std(socket.into())
}

/// Why a socket cannot send, as far as that is more than the system says.
fn why(error: io::Error, socket: &UdpSocket) -> io::Error {
    match (socket.peer_addr(), socket.local_addr()) {
        (Ok(_), Ok(local)) => why_from(error, local),
        // It is not bound to an address that answers leave from.
        _ => error,
    }
}

/// Why nothing can be sent from an address. Systems do not tell one that was taken from this machine from a plug that is
/// out; older kernels call either invalid.
fn why_from(error: io::Error, mut local: SocketAddr) -> io::Error {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, InvalidInput, NetworkUnreachable};
    if !matches!(error.kind(), HostUnreachable | InvalidInput | NetworkUnreachable) {
        return error;
    }
    local.set_port(0);
    match std::net::UdpSocket::bind(local) {
        Err(gone) if gone.kind() == AddrNotAvailable => {
            because(gone, format_args!("{} is not an address of this machine", local.ip()))
        }
        _ => error,
    }
}

/// Unlike for tcp, an address in use must not be reusable: the second to bind it would get all that arrives.
fn listen(at: SocketAddr, options: &LinkOptions) -> io::Result<UdpSocket> {
    let socket = new_socket(at, options)?;
    if at.is_ipv6() && at.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&at.into())?;
    finished(socket)
}

fn connect(to: SocketAddr, options: &LinkOptions) -> io::Result<UdpSocket> {
    let socket = new_socket(to, options)?;
    socket.connect(&reachable(to).into())?;
    finished(socket)
}

fn send_to_group(group: &Group, target: &Target, options: &LinkOptions) -> io::Result<UdpSocket> {
    let mut to = SocketAddr::new(group.address, target.place.port);
    let socket = new_socket(to, options)?;
    match &mut to {
        SocketAddr::V4(_) => {
            socket.set_multicast_if_v4(&group.interface_v4(options)?)?;
            socket.set_multicast_ttl_v4(options.multicast_hops.into())?;
            socket.set_multicast_loop_v4(options.multicast_loop)?;
        }
        SocketAddr::V6(to) => {
            let index = group.interface_v6(options)?;
            to.set_scope_id(index);
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_hops_v6(options.multicast_hops.into())?;
            socket.set_multicast_loop_v6(options.multicast_loop)?;
        }
    }
    socket.connect(&to.into())?;
    finished(socket)
}

fn join_group(group: &Group, target: &Target, options: &LinkOptions) -> io::Result<UdpSocket> {
    let at = SocketAddr::new(group.address, target.place.port);
    let socket = new_socket(at, options)?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    socket.set_reuse_port(true)?;
    match group.address {
        IpAddr::V4(address) => {
            socket.bind(&receiving(at, 0))?;
            socket.join_multicast_v4(&address, &group.interface_v4(options)?)?;
        }
        IpAddr::V6(address) => {
            let index = group.interface_v6(options)?;
            socket.set_only_v6(true)?;
            socket.bind(&receiving(at, index))?;
            socket.join_multicast_v6(&address, index)?;
        }
    }
    finished(socket)
}

/// Bound to the group itself, a socket gets nothing of the other groups that somebody on this machine joined with the
/// same port. Windows does not allow it.
fn receiving(group: SocketAddr, scope: u32) -> SockAddr {
    let any = match group {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut at = if cfg!(windows) { SocketAddr::new(any, group.port()) } else { group };
    if let SocketAddr::V6(at) = &mut at {
        at.set_scope_id(scope);
    }
    at.into()
}
