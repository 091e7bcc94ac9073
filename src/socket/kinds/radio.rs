//! RADIO: tells every member of a group. RFC 48.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;

use crate::error::{SendError, TrySendError};
use crate::message::{Group, IntoMessage, Message};
use crate::options::SocketOptions;
use crate::pattern::groups::Broadcast;
use crate::pattern::{Nothing, Outbound};
use crate::socket::{Composition, Pattern, SendSink, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Radio`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Broadcast;
    type Inbound = Nothing;
    const KIND: SocketKind = SocketKind::Radio;
    const RECEIVES: bool = false;

    fn compose(options: &SocketOptions) -> (Broadcast, Nothing) {
        (Broadcast::new(options.no_drop), Nothing)
    }
}

impl Pattern for Kind {}

/// Sends each message, of one frame, to every peer that joined its [`Group`]. Never waits: a peer whose queue is
/// full misses the message, which is counted and reported, and no other is held up (but see
/// [`no_drop`](crate::SocketBuilder::no_drop)). A message to a group that nobody joined is dropped.
///
/// A join takes effect when it arrives; a peer that comes back says again what it wants. Talks to
/// [`Dish`](crate::Dish).
///
/// # Over `udp://`
///
/// A RADIO connects, to one address or to a multicast group, and sends every message there, whatever its group: nobody
/// says what he joined, or answers at all. Each is one datagram, with libzmq's bytes, which arrives once, several times
/// or not at all, in any order; that it is gone from the queue is all that is known. With its group it has at most
/// 8191 bytes: a RADIO that has connected to such an endpoint sends nothing larger, to other peers neither.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Dish, Radio};
///
/// let radio = Radio::new();
/// radio.bind("inproc://radio-example").await?;
/// let dish = Dish::new();
/// dish.join("weather")?;
/// dish.connect("inproc://radio-example")?;
///
/// radio.send("weather report", "another group").await?;
/// radio.send("weather", "sunny").await?;
/// let (group, message) = dish.recv().await?;
/// assert_eq!(group, "weather");
/// assert_eq!(message, "sunny");
/// # Ok(()) }
/// ```
pub type Radio = Socket<Kind>;

impl Socket<Kind> {
    /// Sends a message of one frame to a group: text, bytes, or a [`Group`] that was checked before. With
    /// [`no_drop`](crate::SocketBuilder::no_drop), waits while a member is at its high-water mark.
    ///
    /// # Errors
    ///
    /// The message has several frames or is too large for the socket's datagrams, the group is none, or the socket is
    /// closed. The message comes back.
    ///
    /// # Cancel safety
    ///
    /// A message whose `send` is dropped before it finished was not sent, and is dropped with the future. Use
    /// [`try_send`](Self::try_send) to keep it.
    pub async fn send(&self, group: impl TryInto<Group>, message: impl IntoMessage) -> Result<(), SendError> {
        let message = address(group, message)?;
        let sent = self.core.send(message, |radio, message, view| radio.route(message, view)).await;
        sent.map_err(|error| bare(error).of_waiting())
    }

    /// As [`send`](Self::send), but never waits.
    ///
    /// # Errors
    ///
    /// A member is full, with `no_drop`; or one of the errors of `send`. The message comes back.
    pub fn try_send(
        &self,
        group: impl TryInto<Group>,
        message: impl IntoMessage,
    ) -> Result<(), TrySendError> {
        let message = address(group, message)?;
        let sent = self.core.try_send(message, |radio, message, view| radio.route(message, view));
        sent.map_err(bare)
    }

    /// The socket as a [`Sink`] of groups and messages.
    #[must_use]
    pub fn sink(&self) -> SendSink<'_, Kind> {
        SendSink::new(self)
    }

    /// How many distinct groups peers have joined.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.core.with_outbound(|radio| radio.groups())
    }
}

/// The message as it travels: its group, and its only frame.
fn address(group: impl TryInto<Group>, message: impl IntoMessage) -> Result<Message, SendError> {
    let mut message = message.into_message();
    if message.len() > 1 {
        return Err(SendError::SeveralFrames(Box::new(message)));
    }
    let Ok(group) = group.try_into() else { return Err(SendError::BadGroup(Box::new(message))) };
    message.push_front(group.into_frame());
    Ok(message)
}

/// Takes the group off the message that comes back.
fn bare(mut error: TrySendError) -> TrySendError {
    error.message_mut().pop_front();
    error
}

impl Sink<(Group, Message)> for SendSink<'_, Kind> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, (group, message): (Group, Message)) -> Result<(), SendError> {
        self.hold(address(group, message)?).map_err(|mut message| {
            message.pop_front();
            SendError::NotReady(message.into())
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_sent(cx).map_err(|error| bare(error).of_waiting())
    }

    /// Flushes. The socket stays open.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }
}
