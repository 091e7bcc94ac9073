//! Commands: what is said between messages. A command is one frame, `namelen name data`.
//!
//! Patterns see SUBSCRIBE and CANCEL, JOIN and LEAVE. PING and PONG stay inside the engine, and X-SENT inside the driver. Before ZMTP 3.1 a
//! subscription was not a command but a message whose first byte is 1 or 0; we send what the peer understands
//! and accept both from anybody, as libzmq does. JOIN and LEAVE have no such form.
//!
//! After the handshake, unknown and malformed commands are dropped without a word: newer peers may know more.
//!
//! Source: RFC 37, "Commands", "Ping and Pong"; RFC 23 and libzmq's `v2_encoder.cpp` for the old subscriptions.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::Version;
use super::error::ProtocolError;
use super::frame::put_header;
use crate::message::{Frame, Group};

/// What a receiver asks of a sender: messages whose first frame starts with this, or no longer; or messages to this
/// group, or no longer. And what a sender tells a receiver: how many packets it has sent beside the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Subscribe(Frame),
    Cancel(Frame),
    Join(Group),
    Leave(Group),
    Sent(u64),
}

/// The most bytes of a PING's context that come back in the PONG (RFC 37 allows no more to be sent).
pub(crate) const MAX_CONTEXT: usize = 16;

/// The longest prefix that may be subscribed to, in bytes. Each step of a prefix is work and memory for the publisher
/// under a lock that all its peers share; 64 KiB is a millisecond, and longer than any topic.
pub(crate) const MAX_PREFIX: usize = 64 * 1024;

/// The longest TTL we announce. The field would hold 6553 s, but libzmq up to 4.3.5 computes milliseconds in
/// 16 bits and takes anything above 65.5 s for a much shorter time.
const MAX_TTL: Duration = Duration::from_secs(65);

impl Command {
    /// The prefix that is subscribed to, or not any more.
    pub(crate) const fn prefix(&self) -> Option<&Frame> {
        match self {
            Self::Subscribe(prefix) | Self::Cancel(prefix) => Some(prefix),
            Self::Join(_) | Self::Leave(_) | Self::Sent(_) => None,
        }
    }

    /// The prefix or group it is about.
    pub(crate) fn subject(&self) -> &[u8] {
        match self {
            Self::Subscribe(topic) | Self::Cancel(topic) => topic,
            Self::Join(group) | Self::Leave(group) => group,
            Self::Sent(_) => &[],
        }
    }

    /// Reads a message that is a subscription in the old form.
    pub(crate) fn from_message(body: &[u8]) -> Option<Self> {
        match body {
            // Copied, since a topic lives long and must not keep the read buffer alive.
            [1, topic @ ..] => Some(Self::Subscribe(Frame::copy_from_slice(topic))),
            [0, topic @ ..] => Some(Self::Cancel(Frame::copy_from_slice(topic))),
            _ => None,
        }
    }

    /// Writes the frame, header included, in the form that a peer of this version understands.
    pub(crate) fn put(&self, out: &mut BytesMut, version: Version) {
        let number;
        let (old, name, subject): (_, &[u8], &[u8]) = match self {
            Self::Subscribe(topic) => (Some(1), b"\x09SUBSCRIBE", topic),
            Self::Cancel(topic) => (Some(0), b"\x06CANCEL", topic),
            Self::Join(group) => (None, b"\x04JOIN", group),
            Self::Leave(group) => (None, b"\x05LEAVE", group),
            Self::Sent(packets) => {
                number = packets.to_be_bytes();
                (None, b"\x06X-SENT", &number)
            }
        };
        if let Some(old) = old.filter(|_| version < Version::V3_1) {
            // The first byte counts: a topic of 255 bytes needs the long form (libzmq gets this wrong).
            put_header(out, subject.len().saturating_add(1), false, false);
            out.put_u8(old);
        } else {
            put_header(out, name.len().saturating_add(subject.len()), false, true);
            out.put_slice(name);
        }
        out.put_slice(subject);
    }
}

/// A command of the traffic phase, as received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    Subscribe(&'a [u8]),
    Cancel(&'a [u8]),
    Join(&'a [u8]),
    Leave(&'a [u8]),
    Sent(u64),
    /// `context` is already cut to what goes back.
    Ping {
        ttl: Duration,
        context: &'a [u8],
    },
    /// PONG, whose content does not matter, and everything that is to be dropped.
    Other,
}

impl<'a> Received<'a> {
    /// Reads the body of a command frame.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, ProtocolError> {
        let Some((name, data)) = split_name(body) else { return Ok(Self::Other) };
        Ok(match (name, data) {
            (b"SUBSCRIBE", topic) => Self::Subscribe(topic),
            (b"CANCEL", topic) => Self::Cancel(topic),
            (b"JOIN", group) => Self::Join(group),
            (b"LEAVE", group) => Self::Leave(group),
            (b"X-SENT", &[a, b, c, d, e, f, g, h]) => {
                Self::Sent(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            (b"PING", &[high, low, ref context @ ..]) => {
                let deciseconds = u16::from_be_bytes([high, low]);
                Self::Ping {
                    ttl: Duration::from_millis(u64::from(deciseconds).saturating_mul(100)),
                    context: context.get(..MAX_CONTEXT).unwrap_or(context),
                }
            }
            // Without its TTL a PING cannot be answered for, and leaving it unanswered ends in silence.
            (b"PING", _) => return Err(ProtocolError::MalformedCommand { name: "PING".into() }),
            _ => Self::Other,
        })
    }
}

/// The name of a command and what follows it; none if the name is longer than the command.
pub(crate) fn split_name(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = body.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

/// Writes a command frame around a body.
pub(crate) fn put_command(out: &mut BytesMut, body: &[u8]) {
    put_header(out, body.len(), false, true);
    out.put_slice(body);
}

/// Writes a PING that announces when the peer may give us up; zero is never.
pub(crate) fn put_ping(out: &mut BytesMut, ttl: Duration) {
    let deciseconds = ttl.min(MAX_TTL).as_millis().checked_div(100).unwrap_or(0);
    put_header(out, 7, false, true);
    out.put_slice(b"\x04PING");
    out.put_u16(u16::try_from(deciseconds).unwrap_or(u16::MAX));
}

/// Writes the answer to a PING.
pub(crate) fn put_pong(out: &mut BytesMut, context: &[u8]) {
    put_header(out, context.len().saturating_add(5), false, true);
    out.put_slice(b"\x04PONG");
    out.put_slice(context);
}

/// Writes an ERROR: why we are about to close during the handshake. At most 255 bytes of the reason go out.
pub(crate) fn put_error(out: &mut BytesMut, reason: &str) {
    let reason = reason.as_bytes();
    let reason = reason.get(..0xFF).unwrap_or(reason);
    put_header(out, reason.len().saturating_add(7), false, true);
    out.put_slice(b"\x05ERROR");
    out.put_u8(u8::try_from(reason.len()).unwrap_or(u8::MAX));
    out.put_slice(reason);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(put: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        put(&mut out);
        out.to_vec()
    }

    #[test]
    fn subscriptions_are_commands_from_3_1_on_and_messages_before() {
        let subscribe = Command::Subscribe("A".into());
        let cancel = Command::Cancel("A".into());
        assert_eq!(wire(|out| subscribe.put(out, Version::V3_1)), b"\x04\x0B\x09SUBSCRIBEA");
        assert_eq!(wire(|out| cancel.put(out, Version::V3_1)), b"\x04\x08\x06CANCELA");
        for old in [Version::V3_0, Version::V2_0] {
            assert_eq!(wire(|out| subscribe.put(out, old)), b"\x00\x02\x01A");
            assert_eq!(wire(|out| cancel.put(out, old)), b"\x00\x02\x00A");
        }
        let all = Command::Subscribe("".into());
        assert_eq!(wire(|out| all.put(out, Version::V3_1)), b"\x04\x0A\x09SUBSCRIBE");
    }

    #[test]
    fn joins_have_libzmqs_bytes_whatever_the_version() {
        for version in [Version::V3_1, Version::V3_0, Version::V2_0] {
            let put = |command: &dyn Fn(Group) -> Command, group: &str| {
                wire(|out| command(Group::new(group).unwrap()).put(out, version))
            };
            assert_eq!(put(&Command::Join, "A"), b"\x04\x06\x04JOINA");
            assert_eq!(put(&Command::Leave, "A"), b"\x04\x07\x05LEAVEA");
            let longest = put(&Command::Join, &"g".repeat(255));
            assert_eq!(longest[..14], *b"\x06\0\0\0\0\0\0\x01\x04\x04JOIN");
        }
    }

    #[test]
    fn a_topic_of_255_bytes_to_an_old_peer_takes_the_long_form() {
        let command = Command::Subscribe(vec![b't'; 255].into());
        let bytes = wire(|out| command.put(out, Version::V3_0));
        assert_eq!(bytes[..10], [2, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
        assert_eq!(bytes.len(), 9 + 256);
    }

    #[test]
    fn old_subscriptions_are_read_from_messages() {
        assert_eq!(Command::from_message(b"\x01A"), Some(Command::Subscribe("A".into())));
        assert_eq!(Command::from_message(b"\x00"), Some(Command::Cancel("".into())));
        assert_eq!(Command::from_message(b"\x02A"), None);
        assert_eq!(Command::from_message(b""), None);
    }

    #[test]
    fn commands_are_known_by_their_exact_name_and_the_rest_is_dropped() {
        assert_eq!(Received::parse(b"\x09SUBSCRIBEab"), Ok(Received::Subscribe(b"ab")));
        assert_eq!(Received::parse(b"\x06CANCEL"), Ok(Received::Cancel(b"")));
        assert_eq!(Received::parse(b"\x04JOINab"), Ok(Received::Join(b"ab")));
        assert_eq!(Received::parse(b"\x05LEAVE"), Ok(Received::Leave(b"")));
        let dropped: [&[u8]; 9] = [
            b"",
            b"\x00",
            b"\xFFxx",
            b"\x09subscribeA",
            b"\x0ASUBSCRIBEA",
            b"\x04PONG",
            b"\x05READY",
            b"\x05ERROR\x03400",
            b"\x05JOINAgroup",
        ];
        for body in dropped {
            assert_eq!(Received::parse(body), Ok(Received::Other), "{body:?}");
        }
    }

    #[test]
    fn a_pings_ttl_is_in_tenths_of_a_second_up_to_the_last_one() {
        let ping = |body: &'static [u8]| match Received::parse(body) {
            Ok(Received::Ping { ttl, context }) => (ttl.as_millis(), context),
            other => panic!("{other:?}"),
        };
        assert_eq!(ping(b"\x04PING\x00\x14"), (2_000, &b""[..]));
        assert_eq!(ping(b"\x04PING\xFF\xFFabc"), (6_553_500, &b"abc"[..]));
        assert_eq!(ping(b"\x04PING\x00\x000123456789abcdef!").1, b"0123456789abcdef");
        let malformed = Err(ProtocolError::MalformedCommand { name: "PING".into() });
        assert_eq!(Received::parse(b"\x04PING"), malformed);
        assert_eq!(Received::parse(b"\x04PING\x00"), malformed);
    }

    #[test]
    fn pings_and_pongs_have_libzmqs_bytes() {
        let ping = |millis| wire(|out| put_ping(out, Duration::from_millis(millis)));
        assert_eq!(ping(2_000), b"\x04\x07\x04PING\x00\x14");
        assert_eq!(ping(99), b"\x04\x07\x04PING\x00\x00");
        assert_eq!(ping(90_000), b"\x04\x07\x04PING\x02\x8A");
        assert_eq!(wire(|out| put_pong(out, b"")), b"\x04\x05\x04PONG");
        assert_eq!(wire(|out| put_pong(out, &[b'x'; 16])).len(), 2 + 21);
    }

    #[test]
    fn an_error_carries_its_reason() {
        assert_eq!(wire(|out| put_error(out, "400")), b"\x04\x0A\x05ERROR\x03400");
        assert_eq!(wire(|out| put_error(out, &"x".repeat(300)))[9..16], *b"\x05ERROR\xFF");
    }
}
