//! From libzmq: what is called what, and what differs.
//!
//! Both ends need not move at once: zocket and libzmq talk to each other, in every pairing of these socket
//! types that libzmq allows, over tcp and ipc.
//!
//! # Calls
//!
//! | libzmq | here |
//! |---|---|
//! | `zmq_ctx_new`, `zmq_ctx_term` | [`Context::global`](crate::Context::global) by itself; [`Context::shutdown`](crate::Context::shutdown) |
//! | `zmq_socket` | [`Push::new`](crate::Socket::new), [`Push::builder`](crate::Socket::builder) and so on: options before, not after |
//! | `zmq_bind`, `ZMQ_LAST_ENDPOINT` | [`bind`](crate::Socket::bind) returns it |
//! | `zmq_connect`, `zmq_unbind`, `zmq_disconnect` | the same words |
//! | `zmq_send` with `ZMQ_SNDMORE` | one [`Message`](crate::Message) of several frames: `send(["a", "b"])` |
//! | `zmq_recv`, `ZMQ_RCVMORE` | [`recv`](crate::Socket::recv) gives the whole message |
//! | `ZMQ_DONTWAIT`, `EAGAIN` | [`try_send`](crate::Socket::try_send), [`try_recv`](crate::Socket::try_recv) |
//! | `ZMQ_SNDTIMEO`, `ZMQ_RCVTIMEO` | `tokio::time::timeout` around the call |
//! | `zmq_poll`, `ZMQ_FD`, `ZMQ_EVENTS` | `select!`, [`stream`](crate::Socket::stream), [`sink`](crate::Socket::sink) |
//! | `zmq_join`, `zmq_leave`, `zmq_msg_set_group`, `zmq_msg_group` | [`Dish::join`](crate::Dish::join), [`Dish::leave`](crate::Dish::leave); [`Radio::send`](crate::Radio::send) takes the [`Group`](crate::Group), [`Dish::recv`](crate::Dish::recv) gives it |
//! | `zmq_proxy` | two loops; see `examples/forwarder.rs` |
//! | `zmq_socket_monitor` | [`monitor`](crate::Socket::monitor) |
//! | `zmq_msg_gets` | [`PeerInfo`](crate::PeerInfo), in [`peers`](crate::Socket::peers) and events |
//! | `zmq_close` | [`close`](crate::Socket::close), or drop |
//! | `EFSM` | cannot happen: a [`Request`](crate::Request) is answered once, a `request` is one call |
//! | `EHOSTUNREACH` | [`SendError::Unroutable`](crate::SendError::Unroutable) |
//! | `EADDRINUSE`, `ECONNREFUSED`, … | the source of [`BindError::Io`](crate::BindError::Io); in events, [`Disconnect::Io`](crate::Disconnect::Io) |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use zocket::{Dealer, HighWater};
//!
//! // zmq_setsockopt: IDENTITY, SNDHWM, RCVHWM, LINGER, IMMEDIATE
//! let dealer = Dealer::builder()
//!     .routing_id("worker-1")
//!     .send_high_water(HighWater::messages(500))
//!     .receive_high_water(HighWater::messages(500))
//!     .linger(Duration::from_millis(250))
//!     .immediate(true)
//!     .build();
//! dealer.connect("tcp://127.0.0.1:5555")?;
//! # Ok(()) }
//! ```
//!
//! # Options
//!
//! Methods of [`SocketBuilder`](crate::SocketBuilder), unless said otherwise; fields are of
//! [`LinkOptions`](crate::LinkOptions), given to [`link`](crate::SocketBuilder::link). Options are set before the
//! socket is made, and hold for all its life.
//!
//! | libzmq (default) | here (default) |
//! |---|---|
//! | `SNDHWM`, `RCVHWM` (1000, 0 is unlimited) | [`send_high_water`](crate::SocketBuilder::send_high_water), [`receive_high_water`](crate::SocketBuilder::receive_high_water): [`HighWater`](crate::HighWater) (1000 and 64 MiB); unlimited is [`without_messages_limit`](crate::HighWater::without_messages_limit) |
//! | `LINGER` (for ever; 0 for SUB) | [`linger`](crate::SocketBuilder::linger) (30 s; 0 for SUB, XSUB and DISH) |
//! | `RECONNECT_IVL`, `_MAX` (100 ms, none) | [`reconnect`](crate::SocketBuilder::reconnect): [`Reconnect::within`](crate::Reconnect::within) (100 ms, 30 s, jitter) |
//! | `RECONNECT_IVL` = -1, `RECONNECT_STOP` | [`Reconnect::never`](crate::Reconnect::never), [`stop_on_refusal`](crate::Reconnect::stop_on_refusal) |
//! | `HANDSHAKE_IVL` (30 s) | [`handshake_timeout`](crate::SocketBuilder::handshake_timeout) (10 s) |
//! | `HEARTBEAT_IVL`, `_TIMEOUT`, `_TTL` (off) | [`heartbeat`](crate::SocketBuilder::heartbeat): [`Heartbeat`](crate::Heartbeat) (15 s and 45 s, zocket peers only) |
//! | `IMMEDIATE` (off) | [`immediate`](crate::SocketBuilder::immediate) (off; `Req` always) |
//! | `CONFLATE` (off) | [`conflate`](crate::SocketBuilder::conflate) (off) |
//! | `MAXMSGSIZE` (unlimited) | [`max_message_bytes`](crate::SocketBuilder::max_message_bytes) (256 MiB), [`max_frames`](crate::SocketBuilder::max_frames) (65 536) |
//! | `ROUTING_ID`, `IDENTITY` | [`routing_id`](crate::SocketBuilder::routing_id) |
//! | `CONNECT_ROUTING_ID` | [`Router::connect_as`](crate::Router::connect_as) |
//! | `PROBE_ROUTER` (off) | [`probe`](crate::SocketBuilder::probe) (off; `Dealer` and `Router`) |
//! | `ROUTER_MANDATORY` (off) | [`mandatory`](crate::SocketBuilder::mandatory) (**on**) |
//! | `ROUTER_HANDOVER` (off) | [`handover`](crate::SocketBuilder::handover) (off) |
//! | `ROUTER_NOTIFY` | [`Event::Ready`](crate::Event::Ready) and [`Disconnected`](crate::Event::Disconnected) |
//! | `REQ_RELAXED`, `REQ_CORRELATE` (off) | [`relaxed`](crate::SocketBuilder::relaxed), [`correlate`](crate::SocketBuilder::correlate) (off; towards `Rep` requests always have ids) |
//! | `SUBSCRIBE`, `UNSUBSCRIBE` | [`subscribe`](crate::Sub::subscribe), [`unsubscribe`](crate::Sub::unsubscribe) |
//! | `XPUB_VERBOSE`, `XPUB_VERBOSER` | [`verbose`](crate::SocketBuilder::verbose): [`Verbose`](crate::Verbose) |
//! | `XPUB_MANUAL` | [`manual`](crate::SocketBuilder::manual), and [`XPub::subscribe`](crate::XPub::subscribe) names the peer |
//! | `XPUB_NODROP` | [`no_drop`](crate::SocketBuilder::no_drop), of `Radio` too |
//! | `XPUB_WELCOME_MSG` | [`welcome`](crate::SocketBuilder::welcome) |
//! | `TOPICS_COUNT` | [`Pub::topics`](crate::Pub), [`XPub::topics`](crate::XPub), … |
//! | `IPV6` (off) | `ipv6` (**on**) |
//! | `SNDBUF`, `RCVBUF` | `send_buffer`, `receive_buffer` |
//! | `BACKLOG` (100) | `backlog` (1024) |
//! | `MULTICAST_HOPS`, `MULTICAST_LOOP` (1, on) | `multicast_hops`, `multicast_loop` in [`LinkOptions`](crate::LinkOptions) (1, on) |
//! | `CONNECT_TIMEOUT` (the system's) | `connect_timeout` (30 s) |
//! | `TCP_KEEPALIVE*` (the system's) | `keep_alive`: [`KeepAlive`](crate::KeepAlive) (60 s, 15 s, 4) |
//! | `TCP_MAXRT` | `user_timeout` |
//! | `TOS` | `type_of_service` |
//! | `IO_THREADS` (1) | your runtime; without one, [`io_threads`](crate::ContextBuilder::io_threads) (1) |
//! | `TYPE` | [`kind`](crate::Socket::kind) |
//! | `BLOCKY`, `MAX_SOCKETS`, `THREAD_*`, `AFFINITY` | nothing of the kind |
//! | `PLAIN_*`, `CURVE_*`, `ZAP_*`, `GSSAPI_*` | not yet: NULL only; over [quic](super::transports#quic) TLS |
//! | `SOCKS_*`, `USE_FD`, `BINDTODEVICE`, `METADATA`, `INVERT_MATCHING`, filters, pgm's rates | not here |
//!
//! # Behaviour
//!
//! * **Sockets are shared.** Any number of tasks send and receive on one; no context of one thread, no inproc PAIR
//!   only to signal.
//! * **A router complains.** Sending to a name that is not there is an error; to a full peer, it waits.
//! * **A request ends.** If its connection breaks, `request` fails rather than wait for ever. It is queued only for
//!   peers that are connected, so it waits while there is none.
//! * **Rep takes requests while others are open.** Replies to peers that have gone are errors, with the reply in
//!   them.
//! * **Replies do not cross connections.** A reply goes to the connection that its request came by, never to the
//!   next one of the same peer.
//! * **Connections go on.** A refused handshake, or a radio whose messages are not a radio's, is tried again at the
//!   longest wait, where libzmq gives up.
//! * **A connecting router follows its peer.** If a restarted peer calls itself otherwise, its new name holds.
//! * **PUB drops one by one.** A full queue takes the next message as soon as there is room for one; libzmq goes on
//!   dropping to half.
//! * **XSUB and XPUB** take subscriptions as messages of one frame; longer messages that start with 0 or 1 are
//!   messages.
//! * **ipc files are not stolen**, and inproc names are free again as soon as their owner unbinds or closes.
//! * **ZMTP 1.0 is refused**; 2.0, 3.0 and 3.1 are spoken.
