//! Choosing sockets, and what stands in the frames before the body.
//!
//! Ask who decides where a message goes.
//!
//! | you want | use | who gets a message |
//! |---|---|---|
//! | to spread work, no answer | [`Push`](crate::Push) → [`Pull`](crate::Pull) | whoever's turn it is and has room |
//! | to tell everybody | [`Pub`](crate::Pub) → [`Sub`](crate::Sub) | everybody who subscribed to how it starts |
//! | to know who listens | [`XPub`](crate::XPub) | as `Pub`, and subscriptions are received |
//! | to tell the members of a group | [`Radio`](crate::Radio) → [`Dish`](crate::Dish) | everybody who joined exactly its group |
//! | to ask, and wait | [`Req`](crate::Req) → [`Rep`](crate::Rep) | one peer; its reply comes back |
//! | to ask many at once | [`Dealer`](crate::Dealer) → [`Router`](crate::Router) or `Rep` | one peer in turn |
//! | to answer when and whom you like | [`Router`](crate::Router) | the peer that the first frame names |
//! | two ends of one pipe | [`Pair`](crate::Pair) | the other one |
//!
//! Who binds and who connects is a separate question: bind what has a known address or lives longer, connect the
//! rest. The order of start does not matter, and a socket may do both, many times.
//!
//! # Work: PUSH and PULL
//!
//! Messages go round by whole message, to peers whose queue has room. A worker that connects late gets its share
//! from then on; what was sent before may all sit in the queues of those who came first. If jobs are slow and
//! few, give the workers short queues, so that work waits where any worker can get it:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::{HighWater, Pull, Push};
//!
//! let one = HighWater::messages(1);
//! let jobs = Push::builder().send_high_water(one).build();
//! let at = jobs.bind("tcp://127.0.0.1:0").await?;
//! let worker = Pull::builder().receive_high_water(one).build();
//! worker.connect(&at)?;
//! jobs.send("a long job").await?;
//! assert_eq!(worker.recv().await?, "a long job");
//! # Ok(()) }
//! ```
//!
//! The kernel's buffers still hold what fits into them; see [`delivery`](super::delivery#how-much-fits).
//! For exactly one job at a time, let workers ask: a `Req` in each, a `Rep` or `Router` with the jobs.
//!
//! # News: PUB and SUB
//!
//! A subscription is a prefix of the first frame, compared as bytes: `"a"` matches `"abc"`, and the empty prefix
//! matches all. Put the topic into a frame of its own, or end it with a separator, unless you want `"oslo"` to
//! match `"oslofjord"`. Publishers filter, so what nobody wants is never sent; `Sub` filters once more, for what
//! was under way when a subscription was taken back.
//!
//! A subscription takes time to arrive. What is published before that is not for this subscriber, which surprises
//! everybody once. Either do not care (news comes again), or wait for the subscription with an `XPub`, where
//! there is an example. A subscriber that was away has missed what was published meanwhile; it subscribes anew by
//! itself when it is back.
//!
//! Many publishers and many subscribers meet at a forwarder: an [`XSub`](crate::XSub) towards the publishers, an
//! `XPub` towards the subscribers, and two loops. What the `XPub` receives can be sent to the `XSub` as it is
//! (`examples/forwarder.rs`).
//!
//! # Groups: RADIO and DISH
//!
//! As `Pub` and `Sub`, but the topic stands beside the message and is compared as a whole: a [`Group`](crate::Group)
//! of at most 255 bytes, which is [joined](crate::Dish::join) once and [left](crate::Dish::leave) once. A message
//! has one frame. Choose it where topics are names rather than a tree of them: `"oslo"` is never `"oslofjord"`.
//! libzmq has these two types if it is built with its draft API.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::{Dish, Group, Radio};
//!
//! let radio = Radio::new();
//! radio.bind("inproc://patterns-groups").await?;
//! let dish = Dish::new();
//! dish.join("oslo")?;
//! dish.connect("inproc://patterns-groups")?;
//!
//! let oslo = Group::new("oslo")?; // checked once, sent to often
//! radio.send("oslofjord", "calm").await?;
//! radio.send(&oslo, "-3").await?;
//! assert_eq!(dish.recv().await?, (oslo, "-3".into()));
//! # Ok(()) }
//! ```
//!
//! A join takes time to arrive, as a subscription does. How many groups somebody has joined,
//! [`groups`](crate::Radio::groups) says.
//!
//! # Questions: REQ and REP
//!
//! [`request`](crate::Req) is a future for one reply. It may be put under a time-out and dropped: a
//! late reply never answers the next request. One `Req` asks one thing at a time; for more, use a `Dealer`, or
//! several `Req`s. A [`Request`](crate::Request) is owned and answered once, by any task, while others are open:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tokio::time::timeout;
//! use zocket::{Rep, Req};
//!
//! let (req, rep) = (Req::new(), Rep::new());
//! rep.bind("inproc://patterns-req").await?;
//! req.connect("inproc://patterns-req")?;
//!
//! // Nobody answers in time.
//! assert!(timeout(Duration::from_millis(10), req.request("first")).await.is_err());
//! let first = rep.recv().await?;
//!
//! let second = tokio::spawn(async move { req.request("second").await });
//! let request = rep.recv().await?;
//! first.reply("too late").await.ok();
//! request.reply("in time").await?;
//! assert_eq!(second.await??, "in time");
//! # Ok(()) }
//! ```
//!
//! # Envelopes
//!
//! Between `Req` and `Rep` a message travels with address frames in front of it, and an empty frame that ends
//! them. `Req` and `Rep` add and remove these; `Dealer` and `Router` show them.
//!
//! | socket | when it sends | when it receives |
//! |---|---|---|
//! | `Req` | puts \[id\] and an empty frame in front | takes them off, and checks the id |
//! | `Rep` | puts back what it took off | takes off all up to and with the first empty frame |
//! | `Dealer` | nothing | nothing |
//! | `Router` | takes off the first frame: it says where to | puts the sender's routing id in front |
//!
//! The id is there towards a `Rep`, which gives it back without knowing, and towards a `Router` only with
//! [`correlate`](crate::SocketBuilder::correlate): a program behind a router must send back all frames up to and
//! with the empty one. So a `Router` that answers a `Req` keeps the envelope, and a `Dealer` that asks a `Rep`
//! makes one:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::{Dealer, Rep};
//!
//! let (dealer, rep) = (Dealer::new(), Rep::new());
//! rep.bind("inproc://patterns-envelope").await?;
//! dealer.connect("inproc://patterns-envelope")?;
//!
//! for number in ["7", "8"] {
//!     dealer.send([number, "", "question"]).await?; // any address, an empty frame, the body
//! }
//! for _ in 0..2 {
//!     rep.recv().await?.reply("answer").await?;
//! }
//! assert_eq!(dealer.recv().await?, ["7", "", "answer"]);
//! assert_eq!(dealer.recv().await?, ["8", "", "answer"]);
//! # Ok(()) }
//! ```
//!
//! # Names: ROUTER
//!
//! A router knows a peer by its routing id: the one the peer gave itself
//! ([`routing_id`](crate::SocketBuilder::routing_id)), or one that you gave to a connection
//! ([`connect_as`](crate::Router::connect_as)), or else five bytes of its own making that start with zero. The
//! first kind lasts as long as the peer's connection, so a peer that comes back is reached again under its name.
//! A second peer with a name in use is [muted](crate::Event::Muted) until the name is free, or takes it over with
//! [`handover`](crate::SocketBuilder::handover).
//!
//! A name is known from the handshake on. So let the peer speak first, as `examples/chat.rs` does, or have it send
//! an empty message on each new connection ([`probe`](crate::SocketBuilder::probe)); a router that connects may
//! wait for [`connected`](crate::Socket::connected). Only names given with `connect_as` may be used before.
