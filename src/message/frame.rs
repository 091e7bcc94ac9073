//! One part of a message.
//!
//! A frame is 32 bytes. Short payloads live inside it, middling ones in an allocation of its own, and long ones are
//! a [`Bytes`], so that clones and slices share memory.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// One part of a message: an immutable run of bytes that is cheap to clone.
///
/// # Examples
///
/// ```
/// use zocket::Frame;
///
/// let frame = Frame::from("topic");
/// assert_eq!(&frame[..], b"topic");
/// assert_eq!(frame, "topic");
/// ```
#[derive(Clone)]
pub struct Frame(Repr);

#[derive(Clone)]
enum Repr {
    Own(Own),
    Shared(Bytes),
}

/// A payload that is copied with its frame.
#[derive(Clone)]
enum Own {
    Inline { len: u8, bytes: [u8; Frame::INLINE] },
    Heap(Box<[u8]>),
}

/// Payloads up to this size are copied with their frame. Two words and a plain allocation, where `Bytes` has four
/// words that every move reads before the processor has them in place: for 64 bytes received, a seventh of the
/// time.
const COPIED: usize = 512;

// The niches of `Bytes` and of `Own` hold the tags. The layout is not promised, so growing past it would only
// cost speed.
const _: () = assert!(size_of::<Frame>() <= 40);

impl Frame {
    /// The most payload bytes that live inside the frame itself: what fits beside the tags in the 32 bytes
    /// that a shared frame needs anyway.
    pub const INLINE: usize = 22;

    /// An empty frame.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Own(Own::Inline { len: 0, bytes: [0; Self::INLINE] }))
    }

    /// A frame that borrows a constant; nothing is copied.
    #[must_use]
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Repr::Shared(Bytes::from_static(bytes)))
    }

    /// A frame with its own copy of `bytes`.
    #[must_use]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        let mut frame = Self::new();
        frame.copy_front(bytes, bytes.len());
        frame
    }

    /// The payload as [`Bytes`]; shared frames are not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Own(Own::Heap(bytes)) => bytes.into(),
            Repr::Own(Own::Inline { .. }) => Bytes::copy_from_slice(&self),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The payload, if it is shared.
    pub(crate) fn as_shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Own(_) => None,
            Repr::Shared(bytes) => Some(bytes),
        }
    }

    /// Becomes a copy of the first `len` bytes of `run`. What follows them there may be copied too, and not
    /// seen: a copy of a length known beforehand is no call.
    ///
    /// Each kind is written where it stays. Put together first and moved then, its words would be read as
    /// vectors just after they were written, which stalls.
    #[inline(always)]
    pub(crate) fn copy_front(&mut self, run: &[u8], len: usize) {
        let payload = run.get(..len).unwrap_or(run);
        if payload.len() > COPIED {
            *self = Self(Repr::Shared(Bytes::copy_from_slice(payload)));
        } else if payload.len() > Self::INLINE {
            *self = Self(Repr::Own(Own::Heap(payload.into())));
        } else {
            self.copy_inline(run, payload);
        }
    }

    /// `payload` is at most [`INLINE`](Self::INLINE) bytes at the front of `run`.
    #[inline(always)]
    fn copy_inline(&mut self, run: &[u8], payload: &[u8]) {
        if !matches!(self.0, Repr::Own(Own::Inline { .. })) {
            *self = Self::new();
        }
        let Repr::Own(Own::Inline { len, bytes }) = &mut self.0 else {
            unreachable!("it has just become so")
        };
        *len = u8::try_from(payload.len()).unwrap_or(u8::MAX);
        match run.first_chunk() {
            Some(window) => *bytes = *window,
            None => bytes[..payload.len()].copy_from_slice(payload),
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Own(Own::Inline { len, bytes }) => &bytes[..usize::from(*len)],
            Repr::Own(Own::Heap(bytes)) => bytes,
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Frame {
    /// Shows at most 64 bytes: a log line must not carry a megabyte.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        match self.get(..SHOWN) {
            Some(start) => write!(f, "\"{}…\" ({} bytes)", start.escape_ascii(), self.len()),
            None => write!(f, "\"{}\"", self.escape_ascii()),
        }
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Frame {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for Frame {}

impl std::hash::Hash for Frame {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Looks frames up by their bytes, so that a map keyed by frames can be asked with a slice.
impl std::borrow::Borrow<[u8]> for Frame {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Frame {
    fn from(bytes: &[u8; N]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self::copy_from_slice(text.as_bytes())
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() > COPIED {
            Self(Repr::Shared(bytes.into()))
        } else if bytes.len() > Self::INLINE {
            Self(Repr::Own(Own::Heap(bytes.into())))
        } else {
            Self::copy_from_slice(&bytes)
        }
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        if bytes.len() > Self::INLINE { Self(Repr::Shared(bytes)) } else { Self::copy_from_slice(&bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_it_was_made_of_whatever_its_size() {
        for size in [0, 1, Frame::INLINE, Frame::INLINE + 1, COPIED, COPIED + 1, 100_000] {
            let payload: Vec<_> = (0..=u8::MAX).cycle().take(size).collect();
            let long = [&payload[..], b"behind it"].concat();
            let mut front = Frame::from("what was there before, on the heap");
            front.copy_front(&long, size);
            let all = [
                front,
                Frame::copy_from_slice(&payload),
                Frame::from(payload.clone()),
                Frame::from(Bytes::from(payload.clone())),
            ];
            for frame in all {
                assert_eq!((&frame, frame.clone()), (&Frame::from(&payload[..]), frame.clone()));
                assert_eq!(frame.into_bytes(), payload);
            }
        }
    }

    #[test]
    fn long_frames_share_their_payload_and_short_ones_do_not() {
        let short = Frame::from(vec![1; COPIED]);
        assert!(short.as_shared().is_none());
        let long = Frame::from(vec![1; COPIED + 1]);
        let clone = long.clone();
        assert_eq!(long.as_shared().unwrap().as_ptr(), clone.as_shared().unwrap().as_ptr());
    }

    #[test]
    fn a_frame_is_thirty_two_bytes() {
        assert_eq!(size_of::<Frame>(), 32);
    }

    #[test]
    fn debug_shows_the_start_of_a_long_frame_only() {
        let text = format!("{:?}", Frame::from(vec![b'x'; 1 << 20]));
        assert!(text.len() < 100 && text.contains("1048576 bytes"), "{text}");
    }
}
