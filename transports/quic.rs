//! `quic://`: one ordered stream for each peer, encrypted, over UDP (RFC 9000, RFC 9001).
//!
//! Both sides speak the protocol `zmtp-q1` (ALPN): whoever connects opens one bidirectional stream, whose first byte
//! is 0, the number of its lane, and what follows is the bytes of the link. A stream exists for the peer only once
//! something was sent on it, so the byte is what lets either side speak first. More lanes are more such streams, each
//! with its number, opened by the same side ([`Streams`](crate::Streams)). A side ends by finishing its half, and closes the connection with an application code: 0, or a [`CloseReason`](crate::CloseReason).
//!
//! A bound address is one UDP socket, shared by its links; all outgoing links of a runtime share another, one for each
//! version of IP. Invariant: the socket of an address lives as long as its listener or any of its links; an address
//! that is bound again meanwhile gets the same one back.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quinn::{ClientConfig, Connection, Endpoint as Socket, EndpointConfig, ServerConfig, TokioRuntime};
use rustls::pki_types::CertificateDer;
use tokio::runtime;

use crate::address::{self, Host, Place};
use crate::resolve::{self, endpoint_of, reachable};
use crate::{
    BoxFuture, Closer, Endpoint, EndpointError, Link, LinkOptions, Listener, Medium, PeerProof, Purpose,
    Transport, Wire,
};

mod identity;
mod lanes;
mod listen;
mod oneways;
mod packets;
mod reset;
mod stream;
mod tls;
mod trust;
mod tune;

pub use identity::{CredentialError, Identity};
pub use trust::Trust;

use lanes::{MAIN_LANE, QuicLanes};
use listen::Known;
use oneways::QuicOneways;
use packets::QuicPackets;
use stream::QuicStream;
use tls::Verdict;

const SCHEME: &str = "quic";

/// The `quic://` transport: whom it is, and whom it trusts.
///
/// * Bind: `quic://host:port`, as for tcp: the host is `*`, an interface (unix), an address or a name, the port a
///   number, or `*` or 0 for any free one. Needs an [`Identity`].
/// * Connect: `quic://host:port`. Needs a [`Trust`]. If that is in authorities, the certificate must be for the host as
///   it is written here.
///
/// A context has one such value, made by [`server`](Self::server) or [`client`](Self::client); what it was not told is
/// an error of `bind` or `connect`. Clones are the same transport.
///
/// The peer's key is proven to either side, where it shows one: [`PeerProof::Key`]. A peer that is not trusted is
/// refused with a [`TrustError`](crate::TrustError), on both sides. UDP does not tell that nobody listens at an address:
/// connecting there ends with [`connect_timeout`](LinkOptions::connect_timeout).
///
/// The peer may change its address under way (its router forgot it, or it moved to another network): links go on, their
/// `peer` stays what it was at first, and their [`tracker`](Link::tracker) says where it is now. A process that ends
/// without closing its links is missed by its silence; or at the next packet, if it is back by then, at its address and
/// with its identity.
///
/// Needs a tokio runtime with I/O and timers.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket_transport::quic::{Identity, Quic, Trust};
/// use zocket_transport::{LinkOptions, Transport};
///
/// let identity = Identity::generate()?;
/// let client = Quic::client(Trust::keys([identity.fingerprint()]));
/// let server = Quic::server(identity);
///
/// let options = LinkOptions::default();
/// let mut listener = server.bind(&"quic://127.0.0.1:*".parse()?, &options).await?;
/// let connecting = client.connect(listener.endpoint(), &options);
/// let accepting = async { listener.accept().await?.await };
/// let (link, accepted) = tokio::try_join!(connecting, accepting)?;
/// assert_eq!(accepted.peer, link.local);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Quic {
    identity: Option<Identity>,
    servers: Option<Trust>,
    clients: Option<Trust>,
    sockets: Arc<Sockets>,
}

/// The UDP sockets of a transport that are in use.
#[derive(Debug, Default)]
struct Sockets {
    /// For connecting: by runtime, since each serves its own, and whether it is of IPv4.
    outgoing: Mutex<HashMap<(runtime::Id, bool), Weak<Socket>>>,
    /// By address.
    bound: Mutex<HashMap<SocketAddr, Known>>,
}

impl Quic {
    /// For those who bind, as `identity`. Anybody may connect, unless [`admit`](Self::admit) says who.
    #[must_use]
    pub fn server(identity: Identity) -> Self {
        Self { identity: Some(identity), servers: None, clients: None, sockets: Arc::default() }
    }

    /// For those who connect, to whom they trust.
    #[must_use]
    pub fn client(trust: Trust) -> Self {
        Self { identity: None, servers: Some(trust), clients: None, sockets: Arc::default() }
    }

    /// Who we are, to those who ask, and to be able to bind.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Whom we connect to.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.servers = Some(trust);
        self
    }

    /// Whom our listeners let in: each peer has to prove who it is.
    ///
    /// Clients are not asked for a name: trust in authorities lets in everybody whom they have certified for clients,
    /// and that in [`Trust::system_roots`] whoever in the world has got such a certificate. Have an authority of
    /// your own with [`Trust::roots`], or pin keys.
    #[must_use]
    pub fn admit(mut self, trust: Trust) -> Self {
        self.clients = Some(trust);
        self
    }

    /// Moves the outgoing links of this runtime to new UDP ports, for when this machine has changed networks. Nothing is
    /// lost: the peers find us by the next packet.
    ///
    /// # Errors
    ///
    /// The system has no port or descriptor left, or this is no runtime. Links that were not moved are as before.
    pub fn rebind(&self) -> io::Result<()> {
        let here = runtime::Handle::try_current().map_err(io::Error::other)?.id();
        for ((runtime, ipv4), socket) in &*lock(&self.sockets.outgoing) {
            if let Some(socket) = socket.upgrade().filter(|_| *runtime == here) {
                socket.rebind(udp_socket(any(*ipv4))?)?;
            }
        }
        Ok(())
    }
}

impl Transport for Quic {
    fn schemes(&self) -> &'static [&'static str] {
        &[SCHEME]
    }

    fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
        place(endpoint, purpose)?;
        match purpose {
            Purpose::Bind if self.identity.is_none() => {
                Err(EndpointError::not_set_up(endpoint, "binding needs an identity: see `Quic::identity`"))
            }
            Purpose::Connect if self.servers.is_none() => {
                Err(EndpointError::not_set_up(endpoint, "nobody is trusted to connect to: see `Quic::trust`"))
            }
            Purpose::Bind | Purpose::Connect => Ok(()),
        }
    }

    fn medium(&self, _: &Endpoint) -> Medium {
        Medium::Streams
    }

    fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        let (quic, options) = (self.clone(), options.clone());
        let place = self.check(to, Purpose::Connect).and_then(|()| place(to, Purpose::Connect));
        Box::pin(async move {
            let place = place?;
            let attempt =
                |target| quic.clone().connect_to(reachable(target), name(&place.host), options.clone());
            resolve::race(&place, &options, attempt).await
        })
    }

    fn bind(
        &self,
        at: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (quic, options) = (self.clone(), options.clone());
        let place = self.check(at, Purpose::Bind).and_then(|()| place(at, Purpose::Bind));
        Box::pin(async move { listen::bind(&quic, &place?, &options).await })
    }
}

impl Quic {
    async fn connect_to(self, target: SocketAddr, name: String, options: LinkOptions) -> io::Result<Link> {
        let Some(trust) = &self.servers else { return Err(io::ErrorKind::InvalidInput.into()) };
        let verdict = Verdict::default();
        let mut config = ClientConfig::new(Arc::new(tls::client(trust, self.identity.as_ref(), &verdict)?));
        config.transport_config(tune::transport(&options, tune::Side::Client));
        let socket = self.sockets.outgoing(target.is_ipv4())?;
        let connecting = socket
            .connect_with(config, target, &name)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connection = connecting.await.map_err(|error| verdict.failed(error))?;
        let halves = lanes::open(&connection, &options.lanes, MAIN_LANE).await?;
        let local = SocketAddr::new(source(target)?, socket.local_addr()?.port());
        link(QuicStream::new(connection, halves, socket), local, &options)
    }
}

impl Sockets {
    fn outgoing(&self, ipv4: bool) -> io::Result<Arc<Socket>> {
        let key = (runtime::Handle::current().id(), ipv4);
        let mut outgoing = lock(&self.outgoing);
        if let Some(socket) = outgoing.get(&key).and_then(Weak::upgrade) {
            return Ok(socket);
        }
        let socket = Arc::new(socket(udp_socket(any(ipv4))?, EndpointConfig::default(), None)?);
        outgoing.retain(|_, socket| socket.strong_count() > 0);
        outgoing.insert(key, Arc::downgrade(&socket));
        Ok(socket)
    }
}

/// A place that fits: all links of a runtime leave from one port, so there is no choosing a source.
fn place(endpoint: &Endpoint, purpose: Purpose) -> Result<Place, EndpointError> {
    let address = address::parse(endpoint, purpose)?;
    match address.source {
        None => Ok(address.target),
        Some(source) => {
            Err(EndpointError::address(endpoint, source.to_string(), "quic takes no source address"))
        }
    }
}

/// What the peer's certificate must be for.
fn name(host: &Host) -> String {
    match host {
        // One dot at the end is of DNS, and not of the name.
        Host::Name(name) => name.strip_suffix('.').unwrap_or(name).into(),
        Host::Ip(ip, _) => ip.to_string(),
        Host::Any => String::new(),
    }
}

const fn any(ipv4: bool) -> SocketAddr {
    let ip = if ipv4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(ip, 0)
}

/// The address that packets to `target` leave from. Nothing is sent to find out.
fn source(target: SocketAddr) -> io::Result<IpAddr> {
    let probe = UdpSocket::bind(any(target.is_ipv4()))?;
    probe.connect(target)?;
    Ok(probe.local_addr()?.ip())
}

fn udp_socket(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(at), socket2::Type::DGRAM, None)?;
    if at.is_ipv6() && at.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // As much as the system allows; it works with less.
    socket.set_recv_buffer_size(tune::SOCKET_BUFFER).ok();
    socket.set_send_buffer_size(tune::SOCKET_BUFFER).ok();
    socket.bind(&at.into())?;
    Ok(socket.into())
}

fn socket(udp: UdpSocket, config: EndpointConfig, server: Option<ServerConfig>) -> io::Result<Socket> {
    udp.set_nonblocking(true)?;
    Socket::new(config, server, udp, Arc::new(TokioRuntime))
}

fn link(stream: QuicStream, local: SocketAddr, options: &LinkOptions) -> io::Result<Link> {
    let connection = stream.connection.clone();
    let streams = QuicLanes::new(connection.clone(), options.lanes.clone());
    let peer = endpoint_of(SCHEME, connection.remote_address())?;
    let proof = proof(&connection);
    let closing = connection.clone();
    let closer = Closer::new(move |why| closing.close(tls::code(why), why.to_string().as_bytes()));
    let local = endpoint_of(SCHEME, local)?;
    let link = Link::new(Wire::Stream(Box::new(stream)), local, peer);
    let mut link = link.with_proof(proof).with_closer(closer).with_streams(streams);
    if options.datagrams {
        link = link.with_packets(QuicPackets::new(connection.clone()));
    }
    Ok(if options.oneways { link.with_oneways(QuicOneways::new(connection, options)) } else { link })
}

fn proof(connection: &Connection) -> Option<PeerProof> {
    let shown: Box<dyn Any> = connection.peer_identity()?;
    let chain = shown.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    Some(PeerProof::Key { fingerprint: identity::fingerprint(chain.first()?)? })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_for_the_host_without_what_only_look_ups_need() {
        for (address, expected) in [
            ("example.com:1", "example.com"),
            ("example.com.:1", "example.com"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:1", "::1"),
            ("[fe80::1%eth0]:1", "fe80::1"),
        ] {
            let endpoint = Endpoint::new(SCHEME, address).unwrap();
            assert_eq!(name(&place(&endpoint, Purpose::Connect).unwrap().host), expected);
        }
    }
}
