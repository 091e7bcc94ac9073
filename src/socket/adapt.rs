//! Sockets as [`Sink`]s and [`Stream`]s, for code written against `futures`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_sink::Sink;

use super::pace::Line;
use super::wait::{Receiving, Sending};
use super::{Pattern, Receives, Sends, Socket};
use crate::error::{SendError, TrySendError};
use crate::message::Message;
use crate::pattern::Outbound;

/// The sending side of a socket as a [`Sink`]. It holds at most one message of its own.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures::SinkExt;
/// use zocket::{Message, Pull, Push};
///
/// let (push, pull) = (Push::new(), Pull::new());
/// let at = pull.bind("tcp://127.0.0.1:0").await?;
/// push.connect(&at)?;
/// push.sink().send(Message::from("through a sink")).await?;
/// assert_eq!(pull.recv().await?, "through a sink");
/// # Ok(()) }
/// ```
pub struct SendSink<'a, P: Pattern> {
    place: Sending<'a, P>,
    waiting: Option<Message>,
}

impl<'a, P: Pattern> SendSink<'a, P> {
    pub(super) fn new(socket: &'a Socket<P>) -> Self {
        Self { place: Sending { core: &socket.core, line: Line::default() }, waiting: None }
    }

    /// Keeps a message until it is sent. If one is kept already, the new one comes back.
    pub(super) fn hold(&mut self, message: Message) -> Result<(), Message> {
        if self.waiting.is_some() {
            return Err(message);
        }
        self.waiting = Some(message);
        Ok(())
    }

    /// Ready when nothing is kept any more.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TrySendError>> {
        let Some(message) = &mut self.waiting else { return Poll::Ready(Ok(())) };
        let place = &mut self.place;
        let Poll::Ready(sent) =
            place.core.poll_send(cx, &mut place.line, &mut message.into(), |pattern, message, view| {
                pattern.route(message, view)
            })
        else {
            return Poll::Pending;
        };
        let message = self.waiting.take().unwrap_or_default();
        Poll::Ready(sent.map_err(|refusal| refusal.of(message)))
    }
}

impl<P: Sends> Sink<Message> for SendSink<'_, P> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.hold(message).map_err(|message| SendError::NotReady(message.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_sent(cx).map_err(TrySendError::of_waiting)
    }

    /// Flushes. The socket stays open.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }
}

impl<P: Pattern> fmt::Debug for SendSink<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSink").field("waiting", &self.waiting).finish()
    }
}

/// The receiving side of a socket as a [`Stream`]. It holds nothing: dropping it loses nothing.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures::StreamExt;
/// use zocket::{Pull, Push};
///
/// let (push, pull) = (Push::new(), Pull::new());
/// let at = pull.bind("tcp://127.0.0.1:0").await?;
/// push.connect(&at)?;
/// for word in ["one", "two", "three"] {
///     push.send(word).await?;
/// }
/// let words: Vec<_> = pull.stream().take(3).map(|message| message.to_text()).collect().await;
/// assert_eq!(words, ["one", "two", "three"]);
/// # Ok(()) }
/// ```
pub struct RecvStream<'a, P: Pattern> {
    place: Receiving<'a, P>,
}

impl<'a, P: Pattern> RecvStream<'a, P> {
    pub(super) fn new(socket: &'a Socket<P>) -> Self {
        Self { place: Receiving { core: &socket.core, ticket: None } }
    }

    pub(super) fn poll_message(&mut self, cx: &Context<'_>) -> Poll<Option<Message>> {
        let place = &mut self.place;
        let mut message = Message::new();
        place.core.poll_recv(cx, &mut place.ticket, &mut message).map(|origin| origin.map(|_| message))
    }
}

impl<P: Receives> Stream for RecvStream<'_, P> {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

impl<P: Pattern> fmt::Debug for RecvStream<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvStream")
    }
}
