//! What a socket sends and receives: a [`Message`] of one or more [`Frame`]s.
//!
//! A frame is 32 bytes. Up to [`Frame::INLINE`] bytes of payload live inside it, so small frames cost no
//! allocation and no reference count; longer ones are a [`Bytes`], so clones and slices share memory.
//! A message is delivered whole or not at all, and always has at least one frame.
//!
//! Source: RFC 37, "Framing": a message is a sequence of frames, all but the last marked MORE.

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
    Inline { len: u8, bytes: [u8; Frame::INLINE] },
    Shared(Bytes),
}

/// Stands in where a first or last frame is asked for: `Many` is never empty, and this keeps it free of panics.
static EMPTY: Frame = Frame::new();

// The niche of `Bytes` holds the tag. The layout is not promised, so growing past it would only cost speed.
const _: () = assert!(size_of::<Frame>() <= 40 && size_of::<Message>() <= 48);

impl Frame {
    /// The most payload bytes that live inside the frame itself: what fits beside the tag in the 32 bytes
    /// that a shared frame needs anyway.
    pub const INLINE: usize = 23;

    /// An empty frame.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Inline { len: 0, bytes: [0; Self::INLINE] })
    }

    /// A frame that borrows a constant; nothing is copied.
    #[must_use]
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Repr::Shared(Bytes::from_static(bytes)))
    }

    /// A frame with its own copy of `bytes`.
    #[must_use]
    #[inline]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        match Self::inline(bytes) {
            Some(frame) => frame,
            None => Self(Repr::Shared(Bytes::copy_from_slice(bytes))),
        }
    }

    /// The payload as [`Bytes`]; shared frames are not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Inline { .. } => Bytes::copy_from_slice(&self),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The shared payload, if the frame is long enough to have one.
    pub(crate) fn as_shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Inline { .. } => None,
            Repr::Shared(bytes) => Some(bytes),
        }
    }

    #[inline]
    fn inline(payload: &[u8]) -> Option<Self> {
        if payload.len() > Self::INLINE {
            return None;
        }
        let len = u8::try_from(payload.len()).ok()?;
        let mut bytes = [0; Self::INLINE];
        bytes.get_mut(..payload.len())?.copy_from_slice(payload);
        Some(Self(Repr::Inline { len, bytes }))
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
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
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
        Self::inline(&bytes).unwrap_or_else(|| Self(Repr::Shared(bytes.into())))
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self::inline(&bytes).unwrap_or(Self(Repr::Shared(bytes)))
    }
}

/// One or more frames, sent and received as a unit.
///
/// # Examples
///
/// ```
/// use zocket::Message;
///
/// let message = Message::from(["address", "body"]);
/// assert_eq!(message.len(), 2);
/// assert_eq!(message[1], "body");
///
/// let single = Message::from("hello");
/// assert_eq!(single.to_text(), "hello");
/// ```
#[derive(Clone)]
pub struct Message(Parts);

#[derive(Clone)]
enum Parts {
    One(Frame),
    /// Never empty; one frame is possible (after a `pop_front`) and means the same as `One`.
    Many(Vec<Frame>),
}

impl Message {
    /// A message of one empty frame.
    #[must_use]
    pub const fn new() -> Self {
        Self(Parts::One(Frame::new()))
    }

    /// The frames, first to last; at least one.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        match &self.0 {
            Parts::One(frame) => std::slice::from_ref(frame),
            Parts::Many(frames) => frames,
        }
    }

    /// How many frames there are; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a message always has a frame")]
    pub fn len(&self) -> usize {
        self.frames().len()
    }

    /// The payload bytes of all frames together, without framing.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.0 {
            Parts::One(frame) => frame.len(),
            Parts::Many(frames) => frames.iter().map(|frame| frame.len()).sum(),
        }
    }

    /// The first frame: the topic of PUB/SUB, the routing id of ROUTER.
    #[must_use]
    pub fn first(&self) -> &Frame {
        match &self.0 {
            Parts::One(frame) => frame,
            Parts::Many(frames) => frames.first().unwrap_or(&EMPTY),
        }
    }

    /// The last frame: the body, where everything before it is addressing.
    #[must_use]
    pub fn last(&self) -> &Frame {
        self.frames().last().unwrap_or(&EMPTY)
    }

    /// Puts a frame in front of the others.
    pub fn push_front(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        match &mut self.0 {
            Parts::One(only) => self.0 = Parts::Many(vec![frame, std::mem::take(only)]),
            Parts::Many(frames) => frames.insert(0, frame),
        }
    }

    /// Adds a frame behind the others.
    pub fn push_back(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        match &mut self.0 {
            Parts::One(only) => self.0 = Parts::Many(vec![std::mem::take(only), frame]),
            Parts::Many(frames) => frames.push(frame),
        }
    }

    /// Becomes one frame, to be written in its place.
    #[inline(always)]
    pub(crate) fn reset(&mut self) -> &mut Frame {
        if let Parts::Many(_) = self.0 {
            *self = Self::new();
        }
        match &mut self.0 {
            Parts::One(frame) => frame,
            Parts::Many(_) => unreachable!("it has just become one"),
        }
    }

    /// Takes the first frame off, if another one is left behind it.
    pub fn pop_front(&mut self) -> Option<Frame> {
        match &mut self.0 {
            Parts::Many(frames) if frames.len() > 1 => Some(frames.remove(0)),
            Parts::One(_) | Parts::Many(_) => None,
        }
    }

    /// The frames as a vector.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        match self.0 {
            Parts::One(frame) => vec![frame],
            Parts::Many(frames) => frames,
        }
    }

    /// All frames as text, with a space between them and `�` for what is not UTF-8. For people's eyes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let parts: Vec<_> = self.frames().iter().map(|frame| String::from_utf8_lossy(frame)).collect();
        parts.join(" ")
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message")?;
        f.debug_list().entries(self.frames()).finish()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.frames() == other.frames()
    }
}

impl Eq for Message {}

/// A message of one frame compared with its bytes.
impl PartialEq<str> for Message {
    fn eq(&self, other: &str) -> bool {
        matches!(self.frames(), [frame] if frame == other)
    }
}

impl PartialEq<&str> for Message {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<[u8]> for Message {
    fn eq(&self, other: &[u8]) -> bool {
        matches!(self.frames(), [frame] if frame == other)
    }
}

/// Frame by frame.
impl<T: AsRef<[u8]>, const N: usize> PartialEq<[T; N]> for Message {
    fn eq(&self, other: &[T; N]) -> bool {
        self.len() == N && self.frames().iter().zip(other).all(|(frame, other)| frame == other)
    }
}

impl<I: std::slice::SliceIndex<[Frame]>> std::ops::Index<I> for Message {
    type Output = I::Output;

    fn index(&self, index: I) -> &I::Output {
        &self.frames()[index]
    }
}

impl<T: Into<Frame>> From<T> for Message {
    fn from(frame: T) -> Self {
        Self(Parts::One(frame.into()))
    }
}

impl<T: Into<Frame>, const N: usize> From<[T; N]> for Message {
    fn from(frames: [T; N]) -> Self {
        frames.into_iter().map(Into::into).collect()
    }
}

/// An empty vector becomes a message of one empty frame.
impl From<Vec<Frame>> for Message {
    fn from(mut frames: Vec<Frame>) -> Self {
        match frames.len() {
            0 => Self::new(),
            1 => frames.pop().map_or_else(Self::new, |frame| Self(Parts::One(frame))),
            _ => Self(Parts::Many(frames)),
        }
    }
}

impl FromIterator<Frame> for Message {
    fn from_iter<I: IntoIterator<Item = Frame>>(frames: I) -> Self {
        Self::from(frames.into_iter().collect::<Vec<_>>())
    }
}

impl IntoIterator for Message {
    type Item = Frame;
    type IntoIter = std::vec::IntoIter<Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_frames().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_frames_live_inline_and_long_ones_share() {
        let short = Frame::from(vec![1; Frame::INLINE]);
        assert!(short.as_shared().is_none());
        let long = Frame::from(vec![1; Frame::INLINE + 1]);
        let clone = long.clone();
        assert_eq!(long.as_shared().unwrap().as_ptr(), clone.as_shared().unwrap().as_ptr());
    }

    #[test]
    fn a_frame_is_thirty_two_bytes() {
        assert_eq!((size_of::<Frame>(), size_of::<Message>()), (32, 32 + 8));
    }

    #[test]
    fn frames_come_and_go_at_the_front_but_one_always_stays() {
        let mut message = Message::from("body");
        message.push_front("id");
        assert_eq!(message, ["id", "body"]);
        assert_eq!(message.pop_front().unwrap(), "id");
        assert_eq!(message.pop_front(), None::<Frame>);
        assert_eq!(message, "body");
    }

    #[test]
    fn no_frames_are_one_empty_frame() {
        assert_eq!(Message::from(Vec::<Frame>::new()), "");
        assert_eq!(Message::new().byte_len(), 0);
    }

    #[test]
    fn debug_shows_the_start_of_a_long_frame_only() {
        let text = format!("{:?}", Frame::from(vec![b'x'; 1 << 20]));
        assert!(text.len() < 100 && text.contains("1048576 bytes"), "{text}");
    }
}
