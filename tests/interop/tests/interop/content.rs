//! What travels: pseudo-random bodies that are the same in every run, and a comparison that fails readably.
//!
//! All bodies are slices of one pool, each from another place, so that a body in the wrong message or frame, cut
//! short or shifted by a byte never compares equal.

use std::sync::LazyLock;

use bytes::Bytes;

/// The frames of one message.
pub(crate) type Frames = Vec<Bytes>;

/// Around every boundary of the framing: empty, one byte, the last short and the first long frame, libzmq's batch
/// size, larger than a read, and larger than any socket buffer.
pub(crate) const SIZES: [usize; 7] = [0, 1, 255, 256, 8_191, 65_536, 16_777_216];

/// Room for bodies to start at different places.
const SLACK: usize = 1 << 16;

static POOL: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let words = (SIZES[6] + SLACK) / 8;
    let bytes: Vec<u8> = (0..words)
        .flat_map(|_| {
            // Xorshift64: fast enough for a debug build, and no period to speak of.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    bytes.into()
});

/// A body of this length; other numbers give other contents.
pub(crate) fn body(len: usize, number: usize) -> Bytes {
    let start = number * 977 % SLACK;
    POOL.slice(start..start + len)
}

/// Every size as a message of one frame, all sizes as frames of one message, and a message with the empty frame last.
pub(crate) fn every_size() -> Vec<Frames> {
    let frames = |sizes: &[usize], number: usize| -> Frames {
        sizes.iter().enumerate().map(|(at, len)| body(*len, number * 10 + at)).collect()
    };
    let mut messages: Vec<_> = SIZES.iter().enumerate().map(|(at, len)| frames(&[*len], at)).collect();
    messages.push(frames(&SIZES, 7));
    messages.push(frames(&[65_536, 8_191, 256, 255, 1, 0], 8));
    messages
}

/// A few small messages, told apart by `round`.
pub(crate) fn small(round: usize) -> Vec<Frames> {
    vec![text(["round", &round.to_string()]), vec![body(300, round)], text(["last", ""])]
}

/// Frames of text.
pub(crate) fn text<const N: usize>(frames: [&str; N]) -> Frames {
    frames.into_iter().map(|frame| Bytes::copy_from_slice(frame.as_bytes())).collect()
}

/// Panics with the first difference, not with megabytes of bytes.
pub(crate) fn assert_same(got: &[Bytes], wanted: &[Bytes], context: &str) {
    let lens = |frames: &[Bytes]| frames.iter().map(Bytes::len).collect::<Vec<_>>();
    assert_eq!(lens(got), lens(wanted), "frame lengths, {context}");
    for (number, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let differs = || got.iter().zip(wanted).position(|(a, b)| a != b);
        assert!(got == wanted, "frame {number} differs at byte {:?}, {context}", differs());
    }
}
