//! PAIR: exactly one peer. RFC 31.

use crate::options::SocketOptions;
use crate::pattern::exclusive::Exclusive;
use crate::pattern::fair_queue::FairQueue;
use crate::socket::{Composition, Pattern, Receives, Sends, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Pair`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Exclusive;
    type Inbound = FairQueue;
    const KIND: SocketKind = SocketKind::Pair;

    fn compose(options: &SocketOptions) -> (Exclusive, FairQueue) {
        let exclusive = if options.immediate { Exclusive::only_live() } else { Exclusive::new() };
        (exclusive, FairQueue::new())
    }
}

impl Pattern for Kind {}
impl Sends for Kind {}
impl Receives for Kind {}

/// Talks to one peer, another `Pair`, both ways. Further peers are refused while it has one. Waits while the
/// peer is full, or while there is none.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::Pair;
///
/// let (left, right) = (Pair::new(), Pair::new());
/// left.bind("inproc://pair-example").await?;
/// right.connect("inproc://pair-example")?;
/// right.send("ping").await?;
/// assert_eq!(left.recv().await?, "ping");
/// left.send("pong").await?;
/// assert_eq!(right.recv().await?, "pong");
/// # Ok(()) }
/// ```
///
/// Over `udp://` a message may not arrive; that it is gone from the queue is all that is known (more in
/// [the guide](crate::guide::transports#udp)).
pub type Pair = Socket<Kind>;
