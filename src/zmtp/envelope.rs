//! What stands in front of nearly every request and reply: a delimiter, behind an id or not.
//!
//! It is read where it lies, in the one form in which libzmq and zocket write it. What is longer, or spelled otherwise (a
//! long header, flag bits that mean nothing), is read frame by frame.
//!
//! Source: RFC 28, "The REQ socket type"; for ids, libzmq's `REQ_CORRELATE`.

use bytes::BufMut;

use super::frame::MORE;
use crate::message::{Frame, Message};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// A delimiter and no more.
    Bare,
    /// An id and a delimiter.
    Id([u8; 4]),
}

impl Envelope {
    /// What stands in front of a request with this id, or none, and of its reply.
    pub(crate) fn of(id: Option<u32>) -> Self {
        id.map_or(Self::Bare, |id| Self::Id(id.to_be_bytes()))
    }

    /// The one at the front of these frames, if something is behind it, and how many bytes it takes.
    pub(crate) const fn read(frames: &[u8]) -> Option<(Self, usize)> {
        match *frames {
            [MORE, 0, ..] => Some((Self::Bare, 2)),
            [MORE, 4, a, b, c, d, MORE, 0, ..] => Some((Self::Id([a, b, c, d]), 8)),
            _ => None,
        }
    }

    /// Takes it off a message, if something is behind it.
    pub(crate) fn take(message: &mut Message) -> Option<Self> {
        let found = match message.frames() {
            [first, _, ..] if first.is_empty() => Self::Bare,
            [first, second, _, ..] if second.is_empty() => Self::Id((&**first).try_into().ok()?),
            _ => return None,
        };
        message.pop_front();
        if found != Self::Bare {
            message.pop_front();
        }
        Some(found)
    }

    /// The most bytes that it takes on the wire.
    pub(crate) const MOST: usize = 8;

    /// Writes its bytes on the wire: what [`read`](Self::read) reads.
    #[inline]
    pub(crate) fn put(self, out: &mut impl BufMut) {
        match self {
            Self::Bare => out.put_slice(&[MORE, 0]),
            Self::Id([a, b, c, d]) => out.put_slice(&[MORE, 4, a, b, c, d, MORE, 0]),
        }
    }

    /// Runs `work` on its frames.
    #[inline]
    pub(crate) fn with_frames<R>(self, work: impl FnOnce(&[Frame]) -> R) -> R {
        match self {
            Self::Bare => work(&[Frame::new()]),
            Self::Id(id) => work(&[Frame::from(&id), Frame::new()]),
        }
    }
}

/// What is sent in front of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prefix<'a> {
    Envelope(Envelope),
    Frames(&'a [Frame]),
}

// Two words are passed in registers. Where they are short it has three, and the layout is not promised: that would only
// cost speed, so it stops tests and not builds.
#[cfg(all(test, target_pointer_width = "64"))]
const _: () = assert!(size_of::<Prefix<'_>>() == size_of::<&[Frame]>());

impl Prefix<'_> {
    pub(crate) const NONE: Self = Self::Frames(&[]);

    /// Puts its frames in front of a message.
    pub(crate) fn put_before(self, message: &mut Message) {
        match self {
            Self::Envelope(envelope) => {
                envelope.with_frames(|frames| Prefix::Frames(frames).put_before(message))
            }
            Self::Frames(frames) => frames.iter().rev().for_each(|frame| message.push_front(frame.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_envelope_what_is_read_is_what_is_taken_and_what_its_frames_say() {
        for (frames, envelope) in [
            (&["", "body"][..], Some(Envelope::Bare)),
            (&["", "", "body"], Some(Envelope::Bare)),
            (&["1234", "", "body"], Some(Envelope::Id(*b"1234"))),
            (&["1234", "", "", "body"], Some(Envelope::Id(*b"1234"))),
            (&["body"], None),
            (&[""], None),
            (&["1234", ""], None),
            (&["1234", "body", ""], None),
            (&["123", "", "body"], None),
            (&["12345", "", "body"], None),
            (&["1234", "5678", "", "body"], None),
        ] {
            let whole = frames.iter().map(|&frame| Frame::from(frame)).collect::<Message>();
            let wire: Vec<u8> = (1..=frames.len())
                .flat_map(|place| {
                    let (more, body) = (u8::from(place < frames.len()), frames[place - 1]);
                    [&[more, u8::try_from(body.len()).unwrap()], body.as_bytes()].concat()
                })
                .collect();
            let mut rest = whole.clone();
            let (taken, read) = (Envelope::take(&mut rest), Envelope::read(&wire));
            assert_eq!((taken, read.map(|(read, _)| read)), (envelope, envelope), "{frames:?}");
            if let Some((envelope, bytes)) = read {
                Prefix::Envelope(envelope).put_before(&mut rest);
                let mut written = Vec::new();
                envelope.put(&mut written);
                assert_eq!(written, wire[..bytes]);
            }
            assert_eq!(rest, whole);
        }
    }

    #[test]
    fn other_spellings_are_left_to_who_reads_frames() {
        for frames in [&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'x'][..], &[9, 0, 0, 1, b'x'], &[1], &[]] {
            assert_eq!(Envelope::read(frames), None, "{frames:?}");
        }
    }
}
