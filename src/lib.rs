//! Brokerless, ZeroMQ-compatible messaging: typed sockets that are exact about loss.
//!
//! A socket is one end of any number of connections, and its type says what happens to messages: [`Push`]
//! spreads work, [`Pub`] tells everybody who subscribed, [`Req`] asks and [`Rep`] answers. Connections are made
//! in any order, come back by themselves, and have bounded queues of their own. On the wire it is ZMTP 3.1, so
//! any libzmq program in any language is a peer.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::{Rep, Req};
//!
//! let rep = Rep::new();
//! let at = rep.bind("tcp://127.0.0.1:0").await?;
//! tokio::spawn(async move {
//!     while let Ok(request) = rep.recv().await {
//!         let greeting = format!("hello, {}", request.message().to_text());
//!         request.reply(greeting).await.ok();
//!     }
//! });
//!
//! let req = Req::new();
//! req.connect(&at)?;
//! assert_eq!(req.request("world").await?, "hello, world");
//! # Ok(()) }
//! ```
//!
//! # Socket types
//!
//! | type | sends to | receives from | a full queue | talks to |
//! |---|---|---|---|---|
//! | [`Push`] | one peer in turn | – | waits | [`Pull`] |
//! | [`Pull`] | – | peers in turn | that peer is not read | [`Push`] |
//! | [`Pub`] | every peer that subscribed | – | drops for that peer, counted | [`Sub`], [`XSub`] |
//! | [`Sub`] | – | peers in turn, filtered | that peer is not read | [`Pub`], [`XPub`] |
//! | [`XPub`] | as `Pub` | subscriptions, and what `XSub`s send | as `Pub` | [`Sub`], [`XSub`] |
//! | [`XSub`] | subscriptions, and messages to every peer | peers in turn | drops for that peer | [`Pub`], [`XPub`] |
//! | [`Req`] | one peer in turn, one request at a time | that peer | waits | [`Rep`], [`Router`] |
//! | [`Rep`] | whoever asked | peers in turn | waits | [`Req`], [`Dealer`] |
//! | [`Dealer`] | one peer in turn | peers in turn | waits | [`Rep`], [`Dealer`], [`Router`] |
//! | [`Router`] | the peer that the first frame names | peers in turn, named | waits | [`Req`], [`Dealer`], [`Router`] |
//! | [`Pair`] | its one peer | that peer | waits | [`Pair`] |
//! | [`Radio`] | every peer that joined the message's group | – | drops for that peer, counted | [`Dish`] |
//! | [`Dish`] | – | peers in turn, filtered | that peer is not read | [`Radio`] |
//!
//! The [guide] says what is promised about delivery and cancellation, how to tune, and how this differs from
//! libzmq.

mod context;
mod driver;
mod error;
mod event;
#[cfg(any(fuzzing, feature = "__internals"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
#[cfg(any(fuzzing, feature = "__internals"))]
#[doc(hidden)]
pub mod internals;
mod message;
mod options;
mod pattern;
mod pipe;
mod pool;
mod socket;
mod sync;
mod zmtp;

pub use context::{Context, ContextBuilder, SchemeTaken};
pub use error::{
    BindError, ConnectError, DetachError, Disconnect, JoinError, ProtocolError, RecvError, RequestError,
    SendError, SubscribeError, TooLarge, TryRecvError, TrySendError,
};
pub use event::{Dropped, Event, Monitor};
pub use message::{Frame, Group, GroupError, IntoMessage, Message};
pub use options::{Heartbeat, Reconnect, Verbose};
pub use pipe::{HighWater, PipeId};
pub use socket::kinds::{Request, kind};
pub use socket::{Lane, Pattern, Peer, Receives, RecvStream, SendSink, Sends, Socket, SocketBuilder, Unsent};
pub use zmtp::{PeerInfo, SocketKind, Version};
pub use zocket_transport as transport;
pub use zocket_transport::{
    CloseReason, Endpoint, EndpointError, Fingerprint, KeepAlive, Lanes, LinkOptions, PeerProof, TrustError,
};

pub use socket::kinds::{Dealer, Dish, Pair, Pub, Pull, Push, Radio, Rep, Req, Router, Sub, XPub, XSub};
