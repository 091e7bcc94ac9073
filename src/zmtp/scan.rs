//! The scanner: finds messages and commands in the bytes of the traffic phase, without touching the bodies.
//!
//! The bytes stay with the caller; the scanner says how many of them, from the front, are how many whole
//! messages. It looks at each header once: of an unfinished message it remembers how far it has come (`cursor`),
//! and how many frames and bytes the message has so far, even after those were handed over.
//!
//! Invariant: limits are checked on the header, before anybody makes room for the body; and the caller never
//! has to hold more than [`HOLD`] bytes and one frame.
//!
//! Source: RFC 37, "Framing"; for what a DISH takes, libzmq's `dish.cpp`; the limits are ours.

use super::error::ProtocolError;
use super::frame::Header;
use super::kind::SocketKind;
use crate::message::Group;

/// How much of an unfinished message stays in the input, and from what size a frame that is not all there should
/// stand at the input's front. It is one read: up to there waiting costs no memory that is not there already.
pub(crate) const HOLD: usize = 64 * 1024;

/// What stands at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing that could be handed over yet.
    Nothing,
    /// This many bytes are whole frames in which this many messages end, the last one at the very end. With no
    /// message they are the start of one.
    Traffic { bytes: usize, messages: u32 },
    /// One whole command frame.
    Command(Header),
    /// One whole message that is a subscription in the old form.
    Subscription(Header),
}

#[derive(Debug)]
pub(crate) struct Scanner {
    max_bytes: usize,
    max_frames: u32,
    shape: Shape,
    /// Bytes at the front of the input that are whole frames of an unfinished message.
    cursor: usize,
    /// Frames and bytes that the unfinished message has so far, handed over or not.
    message: Tally,
    wants: usize,
}

/// What messages look like, by the type of the socket that receives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Any,
    /// A message of one frame may be a subscription: PUB, XPUB.
    Subscription,
    /// A group and one frame more: DISH.
    Grouped,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    frames: u32,
    bytes: usize,
}

/// Why the scan went no further.
enum Stop {
    /// All the room is used up.
    Full,
    /// The next frame is a command, or an old subscription: it has to come to the front.
    Special,
    /// The frame that is not all there ends at this length of the input.
    Partial {
        wants: usize,
        large: bool,
    },
    Broken(ProtocolError),
}

impl Scanner {
    pub(crate) fn new(max_message_bytes: u64, max_frames: u32, kind: SocketKind) -> Self {
        let max_bytes = usize::try_from(max_message_bytes).unwrap_or(usize::MAX);
        let (shape, max_frames) = match kind {
            // Every frame with another behind it is then looked at more closely.
            SocketKind::Dish => (Shape::Grouped, 1),
            kind if kind.takes_subscriptions() => (Shape::Subscription, max_frames.max(1)),
            _ => (Shape::Any, max_frames.max(1)),
        };
        Self { max_bytes, max_frames, shape, cursor: 0, message: Tally::default(), wants: 0 }
    }

    /// How long the input must be before another scan gets any further; 0 if it is not known or not begun.
    pub(crate) const fn wants(&self) -> usize {
        self.wants
    }

    /// Looks for at most `room` messages. What it finds is no longer its own: traffic and commands must be taken
    /// off the input before the next scan.
    pub(crate) fn scan(&mut self, input: &[u8], room: u32) -> Result<Found, ProtocolError> {
        self.wants = 0;
        if room == 0 {
            // Traffic has to wait, and so has everything behind it.
            let special =
                self.cursor == 0 && Header::decode(input).is_some_and(|header| self.special(header, input));
            return if special { self.front(input) } else { Ok(Found::Nothing) };
        }
        let mut rest = input.get(self.cursor..).unwrap_or_default();
        // What is behind the last whole message.
        let mut tail = input;
        let mut messages = 0_u32;
        let mut message = self.message;
        // The hot loop of receiving: one round a frame.
        let stop = loop {
            if messages == room {
                break Stop::Full;
            }
            let Some(header) = Header::decode(rest) else {
                break Stop::Partial { wants: Header::head_wanted(rest), large: false };
            };
            if header.command {
                break Stop::Special;
            }
            if header.body > self.max_bytes.saturating_sub(message.bytes) {
                break Stop::Broken(self.too_large(header));
            }
            let Some((_, behind)) = rest.split_at_checked(header.total()) else {
                break match self.misplaced(header, message.frames) {
                    Some(error) => Stop::Broken(error),
                    None => Stop::Partial { wants: header.total(), large: header.total() > HOLD },
                };
            };
            if header.more {
                // Before it is counted: a scan that hands over what came before meets this frame again.
                let frames = message.frames.saturating_add(1);
                if frames >= self.max_frames
                    && let Some(error) = self.one_too_many(header, message.frames)
                {
                    break Stop::Broken(error);
                }
                message.frames = frames;
                message.bytes = message.bytes.saturating_add(header.body);
                rest = behind;
            } else {
                if self.shape != Shape::Any
                    && message.frames == 0
                    && let Some(stop) = self.only(header, rest)
                {
                    break stop;
                }
                rest = behind;
                message = Tally::default();
                tail = rest;
                messages = messages.wrapping_add(1);
            }
        };
        self.message = message;
        self.cursor = tail.len().saturating_sub(rest.len());
        if messages > 0 {
            // Whatever stopped the scan will stop it again, then nearer to the front.
            let bytes = input.len().saturating_sub(tail.len());
            return Ok(Found::Traffic { bytes, messages });
        }
        self.unfinished(stop, input)
    }

    /// No message ended: hands over the start of one if something else has to come to the front.
    fn unfinished(&mut self, stop: Stop, input: &[u8]) -> Result<Found, ProtocolError> {
        let scanned = self.cursor;
        match stop {
            Stop::Broken(error) => Err(error),
            Stop::Special if scanned == 0 => self.front(input),
            Stop::Partial { wants, large } if scanned == 0 || !(large || scanned >= HOLD) => {
                // An empty input has not begun a frame.
                self.wants = if input.is_empty() { 0 } else { scanned.saturating_add(wants) };
                Ok(Found::Nothing)
            }
            Stop::Special | Stop::Partial { .. } | Stop::Full => {
                self.cursor = 0;
                Ok(Found::Traffic { bytes: scanned, messages: 0 })
            }
        }
    }

    /// The command or old subscription at the front, once all of it is there.
    fn front(&mut self, input: &[u8]) -> Result<Found, ProtocolError> {
        let Some(header) = Header::decode(input) else { return Ok(Found::Nothing) };
        if header.body > self.max_bytes {
            return Err(self.too_large(header));
        }
        if input.len() < header.total() {
            self.wants = header.total();
            return Ok(Found::Nothing);
        }
        Ok(if header.command { Found::Command(header) } else { Found::Subscription(header) })
    }

    /// Whether the frame at the front is not traffic. Of an unfinished subscription that is not asked.
    fn special(&self, header: Header, input: &[u8]) -> bool {
        let subscription = self.shape == Shape::Subscription && self.message.frames == 0 && !header.more;
        header.command || (subscription && input.len() >= header.total() && is_subscription(header, input))
    }

    /// What stops the scan at a message of one frame, where messages have a shape.
    fn only(&self, header: Header, frame: &[u8]) -> Option<Stop> {
        match self.misplaced(header, 0) {
            Some(error) => Some(Stop::Broken(error)),
            None => is_subscription(header, frame).then_some(Stop::Special),
        }
    }

    /// A frame that is not the last, behind as many as there may be.
    fn one_too_many(&self, header: Header, before: u32) -> Option<ProtocolError> {
        match self.shape {
            Shape::Grouped => self.misplaced(header, before),
            _ => Some(ProtocolError::TooManyFrames { limit: self.max_frames }),
        }
    }

    /// How a frame behind `before` others of its message breaks the shape of messages to a DISH.
    fn misplaced(&self, header: Header, before: u32) -> Option<ProtocolError> {
        match (self.shape, before, header.more) {
            (Shape::Grouped, 0, true) => Group::check_length(header.body).err().map(Into::into),
            (Shape::Grouped, 1, false) | (Shape::Any | Shape::Subscription, ..) => None,
            (Shape::Grouped, ..) => Some(ProtocolError::NotGrouped),
        }
    }

    fn too_large(&self, header: Header) -> ProtocolError {
        let limit = self.max_bytes as u64;
        if header.body > self.max_bytes {
            ProtocolError::FrameTooLarge { limit, claimed: header.body as u64 }
        } else {
            ProtocolError::MessageTooLarge { limit }
        }
    }
}

/// Whether a frame's body starts as subscriptions did before ZMTP 3.1.
fn is_subscription(header: Header, frame: &[u8]) -> bool {
    header.body > 0 && matches!(frame.get(header.head), Some(0 | 1))
}
