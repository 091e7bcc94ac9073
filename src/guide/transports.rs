//! Endpoints, the built-in transports, and how to add one.
//!
//! # Endpoints
//!
//! An [`Endpoint`](crate::Endpoint) is `scheme://address`. The scheme is lower-case letters, digits, `+`, `-` and
//! `.`; the address belongs to the transport. `bind` and `connect` take anything that can become one (`&str`,
//! `String`, `&Endpoint`), and a malformed one is an error of the call that names the part that is wrong:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use zocket::Push;
//!
//! let push = Push::new();
//! let wrong = push.connect("tcp://localhost:http").unwrap_err();
//! assert!(wrong.to_string().contains(r#""http""#));
//! let unknown = push.connect("carrier-pigeon://coop").unwrap_err();
//! assert!(unknown.to_string().contains("known are"));
//! # }
//! ```
//!
//! Endpoints are compared as text. `bind` returns the resolved one; give that to `connect`, `unbind` and so on.
//!
//! ## tcp
//!
//! ```text
//! bind    tcp://host:port
//! connect tcp://host:port      tcp://source:port;host:port
//! host    10.0.0.1   [fe80::1%eth0]   ::1   example.org   bind and source: * (all addresses)   eth0 (an interface)
//! port    5555       bind and source: 0 or * (any free one)
//! ```
//!
//! Names are looked up at every attempt, and all their addresses are tried. `*` accepts IPv6 and IPv4, unless
//! [`ipv6`](crate::LinkOptions::ipv6) is off. Nagle's algorithm is off: batching is done here.
//!
//! ## ipc
//!
//! ```text
//! ipc:///run/app.sock   ipc://relative.sock   ipc://@abstract (Linux)   bind: ipc://* (a new private folder)
//! ```
//!
//! Binding makes the socket's file and `<path>.lock` beside it, and removes both at the end. While the owner lives
//! a second bind fails with `AddrInUse`; the file of one that died is replaced. Who may connect is a matter of
//! file permissions. Unix only.
//!
//! ## udp
//!
//! ```text
//! bind    udp://host:port                                  as for tcp
//! connect udp://host:port                                  as for tcp, without a source
//! both    udp://239.1.2.3:port      udp://[ff02::1]:port   a multicast group: PUB and SUB, RADIO and DISH
//!         udp://eth0;239.1.2.3:port                        on an interface: its name, *, or an IPv4 address of it
//! ```
//!
//! Every socket type, best effort: a message is one datagram, and a lost one is not sent again. It has at most 65 400
//! bytes, all frames together with their headers, 2 bytes each or 9 above 255 (RADIO: 8191 without); a larger one is an
//! [error](crate::SendError::TooLarge) of `send`. A socket that has used such an endpoint sends nothing larger from then
//! on, to other peers neither. Above some 1400 bytes the network cuts datagrams in pieces, and the loss of one is the loss
//! of all. What fits and the system will not send is dropped and reported, as
//! [`Dropped::NotSent`](crate::Dropped::NotSent).
//!
//! Nothing is encrypted, and nobody is who he says: use it where you would use plain tcp.
//!
//! **Links.** Outside of groups, all types but RADIO and DISH make a link with each peer, in a protocol of our own, so
//! both sides must be zockets. It has a handshake, with which a listener keeps nothing for addresses that are not proven and sends them no
//! more than they sent; heartbeats, which alone find a peer that vanished, and so are never quite off: 60 s apart then;
//! events, marks and reconnection as over tcp. Order holds, and nothing comes twice: what is overtaken on its way is
//! dropped. A message that did not come in its place is counted once, as [`Dropped::Late`](crate::Dropped::Late) if it
//! came after later ones, or else as [`Dropped::Lost`](crate::Dropped::Lost). That is told about a second after; of the
//! last messages, after the next heartbeat, which tells their number. Subscriptions are repeated until they are
//! acknowledged. While there is no way out of this machine, as with a plug that is out, what a dialled link has to send
//! waits, until its heartbeat ends it; what a bound address has to send is dropped and reported, for no peer may hold up
//! the others. A dialled link ends at once when its own IPv4 address has gone (of IPv6 ones the system
//! does not tell), or the system says twice, with no packet in between, that nobody is there. What was not sent waits for the next link. After `unbind` the address is free when the
//! last peer has left. An address has [`max_udp_peers`](crate::SocketBuilder::max_udp_peers) at most, since no descriptors
//! bound them. At `*`, on Linux, answers leave from the address that was called; elsewhere from the one that the way back
//! has, and who called another does not take them: bind one address there. Of a name one address is called at a time, and
//! the next when that ends without an answer, at the latest after
//! [`handshake_timeout`](crate::SocketBuilder::handshake_timeout); a RADIO keeps to the first.
//!
//! Many datagrams share a system call, sent and received; on Linux those of one length to one address go through the
//! kernel as one packet (`UDP_SEGMENT`, `UDP_GRO`), which makes small messages cheap when there are many. What is on the
//! wire is the same.
//!
//! | socket | what it does not promise over udp |
//! |---|---|
//! | PUSH, PULL, PAIR, DEALER | that a message arrives: gone from the queue is all that is known |
//! | ROUTER | the same; `mandatory` tells of peers that are not there, and not of messages that did not arrive |
//! | REQ, REP | that a question or its answer arrives: `request` then waits until the link is lost. Put a time-out around it |
//! | PUB, SUB, XPUB, XSUB | that a subscriber gets all it subscribed to |
//! | PUB, SUB, XPUB, XSUB at a group | in addition, that who comes late is heard from the start, or the 257th publisher at all |
//! | RADIO, DISH | in addition: order, and that nothing comes twice. Losses are not counted |
//!
//! **PUB and SUB at a group.** A PUB or XPUB connects to it and sends everything; a SUB or XSUB binds it, as any number of
//! sockets of a machine may, and filters when it receives. Both are [`Ready`](crate::Event::Ready) when the socket is
//! open: nobody answers, so subscriptions go nowhere, and neither does what an XSUB sends. Each publication is in order and
//! never twice, and what is missing of it counts as over links, from the first datagram that is heard of it. A datagram,
//! all numbers big-endian, is
//!
//! ```text
//! "zmp1"(4) publication(8) number(8) frames
//! ```
//!
//! The publication is a random number, new with every socket that is opened; numbers ascend from 1; the frames are those of
//! ZMTP, all of one message. A datagram without frames tells the number of the last message: at the start, at every
//! [`heartbeat`](crate::SocketBuilder::heartbeat), and at the end. A listener remembers 256 publications, and forgets only
//! those that were silent for two minutes; it counts messages of another as
//! [`Dropped::Crowded`](crate::Dropped::Crowded), and as [`Dropped::Malformed`](crate::Dropped::Malformed) what is no such
//! datagram.
//!
//! **RADIO and DISH** speak libzmq's own datagrams, which have no handshake and no numbers: a RADIO connects, a DISH
//! binds, at one address or at a group. [`LinkOptions`](crate::LinkOptions) say how far a group reaches
//! ([`multicast_hops`](crate::LinkOptions::multicast_hops)), and over which interface.
//!
//! **Full queues.** One descriptor serves all peers of an address, so a receiver at its mark cannot stop one of them: it
//! drops what arrives and says so, [`Dropped::ReceiverFull`](crate::Dropped::ReceiverFull). What the kernel drops because
//! its own buffer is full shows as lost; give it a larger [`receive_buffer`](crate::SocketBuilder::receive_buffer).
//!
//! ## quic
//!
//! ```text
//! bind    quic://host:port     as for tcp
//! connect quic://host:port     as for tcp, without a source
//! ```
//!
//! One ordered stream for each peer, or several (see *Lanes*), over UDP, encrypted with TLS 1.3, under the feature `quic`.
//! Order, marks, events and reconnection are those of tcp. A peer may change its address under way, as behind a router that forgot it or in
//! another network, and nothing is lost; `Quic::rebind` moves on our side, and whoever listens is told with
//! [`PathChanged`](crate::Event::PathChanged).
//!
//! It has to be told who we are and whom we trust, so it is not there by itself: give one to a
//! [`Context`](crate::Context). Binding needs an identity, connecting a trust; without them the call is an
//! [error](crate::EndpointError::NotSetUp). Trust comes in three ways:
//!
//! | `Trust` | who is trusted | for |
//! |---|---|---|
//! | `keys` | whoever holds one of these keys, each told as one word of 64 hexadecimal digits: the SHA-256 of the public key | your own machines, without an authority |
//! | `roots`, `system_roots` | whoever has a certificate of one of these authorities, valid today; to connect to, for the host in the endpoint; to `admit`, under any name | names and an authority that exist already; to `admit`, only an authority of your own |
//! | `dangerous_trust_anyone` | whoever comes: whoever is in between can read and change all | tests, and looking at [`PeerInfo::proof`](crate::PeerInfo::proof) yourself |
//!
//! A listener that does not ask with `admit` lets anybody in, as a web server does. One that does asks clients for no
//! name, and so `admit(Trust::roots(..))` lets in everybody whom that authority has certified for clients: have one of
//! your own for it. `admit(Trust::system_roots()?)` lets in whoever in the world has such a certificate.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket::transport::quic::{Identity, Quic, Trust};
//! use zocket::{Context, Pull, Push};
//!
//! let (server, client) = (Identity::generate()?, Identity::generate()?); // `save` and `load` keep them
//! let word = server.fingerprint().to_string(); // to be told by other means
//!
//! let admitted = Trust::keys([client.fingerprint()]);
//! let here = Context::builder().transport(Quic::server(server).admit(admitted)).build()?;
//! let pull = Pull::builder().context(&here).build();
//! let at = pull.bind("quic://127.0.0.1:0").await?;
//!
//! let trusted = Trust::keys([word.parse()?]);
//! let there = Context::builder().transport(Quic::client(trusted).identity(client)).build()?;
//! let push = Push::builder().context(&there).build();
//! push.connect(&at)?;
//! push.send("for your eyes only").await?;
//! assert_eq!(pull.recv().await?, "for your eyes only");
//! # Ok(()) }
//! ```
//!
//! **Lanes.** [`lanes(n)`](crate::SocketBuilder::lanes) on both sides makes up to `n` streams of a connection, the fewer of
//! the two counting. A lost packet, a message of 100 MB or a receiver's full lane holds up what is behind it on its own
//! lane and nothing else; order is promised within a lane. Publishers choose it by the topic, the first frame of a message
//! of several, and radios by the group; a [`Dealer`](crate::Dealer) or [`Router`](crate::Router) is told with
//! [`lane`](crate::Socket::lane). Each has queues, marks and a window of its own, and may have a
//! [priority](crate::Lanes::priority). Over other transports all lanes are one. On the wire, the READY of a side
//! that wants more than one has the property `X-Lanes`, its number in a byte; whoever connected opens a bidirectional
//! stream for each further lane, whose first byte is its number, and then both send frames of messages on it. Commands
//! stay on the first.
//!
//! **Datagrams.** [`datagrams(true)`](crate::SocketBuilder::datagrams) on a RADIO, PUB or XPUB sends each message that
//! fits a packet, up to 1100 bytes, as one (RFC 9221): it may be lost, and is not held up by anything, nor doubled.
//! Subscribers need not be told; what they get so is in order, and what they miss is counted: sequence numbers show it
//! about a second later, or two where nothing followed, or at the end. What does not fit goes on its stream. On the wire
//! both sides' READY have the property `X-Datagrams` with the version, 1, in a byte; a packet is that version, a number of 8
//! bytes, big-endian, from 1 on, and the frames of a message as on a stream. The last number of all, in as many bytes, is
//! the content of the command X-SENT on the first lane, after a second without another and at the end.
//!
//! **Latest values.** With [`conflate`](crate::SocketBuilder::conflate) on the sending side and one lane, each message goes
//! on a unidirectional stream of its own. One that is partly sent when a newer one comes is cut off, and the receiver drops
//! what it has of it: a stale message of 100 MB holds up nothing. Of two in a row only one is cut off, so the receiver gets
//! some however fast they change. It holds what is unfinished up to twice its
//! [`max_message_bytes`](crate::SocketBuilder::max_message_bytes), and up to 128 may be on their way, which bounds how many a
//! round trip brings. On the wire, READY has the property `X-Latest`, a byte: bit 0 is set by all who say it,
//! and bit 1 by who sends so; a stream is the version, 1, in a byte, a number of 8 bytes, big-endian, from 1 on, and the
//! frames of a message. What ends behind one of a larger number is dropped.
//!
//! **Refusals.** A wrong name, an unknown key, an expired certificate: the event's reason is
//! [`Disconnect::Trust`](crate::Disconnect::Trust), on both sides. The one who connects goes on as after every refusal,
//! at the longest of its waits (30 s unless set), for the mending may happen on the other side: a certificate is
//! renewed, a key admitted. [`stop_on_refusal`](crate::Reconnect::stop_on_refusal) gives up instead.
//!
//! **Buffers.** Between sender and receiver there are, in place of the kernel's buffers, the bytes that wait to be
//! acknowledged and those that wait to be read: at most 1 MiB each for each lane, and three more for latest values, unless
//! [`send_buffer`](crate::SocketBuilder::send_buffer) and [`receive_buffer`](crate::SocketBuilder::receive_buffer) say
//! otherwise; for datagrams 64 KiB. A receiver at its mark stops the sender as over tcp. A closing socket waits, within linger, until its peer
//! has acknowledged everything.
//!
//! **Silence.** [`Heartbeat`](crate::Heartbeat) sets how often a silent connection is kept alive, and with its time-out
//! how much silence ends it; the stricter side counts. UDP does not say that nobody listens: an attempt to connect asks
//! again and again, until [`connect_timeout`](crate::SocketBuilder::connect_timeout). Nor does a kernel say goodbye for
//! a process that ends: where [`close`](crate::Socket::close) was not awaited, peers notice by the silence, 60 s
//! unless set; or at their next packet, if by then somebody listens there again with the same identity.
//!
//! **Strangers.** A peer that waits to be accepted costs one entry and at most 8 KiB, as many peers as
//! [`backlog`](crate::SocketBuilder::backlog) says. Accepting it costs a connection and a signature, whether or not it
//! has shown that it gets our packets; when 64 handshakes are under way it is first asked to show that, which costs us
//! nothing. How many may be unfinished is [`max_handshakes`](crate::SocketBuilder::max_handshakes), as for every transport;
//! who makes way, or is too slow, is told to come again.
//!
//! ## inproc
//!
//! `inproc://name`, any text. Names belong to a [`Context`](crate::Context); sockets of different contexts do not
//! meet. A socket may connect before the name is bound, and finds the next one when it is bound again. A
//! message of more than 512 bytes is moved, and nothing of it copied. Smaller ones, and borrowed bytes below 8 KiB, go
//! back to back through buffers of up to 64 KiB: between threads that is some three times as fast as an allocation which one
//! makes and the other frees. A received frame of more than 512 bytes may lie in such a buffer, and
//! hold it as long as it lives; one of fewer is a copy, so an owner given with `Bytes::from_owner` is let go by `send`.
//!
//! # A transport of your own
//!
//! Implement [`Transport`](crate::transport::Transport), four methods, and its
//! [`Listener`](crate::transport::Listener), two: whatever gives ordered bytes in both directions (tokio's
//! `AsyncRead + AsyncWrite`) carries every socket type, with handshake, queues, reconnecting and heartbeats.
//! `examples/custom_transport.rs` is a whole one in less than 100 lines. Give it to a context:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io;
//! use zocket::transport::{BoxFuture, Link, Listener, Purpose, Transport, tcp::Tcp};
//! use zocket::{Context, Endpoint, EndpointError, LinkOptions, Pull, Push};
//!
//! /// `local://port`: tcp that never leaves this machine.
//! #[derive(Debug)]
//! struct Local(Tcp);
//!
//! fn tcp(endpoint: &Endpoint) -> Result<Endpoint, EndpointError> {
//!     Endpoint::new("tcp", format!("127.0.0.1:{}", endpoint.address()))
//! }
//!
//! impl Transport for Local {
//!     fn schemes(&self) -> &'static [&'static str] {
//!         &["local"]
//!     }
//!     fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
//!         self.0.check(&tcp(endpoint)?, purpose)
//!     }
//!     fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
//!         match tcp(to) {
//!             Ok(to) => self.0.connect(&to, options),
//!             Err(wrong) => Box::pin(async { Err(wrong.into()) }),
//!         }
//!     }
//!     fn bind(&self, at: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
//!         match tcp(at) {
//!             Ok(at) => self.0.bind(&at, options),
//!             Err(wrong) => Box::pin(async { Err(wrong.into()) }),
//!         }
//!     }
//! }
//!
//! let context = Context::builder().transport(Local(Tcp::new())).build()?;
//! let pull = Pull::builder().context(&context).build();
//! let push = Push::builder().context(&context).build();
//! let at = pull.bind("local://0").await?; // "tcp://127.0.0.1:…": the listener says so
//! push.connect(&at)?;
//! push.send("near").await?;
//! assert_eq!(pull.recv().await?, "near");
//! # Ok(()) }
//! ```
//!
//! What a transport owes is written at the top of [`transport`](crate::transport). The crate `zocket-transport`
//! has it as tests: with its feature `contract`, `contract::all(&yours, &endpoint).await` runs them
//! (`contract::datagrams` for datagrams).
