//! Options and their types. Users set them with a [`SocketBuilder`](crate::SocketBuilder); everything has a
//! default that works, and a limit that says why.

use std::time::Duration;

use zocket_transport::LinkOptions;

use crate::message::{Frame, Message};
use crate::pattern::distribute;
use crate::pipe::HighWater;
use crate::zmtp::{Config, Extras, HeartbeatConfig, Latest, SocketKind};

/// How long a closing socket goes on delivering what was sent: 30 s. libzmq's default is for ever, which hangs
/// programs, and its other habit, zero, loses data in silence; `close` reports what remains.
pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// How long a peer may take over its handshake: 10 s. A loaded machine needs seconds; a silent peer must not
/// hold a descriptor for long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest message that a wire accepts: 256 MiB. Memory grows with what arrives and not with what is
/// claimed, so this bounds a real transfer only.
const MAX_MESSAGE_BYTES: u64 = 256 << 20;

/// The most frames in a message: 64 Ki. A frame of two bytes on the wire becomes one of 32 in memory, so this
/// holds a flood of empty frames to 2 MiB.
const MAX_FRAMES: u32 = 64 * 1024;

/// Over udp a peer takes no descriptor, but some kilobytes here, and of a hostile host no more than a port. So many cost
/// less than the full queue of one.
const MAX_UDP_PEERS: usize = 10_000;

/// How a dialled connection is made anew after it failed.
///
/// The waits double from `first` to `longest`, each with up to half of it taken off at random, so that a
/// thousand clients of a restarted server do not come back at once. A finished handshake starts again at
/// `first`; a refused one (wrong socket type, mechanism, credentials) goes on at `longest`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zocket::{Push, Reconnect};
///
/// let push = Push::builder()
///     .reconnect(Reconnect::within(Duration::from_millis(50), Duration::from_secs(5)).stop_on_refusal())
///     .build();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) stops: Stops,
}

/// After which failures a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stops {
    Never,
    OnRefusal,
    Always,
}

impl Reconnect {
    /// Waits that double from `first` to `longest`. Waits below a millisecond are taken as one.
    #[must_use]
    pub fn within(first: Duration, longest: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self { first, longest: longest.max(first), stops: Stops::Never }
    }

    /// One attempt only: the first failure ends the connection.
    #[must_use]
    pub const fn never() -> Self {
        Self { stops: Stops::Always, ..DEFAULT_RECONNECT }
    }

    /// Gives up when the peer refuses: wrong socket type, mechanism or credentials.
    #[must_use]
    pub const fn stop_on_refusal(mut self) -> Self {
        self.stops = Stops::OnRefusal;
        self
    }
}

/// 100 ms as in libzmq; 30 s because a server that was away for minutes is found again within one.
const DEFAULT_RECONNECT: Reconnect =
    Reconnect { first: Duration::from_millis(100), longest: Duration::from_secs(30), stops: Stops::Never };

impl Default for Reconnect {
    fn default() -> Self {
        DEFAULT_RECONNECT
    }
}

/// When to ask a silent peer for a sign of life, and when to give it up.
///
/// Any received byte is a sign of life. By default only zocket peers are watched: a libzmq peer that has
/// stopped reading under back-pressure answers no PING, and giving it up would lose what waits for it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zocket::{Heartbeat, Sub};
///
/// // Notices a pulled cable within 4 seconds, whoever the peer is.
/// let sub = Sub::builder().heartbeat(Heartbeat::every(Duration::from_secs(1)).timeout(Duration::from_secs(3))).build();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    interval: Option<Duration>,
    timeout: Duration,
    ttl: Duration,
    zocket_only: bool,
}

impl Heartbeat {
    /// A PING whenever `interval` passed, to any peer; given up after three intervals of silence.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval: Some(interval),
            timeout: interval.saturating_mul(3),
            ttl: Duration::ZERO,
            zocket_only: false,
        }
    }

    /// No PING is sent and no silence ends a connection. PINGs of the peer are answered all the same.
    #[must_use]
    pub const fn off() -> Self {
        Self { interval: None, timeout: Duration::ZERO, ttl: Duration::ZERO, zocket_only: false }
    }

    /// How much silence ends the connection.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// After how much silence from us the peer should give us up. At most 65 s is announced, in tenths of a
    /// second: libzmq counts milliseconds in 16 bits. Zero asks for nothing.
    #[must_use]
    pub const fn time_to_live(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    pub(crate) const fn config(self) -> HeartbeatConfig {
        HeartbeatConfig {
            interval: self.interval,
            timeout: self.timeout,
            ttl: self.ttl,
            zocket_only: self.zocket_only,
        }
    }
}

/// Every 15 s, given up after 45: below the minute after which home routers forget idle connections.
impl Default for Heartbeat {
    fn default() -> Self {
        Self { zocket_only: true, ..Self::every(Duration::from_secs(15)) }
    }
}

/// Which subscriptions an XPUB shows to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verbose {
    /// The first subscription to a prefix and the last cancellation.
    #[default]
    Changes,
    /// Every subscription, and the last cancellation.
    Subscriptions,
    /// Every subscription and every cancellation.
    All,
}

/// All options of a socket, as its parts read them.
#[derive(Debug, Clone)]
pub(crate) struct SocketOptions {
    pub(crate) send_high_water: HighWater,
    pub(crate) receive_high_water: HighWater,
    /// None: as the kind has it.
    pub(crate) linger: Option<Duration>,
    pub(crate) reconnect: Reconnect,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) heartbeat: Heartbeat,
    /// How long a connection goes on looking after it last moved a byte; zero: it sleeps at once.
    pub(crate) busy_poll: Duration,
    pub(crate) immediate: bool,
    pub(crate) conflate: bool,
    pub(crate) routing_id: Frame,
    pub(crate) max_message_bytes: u64,
    pub(crate) max_frames: u32,
    pub(crate) max_handshakes: usize,
    pub(crate) max_udp_peers: usize,
    pub(crate) link: LinkOptions,
    /// Whether messages that fit go in packets of their own.
    pub(crate) datagrams: bool,
    pub(crate) mandatory: bool,
    pub(crate) handover: bool,
    pub(crate) probe: bool,
    pub(crate) relaxed: bool,
    pub(crate) correlate: bool,
    pub(crate) no_drop: bool,
    pub(crate) verbose: Verbose,
    pub(crate) manual: bool,
    pub(crate) welcome: Option<Message>,
}

impl SocketOptions {
    /// What the protocol engine of each connection needs to know.
    pub(crate) fn engine_config(&self, kind: SocketKind) -> Config {
        Config {
            kind,
            routing_id: self.routing_id.clone(),
            handshake_timeout: self.handshake_timeout,
            heartbeat: self.heartbeat.config(),
            max_message_bytes: self.max_message_bytes,
            max_frames: self.max_frames,
            extras: Extras { lanes: self.link.lanes.count(), datagrams: false, latest: Latest::default() },
        }
    }

    /// Whether a link with streams of one direction uses them for what is conflated.
    pub(crate) fn latest(&self, kind: SocketKind) -> Latest {
        use SocketKind::{Dealer, Pub, Pull, Push, Router, Sub, XSub};
        // On several lanes there are several last ones.
        let sends = self.conflate && self.link.lanes.count() == 1 && matches!(kind, Dealer | Pub | Push);
        Latest { takes: sends || matches!(kind, Dealer | Pull | Router | Sub | XSub), sends }
    }

    /// What PUB and XPUB need to know.
    pub(crate) fn publishing(&self, notices: bool) -> distribute::Options {
        distribute::Options {
            no_drop: self.no_drop,
            verbose: match self.verbose {
                Verbose::Changes => distribute::Verbose::FirstOnly,
                Verbose::Subscriptions => distribute::Verbose::Subscribes,
                Verbose::All => distribute::Verbose::All,
            },
            manual: self.manual,
            welcome: self.welcome.clone(),
            notices,
        }
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            send_high_water: HighWater::default(),
            receive_high_water: HighWater::default(),
            linger: None,
            reconnect: Reconnect::default(),
            handshake_timeout: Some(HANDSHAKE_TIMEOUT),
            heartbeat: Heartbeat::default(),
            busy_poll: Duration::ZERO,
            immediate: false,
            conflate: false,
            routing_id: Frame::new(),
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_frames: MAX_FRAMES,
            max_handshakes: 1024,
            max_udp_peers: MAX_UDP_PEERS,
            link: LinkOptions::default(),
            datagrams: false,
            mandatory: true,
            handover: false,
            probe: false,
            relaxed: false,
            correlate: false,
            no_drop: false,
            verbose: Verbose::default(),
            manual: false,
            welcome: None,
        }
    }
}
