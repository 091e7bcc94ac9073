//! `tcp://`: IPv4 and IPv6.
//!
//! Sockets are made non-blocking by tokio and set up through `socket2`. What libzmq does by default is done
//! here too (zmq_tcp(7), tcp(7), ip(7), ipv6(7)): no delay, addresses of listeners reused, one listener for
//! both families.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::address::{self, Address, Host, Place};
use crate::resolve::{because, endpoint_of, local_addresses, reachable};
use crate::{
    BoxFuture, Endpoint, EndpointError, Incoming, KeepAlive, Link, LinkOptions, Listener, Purpose, Transport,
    Wire, eager, resolve,
};

const SCHEME: &str = "tcp";

/// The `tcp://` transport.
///
/// * Bind: `tcp://host:port`, where the host is `*` (all addresses of this machine), an interface (unix), an
///   address or a name, and the port a number, or `*` or 0 for any free one. IPv6 addresses may stand in
///   brackets, and carry a `%zone`. An interface means its IPv4 address, or its IPv6 address if it has only
///   that; write the address to choose.
/// * Connect: `tcp://host:port`, or `tcp://source:port;host:port` to say from where: `*`, an interface, or an
///   address.
///
/// Needs a tokio runtime with I/O and timers.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// use zocket_transport::{LinkOptions, Transport, tcp::Tcp};
///
/// let (tcp, options) = (Tcp::new(), LinkOptions::default());
/// let mut listener = tcp.bind(&"tcp://127.0.0.1:*".parse()?, &options).await?;
/// let link = tcp.connect(listener.endpoint(), &options).await?;
/// let accepted = listener.accept().await?.await?;
/// assert_eq!(accepted.peer, link.local);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Tcp;

impl Tcp {
    /// The transport; it has no state.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Transport for Tcp {
    fn schemes(&self) -> &'static [&'static str] {
        &[SCHEME]
    }

    fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
        address::parse(endpoint, purpose).map(drop)
    }

    fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        let (address, options) = (address::parse(to, Purpose::Connect), options.clone());
        Box::pin(async move { connect(address?, &options).await })
    }

    fn bind(
        &self,
        at: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (address, options) = (address::parse(at, Purpose::Bind), options.clone());
        Box::pin(async move {
            let listener = resolve::bind(&address?.target, &options, |at| listen(at, &options)).await?;
            let endpoint = endpoint_of(SCHEME, listener.local_addr()?)?;
            Ok(Box::new(Bound { listener, endpoint, options }) as Box<dyn Listener>)
        })
    }
}

#[derive(Debug)]
struct Bound {
    listener: TcpListener,
    endpoint: Endpoint,
    options: LinkOptions,
}

impl Listener for Bound {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let (stream, peer) = loop {
                match self.listener.accept().await {
                    // That peer left before its turn; accept(2). The next one may be there.
                    Err(error) if is_of_one_peer(&error) => {}
                    other => break other?,
                }
            };
            let options = self.options.clone();
            let incoming = Incoming::new(async move {
                set_up(&SockRef::from(&stream), peer.is_ipv6(), &options)?;
                link(stream, peer, &options)
            });
            Ok(incoming.with_peer(endpoint_of(SCHEME, peer)?))
        })
    }
}

fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

// ── Binding ─────────────────────────────────────────────────────────────────────────────────────

fn listen(at: SocketAddr, options: &LinkOptions) -> io::Result<TcpListener> {
    let socket = new_socket(at)?;
    // On Windows the option would let two listeners share an address.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    let raw = SockRef::from(&socket);
    if at.is_ipv6() && at.ip().is_unspecified() {
        raw.set_only_v6(false)?;
    }
    // The window scale is settled while a peer is accepted, so buffers are set before.
    options.set_buffers(&raw)?;
    socket.bind(at)?;
    socket.listen(options.listen_backlog())
}

// ── Connecting ──────────────────────────────────────────────────────────────────────────────────

async fn connect(address: Address, options: &LinkOptions) -> io::Result<Link> {
    let sources = match &address.source {
        Some(source) => Some(sources(source, options)?),
        None => None,
    };
    resolve::connect(&address.target, options, 0, |target| connect_to(target, sources.as_deref(), options))
        .await
}

async fn connect_to(
    target: SocketAddr,
    sources: Option<&[SocketAddr]>,
    options: &LinkOptions,
) -> io::Result<Link> {
    let socket = new_socket(target)?;
    set_up(&SockRef::from(&socket), target.is_ipv6(), options)?;
    options.set_buffers(&SockRef::from(&socket))?;
    if let Some(sources) = sources {
        let Some(source) = sources.iter().find(|source| source.is_ipv4() == target.is_ipv4()) else {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the source is of the other IP version",
            ));
        };
        // A given port is wanted again at once when the link is replaced.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(*source).map_err(|error| because(error, format_args!("source {source}")))?;
    }
    let stream = socket.connect(reachable(target)).await?;
    let peer = stream.peer_addr()?;
    if stream.local_addr()? == peer {
        // Both ends got the same port by chance, with nobody listening: TCP's simultaneous open with itself.
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there"));
    }
    link(stream, peer, options)
}

fn sources(source: &Place, options: &LinkOptions) -> io::Result<Vec<SocketAddr>> {
    if source.host == Host::Any {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        return Ok(any.map(|ip| SocketAddr::new(ip, source.port)).into());
    }
    local_addresses(source, options)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("source {source}: no such interface")))
}

// ── Sockets ─────────────────────────────────────────────────────────────────────────────────────

fn new_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

fn link(stream: TcpStream, peer: SocketAddr, options: &LinkOptions) -> io::Result<Link> {
    let local = endpoint_of(SCHEME, stream.local_addr()?)?;
    let wire = Wire::Stream(eager::wire(stream, options));
    Ok(Link::new(wire, local, endpoint_of(SCHEME, peer)?).waking_unlocked())
}

/// What both ends of a link get, accepted or connecting.
fn set_up(socket: &SockRef<'_>, is_ipv6: bool, options: &LinkOptions) -> io::Result<()> {
    // Messages leave in batches already; the kernel's own waiting for more would only add delay.
    socket.set_tcp_nodelay(true)?;
    set_keep_alive(socket, options.keep_alive)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        if let Some(limit) = options.user_timeout {
            // The system call takes a C int of milliseconds, of which 0 means no limit of ours.
            let limit = limit.clamp(Duration::from_millis(1), Duration::from_millis((u32::MAX >> 1).into()));
            socket.set_tcp_user_timeout(Some(limit))?;
        }
        if let Some(bytes) = options.unsent_low_water {
            // The system call takes a C int.
            socket.set_tcp_notsent_lowat(bytes.min(u32::MAX >> 1))?;
        }
    }
    if let Some(service) = options.type_of_service {
        set_type_of_service(socket, is_ipv6, service.into())?;
    }
    Ok(())
}

fn set_keep_alive(socket: &SockRef<'_>, keep_alive: KeepAlive) -> io::Result<()> {
    let (idle, interval, count) = match keep_alive {
        KeepAlive::System => return Ok(()),
        KeepAlive::Off => return socket.set_keepalive(false),
        KeepAlive::On { idle, interval, count } => (idle, interval, count),
    };
    // Linux refuses what is outside, and 0 is what less than a second is cut to.
    let seconds = |time: Duration| time.clamp(Duration::from_secs(1), Duration::from_secs(32_767));
    let mut probes = TcpKeepalive::new();
    if let Some(idle) = idle {
        probes = probes.with_time(seconds(idle));
    }
    if let Some(interval) = interval {
        probes = probes.with_interval(seconds(interval));
    }
    if let Some(count) = count {
        probes = probes.with_retries(count.clamp(1, 127));
    }
    socket.set_tcp_keepalive(&probes)
}

fn set_type_of_service(socket: &SockRef<'_>, is_ipv6: bool, service: u32) -> io::Result<()> {
    if !is_ipv6 {
        return socket.set_tos_v4(service);
    }
    // An IPv6 socket may have an IPv4 peer, whose packets heed the other option. Not every system allows to
    // set it there.
    drop(socket.set_tos_v4(service));
    #[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux", target_os = "macos"))]
    socket.set_tclass_v6(service)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_up_alone(options: &LinkOptions) -> TcpSocket {
        let socket = TcpSocket::new_v4().unwrap();
        set_up(&SockRef::from(&socket), false, options).unwrap();
        options.set_buffers(&SockRef::from(&socket)).unwrap();
        socket
    }

    #[test]
    fn by_default_there_is_no_delay_and_silent_peers_are_probed() {
        let socket = set_up_alone(&LinkOptions::default());
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn options_reach_the_socket() {
        let options = LinkOptions {
            send_buffer: Some(10_000),
            receive_buffer: Some(20_000),
            keep_alive: KeepAlive::On {
                idle: Some(Duration::from_secs(7)),
                interval: Some(Duration::from_secs(3)),
                count: Some(5),
            },
            user_timeout: Some(Duration::from_secs(9)),
            type_of_service: Some(0x48),
            unsent_low_water: Some(4096),
            ..LinkOptions::default()
        };
        let socket = set_up_alone(&options);
        let socket = SockRef::from(&socket);
        // Linux counts its own overhead in.
        assert_eq!(socket.send_buffer_size().unwrap(), 20_000);
        assert_eq!(socket.recv_buffer_size().unwrap(), 40_000);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(3));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 5);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(9)));
        assert_eq!(socket.tos_v4().unwrap(), 0x48);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 4096);
    }

    #[test]
    fn no_value_is_refused() {
        for (time, count, size) in [(Duration::ZERO, 0, 0), (Duration::MAX, u32::MAX, usize::MAX)] {
            let options = LinkOptions {
                send_buffer: Some(size),
                receive_buffer: Some(size),
                keep_alive: KeepAlive::On { idle: Some(time), interval: Some(time), count: Some(count) },
                user_timeout: Some(time),
                unsent_low_water: Some(count),
                backlog: count,
                ..LinkOptions::default()
            };
            let socket = set_up_alone(&options);
            assert!(SockRef::from(&socket).keepalive().unwrap());
            assert!((1..=65_535).contains(&options.listen_backlog()));
        }
    }

    #[test]
    fn probes_can_be_switched_off_or_left_alone() {
        for keep_alive in [KeepAlive::Off, KeepAlive::System] {
            let socket = set_up_alone(&LinkOptions { keep_alive, ..LinkOptions::default() });
            assert!(!SockRef::from(&socket).keepalive().unwrap());
        }
    }
}
