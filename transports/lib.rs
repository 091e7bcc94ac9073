//! How zocket reaches its peers: endpoints, links, listeners, and one file per scheme.
//!
//! A [`Transport`] turns an [`Endpoint`] into [`Link`]s, a connecting one at a time or a [`Listener`] for those
//! who connect to us. It knows nothing of messages, handshakes or sockets; those are the business of its
//! caller, who also retries, backs off and keeps time for handshakes. [`inproc`] is no transport: peers in one
//! process share queues, and only need to find each other by name.
//!
//! | feature | scheme | what |
//! |---|---|---|
//! | `tcp` (default) | `tcp://` | `tcp::Tcp`: IPv4 and IPv6 |
//! | `ipc` (default, unix) | `ipc://` | `ipc::Ipc`: Unix-domain sockets |
//! | `udp` (default) | `udp://` | `udp::Udp`: datagrams, unicast and multicast |
//! | `quic` | `quic://` | `quic::Quic`: encrypted, over UDP; brings `ring`, which is C and assembly |
//! | `contract` | | `contract`: the tests every transport passes |
//!
//! # The contract
//!
//! Every method is called from the control plane, seldom, so boxed futures cost nothing that matters. Methods
//! that return a future do no I/O before it is polled, and are polled inside a tokio runtime whose I/O and
//! timers are on. Nothing may block a thread for longer than a local file system or the kernel takes to answer.
//!
//! * **Descriptors run out** (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`): [`Listener::accept`] returns the error as
//!   it is, and stays usable. The caller waits before it asks again, for asking at once would spin.
//! * **One peer's trouble is its own.** An error that concerns one peer (it left before it was accepted, its
//!   upgrade failed) never comes from `accept`, but from its [`Incoming`], or is passed over.
//! * **Dropping gives back.** A dropped future abandons its attempt; a dropped listener closes, and its address
//!   may be bound again; a dropped link closes. Links outlive the listener that accepted them.
//! * **Errors name what was wrong** in their text, and are of the [`io::ErrorKind`] one would expect:
//!   `AddrInUse`, `ConnectionRefused`, `NotFound`, `TimedOut`, `InvalidInput`.

#[cfg(any(feature = "quic", feature = "tcp", feature = "udp"))]
mod address;
#[cfg(feature = "contract")]
pub mod contract;
mod datagrams;
#[cfg(any(feature = "tcp", all(feature = "ipc", unix)))]
mod eager;
mod endpoint;
pub mod inproc;
#[cfg(all(any(feature = "quic", feature = "tcp", feature = "udp"), unix))]
mod interface;
#[cfg(all(feature = "ipc", unix))]
pub mod ipc;
mod lanes;
mod oneways;
mod options;
mod packets;
#[cfg(feature = "quic")]
pub mod quic;
#[cfg(any(feature = "quic", feature = "tcp", feature = "udp"))]
mod resolve;
#[cfg(feature = "tcp")]
pub mod tcp;
mod tracker;
mod trust;
#[cfg(feature = "udp")]
pub mod udp;

use std::fmt::{self, Debug};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

pub use datagrams::{Datagrams, ReceiveBatch, Route, SendBatch};
pub use endpoint::{Endpoint, EndpointError};
pub use lanes::{Lanes, Streams};
pub use oneways::{Oneway, Oneways};
pub use options::{KeepAlive, LinkOptions, Liveness};
pub use packets::Packets;
pub use tracker::Tracker;
pub use trust::{Fingerprint, FingerprintError, TrustError};

/// A future on the heap that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to reach peers. Has no state, or shares it: one value serves every socket of a context.
///
/// # Examples
///
/// A transport that lends another one a second name:
///
/// ```
/// # #[cfg(feature = "tcp")] {
/// use std::io;
/// use zocket_transport::{
///     BoxFuture, Endpoint, EndpointError, Link, LinkOptions, Listener, Purpose, Transport, tcp::Tcp,
/// };
///
/// #[derive(Debug)]
/// struct Lab(Tcp);
///
/// /// `lab://7` is port 5007 of this machine.
/// fn real(endpoint: &Endpoint) -> Result<Endpoint, EndpointError> {
///     let number = endpoint.address();
///     match number.parse::<u16>() {
///         Ok(number @ 0..=99) => Endpoint::new("tcp", format!("127.0.0.1:{}", 5000 + number)),
///         _ => Err(EndpointError::address(endpoint, number, "not a number below 100")),
///     }
/// }
///
/// impl Transport for Lab {
///     fn schemes(&self) -> &'static [&'static str] {
///         &["lab"]
///     }
///     fn check(&self, endpoint: &Endpoint, _: Purpose) -> Result<(), EndpointError> {
///         real(endpoint).map(drop)
///     }
///     fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
///         match real(to) {
///             Ok(to) => self.0.connect(&to, options),
///             Err(error) => Box::pin(async { Err(error.into()) }),
///         }
///     }
///     fn bind(&self, at: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
///         match real(at) {
///             Ok(at) => self.0.bind(&at, options),
///             Err(error) => Box::pin(async { Err(error.into()) }),
///         }
///     }
/// }
///
/// let lab = Lab(Tcp::new());
/// assert!(lab.check(&"lab://7".parse()?, Purpose::Connect).is_ok());
/// assert!(lab.check(&"lab://700".parse()?, Purpose::Connect).is_err());
/// # }
/// # Ok::<(), zocket_transport::EndpointError>(())
/// ```
pub trait Transport: Debug + Send + Sync + 'static {
    /// The schemes served, without `://`, in lower case. Called once, when the transport is registered, which
    /// fails if another one serves a scheme of these already. Always the same answer.
    fn schemes(&self) -> &'static [&'static str];

    /// Says whether an address is in order, before anything is created for it.
    ///
    /// Called by `bind` and `connect` of a socket, from any thread, with endpoints of the served schemes. Must
    /// not do I/O: no names are looked up and no files touched. What passes may still fail later.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Address`], which names the part that is wrong and why.
    fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError>;

    /// What the links of an endpoint that passed [`check`](Self::check) carry. Always the same answer, without I/O;
    /// ordered bytes, unless a transport says otherwise.
    fn medium(&self, endpoint: &Endpoint) -> Medium {
        let _ = endpoint;
        Medium::Stream
    }

    /// Opens one link to an address that passed [`check`](Self::check).
    ///
    /// Called for each attempt, from a connection's task; names are looked up anew each time. Must make one
    /// attempt and not wait for a peer to appear: retrying is the caller's.
    ///
    /// # Errors
    ///
    /// Nobody is there (`ConnectionRefused`, `NotFound`), or
    /// [`connect_timeout`](LinkOptions::connect_timeout) has passed (`TimedOut`), or what the system says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt and closes what was opened.
    fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>>;

    /// As [`connect`](Self::connect), after so many links of this connection on which no peer was met.
    ///
    /// Who cannot tell while connecting whether anybody is there, as with datagrams, turns to the next of a name's
    /// addresses each time. All others need not know. Who wraps another transport passes it on.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// That of [`connect`](Self::connect).
    fn connect_after(
        &self,
        failed: usize,
        to: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Link>> {
        let _ = failed;
        self.connect(to, options)
    }

    /// Reserves an address that passed [`check`](Self::check) and listens there.
    ///
    /// Called from a task of the runtime that will poll the listener. When the future resolves, peers can
    /// connect. Must not take the address from another listener.
    ///
    /// # Errors
    ///
    /// Somebody else listens there (`AddrInUse`), or what the system says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future frees the address.
    fn bind(&self, at: &Endpoint, options: &LinkOptions)
    -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}

/// What an endpoint is about to be used for: some address forms fit only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a third use of an address would concern every transport")]
pub enum Purpose {
    /// To listen there: wildcards and interface names are allowed.
    Bind,
    /// To reach a peer there.
    Connect,
}

/// What links carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Medium {
    /// Ordered bytes between two peers: [`Wire::Stream`].
    Stream,
    /// The same, on as many lanes as both peers want: [`Link::streams`].
    Streams,
    /// Datagrams between peers, each of whom knows the other's address: [`Wire::Datagrams`].
    Datagrams,
    /// Datagrams to whoever listens at a group address: [`Wire::Datagrams`].
    Multicast,
}

/// A bound address. Dropping it closes it and frees the address; its links live on.
pub trait Listener: Debug + Send + 'static {
    /// What was bound, with port 0 and wildcards replaced. A peer on this machine can connect to it. Never
    /// changes; called at any time.
    fn endpoint(&self) -> &Endpoint;

    /// The socket itself, where all peers share it. Asked for once, before anything else; whoever got one accepts
    /// nobody, and frees the address by dropping it. `None`, unless the medium is datagrams.
    fn datagrams(&mut self) -> Option<Box<dyn Datagrams>> {
        None
    }

    /// Waits for the next peer. Called again and again by one task, which spawns each [`Incoming`].
    ///
    /// Must resolve as soon as the kernel has a peer. Anything that waits for that peer (TLS, an HTTP upgrade)
    /// belongs into the `Incoming`, which the peer's own task awaits under the handshake time-out: so one slow
    /// peer never delays the next.
    ///
    /// # Errors
    ///
    /// No descriptor or memory was left for the peer. The listener goes on; back off before the next call.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it resolved, no peer is lost: the next call gets it.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;
}

/// An accepted peer, on its way to a [`Link`], which it resolves to. Dropping it closes the connection.
#[must_use = "a peer that nobody awaits is sent away"]
pub struct Incoming {
    link: BoxFuture<'static, io::Result<Link>>,
    peer: Option<Endpoint>,
}

impl Incoming {
    /// A peer that is a link once `link` resolves.
    pub fn new(link: impl Future<Output = io::Result<Link>> + Send + 'static) -> Self {
        Self { link: Box::pin(link), peer: None }
    }

    /// Adds where the peer is, so that it can be named should it never become a link.
    pub fn with_peer(mut self, peer: Endpoint) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Where the peer is, if that is known already.
    #[must_use]
    pub const fn peer(&self) -> Option<&Endpoint> {
        self.peer.as_ref()
    }
}

impl Future for Incoming {
    type Output = io::Result<Link>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.link.as_mut().poll(cx)
    }
}

impl Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Ordered, reliable bytes both ways. `poll_shutdown` ends our direction alone: the peer reads its end, and we
/// may go on reading. `poll_write` may be called from any thread, one that no runtime has heard of too, where timers
/// cannot be made; and so may `poll_read` where [`Link::wakes_unlocked`] says so.
///
/// Implemented by all types that can be it.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin + ?Sized> Stream for T {}

/// An open connection to one peer. Dropping it closes the connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Link {
    /// What carries the bytes.
    pub wire: Wire,
    /// Our end. Where ends have no names of their own (`ipc`), the endpoint that was bound or connected to.
    pub local: Endpoint,
    /// The peer's end, or as in `local`.
    pub peer: Endpoint,
    /// What is proven about the peer, if anything.
    pub proof: Option<PeerProof>,
    /// For wires whose close is a message to the peer. `poll_shutdown` of such a wire resolves when the peer has
    /// acknowledged every byte, so the link may be dropped right behind it; and an end for a reason of ours goes
    /// through here. When the peer has closed so, writing fails with `BrokenPipe`, and what it said before can still be
    /// read.
    pub closer: Option<Closer>,
    /// For links that can have more than one lane.
    pub streams: Option<Box<dyn Streams>>,
    /// For links that carry packets beside their streams, where [`LinkOptions::datagrams`] asks for them.
    pub packets: Option<Box<dyn Packets>>,
    /// For links that have streams of one direction besides, where [`LinkOptions::oneways`] asks for them.
    pub oneways: Option<Box<dyn Oneways>>,
    /// For links whose peer may move while they last.
    pub tracker: Option<Tracker>,
    /// Whether the wire wakes who reads it with none of its locks held, so that a waker may read by itself. A reply is then
    /// there a task's turn sooner. Sockets of tokio do.
    pub wakes_unlocked: bool,
}

impl Link {
    /// A link about whose peer nothing is proven.
    #[must_use]
    pub const fn new(wire: Wire, local: Endpoint, peer: Endpoint) -> Self {
        Self {
            wire,
            local,
            peer,
            proof: None,
            closer: None,
            streams: None,
            packets: None,
            oneways: None,
            tracker: None,
            wakes_unlocked: false,
        }
    }

    /// Adds what is proven about the peer, or nothing.
    #[must_use]
    pub fn with_proof(mut self, proof: impl Into<Option<PeerProof>>) -> Self {
        self.proof = proof.into();
        self
    }

    /// Adds the way to close it with a reason.
    #[must_use]
    pub fn with_closer(mut self, closer: Closer) -> Self {
        self.closer = Some(closer);
        self
    }

    /// Adds the way to have more lanes.
    #[must_use]
    pub fn with_streams(mut self, streams: impl Streams) -> Self {
        self.streams = Some(Box::new(streams));
        self
    }

    /// Adds packets beside the streams.
    #[must_use]
    pub fn with_packets(mut self, packets: impl Packets) -> Self {
        self.packets = Some(Box::new(packets));
        self
    }

    /// Adds streams of one direction.
    #[must_use]
    pub fn with_oneways(mut self, oneways: impl Oneways) -> Self {
        self.oneways = Some(Box::new(oneways));
        self
    }

    /// Says that the wire wakes who reads it with none of its locks held.
    #[must_use]
    pub const fn waking_unlocked(mut self) -> Self {
        self.wakes_unlocked = true;
        self
    }

    /// Adds the way to follow the peer.
    #[must_use]
    pub fn with_tracker(mut self, tracker: Tracker) -> Self {
        self.tracker = Some(tracker);
        self
    }
}

/// Closes a link at once and tells the peer why. What it has not received is lost.
pub struct Closer(Box<dyn FnOnce(CloseReason) + Send>);

impl Closer {
    /// A closer that calls `close`.
    #[must_use]
    pub fn new(close: impl FnOnce(CloseReason) + Send + 'static) -> Self {
        Self(Box::new(close))
    }

    /// Closes the link.
    pub fn close(self, why: CloseReason) {
        (self.0)(why);
    }
}

impl Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}

/// Why a side closed a link that it could have gone on with. The side that is told gets it within an
/// [`io::Error`] of the kind `ConnectionAborted`, where [`CloseReason::of`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The other side broke the protocol.
    #[error("a rule of the protocol was broken")]
    Protocol,
    /// The socket types do not go together.
    #[error("the socket types do not go together")]
    SocketType,
    /// The other side is not allowed in.
    #[error("no admittance")]
    NotAllowed,
    /// There is no place now.
    #[error("there is no place now")]
    TryLater,
    /// Something failed that is not the other side's fault.
    #[error("an internal fault")]
    Internal,
    /// A message, or part of one, was larger than is taken.
    #[error("a message was too large")]
    TooLarge,
}

impl CloseReason {
    /// The peer's reason within an error of a transport, if it gave one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        trust::inside(error).copied()
    }
}

/// As `ConnectionAborted`.
impl From<CloseReason> for io::Error {
    fn from(reason: CloseReason) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, reason)
    }
}

/// The kinds of connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Wire {
    /// Ordered bytes: `tcp`, `ipc`, `quic`.
    Stream(Box<dyn Stream>),
    /// Datagrams: `udp`.
    Datagrams(Box<dyn Datagrams>),
}

/// Who the peer is, as the operating system or a key vouches for, and not the peer's word alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerProof {
    /// A process on this machine (`SO_PEERCRED`, unix(7)), as it was when it connected or listened.
    Process {
        /// Effective user id.
        user: u32,
        /// Effective group id.
        group: u32,
        /// Process id, where the system tells. It may have been given to another process since.
        process: Option<i32>,
    },
    /// Whoever holds this key, which was proven by a signature over this connection's handshake.
    Key {
        /// The fingerprint of the public key.
        fingerprint: Fingerprint,
    },
}
