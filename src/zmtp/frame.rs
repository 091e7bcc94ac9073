//! Frame headers: `flags(1) size(1 or 8) body`, the framing of ZMTP 2.0 and later.
//!
//! [`put_header`] and [`Header::decode`] run once per frame sent and received; nothing else of ZMTP does. The
//! short form is for bodies of up to 255 bytes. A peer may use the long form for any size, and the five upper
//! flag bits mean nothing: libzmq sends them as zero and ignores them, and so do we.
//!
//! Source: RFC 37, "Framing".

use bytes::BufMut;

pub(super) const MORE: u8 = 0x01;
const LONG: u8 = 0x02;
const COMMAND: u8 = 0x04;

/// Bytes of a header whose size is one byte.
const MIN_HEADER: usize = 2;
/// Bytes of a header whose size is eight bytes.
pub(crate) const MAX_HEADER: usize = 9;

/// Writes the header of a body of `len` bytes.
#[inline]
pub(crate) fn put_header(out: &mut impl BufMut, len: usize, more: bool, command: bool) {
    let flags = if more { MORE } else { 0 } | if command { COMMAND } else { 0 };
    match u8::try_from(len) {
        Ok(short) => out.put_slice(&[flags, short]),
        Err(_) => {
            let [a, b, c, d, e, f, g, h] = (len as u64).to_be_bytes();
            out.put_slice(&[flags | LONG, a, b, c, d, e, f, g, h]);
        }
    }
}

/// The size of the header of a body of `len` bytes.
pub(crate) const fn header_len(len: usize) -> usize {
    if len <= 0xFF { MIN_HEADER } else { MAX_HEADER }
}

/// What the start of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the body. A size beyond the address space is `usize::MAX`: as impossible, and caught by any limit.
    pub(crate) body: usize,
    /// Bytes of the header itself.
    pub(crate) head: usize,
    /// The message goes on in the next frame.
    pub(crate) more: bool,
    /// The frame is a command, and no part of a message.
    pub(crate) command: bool,
}

impl Header {
    /// Reads the header at the front of `bytes`, if it is all there.
    #[inline]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let &[flags, short, ..] = bytes else { return None };
        let (body, head) = if flags & LONG == 0 {
            (usize::from(short), MIN_HEADER)
        } else {
            let &[_, a, b, c, d, e, f, g, h, ..] = bytes else { return None };
            let size = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (usize::try_from(size).unwrap_or(usize::MAX), MAX_HEADER)
        };
        Some(Self { body, head, more: flags & MORE != 0, command: flags & COMMAND != 0 })
    }

    /// Bytes of the frame, header and body.
    #[inline]
    pub(crate) const fn total(&self) -> usize {
        self.head.saturating_add(self.body)
    }

    /// How many bytes the header at the front of `bytes` takes: all that is known before it is whole.
    pub(crate) const fn head_wanted(bytes: &[u8]) -> usize {
        match bytes {
            [flags, ..] if *flags & LONG != 0 => MAX_HEADER,
            _ => MIN_HEADER,
        }
    }
}

/// The body of the first frame, as far as it is there.
pub(crate) fn first_body(frames: &[u8]) -> &[u8] {
    let body = Header::decode(frames).and_then(|header| frames.get(header.head..header.total()));
    body.unwrap_or_default()
}

/// Where the message that starts at `from` ends, if all of it is in `bytes`. Asked again and again from the last
/// answer, it tells how many messages of a partly written batch the kernel has wholly taken.
pub(crate) fn next_message(bytes: &[u8], from: usize) -> Option<usize> {
    let mut rest = bytes.get(from..)?;
    loop {
        let header = Header::decode(rest)?;
        (_, rest) = rest.split_at_checked(header.total())?;
        if !header.more && !header.command {
            return bytes.len().checked_sub(rest.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: usize, more: bool, command: bool) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&mut out, len, more, command);
        let decoded = Header::decode(&out).unwrap();
        assert_eq!(decoded, Header { body: len, head: out.len(), more, command });
        out
    }

    #[test]
    fn headers_have_the_six_forms_of_the_rfc() {
        assert_eq!(header(0, false, false), [0, 0]);
        assert_eq!(header(255, true, false), [1, 255]);
        assert_eq!(header(7, false, true), [4, 7]);
        assert_eq!(header(256, false, false), [2, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(header(300, true, false), [3, 0, 0, 0, 0, 0, 0, 1, 44]);
        assert_eq!(header(0x10000, false, true), [6, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_long_header_may_hold_a_small_size_and_reserved_bits_mean_nothing() {
        let long = Header::decode(&[2, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap();
        assert_eq!((long.body, long.head), (5, MAX_HEADER));
        let odd = Header::decode(&[0xF8, 2, 1, b'Z']).unwrap();
        assert_eq!(odd, Header { body: 2, head: MIN_HEADER, more: false, command: false });
    }

    #[test]
    fn half_a_header_is_none() {
        assert_eq!(Header::decode(&[]), None);
        assert_eq!(Header::decode(&[0]), None);
        assert_eq!(Header::decode(&[2, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(
            [Header::head_wanted(&[]), Header::head_wanted(&[1]), Header::head_wanted(&[2])],
            [2, 2, 9]
        );
    }

    #[test]
    fn no_size_overflows() {
        let header = Header::decode(&[2, 255, 255, 255, 255, 255, 255, 255, 255]).unwrap();
        assert_eq!(header.total(), usize::MAX);
        assert_eq!(next_message(&[2, 255, 255, 255, 255, 255, 255, 255, 255, 0], 0), None);
    }

    #[test]
    fn message_ends_are_found_one_after_the_other() {
        let bytes = [0, 1, b'a', 1, 0, 0, 2, b'b', b'c', 0, 3, b'd'];
        assert_eq!(next_message(&bytes, 0), Some(3));
        assert_eq!(next_message(&bytes, 3), Some(9));
        assert_eq!(next_message(&bytes, 9), None);
        assert_eq!(next_message(&bytes, 12), None);
        assert_eq!(next_message(&bytes, 13), None);
    }
}
