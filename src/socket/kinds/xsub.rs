//! XSUB: a SUB whose subscriptions are messages, and which may send upstream. RFC 29.

use crate::error::SubscribeError;
use crate::message::Frame;
use crate::options::SocketOptions;
use crate::pattern::fair_queue::FairQueue;
use crate::pattern::subscriber::{Repeats, Subscriber};
use crate::socket::{Composition, Pattern, Receives, Sends, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`XSub`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Subscriber;
    type Inbound = FairQueue;
    const KIND: SocketKind = SocketKind::XSub;

    fn compose(_: &SocketOptions) -> (Subscriber, FairQueue) {
        (Subscriber::new(Repeats::Subscribes), FairQueue::new())
    }
}

impl Pattern for Kind {}
impl Sends for Kind {}
impl Receives for Kind {}

/// A [`Sub`](crate::Sub) for proxies: what [`XPub`](crate::XPub) received can be sent here as it is. A message of
/// one frame that starts with the byte 1 subscribes to the rest of it, one that starts with 0 cancels (more than
/// 64 KiB are [`Unroutable`](crate::SendError::Unroutable)); every other message goes to all publishers, where an
/// `XPub` receives it. What arrives is not filtered again.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{XPub, XSub};
///
/// let publisher = XPub::new();
/// publisher.bind("inproc://xsub-example").await?;
/// let xsub = XSub::new();
/// xsub.connect("inproc://xsub-example")?;
/// xsub.send("\u{1}a").await?; // the same as xsub.subscribe("a")
/// assert_eq!(publisher.recv().await?, "\u{1}a");
/// publisher.send("abc").await?;
/// assert_eq!(xsub.recv().await?, "abc");
/// # Ok(()) }
/// ```
///
/// Over `udp://` messages may be missing, which is counted, but come in order and never twice; at a group nothing goes
/// to the publishers (more in
/// [the guide](crate::guide::transports#udp)).
pub type XSub = Socket<Kind>;

impl Socket<Kind> {
    /// Subscribes to a prefix of the first frame, as bytes.
    ///
    /// # Errors
    ///
    /// The prefix is longer than 64 KiB, or the socket is closed.
    pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let prefix = Frame::from(SubscribeError::check(prefix.as_ref())?);
        self.core
            .with_open_outbound(|subscriber, view| subscriber.subscribe(&prefix, view))
            .ok_or(SubscribeError::Closed)
    }

    /// Takes a subscription back.
    ///
    /// # Errors
    ///
    /// There is none to that prefix, or the socket is closed.
    pub fn unsubscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let prefix = Frame::from(prefix.as_ref());
        let done = self
            .core
            .with_open_outbound(|subscriber, view| subscriber.unsubscribe(&prefix, view))
            .ok_or(SubscribeError::Closed)?;
        if done { Ok(()) } else { Err(SubscribeError::NotSubscribed) }
    }
}
