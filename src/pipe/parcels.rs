//! What one in-process peer gives to another: small messages back to back in chunks, others as they are.
//!
//! A small message that was moved would be memory taken by one thread and freed by another, and the allocator's lock
//! would be what both wait for. In a chunk it is copied twice, and each thread's memory is its own. Of larger ones the
//! copies would cost more.
//!
//! The chunks are of the heap: a received frame may keep one, which then must not keep a slab of the pool.

use std::collections::VecDeque;

use super::ChunkQueue;
use crate::message::{Message, Outgoing};
use crate::zmtp::frame::header_len;
use crate::zmtp::{Envelope, Prefix};

/// Messages up to this size are encoded, and borrowed bytes, which would be copied anyway.
const ENCODED: usize = 512;

/// When all have been read there stays room for so many that were moved.
const BURST: usize = 64;

/// Messages in order. Each has a number, which its sender counts up and its receiver with it.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    encoded: ChunkQueue,
    /// With their numbers: what lies between them is encoded.
    moved: VecDeque<(usize, Message)>,
}

impl Parcels {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.encoded.messages() == 0 && self.moved.is_empty()
    }

    /// Puts a message in, behind some frames. Returns how many bytes that takes.
    #[inline(always)]
    pub(super) fn push(&mut self, number: usize, prefix: Prefix<'_>, message: &mut Outgoing<'_>) -> usize {
        if let Outgoing::Made(message) = message
            && message.byte_len() > ENCODED
        {
            return self.push_moved(number, prefix, std::mem::take(message));
        }
        let before = self.encoded.bytes();
        self.encoded.push(prefix, message);
        self.encoded.bytes() - before
    }

    fn push_moved(&mut self, number: usize, prefix: Prefix<'_>, mut message: Message) -> usize {
        prefix.put_before(&mut message);
        let bytes = weight(&message);
        self.moved.push_back((number, message));
        bytes
    }

    /// To be called before the first of what others have put in is read.
    pub(super) fn freeze(&mut self) {
        self.encoded.freeze();
    }

    /// Moves the message of this number, which is the first, to `into`. Returns how many bytes it took; `None`: there
    /// is none.
    #[inline(always)]
    pub(super) fn pop(&mut self, number: usize, into: &mut Message) -> Option<usize> {
        if let Some(message) = self.moved(number) {
            std::mem::swap(message, into);
            self.moved.pop_front();
            if self.moved.is_empty() && self.moved.capacity() > BURST {
                self.moved = VecDeque::new();
            }
            return Some(weight(into));
        }
        let before = self.encoded.bytes();
        self.encoded.pop(into).then(|| before - self.encoded.bytes())
    }

    /// Takes this envelope off the message of this number, as [`Lane::strip`](super::Lane::strip). Returns how many bytes
    /// that were too.
    pub(super) fn strip(&mut self, number: usize, envelope: Envelope) -> Option<(bool, usize)> {
        if let Some(message) = self.moved(number) {
            let before = weight(message);
            let is_stripped = Envelope::take(message) == Some(envelope);
            return Some((is_stripped, before - weight(message)));
        }
        let before = self.encoded.bytes();
        (self.encoded.messages() > 0).then(|| (self.encoded.strip(envelope), before - self.encoded.bytes()))
    }

    /// As [`Lane::open`](super::Lane::open), of the message of this number. Returns how many bytes that were too.
    pub(super) fn open(&mut self, number: usize) -> Option<(Envelope, usize)> {
        if let Some(message) = self.moved(number) {
            let before = weight(message);
            return Envelope::take(message).map(|envelope| (envelope, before - weight(message)));
        }
        let before = self.encoded.bytes();
        self.encoded.open_envelope().map(|envelope| (envelope, before - self.encoded.bytes()))
    }

    /// The message of this number, which is the first, if it was moved.
    #[inline]
    fn moved(&mut self, number: usize) -> Option<&mut Message> {
        let (first, message) = self.moved.front_mut()?;
        (*first == number).then_some(message)
    }

    /// Drops everything. Returns how many messages and bytes that was.
    pub(super) fn clear(&mut self) -> (usize, usize) {
        let (messages, bytes) = (self.encoded.messages(), self.encoded.bytes());
        self.encoded.clear();
        let moved = self.moved.drain(..).map(|(_, message)| weight(&message));
        moved.fold((messages, bytes), |(messages, bytes), more| (messages + 1, bytes + more))
    }
}

/// What a message counts for towards a mark: as if it were encoded.
pub(crate) fn weight(message: &Message) -> usize {
    message.frames().iter().map(|frame| header_len(frame.len()) + frame.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Frame;
    use crate::pipe::UNCOPIED;

    struct Way {
        parcels: Parcels,
        entered: usize,
        left: usize,
        bytes: usize,
    }

    impl Way {
        fn new() -> Self {
            Self { parcels: Parcels::default(), entered: 0, left: 0, bytes: 0 }
        }

        fn push(&mut self, prefix: Prefix<'_>, message: &mut Outgoing<'_>) {
            self.bytes += self.parcels.push(self.entered, prefix, message);
            self.entered += 1;
        }

        fn pop(&mut self) -> Option<Message> {
            let mut message = Message::from("what was there before");
            self.bytes -= self.parcels.pop(self.left, &mut message)?;
            self.left += 1;
            Some(message)
        }
    }

    #[test]
    fn small_and_large_messages_keep_their_order_and_their_envelopes() {
        let mut way = Way::new();
        let sizes = [1, 600, 600, 2, 3, 100_000, 0, ENCODED, ENCODED + 1, 9];
        let message = |size| match size {
            9 | 600 => Message::from(["x".repeat(size), "end".into()]),
            _ => Message::from("x".repeat(size)),
        };
        for size in sizes {
            way.push(Prefix::Frames(&["id".into()]), &mut (&mut message(size)).into());
        }
        for size in sizes {
            let mut expected = message(size);
            expected.push_front("id");
            assert_eq!(way.pop(), Some(expected));
        }
        assert_eq!((way.pop(), way.bytes, way.parcels.is_empty()), (None, 0, true));
    }

    #[test]
    fn a_large_message_is_moved() {
        let mut way = Way::new();
        let mut message = Message::from(vec![7; ENCODED + 1]);
        let at = message.first().as_ptr();
        way.push(Prefix::NONE, &mut (&mut message).into());
        assert_eq!(way.pop().unwrap().first().as_ptr(), at);
    }

    #[test]
    fn borrowed_bytes_are_received_in_place_where_they_fill_their_chunk_and_apart_where_not() {
        let payload = [7; UNCOPIED / 2];
        let header = 9;
        // The first two open a chunk each, of their own size.
        for (count, is_in_place) in [(2 + 15, true), (2 + 3, false)] {
            let mut way = Way::new();
            (0..count).for_each(|_| way.push(Prefix::NONE, &mut Outgoing::Bytes(&payload)));
            way.parcels.freeze();
            let received: Vec<_> = std::iter::from_fn(|| way.pop()).collect();
            assert!(received.len() == count && received.iter().all(|message| *message == payload[..]));
            let follows = |pair: &[Message]| {
                pair[0].first().as_ptr().wrapping_add(payload.len() + header) == pair[1].first().as_ptr()
            };
            assert!(received[2..].windows(2).all(|pair| follows(pair) == is_in_place), "{count}");
        }
    }

    #[test]
    fn an_envelope_is_taken_off_messages_of_either_kind() {
        let (envelope, other) = (Envelope::Id(*b"1234"), Envelope::Id(*b"1235"));
        for size in [5, 5000] {
            let body = Message::from(vec![7; size]);
            let mut way = Way::new();
            (0..3).for_each(|_| {
                way.push(Prefix::Envelope(envelope), &mut (&mut body.clone()).into());
            });
            let (opened, bytes) = way.parcels.open(0).unwrap();
            way.bytes -= bytes;
            assert_eq!((opened, way.pop()), (envelope, Some(body.clone())));
            for (wanted, fits) in [(envelope, true), (other, false)] {
                let (is_stripped, bytes) = way.parcels.strip(way.left, wanted).unwrap();
                way.bytes -= bytes;
                assert_eq!((is_stripped, way.pop().filter(|_| fits)), (fits, fits.then(|| body.clone())));
            }
            assert_eq!((way.bytes, way.parcels.strip(3, envelope), way.parcels.open(3)), (0, None, None));
        }
    }

    #[test]
    fn messages_of_any_frames_are_received_from_chunks_that_are_full_enough_to_lie_there() {
        let mut way = Way::new();
        let sizes = [0, 1, 100, ENCODED, ENCODED + 1, 1000, 5000];
        let bare = Envelope::Bare;
        let payload = vec![7; 5000];
        let prefix = sizes.map(|size| Frame::copy_from_slice(&payload[..size]));
        for size in sizes.into_iter().cycle().take(100) {
            way.push(Prefix::Frames(&prefix), &mut Outgoing::Bytes(&payload[..size]));
        }
        way.parcels.freeze();
        for size in sizes.into_iter().cycle().take(100) {
            let (opened, bytes) = way.parcels.open(way.left).unwrap();
            way.bytes -= bytes;
            let mut expected = Message::from(prefix[1..].to_vec());
            expected.push_back(&payload[..size]);
            assert_eq!((opened, way.pop()), (bare, Some(expected)));
        }
        assert_eq!((way.pop(), way.bytes), (None, 0));
    }

    #[test]
    fn room_for_a_burst_of_large_messages_is_given_up() {
        let mut way = Way::new();
        (0..1000)
            .for_each(|_| way.push(Prefix::NONE, &mut (&mut Message::from(vec![7; ENCODED + 1])).into()));
        while way.pop().is_some() {}
        assert!(way.parcels.moved.capacity() <= BURST);
    }

    #[test]
    fn what_is_cleared_is_counted() {
        let mut way = Way::new();
        for size in [5, 5000, 6, 6000] {
            way.push(Prefix::NONE, &mut (&mut Message::from(vec![7; size])).into());
        }
        assert_eq!((way.parcels.clear(), way.parcels.is_empty()), ((4, way.bytes), true));
    }
}
