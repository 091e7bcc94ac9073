//! Which numbers may be turned, and what they cost. The defaults are meant to be left alone; measure first.
//!
//! # Where your tasks run
//!
//! Each connection is a task on the tokio runtime that was current when the socket was made. `send` and `recv` run
//! on your task, and wake the connection's task only if it sleeps.
//!
//! * **Spawn.** In a multi-threaded runtime the future given to `block_on` or `#[tokio::main]` runs on a thread of
//!   its own, so each wake-up between it and a connection crosses threads. In a spawned task it stays on one
//!   worker. For round trips this is the largest factor of all.
//! * **`current_thread`** is the fastest flavour for round trips, and for one busy connection often for throughput
//!   as well. A multi-threaded runtime puts encoding (your task) and system calls (the connection's) on two cores.
//! * **No runtime?** Sockets made outside one are served by threads of their [`Context`](crate::Context)
//!   ([`io_threads`](crate::ContextBuilder::io_threads), one by default); their futures can be awaited on any
//!   executor.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::{Pull, Push};
//!
//! // Made outside any runtime, so a thread of the context serves them.
//! let (push, pull) = (Push::new(), Pull::new());
//! // An executor that can do no I/O and no timers: awaiting needs neither.
//! tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//!     let at = pull.bind("tcp://127.0.0.1:0").await?;
//!     push.connect(&at)?;
//!     push.send("served elsewhere").await?;
//!     assert_eq!(pull.recv().await?, "served elsewhere");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Busy polling
//!
//! Between two cores most of a round trip is waking the other thread. With
//! [`busy_poll`](crate::SocketBuilder::busy_poll) a connection looks for more for a bounded time after the last byte
//! before it sleeps: a round trip then takes about a quarter of libzmq's time, and the thread its whole core meanwhile,
//! for each look is a system call.
//! Use it on both sides, for few connections, and never with fewer cores than threads that look.
//!
//! # Memory
//!
//! A context lends chunks of 64 KiB to whatever is in traffic, and keeps 2 MiB of them idle; an idle peer owns about
//! 4 KiB. Of the buffers of large messages that were sent as borrowed bytes it keeps up to 8 MiB, for a fifth of a
//! second after the last use. With glibc, the first context of a process lets up to 8 MiB stay free at the end of the heap, which else
//! gives pages back and takes them again with every few large messages. Memory freed below the end stays with the
//! process, as with any program on glibc; `malloc_trim` returns it.
//!
//! # Batching
//!
//! There is no delay and nothing to flush: an idle connection writes a message at once. While it is busy, what is
//! sent meanwhile gathers in the queue, encoded, and goes out as one write. So batches grow with the load, by
//! themselves. What hinders them is waiting after each message: send many before you await an answer.
//!
//! [`recv_many`](crate::Socket::recv_many) takes what is there under one lock, and is the cheapest way to receive.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::{Pull, Push};
//!
//! let (push, pull) = (Push::new(), Pull::new());
//! pull.bind("inproc://tuning-many").await?;
//! push.connect("inproc://tuning-many")?;
//! for number in 0..100 {
//!     push.send(number.to_string()).await?;
//! }
//! let mut messages = Vec::new();
//! while messages.len() < 100 {
//!     pull.recv_many(&mut messages, 256).await?;
//! }
//! assert_eq!(messages[99], "99");
//! # Ok(()) }
//! ```
//!
//! # High-water marks
//!
//! A mark is how much a slow peer may hold, and how long a fast one can go on while the other side is away. For
//! throughput, 1000 messages are plenty: a queue need only cover the time of a wake-up. More of it is latency
//! when it is full. Below about 100 small messages, waking starts to cost, since whoever waits in `send` is woken
//! when the queue is half empty. For large messages the mark in bytes decides; a thousand subscribers with full
//! queues of 64 MiB are 64 GB, so lower it where there are many peers:
//! [`HighWater::messages(1000).bytes(1 << 20)`](crate::HighWater::bytes).
//!
//! A loop that sends large messages does not fill such queues while its peers read: once all have more than 1 MiB waiting,
//! `send` of a PUSH, DEALER or PAIR lets them catch up, so that what is written is still in the processor's cache. If they
//! take less than 1 MiB within 2 ms, it goes on. `try_send` does not wait.
//!
//! # Sizes, and what is copied
//!
//! | payload of a frame | what happens to it |
//! |---|---|
//! | up to [22 bytes](crate::Frame::INLINE) | lives inside the [`Frame`](crate::Frame): no allocation |
//! | up to 512 bytes, unless made of [`Bytes`](bytes::Bytes) | an allocation of the frame's own, copied with it |
//! | above that | `Bytes`: clones share it |
//! | sending a `&[u8]` or `&str`, below 8 KiB | no frame is made: encoded from where it is |
//! | sending, below 8 KiB | copied once, into the chunk that the kernel reads |
//! | sending, from 8 KiB | not copied: the kernel reads your [`Bytes`](bytes::Bytes) |
//! | sending to several subscribers | encoded once; above 4 KiB, or 32 KiB for all of them, shared, below copied to each |
//! | receiving, up to 512 bytes, or in a read of up to 4 KiB | copied out of the read buffer |
//! | receiving, above that | shares the read buffer: no copy |
//!
//! A received frame above 512 bytes may keep its read buffer, up to 64 KiB or the size of its message, alive for
//! as long as you keep it. If you keep a few of many, copy them (`Frame::copy_from_slice`).
//!
//! Large messages are read into a buffer of their own, which grows with what has arrived. Other reads go into one
//! buffer per thread, lent to whichever connection is reading, so idle connections own none.
//!
//! # Budgets
//!
//! A `send` or `recv` that never has to wait yields once in 512 calls or 256 KiB, with four peers or more in 2048 calls;
//! a connection's task yields after reading 256 KiB, or 64 KiB where eight reads wait to be received. Neither can be set: they keep what is under way in the cache, and the other tasks alive.
//!
//! # Latency
//!
//! `TCP_NODELAY` is always on. For fresh values rather than all values: [`conflate`](crate::SocketBuilder::conflate)
//! at the receiver, and at the sender with a small [`LinkOptions`](crate::LinkOptions) `send_buffer` or
//! `unsent_low_water`; over quic the sender then cuts off what is stale. Over `inproc` it is enough that one of the two
//! sides conflates.
//!
//! # Building with a profile
//!
//! Over tcp on one core, most of what a round trip takes in zocket is the loading of code that the kernel has pushed out of
//! the cache. So it matters how closely the code that runs lies together, and a compiler knows that from a profile of the
//! program at work (PGO; the rustc book, "Profile-guided Optimization"). It takes nothing of zocket but time to build:
//!
//! ```sh
//! rustup component add llvm-tools
//! RUSTFLAGS=-Cprofile-generate=$PWD/profile cargo build --release
//! LLVM_PROFILE_FILE=profile/%p.profraw target/release/program   # at the work that it is for
//! $(rustc --print target-libdir)/../bin/llvm-profdata merge -o program.profdata profile/*.profraw
//! RUSTFLAGS=-Cprofile-use=$PWD/program.profdata cargo build --release
//! ```
//!
//! Two processes on one core then take 0.82 of the time for a round trip, over tcp and over ipc: over tcp 1.1 µs more than
//! a bare loop and 0.36 of libzmq's time, where it is 2.9 µs and 0.43 else. On two cores they take 0.95 of it, and small
//! messages go 1.04 to 1.16 times as fast. `benches/profiled` builds and runs the benchmark so.
//!
//! # Finding dead peers
//!
//! A peer that closes or crashes is noticed at once; one whose machine or cable vanishes is not. By default
//! zockets ask each other after 15 s and give up after 45 more, and tcp probes everybody after 60 s. For faster:
//! [`heartbeat`](crate::SocketBuilder::heartbeat), and `user_timeout` in `LinkOptions`. Beware of libzmq peers
//! that stop reading for long: they answer no PING meanwhile.
//!
//! # Many peers
//!
//! [`max_handshakes`](crate::SocketBuilder::max_handshakes) and
//! [`handshake_timeout`](crate::SocketBuilder::handshake_timeout) bound what strangers may hold, and who comes beyond waits;
//! [`max_message_bytes`](crate::SocketBuilder::max_message_bytes) and
//! [`max_frames`](crate::SocketBuilder::max_frames) bound one message, and over udp
//! [`max_udp_peers`](crate::SocketBuilder::max_udp_peers) how many peers share an address. After a restart of a server with thousands
//! of clients, their jitter spreads them, and a `backlog` of 1024 holds those who come at once.
