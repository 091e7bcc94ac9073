//! What a socket sends and receives: a [`Message`] of one or more [`Frame`]s.
//!
//! A message is delivered whole or not at all, and always has at least one frame.
//!
//! Source: RFC 37, "Framing": a message is a sequence of frames, all but the last marked MORE.

mod frame;
mod group;
mod outgoing;

use std::fmt;

pub use self::frame::Frame;
pub use self::group::{Group, GroupError};
pub use self::outgoing::IntoMessage;
pub(crate) use self::outgoing::Outgoing;

/// Stands in where a first or last frame is asked for: there always is one, and this keeps it free of panics.
static EMPTY: Frame = Frame::new();

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
    /// Two or more.
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
            Parts::Many(frames) if frames.len() > 2 => Some(frames.remove(0)),
            Parts::Many(frames) if frames.len() == 2 => {
                let last = frames.pop()?;
                let first = frames.pop();
                self.0 = Parts::One(last);
                first
            }
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
}
