//! What is promised about a message, and what is not.
//!
//! A message that [`send`](crate::Socket::send) took is in a queue of this process. That is all it says. It does
//! not say that the peer has it, for ZMTP has no acknowledgements; where you need them they are messages of your
//! own, such as the reply to a [`request`](crate::Req).
//!
//! # Promised
//!
//! A *pipe* is the pair of queues between a socket and one peer. For each pipe:
//!
//! * **Whole.** All frames of a message arrive together or none does. A message cut off by a lost connection is
//!   never received, nor glued to the next one.
//! * **In order, and once.** Messages arrive in the order in which they were sent, and none arrives twice. After a
//!   lost connection, sending goes on with the first message that the kernel had not taken to its last byte: the
//!   peer cannot have had that one whole.
//! * **Bounded.** Each queue has a mark in messages and in bytes. At the mark, senders wait or the pattern drops,
//!   as the table of [socket types](crate#socket-types) says.
//! * **Yours or ours.** An error of `send` has the message in it.
//! * **Apart.** A full or broken pipe holds up no other. (A `Pub` with
//!   [`no_drop`](crate::SocketBuilder::no_drop) gives this up.)
//!
//! Between pipes there is no order: two peers' messages are received in turn, one whole message each.
//!
//! # What can be lost
//!
//! ## Because a connection ended
//!
//! * **What the kernel had taken.** Bytes in the kernel's buffers at either end when a connection breaks are gone,
//!   and nobody can tell how many arrived. [`Event::Disconnected`](crate::Event::Disconnected) says that it broke.
//!   An orderly close is no such case for what the closing side sent: its peer reads that to the end.
//! * **The queue of a peer that connected to us.** It ends with its connection: nothing says that whoever comes
//!   next is the same peer. [`Event::Dropped`](crate::Event::Dropped) with
//!   [`LinkLost`](crate::Dropped::LinkLost) counts what was in it.
//! * **The queue of a peer we connect to** is kept for the next connection, except with
//!   [`immediate`](crate::SocketBuilder::immediate), and except requests and replies, which belong to one
//!   conversation. What is dropped is counted in the same way.
//! * **A request.** If the connection that carried it breaks, `request` fails with
//!   [`PeerLost`](crate::RequestError::PeerLost). The peer may have acted on it or not. It is not sent again:
//!   only you know whether that is safe.
//!
//! What had arrived whole stays, and can be received after the peer is gone.
//!
//! ## Because a queue was full
//!
//! * **Publications.** `Pub`, `XPub`, `XSub` and `Radio` never wait: a peer whose queue is full misses the message,
//!   and the others get it. The first miss is reported at once, the rest when that peer's queue has drained;
//!   [`Peer::dropped`](crate::Peer::dropped) is the total.
//! * **A router's messages**, with [`mandatory(false)`](crate::SocketBuilder::mandatory).
//!
//! ## Because a socket closed
//!
//! * **What is unsent when linger is over.** [`close`](crate::Socket::close) returns the count. A socket that is
//!   dropped lingers too, but has nobody to tell; and when its tokio runtime ends, or the process does, what was
//!   queued is gone. So: `close().await` before the end of `main`.
//! * **What was received and not read**, when the receiving socket is dropped; and what still arrives at a socket
//!   that has said all it had to say.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use zocket::Push;
//!
//! let push = Push::builder().linger(Duration::ZERO).build();
//! push.connect("inproc://nobody")?;
//! push.send("lost").await?; // queued for whoever binds that name
//! assert_eq!(push.close().await.messages, 1);
//! # Ok(()) }
//! ```
//!
//! ## Because you asked for it
//!
//! Publications without a subscriber, messages replaced by newer ones under
//! [`conflate`](crate::SocketBuilder::conflate), late replies to requests given up
//! ([`Req::dropped`](crate::Req)), messages that a subscription taken back let through: none of these is
//! an accident, and none is reported as one.
//!
//! # How much fits
//!
//! From one sender to one receiver over a wire there can be, at most,
//!
//! ```text
//! send mark + kernel's send and receive buffers + one read (64 KiB, at most 128) + receive mark
//! ```
//!
//! [`HighWater`](crate::HighWater) is 1000 messages and 64 MiB unless set. The send queue counts each message
//! until the kernel has its last byte, but for one: the only one of a connection to or from a REQ counts again when
//! the kernel did not take all of it. The receive queue counts whole messages that nobody has received; at its mark
//! the connection is not read, so the kernel's buffers fill, and then the sender's queue. What the last read brought
//! beyond the mark waits undecoded. A message counts by its wire size against the byte mark. A queue below both
//! marks takes the next message, whatever its size; so a queue is beyond its byte mark by one
//! message, or one read, at most.
//!
//! Over `inproc` the two queues are one, whose marks are the sums of both sides'; while nobody has bound the
//! name, the sender's marks alone hold. Conflating queues hold one message each, over a wire with one more on its
//! way to the kernel; what the kernel has taken cannot be replaced any more, so fresh values also need small
//! kernel buffers ([`LinkOptions`](crate::LinkOptions)'s `send_buffer` and `unsent_low_water`).
//!
//! A full queue has room again as soon as it is below its marks; who waits in `send` is woken when it is half
//! empty, so that wake-ups cost little.
//!
//! Subscriptions are not messages and wait beside the queue. When more than 64 MiB of them wait for a publisher that
//! reads nothing, its connection is given up ([`Disconnect::NotReading`](crate::Disconnect::NotReading)); the next
//! one says what is wanted then.
//!
//! # If you need more
//!
//! * *At least once*: number your messages, have the receiver confirm, send again what is not confirmed in time,
//!   and let the receiver drop the numbers it has seen. `examples/pipeline` counts by such numbers what a killed
//!   worker took with it.
//! * *Nothing missed by a subscriber*: put a counter into the topic's messages, and ask for what is missing
//!   through a `Dealer` beside the `Sub`.
//! * *Survive a restart*: that takes a disk, and is not here.
