//! Seeing what happens: events, snapshots, counters.
//!
//! # Events
//!
//! [`monitor`](crate::Socket::monitor) gives a stream of [`Event`](crate::Event)s from that moment on; take it
//! before `bind` or `connect` to miss nothing. There may be several. It never holds a connection up: a monitor
//! keeps 1024 events, and one that is read too slowly is told [how many it missed](crate::Event::Lagged), where
//! the gap is. The failures of peers are events and never errors of your calls.
//!
//! A connection that we make:
//!
//! ```text
//! connect()   Connected ── Ready ── Disconnected ── Retrying ─┐
//!                 │                                           │
//!                 └─ HandshakeFailed ── Retrying or GaveUp    │
//!                 ^                                           │
//!                 └───────────────────────────────────────────┘   (Retrying alone: nobody was there)
//! ```
//!
//! One that a peer makes: `Accepted`, then `Ready` or `HandshakeFailed`, then `Disconnected`. Both name the
//! endpoint of this socket and the peer's address, and end with a [`Disconnect`](crate::Disconnect): the reason.
//! A `HandshakeFailed` names the rule that was broken: "a PULL socket does not talk to the peer's SUB".
//!
//! Over quic, who is not trusted is told why: `HandshakeFailed` or `Retrying` with
//! [`Disconnect::Trust`](crate::Disconnect::Trust). [`PeerInfo::proof`](crate::PeerInfo::proof) in `Ready` has the key
//! that the peer has proven.
//!
//! A peer over quic may get another address while its connection goes on: [`PathChanged`](crate::Event::PathChanged) says
//! from where to where, as soon as something of it is read.
//!
//! In-process peers have no connection and no handshake: `Ready` when they meet, `Disconnected` when one of them
//! leaves, and `HandshakeFailed` with `GaveUp` when their types do not fit.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::{Event, Pull, Sub};
//!
//! let pull = Pull::new();
//! let mut events = pull.monitor();
//! let at = pull.bind("tcp://127.0.0.1:0").await?;
//!
//! let wrong = Sub::new(); // a SUB has nothing to say to a PULL
//! wrong.connect(&at)?;
//! let reason = loop {
//!     match events.next().await.expect("the socket is open") {
//!         Event::HandshakeFailed { reason, .. } => break reason,
//!         other => println!("{other:?}"), // Listening, Accepted
//!     }
//! };
//! println!("{reason}"); // a PULL socket does not talk to the peer's SUB
//! # Ok(()) }
//! ```
//!
//! # Drops
//!
//! [`Event::Dropped`](crate::Event::Dropped) has the pipe, a count and a [reason](crate::Dropped). For full queues
//! it comes with the first message that is dropped and again, for the rest, when the queue has drained to half:
//! a slow subscriber makes two events an episode and not one for each message. Of datagrams it is the subscriber who is
//! told: what came late or never ([`Late`](crate::Dropped::Late), [`Lost`](crate::Dropped::Lost)), and what found its
//! queue full.
//!
//! # Snapshots
//!
//! [`peers`](crate::Socket::peers) lists the pipes: endpoint, who is there, what waits in each direction, how many
//! messages that peer missed. It takes the socket's two locks for a moment each, so it is cheap enough for a
//! dashboard and too dear for every message.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::Push;
//!
//! let push = Push::new();
//! push.connect("inproc://not-yet")?;
//! push.send("early").await?;
//!
//! let [peer] = &push.peers()[..] else { panic!("one pipe") };
//! assert_eq!((peer.send_queue, peer.dropped), (1, 0));
//! assert!(peer.info.is_none(), "nobody has bound the name");
//! # Ok(()) }
//! ```
//!
//! Over `inproc` a message goes straight to the receiver: it counts there, as `receive_queue`.
//!
//! # Waiting for something
//!
//! | for | use |
//! |---|---|
//! | a connection we make | [`connected`](crate::Socket::connected) |
//! | any peer, either side | [`Event::Ready`](crate::Event::Ready) |
//! | a subscription | [`XPub`](crate::XPub)'s `recv` |
//! | everything sent | [`close`](crate::Socket::close) |
//! | every task gone | [`Context::shutdown`](crate::Context::shutdown) |
