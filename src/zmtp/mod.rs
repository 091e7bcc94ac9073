//! ZMTP, sans-IO: what two ZeroMQ peers say to each other on one connection. No sockets, no tasks, no clock.
//!
//! A connection goes through three phases. Each side sends a **greeting** (64 bytes: signature, version,
//! mechanism). Then the **mechanism** exchanges commands until both sides know each other's socket type and
//! routing id: with NULL that is one READY each way. Then comes **traffic**: frames, `flags size body`, where a
//! flag says that the message goes on in the next frame, and another that the frame is a command (PING, PONG,
//! SUBSCRIBE, CANCEL) and no part of any message.
//!
//! [`Engine`] holds the state of one connection. The driver shows it the bytes that arrived and the time; it
//! answers with an [`Event`], with bytes to send ([`Engine::control`]) and with the time it wants to be called
//! again. Traffic is never copied here: the engine *scans* it and says how many bytes are how many messages.
//!
//! Invariant: a peer chooses the bytes. Nothing in this folder panics on them, allocates more than a small
//! multiple of what arrived, or looks at a byte more than a few times.
//!
//! Source: RFC 37 (ZMTP 3.1), 23 (3.0) and 15 (2.0). Where they and libzmq 4.3 differ, libzmq decides.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub(crate) mod command;
pub(crate) mod datagram;
pub(crate) mod engine;
mod envelope;
pub(crate) mod error;
pub(crate) mod frame;
mod greeting;
mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod kind;
pub(crate) mod mechanism;
pub(crate) mod metadata;
pub(crate) mod packet;
pub(crate) mod peers;
pub(crate) mod radio;
mod scan;

pub(crate) use command::{Command, MAX_PREFIX};
pub(crate) use engine::{Config, Engine, Event};
pub(crate) use envelope::{Envelope, Prefix};
pub use error::ProtocolError;
pub(crate) use heartbeat::HeartbeatConfig;
pub use kind::SocketKind;
pub use metadata::PeerInfo;
pub(crate) use metadata::{Extras, Latest};
pub(crate) use peers::may_talk;

use std::fmt;

/// A version of ZMTP, as spoken on one connection: the lower of what the two sides can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Version {
    /// The 3 of 3.1.
    pub major: u8,
    /// The 1 of 3.1.
    pub minor: u8,
}

impl Version {
    pub(crate) const V2_0: Self = Self { major: 2, minor: 0 };
    pub(crate) const V3_0: Self = Self { major: 3, minor: 0 };
    pub(crate) const V3_1: Self = Self { major: 3, minor: 1 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
