//! A message in a packet of its own, beside the streams of a link: `version(1) number(8) frames`. One that has a stream of
//! its own begins in the same way.
//!
//! The number ascends by one from 1, for each link and direction; the frames are those of a stream. Both peers say in their
//! READY, by the property `X-Datagrams` with the version, that they want this. Who sends then says on the stream, by the
//! command X-SENT, what its last number was: when nothing has followed for a while, and at the end.

use bytes::{BufMut, BytesMut};

use super::Config;
use super::frame::MAX_HEADER;
use super::scan::{Found, Scanner};

/// As a packet and as the property say it.
pub(crate) const VERSION: u8 = 1;

/// What is before the frames.
pub(crate) const HEAD: usize = 9;

/// The most bytes of frames. With the packets' own headers that fits into 1200 bytes, which every path of QUIC carries: so
/// a message that fits when it is sent still does when it leaves, whatever path the link has by then.
const MAX_FRAMES: usize = 1100;

/// The largest packet.
pub(crate) const MAX_PACKET: usize = HEAD + MAX_FRAMES;

/// Whether a message of so many bytes in so many frames certainly fits.
pub(crate) const fn fits(bytes: usize, frames: usize) -> bool {
    bytes.saturating_add(frames.saturating_mul(MAX_HEADER)) <= MAX_FRAMES
}

/// Writes what is before the frames.
pub(crate) fn put_head(out: &mut BytesMut, number: u64) {
    out.put_u8(VERSION);
    out.put_u64(number);
}

/// The number, and what comes behind it.
pub(crate) fn split_head(packet: &[u8]) -> Option<(u64, &[u8])> {
    let (&VERSION, rest) = packet.split_first()? else { return None };
    let (number, frames) = rest.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), frames))
}

/// The number, and the frames if they are one whole message that may come.
pub(crate) fn parse<'a>(packet: &'a [u8], config: &Config) -> Option<(u64, Option<&'a [u8]>)> {
    let (number, frames) = split_head(packet)?;
    let mut scanner = Scanner::new(config.max_message_bytes, config.max_frames, config.kind);
    // With room for another one, what is behind the first is looked at.
    let is_message = matches!(
        scanner.scan(frames, 2),
        Ok(Found::Traffic { bytes, messages: 1 }) if bytes == frames.len()
    );
    Some((number, is_message.then_some(frames)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::SocketOptions;
    use crate::zmtp::SocketKind;

    fn config(kind: SocketKind) -> Config {
        SocketOptions { max_message_bytes: 4, max_frames: 2, ..SocketOptions::default() }.engine_config(kind)
    }

    fn packet(frames: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put_head(&mut out, 7);
        out.extend_from_slice(frames);
        out
    }

    #[test]
    fn one_whole_message_within_the_limits_is_read_and_nothing_else_is() {
        let sub = config(SocketKind::Sub);
        for frames in [&b"\x00\x00"[..], b"\x00\x04abcd", b"\x01\x02ab\x00\x02cd"] {
            assert_eq!(parse(&packet(frames), &sub), Some((7, Some(frames))));
        }
        for frames in [
            &b""[..],
            b"\x00",
            b"\x00\x01",
            b"\x01\x01a",
            b"\x00\x01a\x00\x01b",
            b"\x00\x01a\x00",
            b"\x00\x05abcde",
            b"\x01\x00\x01\x00\x00\x00",
            b"\x04\x05\x04PING",
            b"\xff\xff",
        ] {
            assert_eq!(parse(&packet(frames), &sub), Some((7, None)), "{frames:?}");
        }
        let whole = packet(b"\x00\x00");
        for len in 0..HEAD {
            assert_eq!(parse(&whole[..len], &sub), None, "{len}");
        }
        let mut newer = whole;
        newer[0] = VERSION + 1;
        assert_eq!(parse(&newer, &sub), None);
    }

    #[test]
    fn a_dish_takes_a_group_and_a_body() {
        let dish = config(SocketKind::Dish);
        let frames = b"\x01\x02ab\x00\x02cd";
        assert_eq!(parse(&packet(frames), &dish), Some((7, Some(&frames[..]))));
        assert_eq!(parse(&packet(b"\x00\x02ab"), &dish), Some((7, None)));
    }

    #[test]
    fn what_fits_is_known_before_it_is_encoded() {
        assert!(fits(MAX_FRAMES - MAX_HEADER, 1) && !fits(MAX_FRAMES - MAX_HEADER + 1, 1));
        assert!(fits(0, MAX_FRAMES / MAX_HEADER) && !fits(0, MAX_FRAMES) && !fits(usize::MAX, usize::MAX));
    }
}
