//! The greeting: the first 64 bytes of a ZMTP 3 connection, or the first 12 of a ZMTP 2.0 one.
//!
//! We send the signature and our major version at once (11 bytes) and the rest once the peer's major version has
//! come: that way neither side waits for the other, and a 2.0 peer can still be answered in its own way.
//! ZMTP 1.0 has no version byte and takes any bytes as a greeting; such peers, and whoever else is knocking, are
//! turned away at the first byte that tells.
//!
//! Source: RFC 37, "Greeting" and "Version Negotiation"; libzmq's `zmtp_engine.cpp` for the table of versions.

use bytes::{BufMut, BytesMut};

use super::Version;
use super::error::{ProtocolError, shown};

/// Bytes until the peer's major version is known.
pub(crate) const OPENING: usize = 11;
/// Bytes of a ZMTP 2.0 greeting: the opening and the socket type.
pub(crate) const LEN_2: usize = 12;
/// Bytes of a ZMTP 3 greeting.
pub(crate) const LEN_3: usize = 64;

const MECHANISM: usize = 20;

/// What we say first. The eight bytes are padding in the RFC; like libzmq we send there what a 1.0 peer would
/// read as the size of our routing id's frame.
pub(crate) const fn opening(routing_id: &[u8]) -> [u8; OPENING] {
    let [a, b, c, d, e, f, g, h] = (routing_id.len() as u64).saturating_add(1).to_be_bytes();
    [0xFF, a, b, c, d, e, f, g, h, 0x7F, 3]
}

/// The rest of our ZMTP 3 greeting: minor version, mechanism, as-server and filler. As-server is always zero, as
/// in libzmq, and nobody reads it: who serves follows from the commands.
pub(crate) fn put_rest(out: &mut BytesMut, mechanism: &str) {
    out.put_u8(1);
    out.put_slice(&field(mechanism));
    out.put_bytes(0, 32);
}

/// Which greeting a peer is sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    Two,
    Three,
}

/// The peer's generation, as soon as its major version is there.
pub(crate) fn generation(input: &[u8]) -> Result<Option<Generation>, ProtocolError> {
    match input.first() {
        Some(&first) if first != 0xFF => return Err(ProtocolError::NotZmtp { first }),
        _ => {}
    }
    // An even byte here is the flags of a long 1.0 frame.
    if input.get(9).is_some_and(|last| last & 1 == 0) {
        return Err(ProtocolError::OldVersion);
    }
    match input.get(10) {
        None => Ok(None),
        Some(0) => Err(ProtocolError::OldVersion),
        Some(1) => Ok(Some(Generation::Two)),
        // RFC 37 counts a 2 among ZMTP 2.0, libzmq among 3.x; nobody sends it.
        Some(_) => Ok(Some(Generation::Three)),
    }
}

/// Reads a whole ZMTP 3 greeting: the version to speak, if the peer's mechanism is ours.
pub(crate) fn read(greeting: &[u8; LEN_3], ours: &'static str) -> Result<Version, ProtocolError> {
    let &[_, _, _, _, _, _, _, _, _, _, major, minor, ref rest @ ..] = greeting;
    // The whole field counts, padding included.
    match rest.first_chunk() {
        Some(theirs) if *theirs == field(ours) => {}
        theirs => {
            let theirs: &[u8; MECHANISM] = theirs.unwrap_or(&[0; MECHANISM]);
            let name = theirs.split(|byte| *byte == 0).next().unwrap_or_default();
            return Err(ProtocolError::MechanismMismatch { ours, theirs: shown(name) });
        }
    }
    Ok(if (major, minor) == (3, 0) { Version::V3_0 } else { Version::V3_1 })
}

/// A mechanism's name, padded with zeros.
fn field(mechanism: &str) -> [u8; MECHANISM] {
    let mut field = [0; MECHANISM];
    for (to, from) in field.iter_mut().zip(mechanism.bytes()) {
        *to = from;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(major: u8, minor: u8, mechanism: &str) -> [u8; LEN_3] {
        let mut bytes = BytesMut::from(&opening(b"")[..]);
        put_rest(&mut bytes, mechanism);
        let mut bytes: [u8; LEN_3] = bytes[..].try_into().unwrap();
        (bytes[10], bytes[11]) = (major, minor);
        bytes
    }

    #[test]
    fn the_padding_is_what_a_1_0_peer_reads_as_our_routing_ids_frame() {
        assert_eq!(opening(b""), [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3]);
        assert_eq!(opening(b"me")[8], 3);
        assert_eq!(opening(&[b'x'; 255])[7..9], [1, 0]);
    }

    #[test]
    fn the_rest_is_minor_version_mechanism_and_zeros() {
        let bytes = greeting(3, 1, "NULL");
        assert_eq!(bytes[..16], *b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x01NULL");
        assert_eq!(bytes[16..], [0; 48]);
    }

    #[test]
    fn versions_are_told_apart_as_libzmq_does() {
        let at = |byte9: u8, byte10: u8| generation(&[255, 0, 0, 0, 0, 0, 0, 0, 0, byte9, byte10]);
        assert_eq!(at(0x7F, 3), Ok(Some(Generation::Three)));
        assert_eq!(at(0x01, 3), Ok(Some(Generation::Three)));
        assert_eq!(at(0x7F, 4), Ok(Some(Generation::Three)));
        assert_eq!(at(0x7F, 2), Ok(Some(Generation::Three)));
        assert_eq!(at(0x7F, 1), Ok(Some(Generation::Two)));
        assert_eq!(at(0x7F, 0), Err(ProtocolError::OldVersion));
        assert_eq!(at(0x7E, 3), Err(ProtocolError::OldVersion));
        for (sent, spoken) in [((3, 0), Version::V3_0), ((3, 1), Version::V3_1), ((3, 2), Version::V3_1)] {
            assert_eq!(read(&greeting(sent.0, sent.1, "NULL"), "NULL"), Ok(spoken));
        }
        assert_eq!(read(&greeting(4, 0, "NULL"), "NULL"), Ok(Version::V3_1));
        assert_eq!(read(&greeting(2, 0, "NULL"), "NULL"), Ok(Version::V3_1));
    }

    #[test]
    fn garbage_is_known_by_its_first_byte_and_half_a_greeting_by_nothing() {
        assert_eq!(generation(b"GET /"), Err(ProtocolError::NotZmtp { first: b'G' }));
        assert_eq!(generation(&[]), Ok(None));
        assert_eq!(generation(&[255, 0, 0]), Ok(None));
        assert_eq!(generation(&opening(b"")[..10]), Ok(None));
    }

    #[test]
    fn the_whole_mechanism_field_counts_and_nothing_behind_it() {
        let theirs = |bytes: &[u8; LEN_3]| match read(bytes, "NULL") {
            Err(ProtocolError::MechanismMismatch { ours: "NULL", theirs }) => theirs,
            other => panic!("{other:?}"),
        };
        assert_eq!(theirs(&greeting(3, 1, "CURVE")), "CURVE");
        let mut tail = greeting(3, 1, "NULL");
        tail[31] = b'!';
        assert_eq!(theirs(&tail), "NULL");
        let mut server = greeting(3, 1, "NULL");
        server[32..].fill(1);
        assert_eq!(read(&server, "NULL"), Ok(Version::V3_1));
    }
}
