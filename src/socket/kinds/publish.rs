//! PUB: tells everybody who subscribed. RFC 29.

use crate::options::SocketOptions;
use crate::pattern::Nothing;
use crate::pattern::distribute::Distribute;
use crate::socket::{Composition, Pattern, Sends, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Pub`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Distribute;
    type Inbound = Nothing;
    const KIND: SocketKind = SocketKind::Pub;
    const RECEIVES: bool = false;

    fn compose(options: &SocketOptions) -> (Distribute, Nothing) {
        (Distribute::new(options.publishing(false)), Nothing)
    }
}

impl Pattern for Kind {}
impl Sends for Kind {}

/// Sends each message to every peer that subscribed to a prefix of its first frame. Never waits: a peer whose
/// queue is full misses the message, which is counted and reported, and no other is held up (but see
/// [`no_drop`](crate::SocketBuilder::no_drop)). A message that nobody subscribed to is dropped.
///
/// A subscription takes effect when it arrives. To publish only once somebody listens, wait for it with an
/// [`XPub`](crate::XPub). Talks to [`Sub`](crate::Sub), where there is an example, and [`XSub`](crate::XSub).
///
/// Over `udp://` subscribers may miss messages, which they count; at a group nobody is known, and everything is sent (more in
/// [the guide](crate::guide::transports#udp)).
pub type Pub = Socket<Kind>;

impl Socket<Kind> {
    /// How many distinct prefixes peers are subscribed to.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.core.with_outbound(|publisher| publisher.topics())
    }
}
