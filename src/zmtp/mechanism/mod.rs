//! Security mechanisms: the part of the handshake between the greeting and the first message.
//!
//! A mechanism is a small state machine over command bodies. It never sees framing, sockets or time: the
//! handshake shows it each command of the peer and does what the returned [`Step`] says. Which mechanism it is
//! was agreed in the greeting, by name; a new one is a file here.
//!
//! Source: RFC 37, "Mechanism"; RFC 23 (NULL), 24 (PLAIN), 26 (CURVE).

pub(crate) mod null;

use std::fmt::Debug;

use bytes::BytesMut;

use super::error::{ProtocolError, shown};
use super::metadata::Metadata;

/// One side of a mechanism, for one connection.
pub(crate) trait Mechanism: Debug + Send {
    /// The name in the greeting.
    fn name(&self) -> &'static str;

    /// Called once with `None` when the greeting is done, then with the body of each command the peer sends,
    /// until a step is `Done` or an error, which ends the connection.
    fn step(&mut self, from_peer: Option<&[u8]>) -> Result<Step, ProtocolError>;
}

/// What a mechanism wants done: first something sent, perhaps, then what comes next.
#[derive(Debug)]
pub(crate) struct Step {
    /// The body of a command for the peer.
    pub(crate) send: Option<BytesMut>,
    pub(crate) next: Next,
}

/// What follows a step. An authenticator's decision will be one more way to go on.
#[derive(Debug)]
pub(crate) enum Next {
    /// It is the peer's turn.
    Wait,
    /// The handshake is over; this is what the peer told.
    Done(Metadata),
}

/// The error that an ERROR command is for us, given what follows its name: `len reason`.
pub(crate) fn refused(data: &[u8]) -> ProtocolError {
    let reason = data.split_first().and_then(|(len, rest)| rest.get(..usize::from(*len)));
    match reason {
        Some(reason) => ProtocolError::PeerError { reason: shown(reason) },
        None => ProtocolError::MalformedCommand { name: "ERROR".into() },
    }
}
