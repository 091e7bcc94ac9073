//! A bound address: its UDP socket, its listener, and what becomes of it when the listener goes before its links.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use quinn::{Connection, Endpoint as Socket, ServerConfig};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::identity::Identity;
use super::stream::QuicStream;
use super::tls::{self, Verdict};
use super::trust::Trust;
use super::{MAIN_LANE, Quic, SCHEME, Sockets, lanes, link, lock, reset, socket, tune, udp_socket};
use crate::address::Place;
use crate::resolve::{self, endpoint_of};
use crate::{BoxFuture, CloseReason, Endpoint, Incoming, Link, LinkOptions, Listener, Tracker};

/// How long the port of the last link is waited for. `quinn` holds the socket until what may still arrive of its closed
/// connections has died away, three times their time-out for probes (RFC 9000, section 10.2): over a second for a peer
/// at the other end of a bad line.
const LEAVING: Duration = Duration::from_secs(5);

/// The socket of a bound address, shared by the listener and its links.
#[derive(Debug)]
pub(super) struct Port {
    socket: Socket,
    /// The same, to set it up anew when it fails: whoever closed it and bound it again might find it taken.
    udp: UdpSocket,
    address: SocketAddr,
    /// Turns peers away while there are only links.
    refusing: Mutex<Option<AbortHandle>>,
    /// When the last of them left it.
    left: Arc<OnceLock<Instant>>,
}

/// A port as the transport remembers it: as long as it is in use, or leaving.
#[derive(Debug)]
pub(super) struct Known {
    port: Weak<Port>,
    left: Arc<OnceLock<Instant>>,
}

impl Known {
    fn is_current(&self) -> bool {
        self.left.get().is_none_or(|left| left.elapsed() < LEAVING)
    }

    fn is_leaving(&self) -> bool {
        self.is_current() && self.port.strong_count() == 0
    }
}

impl Port {
    fn open(
        bound: &mut HashMap<SocketAddr, Known>,
        udp: UdpSocket,
        identity: &Identity,
        config: &ServerConfig,
    ) -> io::Result<Arc<Self>> {
        let address = udp.local_addr()?;
        let socket = socket(udp.try_clone()?, reset::config(identity, address), Some(config.clone()))?;
        let left = Arc::default();
        let known = Arc::clone(&left);
        let port = Arc::new(Self { socket, udp, address, refusing: Mutex::default(), left });
        bound.retain(|_, known| known.is_current());
        bound.insert(address, Known { port: Arc::downgrade(&port), left: known });
        Ok(port)
    }

    fn stop_refusing(&self) -> bool {
        lock(&self.refusing).take().map(|task| task.abort()).is_some()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.left.get_or_init(Instant::now);
        self.stop_refusing();
    }
}

pub(super) async fn bind(quic: &Quic, place: &Place, options: &LinkOptions) -> io::Result<Box<dyn Listener>> {
    let Some(identity) = &quic.identity else { return Err(io::ErrorKind::InvalidInput.into()) };
    let (identity, clients) = (identity.clone(), quic.clients.clone());
    let config = server_config(&identity, clients.as_ref(), options)?;
    let deadline = Instant::now() + LEAVING;
    let port = loop {
        match resolve::bind(place, options, |at| quic.sockets.claim(at, &identity, &config)).await? {
            Claimed::Port(port) => break port,
            Claimed::Leaving(at, error) if Instant::now() >= deadline => {
                return Err(resolve::because(error, format_args!("cannot listen at {at}")));
            }
            Claimed::Leaving(..) => sleep(Duration::from_millis(1)).await,
        }
    };
    let endpoint = endpoint_of(SCHEME, port.address)?;
    let (options, unfinished) = (options.clone(), Arc::default());
    let runtime = Handle::current();
    let sockets = Arc::clone(&quic.sockets);
    Ok(Box::new(Bound { port, endpoint, identity, clients, config, options, unfinished, sockets, runtime }))
}

fn server_config(
    identity: &Identity,
    clients: Option<&Trust>,
    options: &LinkOptions,
) -> io::Result<ServerConfig> {
    let crypto = tls::server(identity, clients, &Verdict::default())?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let waiting = options.listen_backlog();
    config
        .transport_config(tune::transport(options, tune::Side::Server))
        .migration(true)
        .max_incoming(usize::try_from(waiting).unwrap_or(usize::MAX))
        .incoming_buffer_size(tune::UNPROVEN_BYTES)
        .incoming_buffer_size_total(tune::UNPROVEN_BYTES * u64::from(waiting));
    Ok(config)
}

enum Claimed {
    Port(Arc<Port>),
    /// It was ours, and will be free in a moment.
    Leaving(SocketAddr, io::Error),
}

impl Sockets {
    /// Makes a socket for an address, or takes the one that only its links still use.
    fn claim(&self, at: SocketAddr, identity: &Identity, config: &ServerConfig) -> io::Result<Claimed> {
        let mut bound = lock(&self.bound);
        if let Some(port) = bound.get(&at).and_then(|known| known.port.upgrade())
            && port.stop_refusing()
        {
            port.socket.set_server_config(Some(config.clone()));
            return Ok(Claimed::Port(port));
        }
        let udp = match udp_socket(at) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && bound.get(&at).is_some_and(Known::is_leaving) =>
            {
                return Ok(Claimed::Leaving(at, error));
            }
            done => done?,
        };
        Port::open(&mut bound, udp, identity, config).map(Claimed::Port)
    }

    /// A port in place of one that has failed. The links of that one have ended.
    fn replace(&self, failed: &Port, identity: &Identity, config: &ServerConfig) -> io::Result<Arc<Port>> {
        Handle::try_current().map_err(io::Error::other)?;
        Port::open(&mut lock(&self.bound), failed.udp.try_clone()?, identity, config)
    }
}

#[derive(Debug)]
struct Bound {
    port: Arc<Port>,
    endpoint: Endpoint,
    identity: Identity,
    clients: Option<Trust>,
    config: ServerConfig,
    options: LinkOptions,
    /// How many handshakes are under way.
    unfinished: Arc<AtomicUsize>,
    sockets: Arc<Sockets>,
    /// Where the socket is driven: the listener may be dropped elsewhere.
    runtime: Handle,
}

impl Listener for Bound {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            loop {
                let Some(incoming) = self.port.socket.accept().await else {
                    // To `quinn` any error of a socket is its end, and it does not say which it was.
                    self.port = self.sockets.replace(&self.port, &self.identity, &self.config)?;
                    self.runtime = Handle::current();
                    return Err(io::Error::other("the UDP socket has failed, and its links with it"));
                };
                let busy = self.unfinished.load(Ordering::Relaxed) >= tune::BUSY;
                if busy && !incoming.remote_address_validated() {
                    // Not refused, for it may be retried: that was just asked.
                    incoming.retry().ok();
                    continue;
                }
                let peer = endpoint_of(SCHEME, incoming.remote_address())?;
                return Ok(Incoming::new(self.upgrade(incoming)?).with_peer(peer));
            }
        })
    }
}

impl Bound {
    /// Finishes a peer's handshake.
    fn upgrade(
        &self,
        incoming: quinn::Incoming,
    ) -> io::Result<impl Future<Output = io::Result<Link>> + Send + 'static> {
        let verdict = Verdict::default();
        let mut config = self.config.clone();
        if self.clients.is_some() {
            // One of its own, to know what was wrong with this peer.
            config.crypto = Arc::new(tls::server(&self.identity, self.clients.as_ref(), &verdict)?);
        }
        let (port, unfinished) = (Arc::clone(&self.port), Counted::new(&self.unfinished));
        let options = self.options.clone();
        Ok(async move {
            let _unfinished = unfinished;
            let connecting = incoming.accept_with(Arc::new(config)).map_err(tls::failed)?;
            let connection = connecting.await.map_err(|error| verdict.failed(error))?;
            first_stream(connection, port, &options).await
        })
    }
}

async fn first_stream(connection: Connection, port: Arc<Port>, options: &LinkOptions) -> io::Result<Link> {
    let mut unborn = Unborn(Some(connection.clone()));
    let (lane, halves) = lanes::accept(&connection, &options.lanes).await?;
    if lane != MAIN_LANE {
        connection.close(tls::code(CloseReason::Protocol), b"");
        let text = format!("the peer's first stream is for lane {lane}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let local =
        SocketAddr::new(connection.local_ip().unwrap_or_else(|| port.address.ip()), port.address.port());
    unborn.0 = None;
    let tracker = track(connection.clone());
    Ok(link(QuicStream::new(connection, halves, port), local, options)?.with_tracker(tracker))
}

/// Follows a peer that connected to us: only those may move (RFC 9000, section 9).
fn track(connection: Connection) -> Tracker {
    let mut last = connection.remote_address();
    Tracker::new(move || {
        let now = connection.remote_address();
        let moved = std::mem::replace(&mut last, now) != now;
        if moved { endpoint_of(SCHEME, now).ok() } else { None }
    })
}

/// A connection that is no link yet. If nobody waits for it any more, the peer is told that it may come again.
struct Unborn(Option<Connection>);

impl Drop for Unborn {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.close(tls::code(CloseReason::TryLater), b"");
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Whoever comes is told at once that nobody listens, while there are links. The last of them ends this.
        let socket = self.port.socket.clone();
        let refusing = self.runtime.spawn(async move {
            while let Some(incoming) = socket.accept().await {
                incoming.refuse();
            }
        });
        *lock(&self.port.refusing) = Some(refusing.abort_handle());
    }
}

/// One of a number.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(number: &Arc<AtomicUsize>) -> Self {
        number.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(number))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use quinn::udp::{RecvMeta, Transmit};
    use quinn::{AsyncUdpSocket, UdpPoller};
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;
    use crate::{Transport, Wire};

    /// A UDP socket whose interface has gone.
    #[derive(Debug)]
    struct Broken;

    impl AsyncUdpSocket for Broken {
        fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
            Box::pin(Self)
        }

        fn try_send(&self, _: &Transmit<'_>) -> io::Result<()> {
            Ok(())
        }

        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            _: &mut [IoSliceMut<'_>],
            _: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::NetworkDown.into()))
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(([127, 0, 0, 1], 0).into())
        }
    }

    impl UdpPoller for Broken {
        fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn soon<T>(work: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(20), work).await.expect("it hangs")
    }

    #[tokio::test]
    async fn a_listener_whose_socket_fails_says_so_and_goes_on_at_its_address() {
        let identity = Identity::generate().unwrap();
        let client = Quic::client(Trust::keys([identity.fingerprint()]));
        let server = Quic::server(identity);
        let options = LinkOptions::default();
        let at = "quic://127.0.0.1:*".parse().unwrap();
        let mut listener = server.bind(&at, &options).await.unwrap();
        let to = listener.endpoint().clone();
        for _ in 0..2 {
            let accepting = async { listener.accept().await?.await };
            let (_ours, theirs) =
                soon(async { tokio::try_join!(client.connect(&to, &options), accepting) }).await.unwrap();
            let port = lock(&server.sockets.bound)[&to.address().parse().unwrap()].port.upgrade().unwrap();
            port.socket.rebind_abstract(Arc::new(Broken)).unwrap();
            drop(port);
            let error = soon(listener.accept()).await.unwrap_err();
            assert!(error.to_string().contains("has failed"), "{error}");
            let Wire::Stream(mut stream) = theirs.wire else { unreachable!("quic links are streams") };
            let end = soon(stream.read_u8()).await.unwrap_err();
            assert_eq!(end.kind(), io::ErrorKind::ConnectionAborted, "{end}");
        }
    }
}
