//! What happens when a future is dropped before it is ready: under `select!`, `timeout`, or with its task.
//!
//! | future | dropped before it is ready |
//! |---|---|
//! | [`send`](crate::Socket::send) | not sent, and the message is dropped with the future |
//! | [`recv`](crate::Socket::recv), [`recv_from`](crate::Socket::recv_from), [`recv_many`](crate::Socket::recv_many), [`Rep::recv`](crate::Rep) | nothing was taken |
//! | [`Req::request`](crate::Req) | given up: the peer may have got it; its reply is dropped |
//! | [`Request::reply`](crate::Request::reply) | not sent, and the request is gone: whoever asked waits on |
//! | [`bind`](crate::Socket::bind) | bound or not; [`close`](crate::Socket::close) frees the address in any case |
//! | [`connected`](crate::Socket::connected) | only the waiting ends |
//! | [`unbind`](crate::Socket::unbind), [`disconnect`](crate::Socket::disconnect) | it happens all the same |
//! | [`close`](crate::Socket::close) | the socket closes all the same; the count of unsent messages is lost |
//! | [`Monitor::next`](crate::Monitor::next) | no event is lost |
//! | [`Context::shutdown`](crate::Context::shutdown) | only the waiting ends |
//! | [`SendSink`](crate::SendSink) | the one message it may hold is dropped |
//! | [`RecvStream`](crate::RecvStream) | it holds nothing |
//!
//! Methods that are not `async` do what they do before they return, and cannot be cancelled.
//!
//! Nobody is stranded: a task that was woken for a message, or for room, and goes away without using it, wakes
//! the next one in line.
//!
//! # Receiving in `select!`
//!
//! `recv` in a loop with `select!` loses nothing:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use zocket::{Pull, Push};
//!
//! let (push, pull) = (Push::new(), Pull::new());
//! pull.bind("inproc://cancel-recv").await?;
//! push.connect("inproc://cancel-recv")?;
//! let sending = tokio::spawn(async move {
//!     for number in 0..100 {
//!         push.send(number.to_string()).await.unwrap();
//!         tokio::task::yield_now().await;
//!     }
//! });
//!
//! let mut tick = tokio::time::interval(Duration::from_micros(50));
//! let mut next = 0;
//! while next < 100 {
//!     tokio::select! {
//!         message = pull.recv() => {
//!             assert_eq!(message?, *next.to_string());
//!             next += 1;
//!         }
//!         _ = tick.tick() => {}
//!     }
//! }
//! # sending.await?;
//! # Ok(()) }
//! ```
//!
//! # Sending with a time limit
//!
//! A `send` that is dropped takes its message along. To keep the message, keep it out of the future: a clone is
//! cheap (a copy of each frame up to 512 bytes, a reference count above, and a small vector if there are several
//! frames), or ask with [`try_send`](crate::Socket::try_send), which gives it back.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tokio::time::timeout;
//! use zocket::{Message, Push};
//!
//! let push = Push::new(); // connected to nobody, so `send` waits
//! let message = Message::from("precious");
//! if timeout(Duration::from_millis(5), push.send(message.clone())).await.is_err() {
//!     assert_eq!(message, "precious"); // not sent, still here
//! }
//! # Ok(()) }
//! ```
//!
//! Once in 512 calls or 256 KiB (four times as many calls with several peers) a `send` or `recv` that could go on yields to the other tasks first. So a future
//! polled once and dropped (`now_or_never`) may say "not yet" where there was room. Use `try_send` and
//! [`try_recv`](crate::Socket::try_recv) for that: they never yield.
//!
//! # Requests
//!
//! Dropping a `request` gives the turn to the next one. Whether the peer got it is not known. Its late reply is
//! told apart by the id that requests carry; where they carry none (towards a `Router`, without
//! [`correlate`](crate::SocketBuilder::correlate)), that connection is closed and made anew, which
//! [`Disconnect::RequestAbandoned`](crate::Disconnect::RequestAbandoned) reports.
