//! REP: answers requests, each once. RFC 28.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use crate::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::message::{Frame, IntoMessage, Message};
use crate::options::SocketOptions;
use crate::pattern::direct::{Direct, Requests};
use crate::pattern::{Origin, envelope};
use crate::pipe::PipeId;
use crate::socket::core::Core;
use crate::socket::{Composition, Pattern, Socket};
use crate::zmtp::{Envelope, Prefix, SocketKind};

/// The pattern of [`Rep`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Direct;
    type Inbound = Requests;
    const KIND: SocketKind = SocketKind::Rep;
    const ONE_SESSION: bool = true;

    fn compose(_: &SocketOptions) -> (Direct, Requests) {
        (Direct::default(), Requests::default())
    }
}

impl Pattern for Kind {}

/// Receives requests from its peers in turn. Each is a [`Request`] of its own, answered once, whenever and by
/// whichever task; any number may be open. Talks to [`Req`](crate::Req), where there is an example, and
/// [`Dealer`](crate::Dealer).
///
/// Over `udp://` a question or its answer may not arrive, and nobody hears of it here (more in
/// [the guide](crate::guide::transports#udp)).
pub type Rep = Socket<Kind>;

impl Socket<Kind> {
    /// Receives the next request. What is not a request (no empty delimiter frame) is skipped.
    ///
    /// # Errors
    ///
    /// The socket is closed and everything that had arrived has been received.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken unless the future returns it.
    pub async fn recv(&self) -> Result<Request, RecvError> {
        loop {
            let mut message = Message::new();
            let origin = self.core.receive(&mut message).await.ok_or(RecvError::Closed)?;
            if let Some(request) = self.open(origin, message) {
                return Ok(request);
            }
        }
    }

    /// As [`recv`](Self::recv), but never waits.
    ///
    /// # Errors
    ///
    /// Nothing has arrived, or the socket is closed.
    pub fn try_recv(&self) -> Result<Request, TryRecvError> {
        loop {
            let mut message = Message::new();
            let origin = match self.core.try_recv(&mut message) {
                Poll::Ready(Some(origin)) => origin,
                Poll::Ready(None) => return Err(TryRecvError::Closed),
                Poll::Pending => return Err(TryRecvError::Empty),
            };
            if let Some(request) = self.open(origin, message) {
                return Ok(request);
            }
        }
    }

    fn open(&self, origin: Origin, message: Message) -> Option<Request> {
        let Origin { pipe, session, envelope } = origin;
        let (address, message) = match envelope {
            Some(envelope) => (Address::Short(envelope), message),
            None => {
                envelope::split(message).map(|(frames, message)| (Address::Long(frames), message)).ok()?
            }
        };
        Some(Request { core: Arc::clone(&self.core), pipe, session, address, message })
    }
}

/// A request, with the way back to who asked. Owned: it may be answered from any task.
///
/// Dropping it answers nothing; whoever asked goes on waiting.
#[must_use = "whoever asked waits for a reply"]
pub struct Request {
    core: Arc<Core<Kind>>,
    pipe: PipeId,
    session: u32,
    address: Address,
    message: Message,
}

/// What a reply starts with.
enum Address {
    Short(Envelope),
    Long(Vec<Frame>),
}

impl Address {
    fn prefix(&self) -> Prefix<'_> {
        match self {
            Self::Short(envelope) => Prefix::Envelope(*envelope),
            Self::Long(frames) => Prefix::Frames(frames),
        }
    }
}

impl Request {
    /// What was asked.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Takes what was asked out; the request can still be answered.
    pub fn take_message(&mut self) -> Message {
        std::mem::take(&mut self.message)
    }

    /// The pipe to who asked.
    #[must_use]
    pub fn pipe(&self) -> PipeId {
        self.pipe
    }

    /// Answers. Waits while the queue to that peer is full.
    ///
    /// # Errors
    ///
    /// The peer has gone, or has a new connection by now; or the socket is closed. The reply comes back.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it finished, nothing was sent, and the request is gone.
    pub async fn reply(self, message: impl IntoMessage) -> Result<(), SendError> {
        let Self { core, pipe, session, address, .. } = self;
        let sent = core
            .send(message, |direct, message, view| {
                direct.reply(pipe, session, address.prefix(), message, view)
            })
            .await;
        sent.map_err(TrySendError::of_waiting)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("pipe", &self.pipe)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
