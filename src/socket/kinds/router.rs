//! ROUTER: many peers, each by name. RFC 28.

use zocket_transport::{Endpoint, EndpointError};

use crate::error::ConnectError;
use crate::message::Frame;
use crate::options::SocketOptions;
use crate::pattern::route_by_id::{Named, Options, RouteById};
use crate::socket::{Composition, Pattern, Receives, Sends, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Router`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = RouteById;
    type Inbound = Named;
    const KIND: SocketKind = SocketKind::Router;

    fn compose(options: &SocketOptions) -> (RouteById, Named) {
        (RouteById::new(Options { mandatory: options.mandatory, handover: options.handover }), Named::new())
    }
}

impl Pattern for Kind {}
impl Sends for Kind {}
impl Receives for Kind {}

/// Talks to each of many peers by name. What it receives has the sender's routing id as first frame; the first
/// frame of what it sends says who gets the rest. A peer that gave itself no
/// [`routing_id`](crate::SocketBuilder::routing_id) gets one of five bytes. Sending to a name that is not there
/// is an error, and to one whose queue is full waits, unless
/// [`mandatory`](crate::SocketBuilder::mandatory) is off. Talks to [`Req`](crate::Req),
/// [`Dealer`](crate::Dealer) and other routers.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Dealer, Router};
///
/// let router = Router::new();
/// let at = router.bind("tcp://127.0.0.1:0").await?;
/// let dealer = Dealer::builder().routing_id("me").build();
/// dealer.connect(&at)?;
/// dealer.send("question").await?;
///
/// let question = router.recv().await?;
/// assert_eq!(question, ["me", "question"]);
/// router.send(["me", "answer"]).await?;
/// assert_eq!(dealer.recv().await?, "answer");
/// # Ok(()) }
/// ```
///
/// Over `udp://` [`mandatory`](crate::SocketBuilder::mandatory) tells of peers that are not there, and not of
/// messages that did not arrive (more in
/// [the guide](crate::guide::transports#udp)).
pub type Router = Socket<Kind>;

impl Socket<Kind> {
    /// How many messages to names that were not there have been dropped, since
    /// [`mandatory`](crate::SocketBuilder::mandatory) is off. Those for full peers are counted by
    /// [`peers`](Socket::peers).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.core.with_outbound(|router| router.dropped())
    }

    /// Connects, and names the peer from this side: messages to `name` go there, whatever the peer calls itself.
    ///
    /// # Errors
    ///
    /// As [`connect`](Socket::connect); and the name is in use.
    pub fn connect_as<E>(&self, name: impl Into<Frame>, to: E) -> Result<(), ConnectError>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<EndpointError>,
    {
        let name = name.into();
        self.core.connect(to.try_into().map_err(Into::into)?, |router, pipe| {
            router.name_pipe(pipe, name.clone()).map_err(|_| ConnectError::NameTaken(name))
        })
    }
}
