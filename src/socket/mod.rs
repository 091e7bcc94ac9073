//! What users hold: [`Socket`], typed by its pattern.

mod adapt;
mod builder;
mod control;
mod core;
mod endpoints;
mod inlets;
mod inproc;
pub(crate) mod kinds;
mod lane;
mod largest;
mod local;
mod locked;
mod outlets;
mod pace;
mod pipes;
mod port;
mod refused;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use zocket_transport::{Endpoint, EndpointError};

pub use self::adapt::{RecvStream, SendSink};
pub use self::builder::SocketBuilder;
use self::core::Core;
pub use self::lane::Lane;
use crate::error::{BindError, ConnectError, DetachError, RecvError, SendError, TryRecvError, TrySendError};
use crate::event::Monitor;
use crate::message::{IntoMessage, Message};
use crate::options::SocketOptions;
use crate::pattern::{Inbound, Outbound};
use crate::pipe::PipeId;
use crate::zmtp::{PeerInfo, SocketKind};

/// The two halves that make a socket type, and what its core must know of it.
pub(crate) trait Composition: fmt::Debug + Sized + Send + Sync + 'static {
    type Outbound: Outbound + fmt::Debug;
    type Inbound: Inbound + fmt::Debug;
    const KIND: SocketKind;
    /// Whether messages arrive at all.
    const RECEIVES: bool = true;
    /// Whether a conversation ends with its connection, so that nothing queued may go to the next one.
    const ONE_SESSION: bool = false;

    fn compose(options: &SocketOptions) -> (Self::Outbound, Self::Inbound);
}

/// A socket type: [`kind::Push`](crate::kind::Push) and its siblings. Sealed.
#[expect(private_bounds, reason = "seals the trait, and keeps patterns out of the public API")]
pub trait Pattern: Composition {}

/// A socket type whose user sends.
pub trait Sends: Pattern {}

/// A socket type whose user receives.
pub trait Receives: Pattern {}

/// A socket of pattern `P`. Use it through its aliases: [`Push`](crate::Push), [`Sub`](crate::Sub) and so on.
///
/// Every method takes `&self`, so a socket is shared by reference or in an [`Arc`], by any number of tasks. Any
/// number of binds and connects, in any order, make it one end of many pipes; each pipe has a queue of its own
/// in each direction, bounded by the high-water marks.
///
/// Dropping a socket closes it: what was sent goes on being delivered in the background for as long as linger
/// allows. [`close`](Self::close) does the same and says how it ended.
///
/// # Runtime
///
/// Connections run as tasks on the tokio runtime that is current when the socket is made; without one, on
/// threads of the socket's [`Context`](crate::Context). Besides, one thread in the process, `zocket-timers`, does nothing
/// but wait for timers that are far away. The futures of a socket may be awaited anywhere.
/// For latency, await them in a spawned task: the future given to `block_on` or `#[tokio::main]` runs on a
/// thread of its own in a multi-threaded runtime, and waking a thread costs more than everything else here.
///
/// # Misuse
///
/// Only what a type can do compiles:
///
/// ```compile_fail,E0599
/// # use zocket::Sub;
/// Sub::new().try_send("a subscriber does not send");
/// ```
/// ```compile_fail,E0599
/// # use zocket::Push;
/// Push::new().try_recv();
/// ```
/// ```compile_fail,E0599
/// # use zocket::Pull;
/// Pull::builder().routing_id("only REQ, DEALER and ROUTER have a name");
/// ```
/// ```compile_fail,E0382
/// # async fn twice(request: zocket::Request) {
/// request.reply("once").await.ok();
/// request.reply("twice").await.ok();
/// # }
/// ```
pub struct Socket<P: Pattern> {
    core: Arc<Core<P>>,
}

impl<P: Pattern> Socket<P> {
    /// A socket with default options in the global context.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a socket takes part in a runtime; nothing about it is default"
    )]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts a socket with options.
    pub fn builder() -> SocketBuilder<P> {
        SocketBuilder::new()
    }

    /// Which of the socket types this is.
    #[must_use]
    pub fn kind(&self) -> SocketKind {
        P::KIND
    }

    /// Accepts peers at an endpoint. Returns it resolved: with the port that was chosen for port 0, the path
    /// that was made for `ipc://*`.
    ///
    /// # Errors
    ///
    /// The endpoint is malformed or its scheme unknown (before anything is done), the address cannot be had,
    /// or the socket is closed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the address may or may not have been bound; [`close`](Self::close) frees it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zocket::Pull;
    ///
    /// let pull = Pull::new();
    /// let at = pull.bind("tcp://127.0.0.1:0").await?;
    /// assert!(at.as_str().starts_with("tcp://127.0.0.1:"));
    /// # Ok(()) }
    /// ```
    pub async fn bind<E>(&self, at: E) -> Result<Endpoint, BindError>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<EndpointError>,
    {
        self.core.bind(at.try_into().map_err(Into::into)?).await
    }

    /// Connects to an endpoint, now and again after every loss. Returns at once: what is sent meanwhile waits in
    /// the pipe's queue. Failures are [events](crate::Event), and are tried again as
    /// [`reconnect`](SocketBuilder::reconnect) says.
    ///
    /// A second connection to the same endpoint is a second pipe with its own share of the messages, except
    /// for DEALER, SUB, PUB and REQ, where it changes nothing (as in libzmq).
    ///
    /// # Errors
    ///
    /// The endpoint is malformed, its scheme unknown, or the socket is closed.
    pub fn connect<E>(&self, to: E) -> Result<(), ConnectError>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<EndpointError>,
    {
        self.core.connect(to.try_into().map_err(Into::into)?, |_, _| Ok(()))
    }

    /// Waits until the connection to an endpoint has finished its handshake. Returns what the peer says of
    /// itself.
    ///
    /// # Errors
    ///
    /// The socket does not connect to that endpoint, or has given it up.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops the waiting.
    pub async fn connected<E>(&self, to: E) -> Result<PeerInfo, ConnectError>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<EndpointError>,
    {
        self.core.connected(&to.try_into().map_err(Into::into)?).await
    }

    /// Stops accepting at an endpoint, named as [`bind`](Self::bind) returned it. Peers that were accepted stay.
    /// When the future resolves, the address is free; over udp, whose peers share it, when the last of them has left.
    ///
    /// # Errors
    ///
    /// The socket is not bound there.
    ///
    /// # Cancel safety
    ///
    /// The listener closes even if the future is dropped.
    pub async fn unbind<E>(&self, at: E) -> Result<(), DetachError>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<EndpointError>,
    {
        self.core.unbind(&at.try_into().map_err(Into::into)?).await
    }

    /// Ends a connection made by [`connect`](Self::connect). Nothing more is routed to it; what it holds is still
    /// sent, for as long as linger allows, and then the future resolves. What waits for an in-process name that
    /// nobody has bound is dropped, and reported.
    ///
    /// # Errors
    ///
    /// The socket does not connect there.
    ///
    /// # Cancel safety
    ///
    /// The connection ends even if the future is dropped.
    pub async fn disconnect<E>(&self, from: E) -> Result<(), DetachError>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<EndpointError>,
    {
        self.core.disconnect(&from.try_into().map_err(Into::into)?).await
    }

    /// What happens to the socket's connections from now on.
    pub fn monitor(&self) -> Monitor {
        self.core.monitors.add()
    }

    /// The pipes of this socket, with what waits in each: a snapshot.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.core.peers()
    }

    /// Closes the socket: no more is sent or accepted, what was sent is delivered for as long as
    /// [`linger`](SocketBuilder::linger) allows, and what had arrived can still be received. Returns how many
    /// messages could not be delivered. Other tasks' calls end with their `Closed` error.
    ///
    /// Call it before the runtime ends: a runtime that is gone delivers nothing.
    ///
    /// # Cancel safety
    ///
    /// The socket closes even if the future is dropped; only the answer is lost.
    pub async fn close(&self) -> Unsent {
        Unsent { messages: self.core.close().await }
    }
}

impl<P: Sends> Socket<P> {
    /// Sends a message: queues it for the peer, or peers, that the pattern chooses. Waits while all of them are
    /// at their high-water mark, or while there is none. A task that has sent much lets others run first; a PUSH,
    /// DEALER or PAIR also lets peers catch up if all have more than 1 MiB waiting, for 2 ms unless they go on taking: what
    /// is written soon is still in the cache.
    ///
    /// # Errors
    ///
    /// The socket is closed, a ROUTER has no peer of that name, or the message is too large for the socket's datagrams. The
    /// message comes back.
    ///
    /// # Cancel safety
    ///
    /// A message whose `send` is dropped before it finished was not sent, and is dropped with the future. Use
    /// [`try_send`](Self::try_send) to keep it.
    pub async fn send(&self, message: impl IntoMessage) -> Result<(), SendError> {
        match self.core.send(message, |pattern, message, view| pattern.route(message, view)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.of_waiting()),
        }
    }

    /// As [`send`](Self::send), but never waits.
    ///
    /// # Errors
    ///
    /// Every peer is full, there is none, or one of the errors of `send`. The message comes back.
    pub fn try_send(&self, message: impl IntoMessage) -> Result<(), TrySendError> {
        self.core.try_send(message, |pattern, message, view| pattern.route(message, view))
    }

    /// The sending side as a [`Sink`](futures_sink::Sink).
    #[must_use]
    pub fn sink(&self) -> SendSink<'_, P> {
        SendSink::new(self)
    }
}

impl<P: Receives> Socket<P> {
    /// Receives the next message, taking peers in turn.
    ///
    /// # Errors
    ///
    /// The socket is closed and everything that had arrived has been received.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken unless the future returns it.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        let mut message = Message::new();
        match self.core.receive(&mut message).await {
            Some(_) => Ok(message),
            None => Err(RecvError::Closed),
        }
    }

    /// As [`recv`](Self::recv), and says which pipe the message came from.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_from(&self) -> Result<(PipeId, Message), RecvError> {
        let mut message = Message::new();
        let origin = self.core.receive(&mut message).await.ok_or(RecvError::Closed)?;
        Ok((origin.pipe, message))
    }

    /// As [`recv`](Self::recv), but never waits.
    ///
    /// # Errors
    ///
    /// Nothing has arrived, or the socket is closed.
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        let mut message = Message::new();
        match self.core.try_recv(&mut message) {
            Poll::Ready(Some(_)) => Ok(message),
            Poll::Ready(None) => Err(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Waits for a message, then appends it and whatever else has arrived to `into`, `max` messages at most.
    /// Returns how many. Cheaper than as many [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken unless the future returns it.
    pub async fn recv_many(&self, into: &mut Vec<Message>, max: usize) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        let before = into.len();
        into.push(self.recv().await?);
        self.core.recv_more(into, max - 1);
        Ok(into.len() - before)
    }

    /// The receiving side as a [`Stream`](futures_core::Stream), which ends when the socket is closed.
    #[must_use]
    pub fn stream(&self) -> RecvStream<'_, P> {
        RecvStream::new(self)
    }
}

impl<P: Pattern> Drop for Socket<P> {
    fn drop(&mut self) {
        drop(self.core.begin_close());
    }
}

impl<P: Pattern> fmt::Debug for Socket<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("kind", &P::KIND).field("peers", &self.peers()).finish()
    }
}

/// One pipe of a socket, as [`peers`](Socket::peers) saw it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Peer {
    /// The pipe.
    pub pipe: PipeId,
    /// The endpoint of this socket that it belongs to.
    pub endpoint: Endpoint,
    /// What the peer says of itself; `None` while nobody is connected.
    pub info: Option<PeerInfo>,
    /// Messages that wait to be sent, counting all that the kernel has not taken.
    pub send_queue: usize,
    /// The same in bytes.
    pub send_queue_bytes: usize,
    /// Messages that wait to be received.
    pub receive_queue: usize,
    /// The same in bytes.
    pub receive_queue_bytes: usize,
    /// Messages that the peer missed because its queue was full.
    pub dropped: u64,
}

/// What a closed socket could not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// How many messages were still queued when linger was over.
    pub messages: usize,
}
