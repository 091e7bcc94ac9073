//! What a peer can do wrong, as typed facts.
//!
//! Every error ends the connection. The text says who broke which rule; the fields let a program, or a monitor,
//! tell cases apart without reading the text.
//!
//! Source: RFC 37; the classes of failure are libzmq's (`session_base.cpp`, "engine_error").

use std::time::Duration;

use zocket_transport::CloseReason;

use super::kind::SocketKind;
use crate::message::GroupError;

/// Why a connection was given up: the peer did not keep to the protocol, or refused us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first byte is no ZMTP greeting.
    #[error("the peer does not speak ZMTP: its first byte is {first:#04x}")]
    NotZmtp {
        /// The byte.
        first: u8,
    },
    /// The peer speaks ZMTP 1.0.
    #[error("the peer speaks ZMTP 1.0, which is not served")]
    OldVersion,
    /// The two sides want different security.
    #[error("the peer's security mechanism is {theirs:?}, ours is {ours}")]
    MechanismMismatch {
        /// Our mechanism.
        ours: &'static str,
        /// The peer's, as it spells it; empty if its version of ZMTP has none.
        theirs: String,
    },
    /// The two socket types do not go together.
    #[error("a {ours} socket does not talk to the peer's {theirs}")]
    KindMismatch {
        /// Our socket type.
        ours: SocketKind,
        /// The peer's.
        theirs: SocketKind,
    },
    /// The peer's socket type is none we know.
    #[error("the peer's socket type {name:?} is unknown")]
    UnknownKind {
        /// The type, as the peer spells it.
        name: String,
    },
    /// A routing id has at most 255 bytes.
    #[error("the peer's routing id has {len} bytes, more than 255")]
    RoutingIdTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Routing ids that start with a zero byte are kept for generated ones.
    #[error("the peer's routing id starts with a zero byte, which is reserved")]
    ReservedRoutingId,
    /// A command that has no place in the handshake where it came.
    #[error("the peer sent the command {name:?} out of turn")]
    UnexpectedCommand {
        /// The command, as the peer spells it.
        name: String,
    },
    /// A command whose content does not add up.
    #[error("the peer sent a malformed {name:?} command")]
    MalformedCommand {
        /// The command; empty if not even the name could be read.
        name: String,
    },
    /// The properties of a handshake command do not add up.
    #[error("the peer's handshake properties are malformed: {rule}")]
    BadMetadata {
        /// The rule that was broken.
        rule: &'static str,
    },
    /// The peer refused us with an ERROR command.
    #[error("the peer refused the connection: {reason:?}")]
    PeerError {
        /// The reason it gave.
        reason: String,
    },
    /// A frame is larger than we take.
    #[error("the peer announced a frame of {claimed} bytes, the limit is {limit}")]
    FrameTooLarge {
        /// The most bytes of a message.
        limit: u64,
        /// The length in the frame's header.
        claimed: u64,
    },
    /// A lane that the handshake did not speak of, or that is there already.
    #[error("the peer opened lane {number}, which the handshake has no place for")]
    BadLane {
        /// Its number.
        number: u8,
    },
    /// A stream for one message is of a version that the handshake did not speak of, or holds more than the message.
    #[error("the peer opened a stream that is not for one message, or not in a form that we know")]
    BadOneway,
    /// Commands go over the first lane only.
    #[error("the peer sent a command on a lane that is for messages")]
    CommandOnLane,
    /// The prefix of a subscription is longer than we take.
    #[error("the peer sent a subscription of {len} bytes, the limit is {limit}")]
    PrefixTooLong {
        /// The most bytes of a prefix.
        limit: usize,
        /// Its length.
        len: usize,
    },
    /// What the peer joined or left, or sent a message to, is no group.
    #[error("the peer sent what is no group: {0}")]
    BadGroup(#[from] GroupError),
    /// A message to a DISH is its group and one frame more.
    #[error("the peer sent a message that is not a group and one frame")]
    NotGrouped,
    /// The frames of one message are together larger than we take.
    #[error("the peer sent a message of more than {limit} bytes")]
    MessageTooLarge {
        /// The most bytes of a message.
        limit: u64,
    },
    /// A message has more frames than we take.
    #[error("the peer sent a message of more than {limit} frames")]
    TooManyFrames {
        /// The most frames of a message.
        limit: u32,
    },
    /// A command of the handshake is larger than we take.
    #[error("the peer announced a handshake command of {claimed} bytes, the limit is {limit}")]
    HandshakeTooLarge {
        /// The most bytes of a handshake command.
        limit: u64,
        /// The length in the frame's header.
        claimed: u64,
    },
    /// The handshake took too long.
    #[error("the peer did not finish the handshake within {after:?}")]
    HandshakeTimeout {
        /// The time it had.
        after: Duration,
    },
    /// The peer was silent for too long: it answered no PING, or sent nothing within the time it set itself.
    #[error("nothing was heard from the peer for {after:?}")]
    HeartbeatTimeout {
        /// The time it had.
        after: Duration,
    },
}

impl ProtocolError {
    /// Whether the two sides, as they are set up, cannot work together: version, mechanism, socket type, routing
    /// id, messages that are not what the socket type sends, or a refusal in so many words. Trying again soon would
    /// most likely end the same way.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::OldVersion
                | Self::MechanismMismatch { .. }
                | Self::KindMismatch { .. }
                | Self::UnknownKind { .. }
                | Self::RoutingIdTooLong { .. }
                | Self::ReservedRoutingId
                | Self::BadGroup(_)
                | Self::NotGrouped
                | Self::PeerError { .. }
        )
    }
}

impl ProtocolError {
    /// What the peer is told, if it has not refused or fallen silent itself.
    pub(crate) const fn told(&self) -> Option<CloseReason> {
        match self {
            Self::PeerError { .. } | Self::HandshakeTimeout { .. } | Self::HeartbeatTimeout { .. } => None,
            Self::KindMismatch { .. } | Self::UnknownKind { .. } => Some(CloseReason::SocketType),
            Self::FrameTooLarge { .. }
            | Self::PrefixTooLong { .. }
            | Self::MessageTooLarge { .. }
            | Self::TooManyFrames { .. }
            | Self::HandshakeTooLarge { .. } => Some(CloseReason::TooLarge),
            _ => Some(CloseReason::Protocol),
        }
    }
}

/// A peer's bytes as text for an error: at most 64 of them, since a log line must not carry a kilobyte.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    match bytes.get(..SHOWN) {
        Some(start) => format!("{}…", String::from_utf8_lossy(start)),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_who_broke_which_rule() {
        let error = ProtocolError::KindMismatch { ours: SocketKind::Push, theirs: SocketKind::Sub };
        assert_eq!(error.to_string(), "a PUSH socket does not talk to the peer's SUB");
        let error = ProtocolError::NotZmtp { first: b'G' };
        assert_eq!(error.to_string(), "the peer does not speak ZMTP: its first byte is 0x47");
    }

    #[test]
    fn only_a_set_up_that_does_not_fit_is_a_refusal() {
        assert!(ProtocolError::PeerError { reason: "400".into() }.is_refusal());
        assert!(ProtocolError::OldVersion.is_refusal());
        assert!(!ProtocolError::NotZmtp { first: 0 }.is_refusal());
        assert!(!ProtocolError::HandshakeTimeout { after: Duration::from_secs(1) }.is_refusal());
    }

    #[test]
    fn a_peers_text_is_cut_short() {
        assert_eq!(shown(b"PLAIN"), "PLAIN");
        assert_eq!(shown(&[b'x'; 255]).len(), 64 + "…".len());
    }
}
