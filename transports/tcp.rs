//! `tcp://`: IPv4 and IPv6.
//!
//! Sockets are made non-blocking by tokio and set up through `socket2`. What libzmq does by default is done
//! here too (zmq_tcp(7), tcp(7), ip(7), ipv6(7)): no delay, addresses of listeners reused, one listener for
//! both families. Names are looked up at each attempt, off the thread, and all their addresses are tried.
//! Invariant: endpoints of listeners and links are numeric, and an IPv4 peer of an IPv6 listener is shown as
//! the IPv4 address it is.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::{
    BoxFuture, Endpoint, EndpointError, Incoming, KeepAlive, Link, LinkOptions, Listener, Purpose, Transport,
    Wire,
};

mod address;
#[cfg(unix)]
mod interface;

use address::{Address, Host, Place, Zone};

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
            let listener = bind(address?.target, &options).await?;
            let endpoint = endpoint_of(listener.local_addr()?)?;
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
            let incoming = async move {
                set_up(&SockRef::from(&stream), peer.is_ipv6(), &options)?;
                link(stream, peer)
            };
            Ok(Box::pin(incoming) as Incoming)
        })
    }
}

fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

// ── Binding ─────────────────────────────────────────────────────────────────────────────────────

async fn bind(place: Place, options: &LinkOptions) -> io::Result<TcpListener> {
    let port = place.port;
    if place.host == Host::Any {
        return listen_to_all(port, options);
    }
    let addresses = match local_addresses(&place, options)? {
        Some(addresses) => addresses.into_iter().take(1).collect(),
        None => look_up(&place, options).await?,
    };
    first(addresses, |address| std::future::ready(listen(address, options))).await
}

fn listen_to_all(port: u16, options: &LinkOptions) -> io::Result<TcpListener> {
    if options.ipv6 {
        match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), options) {
            // Whatever else is wrong may be that the system has no IPv6, for which there are several errors.
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {}
            done => return done,
        }
    }
    listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), options)
}

fn listen(at: SocketAddr, options: &LinkOptions) -> io::Result<TcpListener> {
    let attempt = || {
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
    };
    attempt().map_err(|error| because(&error, format_args!("cannot listen at {at}")))
}

// ── Connecting ──────────────────────────────────────────────────────────────────────────────────

async fn connect(address: Address, options: &LinkOptions) -> io::Result<Link> {
    let deadline = options.connect_timeout.and_then(|limit| Instant::now().checked_add(limit));
    let targets = match literal(&address.target, options)? {
        Some(target) => vec![target],
        None => within(deadline, 1, look_up(&address.target, options)).await?,
    };
    let sources = match &address.source {
        Some(source) => Some(sources(source, options)?),
        None => None,
    };
    let mut left = targets.len();
    first(targets, |target| {
        let sources = sources.as_deref();
        // What is left of the time is shared by the addresses that are left.
        let parts = left;
        left -= 1;
        async move {
            let attempt = within(deadline, parts, connect_to(target, sources, options));
            attempt.await.map_err(|error| because(&error, format_args!("cannot connect to {target}")))
        }
    })
    .await
}

/// Waits for `work` no longer than one of `parts` equal parts of the time that is left.
async fn within<T>(
    deadline: Option<Instant>,
    parts: usize,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let Some(deadline) = deadline else { return work.await };
    let left = deadline.saturating_duration_since(Instant::now());
    let share = left / u32::try_from(parts).unwrap_or(u32::MAX).max(1);
    timeout(share, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
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
        socket.bind(*source).map_err(|error| because(&error, format_args!("source {source}")))?;
    }
    let stream = socket.connect(reachable(target)).await?;
    let peer = stream.peer_addr()?;
    if stream.local_addr()? == peer {
        // Both ends got the same port by chance, with nobody listening: TCP's simultaneous open with itself.
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there"));
    }
    link(stream, peer)
}

/// A listener on all addresses reports the unspecified one. Linux takes that for this machine; say so elsewhere.
fn reachable(target: SocketAddr) -> SocketAddr {
    let loopback = match target.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => return target,
    };
    SocketAddr::new(loopback, target.port())
}

fn sources(source: &Place, options: &LinkOptions) -> io::Result<Vec<SocketAddr>> {
    if source.host == Host::Any {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        return Ok(any.map(|ip| SocketAddr::new(ip, source.port)).into());
    }
    local_addresses(source, options)?.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("source {}: no such interface", Shown(source)))
    })
}

// ── Addresses ───────────────────────────────────────────────────────────────────────────────────

/// Literal addresses and those of interfaces, which need no look-up. `None` for other names.
fn local_addresses(place: &Place, options: &LinkOptions) -> io::Result<Option<Vec<SocketAddr>>> {
    if let Some(address) = literal(place, options)? {
        return Ok(Some(vec![address]));
    }
    #[cfg(unix)]
    if let Host::Name(name) = &place.host
        && let Some(mut addresses) = interface::addresses(name, place.port)?
    {
        addresses.retain(|address| options.ipv6 || address.is_ipv4());
        if addresses.is_empty() {
            let text = format!("interface {name} has no address");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
        }
        return Ok(Some(addresses));
    }
    Ok(None)
}

fn literal(place: &Place, options: &LinkOptions) -> io::Result<Option<SocketAddr>> {
    match &place.host {
        Host::Ip(IpAddr::V4(ip), _) => Ok(Some(SocketAddr::from((*ip, place.port)))),
        Host::Ip(IpAddr::V6(ip), _) if !options.ipv6 => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{ip}: IPv6 is switched off by an option"),
        )),
        Host::Ip(IpAddr::V6(ip), zone) => {
            let scope = match zone {
                None => 0,
                Some(Zone::Index(index)) => *index,
                Some(Zone::Name(name)) => interface_index(name)?,
            };
            Ok(Some(SocketAddrV6::new(*ip, place.port, 0, scope).into()))
        }
        Host::Any | Host::Name(_) => Ok(None),
    }
}

#[cfg(unix)]
fn interface_index(name: &str) -> io::Result<u32> {
    interface::index(name)
}

#[cfg(not(unix))]
fn interface_index(name: &str) -> io::Result<u32> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("zone {name}: write the number of the interface")))
}

async fn look_up(place: &Place, options: &LinkOptions) -> io::Result<Vec<SocketAddr>> {
    let Host::Name(name) = &place.host else { return Ok(Vec::new()) };
    // The resolver's errors have no kind of their own, and mean this in nearly all cases.
    let not_found = |why: &dyn fmt::Display| {
        io::Error::new(io::ErrorKind::NotFound, format!("name {name} not found: {why}"))
    };
    let found = lookup_host((name.as_str(), place.port)).await.map_err(|error| not_found(&error))?;
    let addresses: Vec<_> = found.filter(|address| options.ipv6 || address.is_ipv4()).collect();
    if addresses.is_empty() {
        return Err(not_found(&"it has no address of a version in use"));
    }
    Ok(addresses)
}

/// Tries one address after the other. If all fail, the first one's error is returned: it is the address the
/// system prefers.
async fn first<T, F>(addresses: Vec<SocketAddr>, mut attempt: impl FnMut(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut failed = None;
    for address in addresses {
        match attempt(address).await {
            Ok(done) => return Ok(done),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

// ── Sockets ─────────────────────────────────────────────────────────────────────────────────────

fn new_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

fn link(stream: TcpStream, peer: SocketAddr) -> io::Result<Link> {
    let local = endpoint_of(stream.local_addr()?)?;
    Ok(Link::new(Wire::Stream(Box::new(stream)), local, endpoint_of(peer)?))
}

fn endpoint_of(address: SocketAddr) -> io::Result<Endpoint> {
    let address = match address.ip().to_canonical() {
        // Of a peer on a listener for both families.
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    };
    Ok(Endpoint::new(SCHEME, address.to_string())?)
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

/// The same kind of error, with what it was about in front.
fn because(error: &io::Error, what: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// A place as in an endpoint.
struct Shown<'a>(&'a Place);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port;
        match &self.0.host {
            Host::Any => write!(f, "*:{port}"),
            Host::Ip(ip, _) => write!(f, "{}", SocketAddr::new(*ip, port)),
            Host::Name(name) => write!(f, "{name}:{port}"),
        }
    }
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

    #[test]
    fn the_time_left_is_shared() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let deadline = Some(start + Duration::from_secs(6));
            let never = std::future::pending::<io::Result<()>>;
            for (parts, passed) in [(3, 2), (2, 4), (1, 6), (1, 6)] {
                let error = within(deadline, parts, never()).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert_eq!(start.elapsed().as_secs(), passed);
            }
        });
    }
}
