//! SUB: hears what it subscribed to. RFC 29.

use crate::error::SubscribeError;
use crate::message::Frame;
use crate::options::SocketOptions;
use crate::pattern::subscriber::{Filtered, Repeats, Subscriber};
use crate::socket::{Composition, Pattern, Receives, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Sub`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Subscriber;
    type Inbound = Filtered;
    const KIND: SocketKind = SocketKind::Sub;

    fn compose(_: &SocketOptions) -> (Subscriber, Filtered) {
        (Subscriber::new(Repeats::Silent), Filtered::new())
    }
}

impl Pattern for Kind {}
impl Receives for Kind {}

/// Receives, from all its publishers in turn, the messages whose first frame starts with a prefix it subscribed
/// to. Without a subscription it receives nothing; the empty prefix is everything. Subscriptions are made anew on
/// every connection. Talks to [`Pub`](crate::Pub) and [`XPub`](crate::XPub).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Pub, Sub};
///
/// let publisher = Pub::new();
/// publisher.bind("inproc://weather").await?;
/// let sub = Sub::new();
/// sub.subscribe("oslo ")?;
/// sub.connect("inproc://weather")?;
///
/// publisher.send("lima 24").await?;
/// publisher.send("oslo -3").await?;
/// assert_eq!(sub.recv().await?, "oslo -3");
/// # Ok(()) }
/// ```
///
/// Over `udp://` messages may be missing, which is counted, but come in order and never twice (more in
/// [the guide](crate::guide::transports#udp)).
pub type Sub = Socket<Kind>;

impl Socket<Kind> {
    /// Subscribes to a prefix of the first frame, as bytes. Several subscriptions to one prefix count, and need
    /// as many cancellations. Publishers hear of it as soon as they are connected.
    ///
    /// # Errors
    ///
    /// The prefix is longer than 64 KiB, or the socket is closed.
    pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let prefix = Frame::from(SubscribeError::check(prefix.as_ref())?);
        // The filter first: what a publisher sends because of this must find it in place.
        self.core.with_inbound(|filter| filter.subscribe(&prefix));
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
        if !done {
            return Err(SubscribeError::NotSubscribed);
        }
        self.core.with_inbound(|filter| filter.unsubscribe(&prefix));
        Ok(())
    }
}
