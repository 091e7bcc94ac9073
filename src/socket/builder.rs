//! A socket's options, as a builder that has only those its type knows.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use zocket_transport::{KeepAlive, Lanes, LinkOptions, Liveness};

use super::core::Core;
use super::kinds::{Conflates, Named, Probes, Publishes, Queues, Spreads, Waits, Welcomes, kind};
use super::{Pattern, Receives, Socket};
use crate::context::Context;
use crate::message::{Frame, Message};
use crate::options::{Heartbeat, Reconnect, SocketOptions, Verbose};
use crate::pipe::HighWater;
use crate::zmtp::{HeartbeatConfig, Latest, SocketKind};

/// Options of a socket. Made by [`Socket::builder`]; [`build`](Self::build) makes the socket.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use zocket::{Dealer, HighWater};
///
/// let dealer = Dealer::builder()
///     .routing_id("worker-7")
///     .send_high_water(HighWater::messages(100).bytes(1 << 20))
///     .linger(Duration::from_secs(2))
///     .build();
/// # drop(dealer);
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct SocketBuilder<P: Pattern> {
    options: SocketOptions,
    context: Option<Context>,
    pattern: PhantomData<fn() -> P>,
}

impl<P: Pattern> SocketBuilder<P> {
    pub(super) fn new() -> Self {
        Self { options: SocketOptions::default(), context: None, pattern: PhantomData }
    }

    /// Makes the socket.
    #[must_use]
    pub fn build(mut self) -> Socket<P> {
        /// A conflating socket's newest message must not wait behind old ones in the kernel.
        const UNSENT: u32 = 16 * 1024;
        if self.options.conflate {
            self.options.link.unsent_low_water.get_or_insert(UNSENT);
        }
        if let HeartbeatConfig { interval: Some(interval), timeout, .. } = self.options.heartbeat.config() {
            self.options.link.liveness.get_or_insert(Liveness { interval, timeout });
        }
        self.options.link.eager |= !self.options.busy_poll.is_zero();
        // Those who receive take what they are sent; nobody sends so without being asked to.
        self.options.link.datagrams |= self.options.datagrams
            || matches!(P::KIND, SocketKind::Sub | SocketKind::XSub | SocketKind::Dish);
        let latest = self.options.latest(P::KIND);
        self.options.link.oneways |= latest != Latest::default();
        if latest.sends {
            (self.options.datagrams, self.options.link.datagrams) = (false, false);
        }
        let context = self.context.unwrap_or_else(|| Context::global().clone());
        Socket { core: Core::new(self.options, context) }
    }

    /// The context the socket lives in. Default: [`Context::global`].
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// How long a closing socket, or a disconnected pipe, goes on delivering what was sent. Default 30 s, and
    /// zero for SUB, XSUB and DISH, which have only subscriptions to send.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.options.linger = Some(linger);
        self
    }

    /// How failed connections are made anew. Default: after 100 ms, doubling to 30 s.
    pub const fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.options.reconnect = reconnect;
        self
    }

    /// How long a peer may take over its handshake, from the moment it is connected. Default 10 s.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.options.handshake_timeout = Some(timeout);
        self
    }

    /// When silent peers are asked for a sign of life, and given up. Default: every 15 s, zocket peers only.
    pub const fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.options.heartbeat = heartbeat;
        self
    }

    /// How long each connection keeps its thread looking for more after it last moved a byte, before it sleeps.
    /// Default zero: it sleeps at once, unless much of a large frame comes fast. A day is the most. Waking a sleeping thread costs tens of microseconds, often most of a
    /// round trip; looking costs that thread's core for as long, so use it where there are cores to spare and
    /// for few connections. Other tasks of the thread still run in between.
    pub const fn busy_poll(mut self, time: Duration) -> Self {
        self.options.busy_poll = time;
        self
    }

    /// The largest message accepted from a wire, in payload bytes. A peer that sends a larger one is
    /// disconnected. Default 256 MiB; memory grows with what arrives, never with what a header claims.
    pub const fn max_message_bytes(mut self, bytes: u64) -> Self {
        self.options.max_message_bytes = bytes;
        self
    }

    /// The most frames in a message accepted from a wire. Default 65 536.
    pub const fn max_frames(mut self, frames: u32) -> Self {
        self.options.max_frames = frames;
        self
    }

    /// How many accepted peers, per listener, may be in their handshake at once. Further ones wait; the oldest makes way
    /// for the next when it has taken a quarter of a second, so that a crowd of silent ones can slow others down to four
    /// times this number a second. Default 1024: what a server sees when its clients all come back at once.
    pub const fn max_handshakes(mut self, peers: usize) -> Self {
        self.options.max_handshakes = peers;
        self
    }

    /// How many peers one bound address may have at once over udp, where none of them takes a descriptor; who comes
    /// after that is told to come again later. Default 10 000, of some kilobytes each.
    pub const fn max_udp_peers(mut self, peers: usize) -> Self {
        self.options.max_udp_peers = peers;
        self
    }

    /// All options of the transport at once; the methods below set one each.
    pub fn link(mut self, link: LinkOptions) -> Self {
        self.options.link = link;
        self
    }

    /// Probes for peers that vanished without a word. Default: the kernel's over tcp, after 60 s of silence; see
    /// [`KeepAlive`](crate::transport::KeepAlive) for quic.
    pub const fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.options.link.keep_alive = keep_alive;
        self
    }

    /// The kernel's send buffer, in bytes, per connection. Default: the system's, which adapts.
    pub const fn send_buffer(mut self, bytes: usize) -> Self {
        self.options.link.send_buffer = Some(bytes);
        self
    }

    /// The kernel's receive buffer, in bytes, per connection. Default: the system's, which adapts.
    pub const fn receive_buffer(mut self, bytes: usize) -> Self {
        self.options.link.receive_buffer = Some(bytes);
        self
    }

    /// How many connections the kernel keeps until they are accepted. Default 1024.
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.options.link.backlog = connections;
        self
    }

    /// Whether IPv6 is used besides IPv4. Default on.
    pub const fn ipv6(mut self, ipv6: bool) -> Self {
        self.options.link.ipv6 = ipv6;
        self
    }

    /// How long one attempt to connect may take. Default 30 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.link.connect_timeout = Some(timeout);
        self
    }
}

impl<P: Queues> SocketBuilder<P> {
    /// The send queue's marks, per peer. Default 1000 messages and 64 MiB.
    pub const fn send_high_water(mut self, mark: HighWater) -> Self {
        self.options.send_high_water = mark;
        self
    }
}

impl<P: Spreads> SocketBuilder<P> {
    /// Over how many ordered lanes the messages to and from a peer are spread, where the transport has them
    /// (`quic://`): what is lost, large, or not received on one holds up no other. Two peers use as many as the one
    /// that asks for fewer. Default one.
    ///
    /// PUB and XPUB choose the lane by the first frame of a message of several frames, which is its topic, and RADIO by
    /// the group; all messages of one frame share the first lane. DEALER and ROUTER send on lane 0, or the one they are
    /// told: [`Socket::lane`]; a welcome message and what XSUB sends go on lane 0. Order holds within a lane. High-water
    /// marks hold for each lane by itself, and so does [`conflate`](Self::conflate): the newest of each lane is kept.
    pub fn lanes(mut self, lanes: impl Into<Lanes>) -> Self {
        self.options.link.lanes = lanes.into();
        self
    }
}

impl<P: Waits> SocketBuilder<P> {
    /// Queue messages only for peers that are connected now. Without it, a connecting pipe takes messages before
    /// anybody answered, and keeps unsent ones for the next connection; with it, they are dropped with the
    /// connection (and reported).
    pub const fn immediate(mut self, immediate: bool) -> Self {
        self.options.immediate = immediate;
        self
    }
}

impl<P: Receives> SocketBuilder<P> {
    /// The receive queue's marks, per peer. At the mark that peer is not read, and no other is held up. Default
    /// 1000 messages and 64 MiB.
    pub const fn receive_high_water(mut self, mark: HighWater) -> Self {
        self.options.receive_high_water = mark;
        self
    }
}

impl<P: Conflates> SocketBuilder<P> {
    /// Keep only the newest message in each queue. Unlike libzmq's, this works for messages of several frames.
    /// One message may be on its way to the kernel besides. High-water marks do not matter then.
    ///
    /// Over `quic://`, unless there are several lanes, a message that is partly sent is cut off when there is a newer one, and
    /// the peer never hears of it; but of two in a row at most one, so whatever the speed, the peer gets some, and the last.
    /// Where that is so, [`datagrams`](Self::datagrams) has no effect.
    pub const fn conflate(mut self, conflate: bool) -> Self {
        self.options.conflate = conflate;
        self
    }
}

impl<P: Named> SocketBuilder<P> {
    /// The name under which ROUTER peers address this socket: 1 to 255 bytes, not starting with a zero byte,
    /// unique among the peers of each ROUTER. Longer names are cut. Default: the ROUTER makes one up.
    pub fn routing_id(mut self, name: impl Into<Frame>) -> Self {
        let name = name.into();
        self.options.routing_id = Frame::copy_from_slice(&name[..name.len().min(255)]);
        self
    }
}

impl<P: Probes> SocketBuilder<P> {
    /// Send an empty message on every new connection, so that a ROUTER learns of this socket at once. Default
    /// off.
    pub const fn probe(mut self, probe: bool) -> Self {
        self.options.probe = probe;
        self
    }
}

impl SocketBuilder<kind::Router> {
    /// Whether sending to an unknown or full peer is an error, or waits, rather than drop the message in
    /// silence. Default on, unlike libzmq.
    pub const fn mandatory(mut self, mandatory: bool) -> Self {
        self.options.mandatory = mandatory;
        self
    }

    /// Whether a new peer may take over a routing id in use; the old connection then ends. Without it, the
    /// newcomer stays connected but is not heard until the id is free. Default off.
    pub const fn handover(mut self, handover: bool) -> Self {
        self.options.handover = handover;
        self
    }
}

impl SocketBuilder<kind::Req> {
    /// Let a new request take the place of one that has no reply yet, which then fails, rather than wait its
    /// turn. Default off.
    pub const fn relaxed(mut self, relaxed: bool) -> Self {
        self.options.relaxed = relaxed;
        self
    }

    /// Put an id before requests to ROUTER peers too; they must send it back. REP peers always get one, since
    /// they give it back by themselves. Without an id, a request that is given up costs its connection, so that
    /// the late reply cannot answer the next request. Default off; [`relaxed`](Self::relaxed) implies it.
    pub const fn correlate(mut self, correlate: bool) -> Self {
        self.options.correlate = correlate;
        self
    }

    /// As for sockets that receive: the marks of the queue of replies.
    pub const fn receive_high_water(mut self, mark: HighWater) -> Self {
        self.options.receive_high_water = mark;
        self
    }
}

impl SocketBuilder<kind::Rep> {
    /// As for sockets that receive: the marks of each peer's queue of requests.
    pub const fn receive_high_water(mut self, mark: HighWater) -> Self {
        self.options.receive_high_water = mark;
        self
    }
}

impl SocketBuilder<kind::Dish> {
    /// As for sockets that receive: the marks of the queue of each radio's messages.
    pub const fn receive_high_water(mut self, mark: HighWater) -> Self {
        self.options.receive_high_water = mark;
        self
    }
}

impl<P: Publishes> SocketBuilder<P> {
    /// Wait for slow subscribers rather than drop for them: while any matching peer is full, `send` waits and
    /// nobody gets the message. Default off.
    pub const fn no_drop(mut self, no_drop: bool) -> Self {
        self.options.no_drop = no_drop;
        self
    }

    /// Best effort where the transport has packets (`quic://`): a message that fits one goes by itself. It may be lost, and
    /// is never doubled, nor held up by one that was lost or is large. What does not fit goes on its stream, and may then
    /// arrive later than what was sent after it. Default off.
    ///
    /// Up to 1100 bytes fit, with 9 for each frame counted in; for RADIO the group is one. Those that arrive do so in
    /// order, and the subscriber is told of the others: [`Dropped`](crate::Dropped). They have a queue of their own at each
    /// peer, with the socket's high-water mark; the subscriber's drops what finds it full. Subscribers that know nothing of
    /// this get everything on the stream.
    pub const fn datagrams(mut self, datagrams: bool) -> Self {
        self.options.datagrams = datagrams;
        self
    }
}

impl<P: Welcomes> SocketBuilder<P> {
    /// A message sent to every new peer before anything else. The peer must subscribe to it to see it.
    pub fn welcome(mut self, message: impl Into<Message>) -> Self {
        self.options.welcome = Some(message.into());
        self
    }
}

impl SocketBuilder<kind::XPub> {
    /// Which subscriptions are shown to the application. Default: the first to a prefix and the last to go.
    pub const fn verbose(mut self, verbose: Verbose) -> Self {
        self.options.verbose = verbose;
        self
    }

    /// Only show subscriptions and apply none: the application decides with
    /// [`subscribe`](Socket::<kind::XPub>::subscribe). Default off.
    pub const fn manual(mut self, manual: bool) -> Self {
        self.options.manual = manual;
        self
    }
}

impl<P: Pattern> fmt::Debug for SocketBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketBuilder")
            .field("kind", &P::KIND)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
