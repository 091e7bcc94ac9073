//! NULL: no security. Each side sends READY with its properties, at once and without waiting for the other's.
//!
//! Invariant: one READY goes out, one comes in, in any order; or an ERROR comes in, and that was it.
//!
//! Source: RFC 37, "The NULL Mechanism"; RFC 23 for the order, which libzmq keeps.

use bytes::BytesMut;

use super::{Mechanism, Next, Step, refused};
use crate::message::Frame;
use crate::zmtp::command::split_name;
use crate::zmtp::error::{ProtocolError, shown};
use crate::zmtp::kind::SocketKind;
use crate::zmtp::metadata::{Extras, Metadata, put_own};

/// The name in the greeting.
pub(crate) const NAME: &str = "NULL";

#[derive(Debug)]
pub(crate) struct Null {
    kind: SocketKind,
    routing_id: Frame,
    extras: Extras,
}

impl Null {
    pub(crate) const fn new(kind: SocketKind, routing_id: Frame, extras: Extras) -> Self {
        Self { kind, routing_id, extras }
    }
}

impl Mechanism for Null {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&mut self, from_peer: Option<&[u8]>) -> Result<Step, ProtocolError> {
        let Some(body) = from_peer else {
            let mut ready = BytesMut::from(&b"\x05READY"[..]);
            put_own(&mut ready, self.kind, &self.routing_id, self.extras);
            return Ok(Step { send: Some(ready), next: Next::Wait });
        };
        match split_name(body) {
            Some((b"READY", properties)) => {
                Ok(Step { send: None, next: Next::Done(Metadata::parse(properties, self.kind)?) })
            }
            Some((b"ERROR", data)) => Err(refused(data)),
            Some((name, _)) => Err(ProtocolError::UnexpectedCommand { name: shown(name) }),
            None => Err(ProtocolError::MalformedCommand { name: String::new() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &[u8]) -> Result<Step, ProtocolError> {
        Null::new(SocketKind::Rep, Frame::new(), Extras::default()).step(Some(body))
    }

    #[test]
    fn ready_goes_out_at_once() {
        let step = Null::new(SocketKind::Rep, Frame::new(), Extras::default()).step(None).unwrap();
        assert!(matches!(step.next, Next::Wait));
        let ready = b"\x05READY\x0BSocket-Type\0\0\0\x03REP\x08X-Zocket\0\0\0\x011";
        assert_eq!(step.send.unwrap()[..], ready[..]);
    }

    #[test]
    fn the_peers_ready_is_the_end() {
        let step = answer(b"\x05READY").unwrap();
        assert!(step.send.is_none() && matches!(step.next, Next::Done(_)));
    }

    #[test]
    fn an_error_is_a_refusal_with_its_reason() {
        let refused = |reason: &str| ProtocolError::PeerError { reason: reason.into() };
        assert_eq!(answer(b"\x05ERROR\x03400").unwrap_err(), refused("400"));
        assert_eq!(answer(b"\x05ERROR\x03400trailing").unwrap_err(), refused("400"));
        assert_eq!(answer(b"\x05ERROR\x00").unwrap_err(), refused(""));
        let malformed = ProtocolError::MalformedCommand { name: "ERROR".into() };
        assert_eq!(answer(b"\x05ERROR\x04400").unwrap_err(), malformed);
        assert_eq!(answer(b"\x05ERROR").unwrap_err(), malformed);
    }

    #[test]
    fn any_other_command_is_out_of_turn() {
        let unexpected = |name: &str| ProtocolError::UnexpectedCommand { name: name.into() };
        assert_eq!(answer(b"\x05HELLO").unwrap_err(), unexpected("HELLO"));
        assert_eq!(answer(b"\x05ready").unwrap_err(), unexpected("ready"));
        assert_eq!(answer(b"\x00").unwrap_err(), unexpected(""));
        let malformed = ProtocolError::MalformedCommand { name: String::new() };
        assert_eq!(answer(b"\x06READY").unwrap_err(), malformed);
        assert_eq!(answer(b"").unwrap_err(), malformed);
    }
}
