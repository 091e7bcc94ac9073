//! XPUB: a PUB that shows subscriptions to the application. RFC 29.

use crate::error::SubscribeError;
use crate::options::SocketOptions;
use crate::pattern::distribute::Distribute;
use crate::pattern::notices::Notices;
use crate::pipe::PipeId;
use crate::socket::{Composition, Pattern, Receives, Sends, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`XPub`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Distribute;
    type Inbound = Notices;
    const KIND: SocketKind = SocketKind::XPub;

    fn compose(options: &SocketOptions) -> (Distribute, Notices) {
        (Distribute::new(options.publishing(true)), Notices::default())
    }
}

impl Pattern for Kind {}
impl Sends for Kind {}
impl Receives for Kind {}

/// A [`Pub`](crate::Pub) that also receives: a message `1` + prefix for a subscription and `0` + prefix for a
/// cancellation, and whatever else an [`XSub`](crate::XSub) sends upstream. Subscriptions take effect whether they
/// are received or not; of those that nobody receives, the newest million are kept.
///
/// # Examples
///
/// Publishing only once somebody listens:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Sub, XPub};
///
/// let publisher = XPub::new();
/// let at = publisher.bind("tcp://127.0.0.1:0").await?;
/// let sub = Sub::new();
/// sub.subscribe("news")?;
/// sub.connect(&at)?;
///
/// assert_eq!(publisher.recv().await?, "\u{1}news");
/// publisher.send("news: it works").await?;
/// assert_eq!(sub.recv().await?, "news: it works");
/// # Ok(()) }
/// ```
///
/// Over `udp://` subscribers may miss messages, which they count; at a group nobody subscribes, and everything is sent (more in
/// [the guide](crate::guide::transports#udp)).
pub type XPub = Socket<Kind>;

impl Socket<Kind> {
    /// How many distinct prefixes peers are subscribed to.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.core.with_outbound(|publisher| publisher.topics())
    }

    /// With [`manual`](crate::SocketBuilder::manual): subscribes a peer, named as
    /// [`recv_from`](Socket::recv_from) named it, to a prefix, be it the one it asked for or another.
    ///
    /// # Errors
    ///
    /// The prefix is longer than 64 KiB, or the peer is gone.
    pub fn subscribe(&self, peer: PipeId, prefix: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let prefix = SubscribeError::check(prefix.as_ref())?;
        let done = self.core.with_outbound(|publisher| publisher.subscribe(peer, prefix));
        if done { Ok(()) } else { Err(SubscribeError::NoPeer) }
    }

    /// With [`manual`](crate::SocketBuilder::manual): takes a subscription of a peer back.
    ///
    /// # Errors
    ///
    /// The peer was not subscribed to that prefix.
    pub fn unsubscribe(&self, peer: PipeId, prefix: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let mut out = self.core.lock_out();
        if !out.pattern.unsubscribe(peer, prefix.as_ref()) {
            return Err(SubscribeError::NotSubscribed);
        }
        // Who waits for room at this peer need not any more.
        out.wake_sender();
        Ok(())
    }
}
