//! PUSH: hands messages out, one peer after the other. RFC 30.

use crate::options::SocketOptions;
use crate::pattern::Nothing;
use crate::pattern::load_balance::LoadBalance;
use crate::socket::{Composition, Pattern, Sends, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Push`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = LoadBalance;
    type Inbound = Nothing;
    const KIND: SocketKind = SocketKind::Push;
    const RECEIVES: bool = false;

    fn compose(options: &SocketOptions) -> (LoadBalance, Nothing) {
        let balance = if options.immediate { LoadBalance::only_live() } else { LoadBalance::new() };
        (balance, Nothing)
    }
}

impl Pattern for Kind {}
impl Sends for Kind {}

/// Spreads messages over its peers, in turn, one whole message each. Waits while all of them are full, or while
/// there is none; never drops. Talks to [`Pull`](crate::Pull).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Pull, Push};
///
/// let (push, pull) = (Push::new(), Pull::new());
/// let at = push.bind("tcp://127.0.0.1:0").await?;
/// pull.connect(&at)?;
/// push.send("a piece of work").await?;
/// assert_eq!(pull.recv().await?, "a piece of work");
/// # Ok(()) }
/// ```
///
/// Over `udp://` a message may not arrive; that it is gone from the queue is all that is known (more in
/// [the guide](crate::guide::transports#udp)).
pub type Push = Socket<Kind>;
