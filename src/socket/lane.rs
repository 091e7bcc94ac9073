//! Sending on a lane of one's choice.

use std::fmt;

use super::kinds::PicksLane;
use super::outlets::View;
use super::{Sends, Socket};
use crate::error::{SendError, TrySendError};
use crate::message::{IntoMessage, Outgoing};
use crate::pattern::{Outbound, Routed};

/// One lane of a socket: what [`Socket::lane`] returns.
///
/// Messages on one lane arrive in order; one that is lost, large or not received holds up no other lane. Each has a
/// queue of its own at each peer, with the socket's high-water marks.
pub struct Lane<'a, P: PicksLane> {
    socket: &'a Socket<P>,
    number: u8,
}

impl<P: PicksLane + Sends> Socket<P> {
    /// A lane to send on. There are as many as both peers ask for with [`lanes`](crate::SocketBuilder::lanes), where the
    /// transport has them (`quic://`); a number beyond them shares a lane with a smaller one. What the socket itself
    /// sends goes on lane 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zocket::{Dealer, Router};
    ///
    /// const URGENT: u8 = 1;
    ///
    /// let (router, dealer) = (Router::builder().lanes(2).build(), Dealer::builder().lanes(2).build());
    /// let at = router.bind("tcp://127.0.0.1:0").await?; // With `quic://` they are lanes; here they share one stream.
    /// dealer.connect(&at)?;
    ///
    /// dealer.send(vec![0; 1 << 20]).await?;
    /// dealer.lane(URGENT).send("stop").await?;
    /// # router.recv().await?;
    /// # assert_eq!(router.recv().await?[1], "stop");
    /// # Ok(()) }
    /// ```
    pub const fn lane(&self, number: u8) -> Lane<'_, P> {
        Lane { socket: self, number }
    }
}

impl<P: PicksLane + Sends> Lane<'_, P> {
    /// As [`Socket::send`], on this lane: waits while all peers are full on it.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`].
    ///
    /// # Cancel safety
    ///
    /// As [`Socket::send`].
    pub async fn send(&self, message: impl IntoMessage) -> Result<(), SendError> {
        self.socket.core.send(message, self.route()).await.map_err(TrySendError::of_waiting)
    }

    /// As [`Socket::try_send`], on this lane.
    ///
    /// # Errors
    ///
    /// As [`Socket::try_send`].
    pub fn try_send(&self, message: impl IntoMessage) -> Result<(), TrySendError> {
        self.socket.core.try_send(message, self.route())
    }

    fn route(&self) -> impl FnMut(&mut P::Outbound, &mut Outgoing<'_>, &mut View<'_>) -> Routed {
        let number = self.number;
        move |pattern, message, view| {
            view.pick_lane(number);
            pattern.route(message, view)
        }
    }
}

impl<P: PicksLane> fmt::Debug for Lane<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("number", &self.number).field("socket", &self.socket).finish()
    }
}
