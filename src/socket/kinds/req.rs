//! REQ: asks, and gets that request's own reply. RFC 28.

use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::error::{Disconnect, RequestError, TrySendError};
use crate::message::{IntoMessage, Message, Outgoing};
use crate::options::SocketOptions;
use crate::pattern::lockstep::{Answer, Ask, Asked, OutOfTurn};
use crate::pattern::{Outbound, Routed};
use crate::socket::core::Core;
use crate::socket::outlets::View;
use crate::socket::wait::Receiving;
use crate::socket::{Composition, Pattern, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Req`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Ask;
    type Inbound = Answer;
    const KIND: SocketKind = SocketKind::Req;
    const ONE_SESSION: bool = true;

    fn compose(options: &SocketOptions) -> (Ask, Answer) {
        let ask = if options.relaxed { Ask::relaxed() } else { Ask::new(options.correlate) };
        (ask, Answer::new())
    }
}

impl Pattern for Kind {}

/// Asks its peers in turn, one request at a time. Talks to [`Rep`](crate::Rep) and [`Router`](crate::Router).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Rep, Req};
///
/// let (req, rep) = (Req::new(), Rep::new());
/// let at = rep.bind("tcp://127.0.0.1:0").await?;
/// req.connect(&at)?;
/// let answering = tokio::spawn(async move {
///     let request = rep.recv().await?;
///     let answer = request.message().to_text().to_uppercase();
///     request.reply(answer).await?;
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// });
/// assert_eq!(req.request("loud").await?, "LOUD");
/// # answering.await?.map_err(|error| error.to_string())?;
/// # Ok(()) }
/// ```
///
/// Over `udp://` a question or its answer may not arrive: `request` then waits until the link is lost, so put a
/// time-out around it (more in
/// [the guide](crate::guide::transports#udp)).
pub type Req = Socket<Kind>;

impl Socket<Kind> {
    /// How many messages arrived that were no reply to an open request: late ones, mostly. They are dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.core.with_inbound(|answer| answer.dropped())
    }

    /// Sends a request to the next peer that is connected and has room, and waits for its reply. A second call
    /// waits until the first is over, unless [`relaxed`](crate::SocketBuilder::relaxed) lets it take its place.
    ///
    /// The reply is the one to this request: requests carry an id, and where they cannot, one that was given up
    /// takes its connection with it.
    ///
    /// # Errors
    ///
    /// The connection that carried the request broke, a later request took its place, the request is too large for the
    /// socket's datagrams, or the socket is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the request up: the peer may or may not have got it, and its reply is dropped.
    pub async fn request(&self, message: impl IntoMessage) -> Result<Message, RequestError> {
        let core = &*self.core;
        let mut asked = None;
        core.send(message, |ask, message, view| {
            let routed = core.ask(ask, message, view);
            if routed == Routed::Sent {
                asked = ask.asked();
            }
            routed
        })
        .await
        .map_err(|error| match error {
            TrySendError::Unroutable(_) => RequestError::PeerLost,
            TrySendError::TooLarge(request) => RequestError::TooLarge { limit: request.limit },
            _ => RequestError::Closed,
        })?;
        let asked = asked.ok_or(RequestError::PeerLost)?;
        let mut open = Open { core, asked, is_over: false, is_followed: false };
        let mut place = Receiving { core, ticket: None };
        poll_fn(|cx| open.poll_reply(cx, &mut place)).await
    }
}

/// An open request. Dropped, it is given up.
struct Open<'a> {
    core: &'a Core<Kind>,
    asked: Asked,
    /// It has its reply, or will get none.
    is_over: bool,
    /// And somebody waits for its turn.
    is_followed: bool,
}

impl Open<'_> {
    fn poll_reply(
        &mut self,
        cx: &Context<'_>,
        place: &mut Receiving<'_, Kind>,
    ) -> Poll<Result<Message, RequestError>> {
        let mut half = self.core.enter_in();
        let inn = &mut *half;
        let is_expected = inn.pattern.expected() == Some(self.asked);
        let mut reply = Message::new();
        let outcome = match () {
            () if is_expected && inn.next(&mut reply).is_some() => Poll::Ready(Ok(reply)),
            () if !is_expected => Poll::Ready(Err(RequestError::Superseded)),
            () if inn.pattern.take_peer_lost() => Poll::Ready(Err(RequestError::PeerLost)),
            () if inn.closed => Poll::Ready(Err(RequestError::Closed)),
            () => {
                inn.receivers.wait(&mut place.ticket, cx.waker());
                Poll::Pending
            }
        };
        // Of a socket that closes nobody asks again; what was open is ended there.
        if outcome.is_ready() && !inn.closed {
            // The next request may go, and sees that by itself: the outbound lock is only for those who wait.
            inn.leave_line(&mut place.ticket);
            (self.is_over, self.is_followed) = (true, inn.pattern.take_followed());
        }
        self.core.leave(half);
        outcome
    }

    /// Gives the request up. The next one may go.
    fn abandon(&self) {
        let mut half = self.core.enter_out();
        let out = &mut *half;
        let mut stale = None;
        if out.pattern.asked() == Some(self.asked) {
            if self.core.abandon(self.asked) {
                stale = out.pattern.abandon();
            } else {
                out.pattern.answered();
            }
            if let Some(pipe) = stale {
                // Until the connection is a fresh one, no request may go there.
                out.pattern.lost(pipe);
            }
        }
        let next = out.senders.first();
        out.effects.wakes.add(next);
        self.core.leave(half);
        if let Some(pipe) = stale {
            self.core.restart(pipe, Disconnect::RequestAbandoned);
        }
    }
}

impl Drop for Open<'_> {
    /// The turn is over: answered, failed or given up.
    fn drop(&mut self) {
        if !self.is_over {
            return self.abandon();
        }
        if self.is_followed {
            self.core.lock_out().wake_sender();
        }
    }
}

impl Core<Kind> {
    /// Looks for no reply any more. Says whether one to this request was still looked for.
    fn abandon(&self, asked: Asked) -> bool {
        let mut inn = self.lock_in();
        let is_open = inn.pattern.expected() == Some(asked);
        inn.pattern.abandon();
        is_open
    }

    /// Sends a request, if it is its turn. Called under the outbound lock, so that no loss falls between the
    /// sending and the expecting.
    fn ask(&self, ask: &mut Ask, message: &mut Outgoing<'_>, view: &mut View<'_>) -> Routed {
        // Held over the sending too, so that a request takes it once; see `pipe` on the order of locks.
        let mut inn = self.enter_in();
        // No lock was taken to say here that the last request is over. And what has come since is dropped now,
        // not later: an in-process peer may answer as soon as it has the request. A reply to one that is still open has
        // an id, and is told from the next by that.
        if inn.pattern.expected().is_none() {
            ask.answered();
            inn.drain();
        }
        let routed = ask.ask(message, view).unwrap_or_else(|OutOfTurn| {
            inn.pattern.follow();
            Routed::Blocked
        });
        if let (Routed::Sent, Some(asked)) = (routed, ask.asked()) {
            inn.pattern.expect(asked);
            // A request that this one replaced must hear of it.
            if !inn.receivers.is_empty() {
                view.effects.wakes.add_all(inn.receivers.all());
            }
        }
        // Nobody is woken while the outbound lock is held.
        view.effects.append(&mut inn.effects);
        self.leave(inn);
        routed
    }
}
