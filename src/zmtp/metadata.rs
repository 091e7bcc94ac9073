//! Properties: what the two sides tell of themselves in the handshake, and [`PeerInfo`], what we keep of it.
//!
//! On the wire a property is `namelen(1) name valuelen(4) value`, one after the other to the end of the command.
//! We send Socket-Type, Identity (the kinds that have one to tell, even an empty one), `X-Zocket`, by which two zockets
//! know each other, and each of these, a byte, where it is so:
//!
//! * `X-Lanes`: more than one lane is wanted, so many.
//! * `X-Datagrams`: messages may come or go in packets of their own, of this version.
//! * `X-Latest`: a newer message may take the place of one that is being sent. Bit 0 is set by all who take such, and bit
//!   1 by who sends them.
//!
//! Names are compared in any case and sent in their canonical one: libzmq compares exactly.
//!
//! Source: RFC 37, "The NULL Mechanism", "Metadata"; RFC 28 for routing ids; libzmq's `mechanism.cpp`.

use bytes::{BufMut, BytesMut};

use zocket_transport::PeerProof;

use super::Version;
use super::error::{ProtocolError, shown};
use super::kind::SocketKind;
use super::packet;
use super::peers::may_talk;
use crate::message::Frame;

const SOCKET_TYPE: &str = "Socket-Type";
const IDENTITY: &str = "Identity";
const ZOCKET: &str = "X-Zocket";
const LANES: &str = "X-Lanes";
const DATAGRAMS: &str = "X-Datagrams";
const LATEST: &str = "X-Latest";

/// The longest routing id (RFC 28).
pub(crate) const MAX_ROUTING_ID: usize = 255;

/// The most properties kept for a peer. libzmq sends two and what its user set beside them. The command is at
/// most 64 KiB, but 13 000 empty properties would fit in there and cost twenty times as much to keep.
const MAX_PROPERTIES: usize = 256;

/// What is known of a peer since the handshake.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    version: Version,
    mechanism: &'static str,
    metadata: Metadata,
    proof: Option<PeerProof>,
    /// Nobody said any of this.
    silent: bool,
}

impl PeerInfo {
    pub(crate) const fn new(version: Version, mechanism: &'static str, metadata: Metadata) -> Self {
        Self { version, mechanism, metadata, proof: None, silent: false }
    }

    pub(crate) fn with_proof(mut self, proof: Option<PeerProof>) -> Self {
        self.proof = proof;
        self
    }

    /// A peer in this process, which needs no handshake.
    pub(crate) fn in_process(kind: SocketKind, routing_id: Frame) -> Self {
        let properties = vec![(ZOCKET.into(), Frame::from_static(b"1"))];
        let metadata = Metadata { kind: Some(kind), routing_id, properties };
        Self::new(Version::V3_1, "NULL", metadata)
    }

    /// Whoever listens to datagrams, or sends some, and says nothing of itself.
    pub(crate) fn silent(kind: SocketKind) -> Self {
        let metadata = Metadata { kind: Some(kind), ..Metadata::default() };
        Self { silent: true, ..Self::new(Version::V3_1, "NULL", metadata) }
    }

    /// Whether it never says what it wants.
    pub(crate) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// A peer out of nowhere, for the tests of others.
    #[cfg(test)]
    pub(crate) fn for_test(kind: SocketKind, routing_id: &[u8]) -> Self {
        Self::in_process(kind, routing_id.into())
    }

    /// The peer's socket type, unless it kept that to itself (ZMTP allows it).
    #[must_use]
    pub const fn kind(&self) -> Option<SocketKind> {
        self.metadata.kind
    }

    /// The routing id the peer chose; empty if it chose none.
    #[must_use]
    pub const fn routing_id(&self) -> &Frame {
        &self.metadata.routing_id
    }

    /// The version of ZMTP that is spoken with it.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The security mechanism: `NULL` is none.
    #[must_use]
    pub const fn mechanism(&self) -> &str {
        self.mechanism
    }

    /// What is proven about the peer, beyond its own word: over ipc its user and process, over quic the key it holds.
    #[must_use]
    pub const fn proof(&self) -> Option<&PeerProof> {
        self.proof.as_ref()
    }

    /// A property that the peer sent beside its type and routing id. Upper and lower case are the same.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All of these properties, in the order they were sent.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.metadata.properties.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many lanes the peer wants.
    pub(crate) fn lanes(&self) -> u8 {
        match self.property(LANES) {
            Some(&[lanes]) => lanes.max(1),
            _ => 1,
        }
    }

    /// Whether messages may go in packets of their own, as far as the peer goes.
    pub(crate) fn datagrams(&self) -> bool {
        self.property(DATAGRAMS) == Some(&[packet::VERSION])
    }

    /// Whether the peer takes, and whether it sends, messages of which the last alone counts.
    pub(crate) fn latest(&self) -> Latest {
        match self.property(LATEST) {
            Some(&[bits]) => Latest { takes: bits & 1 != 0, sends: bits & 2 != 0 },
            _ => Latest::default(),
        }
    }

    /// Whether the peer is this library too.
    #[must_use]
    pub fn is_zocket(&self) -> bool {
        self.property(ZOCKET).is_some()
    }
}

/// The peer's properties, read and checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metadata {
    kind: Option<SocketKind>,
    routing_id: Frame,
    properties: Vec<(Box<str>, Frame)>,
}

impl Metadata {
    /// All that a ZMTP 2.0 peer tells.
    pub(crate) fn old(kind: Option<SocketKind>, routing_id: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self { kind, routing_id: checked_routing_id(routing_id)?, properties: Vec::new() })
    }

    /// Reads the properties a peer sent to a socket of kind `own`. Of two with one name the first counts, but
    /// each Socket-Type must be one we talk to.
    pub(crate) fn parse(mut input: &[u8], own: SocketKind) -> Result<Self, ProtocolError> {
        let mut found = Self::default();
        let mut routing_id = None;
        while !input.is_empty() {
            let (name, value);
            (name, value, input) = split_property(input).ok_or(ProtocolError::BadMetadata {
                rule: "each property must end within the command, with nothing behind the last",
            })?;
            if name.eq_ignore_ascii_case(SOCKET_TYPE.as_bytes()) {
                let kind = checked_kind(value, own)?;
                found.kind = found.kind.or(Some(kind));
            } else if name.eq_ignore_ascii_case(IDENTITY.as_bytes()) {
                let checked = checked_routing_id(value)?;
                routing_id = routing_id.or(Some(checked));
            } else if found.properties.len() < MAX_PROPERTIES {
                found.properties.push((String::from_utf8_lossy(name).into(), Frame::copy_from_slice(value)));
            } else {
                return Err(ProtocolError::BadMetadata { rule: "at most 256 properties" });
            }
        }
        found.routing_id = routing_id.unwrap_or_default();
        Ok(found)
    }
}

fn checked_kind(name: &[u8], own: SocketKind) -> Result<SocketKind, ProtocolError> {
    let kind = std::str::from_utf8(name).ok().and_then(SocketKind::from_name);
    let theirs = kind.ok_or_else(|| ProtocolError::UnknownKind { name: shown(name) })?;
    if may_talk(own, theirs) { Ok(theirs) } else { Err(ProtocolError::KindMismatch { ours: own, theirs }) }
}

fn checked_routing_id(bytes: &[u8]) -> Result<Frame, ProtocolError> {
    match bytes {
        [0, ..] => Err(ProtocolError::ReservedRoutingId),
        _ if bytes.len() > MAX_ROUTING_ID => Err(ProtocolError::RoutingIdTooLong { len: bytes.len() }),
        _ => Ok(Frame::copy_from_slice(bytes)),
    }
}

/// The first property's name and value, and what follows it.
fn split_property(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = input.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*len))?;
    let (len, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    Some((name, value, rest))
}

/// What a link could have besides its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extras {
    /// How many lanes.
    pub(crate) lanes: u8,
    /// Whether messages may come or go in packets of their own.
    pub(crate) datagrams: bool,
    pub(crate) latest: Latest,
}

/// Whether a side takes, and whether it sends, messages on streams of their own, which are cut off for newer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Latest {
    pub(crate) takes: bool,
    pub(crate) sends: bool,
}

impl Latest {
    /// Whether there is a side that sends such, and none sends what the other does not take.
    pub(crate) const fn agrees(self, peer: Self) -> bool {
        let (ours, theirs) = (self.sends && peer.takes, peer.sends && self.takes);
        (ours || theirs) && ours == self.sends && theirs == peer.sends
    }
}

/// Nothing.
impl Default for Extras {
    fn default() -> Self {
        Self { lanes: 1, datagrams: false, latest: Latest::default() }
    }
}

/// Writes what we tell of ourselves.
pub(crate) fn put_own(out: &mut BytesMut, kind: SocketKind, routing_id: &[u8], extras: Extras) {
    let Extras { lanes, datagrams, latest } = extras;
    put_property(out, SOCKET_TYPE, kind.name().as_bytes());
    if kind.tells_routing_id() {
        put_property(out, IDENTITY, routing_id);
    }
    put_property(out, ZOCKET, b"1");
    if lanes > 1 {
        put_property(out, LANES, &[lanes]);
    }
    if datagrams {
        put_property(out, DATAGRAMS, &[packet::VERSION]);
    }
    if latest != Latest::default() {
        put_property(out, LATEST, &[u8::from(latest.takes) | (u8::from(latest.sends) << 1)]);
    }
}

fn put_property(out: &mut BytesMut, name: &str, value: &[u8]) {
    debug_assert!(name.len() <= 255 && value.len() <= 255, "our own properties are short");
    out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.put_slice(name.as_bytes());
    out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
    out.put_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(properties: &[(&str, &[u8])]) -> BytesMut {
        let mut out = BytesMut::new();
        for (name, value) in properties {
            out.put_u8(u8::try_from(name.len()).unwrap());
            out.put_slice(name.as_bytes());
            out.put_u32(u32::try_from(value.len()).unwrap());
            out.put_slice(value);
        }
        out
    }

    fn parse(properties: &[(&str, &[u8])], own: SocketKind) -> Result<PeerInfo, ProtocolError> {
        let metadata = Metadata::parse(&wire(properties), own)?;
        Ok(PeerInfo::new(Version::V3_1, "NULL", metadata))
    }

    #[test]
    fn req_dealer_and_router_tell_even_an_empty_routing_id_and_nobody_else_does() {
        for kind in SocketKind::ALL {
            let mut out = BytesMut::new();
            put_own(&mut out, kind, b"", Extras::default());
            let mut expected = vec![(SOCKET_TYPE, kind.name().as_bytes())];
            if ["REQ", "DEALER", "ROUTER"].contains(&kind.name()) {
                expected.push((IDENTITY, b""));
            }
            expected.push((ZOCKET, b"1"));
            assert_eq!(out, wire(&expected), "{kind}");
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        let properties: [(&str, &[u8]); 3] =
            [("socket-type", b"DEALER"), ("IDENTITY", b"me"), ("x-Color", b"red")];
        let peer = parse(&properties, SocketKind::Router).unwrap();
        assert_eq!(peer.kind(), Some(SocketKind::Dealer));
        assert_eq!(*peer.routing_id(), "me");
        assert_eq!(peer.property("X-COLOR"), Some(&b"red"[..]));
        assert_eq!(peer.properties().collect::<Vec<_>>(), [("x-Color", &b"red"[..])]);
        assert!(!peer.is_zocket());
        let wrong = parse(&[("socket-type", b"SUB")], SocketKind::Router).unwrap_err();
        assert_eq!(wrong, ProtocolError::KindMismatch { ours: SocketKind::Router, theirs: SocketKind::Sub });
    }

    #[test]
    fn a_peer_may_keep_its_type_to_itself_but_not_invent_one() {
        let peer = parse(&[], SocketKind::Pull).unwrap();
        assert_eq!((peer.kind(), peer.routing_id().len()), (None, 0));
        let unknown = |name: &str| ProtocolError::UnknownKind { name: name.into() };
        assert_eq!(parse(&[(SOCKET_TYPE, b"push")], SocketKind::Pull).unwrap_err(), unknown("push"));
        assert_eq!(parse(&[(SOCKET_TYPE, b"")], SocketKind::Pull).unwrap_err(), unknown(""));
        assert_eq!(parse(&[(SOCKET_TYPE, b"STREAM")], SocketKind::Pull).unwrap_err(), unknown("STREAM"));
    }

    #[test]
    fn the_first_of_a_name_counts_but_every_socket_type_is_checked() {
        let twice: [(&str, &[u8]); 6] = [
            (SOCKET_TYPE, b"REQ"),
            (IDENTITY, b""),
            (SOCKET_TYPE, b"DEALER"),
            (IDENTITY, b"late"),
            ("a", b"1"),
            ("A", b"2"),
        ];
        let peer = parse(&twice, SocketKind::Router).unwrap();
        assert_eq!(peer.kind(), Some(SocketKind::Req));
        assert_eq!(*peer.routing_id(), "");
        assert_eq!(peer.property("A"), Some(&b"1"[..]));
        let wrong = parse(&[(SOCKET_TYPE, b"REQ"), (SOCKET_TYPE, b"PUB")], SocketKind::Router);
        assert!(matches!(wrong, Err(ProtocolError::KindMismatch { .. })));
    }

    #[test]
    fn what_does_not_end_with_the_command_is_an_error() {
        let whole = wire(&[(SOCKET_TYPE, b"PUSH"), ("", b"empty names are fine")]);
        assert!(Metadata::parse(&whole, SocketKind::Pull).is_ok());
        let first = wire(&[(SOCKET_TYPE, b"PUSH")]).len();
        for len in (1..whole.len()).filter(|len| *len != first) {
            let error = Metadata::parse(&whole[..len], SocketKind::Pull).unwrap_err();
            assert!(matches!(error, ProtocolError::BadMetadata { .. }), "{len}");
        }
        let huge = Metadata::parse(b"\x01a\xFF\xFF\xFF\xFFvalue", SocketKind::Pull).unwrap_err();
        assert!(matches!(huge, ProtocolError::BadMetadata { .. }));
    }

    #[test]
    fn a_routing_id_has_at_most_255_bytes_and_no_zero_first() {
        let id = |bytes: &[u8]| {
            parse(&[(IDENTITY, bytes)], SocketKind::Router).map(|peer| peer.routing_id().len())
        };
        assert_eq!(id(&[b'x'; 255]), Ok(255));
        assert_eq!(id(&[b'x'; 300]), Err(ProtocolError::RoutingIdTooLong { len: 300 }));
        assert_eq!(id(b"\0abc"), Err(ProtocolError::ReservedRoutingId));
    }

    #[test]
    fn properties_are_counted() {
        let many = [("x", &b""[..]); MAX_PROPERTIES];
        assert!(parse(&many, SocketKind::Pull).is_ok());
        let more = [("x", &b""[..]); MAX_PROPERTIES + 1];
        assert!(matches!(parse(&more, SocketKind::Pull), Err(ProtocolError::BadMetadata { .. })));
    }

    #[test]
    fn a_peer_in_this_process_is_a_zocket() {
        assert!(PeerInfo::in_process(SocketKind::Pull, Frame::new()).is_zocket());
    }
}
