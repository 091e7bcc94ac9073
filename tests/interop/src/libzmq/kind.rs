//! libzmq's numbers with names: socket types, options, send and receive flags, poll bits.
//!
//! The numbers are those of `zmq.h`. Draft types and options are absent: the library is built without them.

use std::ops::BitOr;

/// A socket type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Kind {
    Pair = 0,
    Pub = 1,
    Sub = 2,
    Req = 3,
    Rep = 4,
    Dealer = 5,
    Router = 6,
    Pull = 7,
    Push = 8,
    XPub = 9,
    XSub = 10,
    Stream = 11,
}

/// A socket option. Which of the setters of [`Socket`](super::Socket) fits is libzmq's to say: `zmq_setsockopt(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are libzmq's, its manual documents them")]
pub enum Opt {
    RoutingId = 5,
    Subscribe = 6,
    Unsubscribe = 7,
    SendBuffer = 11,
    ReceiveBuffer = 12,
    Events = 15,
    Linger = 17,
    ReconnectInterval = 18,
    Backlog = 19,
    ReconnectIntervalMax = 21,
    MaxMessageSize = 22,
    SendHighWater = 23,
    ReceiveHighWater = 24,
    ReceiveTimeout = 27,
    SendTimeout = 28,
    LastEndpoint = 32,
    RouterMandatory = 33,
    Immediate = 39,
    XPubVerbose = 40,
    Ipv6 = 42,
    Mechanism = 43,
    PlainServer = 44,
    PlainUsername = 45,
    PlainPassword = 46,
    CurveServer = 47,
    CurvePublicKey = 48,
    CurveSecretKey = 49,
    CurveServerKey = 50,
    ProbeRouter = 51,
    ReqCorrelate = 52,
    ReqRelaxed = 53,
    Conflate = 54,
    ZapDomain = 55,
    RouterHandover = 56,
    ConnectRoutingId = 61,
    HandshakeInterval = 66,
    XPubNoDrop = 69,
    XPubManual = 71,
    XPubWelcomeMessage = 72,
    HeartbeatInterval = 75,
    HeartbeatTtl = 76,
    HeartbeatTimeout = 77,
    XPubVerboser = 78,
    ConnectTimeout = 79,
}

/// How to send or receive one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub(super) i32);

impl Flags {
    /// Wait, and this is the last frame.
    pub const NONE: Self = Self(0);
    /// Answer [`Error::AGAIN`](super::Error::AGAIN) instead of waiting.
    pub const DONT_WAIT: Self = Self(1);
    /// Another frame of the same message follows.
    pub const MORE: Self = Self(2);
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a socket can do without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready(pub(super) i16);

impl Ready {
    /// A message can be received.
    pub const IN: Self = Self(1);
    /// A message can be sent.
    pub const OUT: Self = Self(2);
}
