//! What RADIO and DISH say over datagrams: `group length(1) group body`, a message each, and nothing else.
//!
//! The bytes are libzmq's (`udp_engine.cpp`), with its limit, and without its bounds: a group may have up to 255
//! bytes, and what is too large is refused where it is sent.

use bytes::{BufMut, BytesMut};

use super::frame::{Header, put_header};

/// The largest datagram, for which libzmq has room.
const MAX_DATAGRAM: usize = 8192;

/// The most bytes that a group and its message have together.
pub(crate) const MAX_BYTES: usize = MAX_DATAGRAM - 1;

/// Writes the datagram of a message, which is given as its two frames. False: that is not what it is.
pub(crate) fn put_datagram(out: &mut BytesMut, message: &[u8]) -> bool {
    let Some((group, rest)) = split_frame(message) else { return false };
    let (Ok(length), Some((body, []))) = (u8::try_from(group.len()), split_frame(rest)) else { return false };
    out.put_u8(length);
    out.put_slice(group);
    out.put_slice(body);
    true
}

/// Writes the two frames of a datagram. False: it is longer than any may be, or shorter than it says.
pub(crate) fn put_frames(out: &mut BytesMut, datagram: &[u8]) -> bool {
    let Some((length, rest)) = datagram.split_first() else { return false };
    let Some((group, body)) = rest.split_at_checked(usize::from(*length)) else { return false };
    if datagram.len() > MAX_DATAGRAM {
        return false;
    }
    put_header(out, group.len(), true, false);
    out.put_slice(group);
    put_header(out, body.len(), false, false);
    out.put_slice(body);
    true
}

/// The body of the first frame, and what follows it.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = Header::decode(bytes)?;
    bytes.get(header.head..)?.split_at_checked(header.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(frames: &[u8]) -> Option<Vec<u8>> {
        let mut out = BytesMut::new();
        put_datagram(&mut out, frames).then(|| out.to_vec())
    }

    fn frames(datagram: &[u8]) -> Option<Vec<u8>> {
        let mut out = BytesMut::new();
        put_frames(&mut out, datagram).then(|| out.to_vec())
    }

    #[test]
    fn datagrams_have_libzmqs_bytes_and_lead_back_to_the_frames() {
        for (message, expected) in [
            (&b"\x01\x02ab\x00\x04body"[..], &b"\x02abbody"[..]),
            (b"\x01\x00\x00\x00", b"\x00"),
            (b"\x01\x00\x00\x01x", b"\x00x"),
        ] {
            assert_eq!(datagram(message).unwrap(), expected);
            assert_eq!(frames(expected).unwrap(), message);
        }
        // libzmq up to 4.3.5 takes the length for a signed one.
        let longest = [&[255][..], &[b'g'; 255], b"body"].concat();
        assert_eq!(datagram(&frames(&longest).unwrap()).unwrap(), longest);
    }

    #[test]
    fn what_is_truncated_or_too_long_is_none() {
        for wrong in [&b""[..], b"\x01", b"\x05abcd", &[255; 255]] {
            assert_eq!(frames(wrong), None, "{wrong:?}");
        }
        assert!(frames(&[0; MAX_DATAGRAM]).is_some());
        assert_eq!(frames(&[0; MAX_DATAGRAM + 1]), None);
    }

    #[test]
    fn only_two_frames_become_a_datagram() {
        for wrong in [&b""[..], b"\x00\x01a", b"\x01\x01a\x01\x01b\x00\x00", b"\x01\x01a\x00\x05b"] {
            assert_eq!(datagram(wrong), None, "{wrong:?}");
        }
        let group = [&[3, 0, 0, 0, 0, 0, 0, 1, 0][..], &[b'g'; 256], b"\x00\x00"].concat();
        assert_eq!(datagram(&group), None, "no group is so long");
    }
}
