//! How links are set up: what a socket passes to its transports.
//!
//! One struct for all schemes: a transport takes what it has a use for and passes over the rest, so an option
//! never makes a scheme fail that does not know it. Fields say which schemes heed them. References: socket(7),
//! tcp(7), ip(7).

use std::time::Duration;

use crate::Lanes;

/// Options of links and listeners. They hold for the next bind or connect, not for links that exist.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zocket_transport::{KeepAlive, LinkOptions};
///
/// let mut options = LinkOptions::default();
/// options.send_buffer = Some(1 << 20);
/// options.connect_timeout = Some(Duration::from_secs(3));
/// options.keep_alive = KeepAlive::Off;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions {
    /// Bytes the kernel buffers for sending (`SO_SNDBUF`). The system may take another value: Linux doubles it,
    /// and has a limit. `None`, the default, leaves it to the system, which for tcp adapts it. tcp, ipc and udp. With quic, which
    /// buffers by itself, how much may wait to be acknowledged, for each lane; 1 MiB by default.
    pub send_buffer: Option<usize>,
    /// Bytes the kernel buffers of what has arrived (`SO_RCVBUF`); else as for sending. With quic the window:
    /// how much the peer may send that we have not read, on each lane.
    pub receive_buffer: Option<usize>,
    /// Whether the system probes silent peers. By default it does. tcp; quic where there is no
    /// [`liveness`](Self::liveness).
    pub keep_alive: KeepAlive,
    /// How often this side says that it lives, and how much silence ends a link, where the transport itself sees to
    /// that. `None`, the default: as [`keep_alive`](Self::keep_alive) has it. A zocket sets it from its own heartbeat
    /// unless it is set here. quic.
    pub liveness: Option<Liveness>,
    /// How many peers may wait to be accepted, from 1 up to 65535; what is beyond counts as the nearest of the
    /// two. The system may cap it (`net.core.somaxconn`). Default 1024: a restarted server meets all its peers
    /// at once. tcp, ipc and quic.
    pub backlog: u32,
    /// Whether IPv6 is used. `true`, the default: names resolve to both families, and `*` accepts both; where
    /// the system has no IPv6, it accepts IPv4. `false`: IPv6 addresses are errors. tcp, udp and quic.
    pub ipv6: bool,
    /// How long one attempt to connect may take, with the look-up of its name. Where a name has several
    /// addresses, tcp gives each an equal share of what is left; quic tries them side by side, for all of it. `None`: as long as the system tries, on Linux about
    /// two minutes for each address. Default 30 s. tcp and quic; ipc never waits.
    pub connect_timeout: Option<Duration>,
    /// How long sent bytes may stay unacknowledged until the link is given up (`TCP_USER_TIMEOUT`), in whole
    /// milliseconds, at least one. `None`, the default: the system's limit, on Linux about 15 minutes. When set,
    /// it also decides instead of the count of keep-alive probes. tcp on Linux; elsewhere it has no effect.
    pub user_timeout: Option<Duration>,
    /// The type-of-service byte of sent packets (`IP_TOS`, `IPV6_TCLASS`): DSCP in the upper six bits. `None`,
    /// the default, leaves it to the system. tcp.
    pub type_of_service: Option<u8>,
    /// The link counts as writable only while fewer than so many bytes of it wait unsent in the kernel
    /// (`TCP_NOTSENT_LOWAT`). A small value keeps messages where they can still be replaced by newer ones,
    /// which is what conflating sockets want. `None`, the default, leaves it to the system. tcp on Linux;
    /// elsewhere it has no effect.
    pub unsent_low_water: Option<u32>,
    /// How many routers a multicast datagram may pass, plus one (`IP_MULTICAST_TTL`, `IPV6_MULTICAST_HOPS`). Default 1:
    /// it stays on its network. udp.
    pub multicast_hops: u8,
    /// Whether those on this machine get what it sends to a group (`IP_MULTICAST_LOOP`). Default `true`. udp.
    pub multicast_loop: bool,
    /// The interface for groups whose address names none: by its name, or an IPv4 group's by an address of it. `None`,
    /// the default, leaves it to the system. udp.
    pub multicast_interface: Option<String>,
    /// Streams that do not hold each other up. Default one. quic.
    pub lanes: Lanes,
    /// Whether links carry packets beside their streams, if the peer wants them too. Default `false`. quic.
    pub datagrams: bool,
    /// Whether links have streams of one direction besides, a few at a time. Default `false`. quic.
    pub oneways: bool,
    /// Whether a read asks the kernel even if the event loop has not said that there is something: sooner, and a waste unless
    /// the link is polled in a loop. Default `false`; a zocket sets it with its busy polling. tcp and ipc.
    pub eager: bool,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            send_buffer: None,
            receive_buffer: None,
            keep_alive: KeepAlive::default(),
            liveness: None,
            backlog: 1024,
            ipv6: true,
            connect_timeout: Some(Duration::from_secs(30)),
            user_timeout: None,
            type_of_service: None,
            unsent_low_water: None,
            multicast_hops: 1,
            multicast_loop: true,
            multicast_interface: None,
            lanes: Lanes::default(),
            datagrams: false,
            oneways: false,
            eager: false,
        }
    }
}

/// Signs of life on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a question and how long to wait for its answer: that is all of it"
)]
pub struct Liveness {
    /// How much silence of our own ends with a sign of life.
    pub interval: Duration,
    /// How long the answer may take until the link is lost. The two together are the silence that ends it.
    pub timeout: Duration,
}

/// Whether the system sends probes to a peer it has not heard from, and drops the link when they stay
/// unanswered (`SO_KEEPALIVE`).
///
/// The default is to probe after 60 s, then each 15 s, and to give up after 4: a peer that vanished is noticed
/// within two minutes. Probes are sent only while nothing waits to be acknowledged; for the other case there is
/// [`LinkOptions::user_timeout`].
///
/// With quic it is not the system who probes: there is a sign of life after each `interval` of silence, from the
/// first on, and the link is lost after the same silence as with tcp, `idle` and `count` times the `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepAlive {
    /// Whatever the system does; usually nothing.
    System,
    /// No probes.
    Off,
    /// Probes. `None` leaves a value to the system. Times count in whole seconds, at least one and at most
    /// 32767 of them.
    On {
        /// Silence before the first probe. Linux: 2 hours unless set.
        idle: Option<Duration>,
        /// From one probe to the next. Linux: 75 s unless set.
        interval: Option<Duration>,
        /// Unanswered probes after which the link is lost, from 1 up to 127. Linux: 9 unless set.
        count: Option<u32>,
    },
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::On {
            idle: Some(Duration::from_secs(60)),
            interval: Some(Duration::from_secs(15)),
            count: Some(4),
        }
    }
}

#[cfg(any(feature = "quic", feature = "tcp", all(feature = "ipc", unix)))]
impl LinkOptions {
    /// For `listen(2)` and its like.
    pub(crate) fn listen_backlog(&self) -> u32 {
        self.backlog.clamp(1, 65_535)
    }
}

#[cfg(any(feature = "tcp", feature = "udp", all(feature = "ipc", unix)))]
impl LinkOptions {
    pub(crate) fn set_buffers(&self, socket: &socket2::SockRef<'_>) -> std::io::Result<()> {
        // The system call takes a C int; more would become negative.
        const LARGEST: usize = (u32::MAX >> 1) as usize;
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes.min(LARGEST))?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes.min(LARGEST))?;
        }
        Ok(())
    }
}
