//! What can fail, one small enum per operation.
//!
//! An error names the endpoint or peer it is about, keeps its source, and gives the message back where one was
//! handed over. Failures of peers are not errors of calls: they are [events](crate::Event).

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use zocket_transport::{CloseReason, Endpoint, EndpointError, TrustError};

use crate::message::{Frame, GroupError, Message};
use crate::zmtp::MAX_PREFIX;
pub use crate::zmtp::ProtocolError;

/// Why [`bind`](crate::Socket::bind) failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The endpoint is malformed, or no transport serves its scheme.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The system refused: the address is in use, is not ours, or needs a privilege.
    #[error("cannot bind {endpoint}: {source}")]
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why [`connect`](crate::Socket::connect) or [`connected`](crate::Socket::connected) failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint is malformed, or no transport serves its scheme.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// This socket does not connect to that endpoint.
    #[error("this socket is not connecting to {0}")]
    Unknown(Endpoint),
    /// The connection was given up for good, as [`Reconnect`](crate::Reconnect) asks.
    #[error("gave up connecting to {endpoint}: {reason}")]
    GaveUp {
        /// Whom we tried to reach.
        endpoint: Endpoint,
        /// Why the last attempt failed.
        reason: Disconnect,
    },
    /// The routing id given to the connection is in use.
    #[error("routing id {0:?} is in use")]
    NameTaken(Frame),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why [`unbind`](crate::Socket::unbind) or [`disconnect`](crate::Socket::disconnect) failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DetachError {
    /// The endpoint is malformed.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The socket is not bound or connected there. A wildcard is known by what it was resolved to.
    #[error("this socket has no endpoint {0}")]
    Unknown(Endpoint),
}

macro_rules! from_infallible {
    ($($error:ty)*) => {$(
        impl From<Infallible> for $error {
            fn from(never: Infallible) -> Self {
                match never {}
            }
        }
    )*};
}
from_infallible!(BindError ConnectError DetachError GroupError);

/// Why [`send`](crate::Socket::send) failed. The message comes back, in a box: a result of two words returns in
/// registers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Box<Message>),
    /// Its first frame names a peer that is not there (ROUTER), or the peer it answers has gone (REP).
    #[error("no such peer")]
    Unroutable(Box<Message>),
    /// It has several frames, and this socket type (RADIO) sends messages of one.
    #[error("the message has several frames")]
    SeveralFrames(Box<Message>),
    /// What it was to be sent to is no [`Group`](crate::Group).
    #[error("a group has at most 255 bytes, none of them zero")]
    BadGroup(Box<Message>),
    /// It does not fit into a datagram, and this socket has an endpoint that sends such.
    #[error(transparent)]
    TooLarge(Box<TooLarge>),
    /// It was given to a sink that had not said that it was ready, and still holds the one before it.
    #[error("the sink still holds the message before: it was not ready")]
    NotReady(Box<Message>),
}

/// A message that does not fit into a datagram.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message is too large for a datagram: the limit is {limit} bytes, all frames together")]
#[non_exhaustive]
pub struct TooLarge {
    /// The message.
    pub message: Message,
    /// The most bytes that its frames may have, all together and with their headers: 2 bytes, or 9 for a frame of more
    /// than 255. For a RADIO without: its group and its message.
    pub limit: u32,
}

impl SendError {
    /// The message that was not sent.
    #[must_use]
    pub fn into_message(self) -> Message {
        TrySendError::from(self).into_message()
    }
}

/// Why [`try_send`](crate::Socket::try_send) failed. The message comes back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// Every peer that could take it is at its high-water mark.
    #[error("every peer's queue is full")]
    Full(Box<Message>),
    /// There is no peer to queue it for.
    #[error("no peer")]
    NoPeer(Box<Message>),
    /// Its first frame names a peer that is not there (ROUTER).
    #[error("no such peer")]
    Unroutable(Box<Message>),
    /// It has several frames, and this socket type (RADIO) sends messages of one.
    #[error("the message has several frames")]
    SeveralFrames(Box<Message>),
    /// What it was to be sent to is no [`Group`](crate::Group).
    #[error("a group has at most 255 bytes, none of them zero")]
    BadGroup(Box<Message>),
    /// It does not fit into a datagram, and this socket has an endpoint that sends such.
    #[error(transparent)]
    TooLarge(Box<TooLarge>),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Box<Message>),
}

impl TrySendError {
    /// The message that was not sent.
    #[must_use]
    pub fn into_message(mut self) -> Message {
        std::mem::take(self.message_mut())
    }

    pub(crate) fn message_mut(&mut self) -> &mut Message {
        match self {
            Self::Full(message)
            | Self::NoPeer(message)
            | Self::Unroutable(message)
            | Self::SeveralFrames(message)
            | Self::BadGroup(message)
            | Self::Closed(message) => message,
            Self::TooLarge(too_large) => &mut too_large.message,
        }
    }

    /// The same of a `send` that waits. It is refused neither for full queues nor for want of peers.
    pub(crate) fn of_waiting(self) -> SendError {
        match self {
            Self::Full(message) | Self::NoPeer(message) | Self::Closed(message) => SendError::Closed(message),
            Self::Unroutable(message) => SendError::Unroutable(message),
            Self::SeveralFrames(message) => SendError::SeveralFrames(message),
            Self::BadGroup(message) => SendError::BadGroup(message),
            Self::TooLarge(too_large) => SendError::TooLarge(too_large),
        }
    }
}

impl From<SendError> for TrySendError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed(message) => Self::Closed(message),
            SendError::Unroutable(message) => Self::Unroutable(message),
            SendError::SeveralFrames(message) => Self::SeveralFrames(message),
            SendError::BadGroup(message) => Self::BadGroup(message),
            SendError::TooLarge(too_large) => Self::TooLarge(too_large),
            SendError::NotReady(message) => Self::Full(message),
        }
    }
}

/// Why [`recv`](crate::Socket::recv) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The socket is closed and everything that had arrived has been received.
    #[error("the socket is closed")]
    Closed,
}

/// Why [`try_recv`](crate::Socket::try_recv) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing has arrived.
    #[error("nothing has arrived")]
    Empty,
    /// The socket is closed and everything that had arrived has been received.
    #[error("the socket is closed")]
    Closed,
}

/// Why [`request`](crate::Req::request) failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The connection to the peer that had the request broke before its reply. Whether the peer acted on the
    /// request is not known; it is not sent again.
    #[error("the peer that had the request is gone")]
    PeerLost,
    /// A later request took its place ([`relaxed`](crate::SocketBuilder::relaxed)).
    #[error("a later request took its place")]
    Superseded,
    /// The request does not fit into a datagram, and this socket has an endpoint that sends such.
    #[error("the request is too large for a datagram: the limit is {limit} bytes, all frames together")]
    TooLarge {
        /// The most bytes that its frames may have, all together and with their headers: 2 bytes, or 9 for a frame of more
        /// than 255.
        limit: u32,
    },
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why a subscription was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
    /// The prefix is longer than 64 KiB: publishers would not take it.
    #[error("the prefix has {len} bytes, the limit is 65536")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The peer to be subscribed is gone.
    #[error("no such peer")]
    NoPeer,
    /// [`unsubscribe`](crate::Sub::unsubscribe) of a prefix that is not subscribed to.
    #[error("not subscribed to that prefix")]
    NotSubscribed,
}

impl SubscribeError {
    /// The prefix, unless it is too long.
    pub(crate) const fn check(prefix: &[u8]) -> Result<&[u8], Self> {
        if prefix.len() > MAX_PREFIX { Err(Self::TooLong { len: prefix.len() }) } else { Ok(prefix) }
    }
}

/// Why [`join`](crate::Dish::join) or [`leave`](crate::Dish::leave) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It is no group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The group is joined already.
    #[error("the group is joined already")]
    AlreadyJoined,
    /// The group to be left was not joined.
    #[error("the group is not joined")]
    NotJoined,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why a connection ended or was not made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    PeerClosed,
    /// The system reported a fault: refused, reset, unreachable, name not found.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// One side does not trust who the other proves to be, or they could not agree on how to prove it.
    #[error("{0}")]
    Trust(TrustError),
    /// The peer gave its reason for closing.
    #[error("the peer closed the connection: {0}")]
    PeerRefused(CloseReason),
    /// The peer broke a rule of the protocol, refused us, or fell silent.
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    /// This socket has no place for the peer: a PAIR has one already.
    #[error("the socket has no place for another peer")]
    Refused,
    /// Another peer took over its routing id ([`handover`](crate::SocketBuilder::handover)).
    #[error("another peer took over the routing id")]
    HandedOver,
    /// A request that carried no id was given up: its late reply must not answer the next one.
    #[error("a request was given up")]
    RequestAbandoned,
    /// More than 64 MiB of subscriptions, or of groups joined and left, waited for the peer, which reads nothing. The next
    /// connection tells it what is wanted then.
    #[error("the peer does not read what it is told")]
    NotReading,
    /// Too many peers were in their handshake at once, and this one was the oldest and slow; or over udp, an address had as many
    /// peers as it may have.
    #[error("too many peers")]
    Crowded,
    /// This side closed: `close`, `disconnect`, or the end of `linger`.
    #[error("closed by this side")]
    Closed,
}

impl Disconnect {
    /// Whether the next attempt will most likely end the same way: wrong socket type, mechanism or credentials, a
    /// certificate or key that is not trusted. Somebody has to mend it, on either side.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Protocol(error) => error.is_refusal(),
            Self::Trust(_) => true,
            Self::PeerRefused(reason) => matches!(reason, CloseReason::SocketType | CloseReason::NotAllowed),
            _ => false,
        }
    }

    /// What a peer is told who has not ended the connection itself.
    pub(crate) const fn told(&self) -> Option<CloseReason> {
        match self {
            // It may have been us who were slow.
            Self::Protocol(ProtocolError::HandshakeTimeout { .. }) => Some(CloseReason::TryLater),
            Self::Protocol(error) => error.told(),
            Self::Refused | Self::Crowded => Some(CloseReason::TryLater),
            _ => None,
        }
    }

    pub(crate) fn timed_out(after: Duration) -> Self {
        Self::Io(Arc::new(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nobody answered within {after:?}"),
        )))
    }
}

impl From<io::Error> for Disconnect {
    fn from(error: io::Error) -> Self {
        if let Some(error) = TrustError::of(&error) {
            return Self::Trust(error.clone());
        }
        CloseReason::of(&error).map_or_else(|| Self::Io(Arc::new(error)), Self::PeerRefused)
    }
}
