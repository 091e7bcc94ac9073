//! The queue of chunks: ZMTP frames back to back, with a count of the messages that end in each chunk.
//!
//! The same structure serves both directions. Outgoing, [`push`](ChunkQueue::push) encodes at the tail and
//! whole chunks are taken from the front; incoming, chunks are appended and [`pop`](ChunkQueue::pop) decodes
//! from the front. A queue only ever holds whole messages.
//!
//! Framing: RFC 37 "Framing", the same for ZMTP 2.0, 3.0 and 3.1.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::chunk::{Chunk, UNPINNED};
use super::{Batch, HighWater};
use crate::message::{Frame, Message, Outgoing};
use crate::pool::{Buffer, CHUNK, Pool, SMALL_CHUNK, TINY_CHUNK};
use crate::zmtp::frame::{self, Header};
use crate::zmtp::{Envelope, Prefix};

/// The capacities of an empty queue's first chunks, unless the pool has a whole one idle and none was kept: a quiet peer
/// pays for what it says, and the first is of a size that allocators have at hand. Each grows by opening the next, never by
/// moving.
const CHUNK_STARTS: [usize; 2] = [TINY_CHUNK, SMALL_CHUNK];

/// Bodies of this size travel uncopied. Below, a memcpy is cheaper than one more slice in a write and a
/// reference count that two cores share; above, the copy would push everything else out of the cache.
pub(crate) const UNCOPIED: usize = 8 * 1024;

/// Received pieces up to this size are copied to the tail chunk: a small message must not hold a whole read
/// buffer alive, and the buffer can be used again at once.
pub(crate) const COPIED: usize = 4 * 1024;

/// Messages up to this size, on average, are copied a second time to spare a read buffer when many are held: the copy
/// is little beside the rest. With 64 subscribers in a process it would cost messages of 1 KiB a quarter.
pub(crate) const CHEAP: usize = 256;

/// What a fan-out copies of one message at most, about what a core's first cache holds; of more, the kernel copies from
/// one place rather than from many. 1 KiB goes 1.2 times as fast to 64 subscribers then, and would to eight 0.7 times.
const COPIES: usize = 32 * 1024;

/// An empty queue keeps room for so many chunks.
const BURST: usize = 8;

/// Chunks in order, with what they hold. The gauge also counts what the driver has taken and not yet released, but for what
/// is written [alone](ChunkQueue::swap_only).
#[derive(Debug, Default)]
pub(crate) struct ChunkQueue {
    chunks: VecDeque<Chunk>,
    /// Whole messages queued here or on their way to the kernel.
    messages: usize,
    /// The same in bytes.
    bytes: usize,
    /// Where chunks are from, if not from the heap.
    pool: Option<Pool>,
}

impl ChunkQueue {
    pub(crate) fn new(pool: &Pool) -> Self {
        Self { pool: Some(pool.clone()), ..Self::default() }
    }

    /// An empty one, of the same pool.
    pub(crate) fn sibling(&self) -> Self {
        Self { pool: self.pool.clone(), ..Self::default() }
    }

    pub(crate) const fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn room(&self, mark: HighWater) -> usize {
        mark.room(self.messages, self.bytes)
    }

    pub(crate) const fn is_low(&self, mark: HighWater) -> bool {
        mark.is_low(self.messages, self.bytes)
    }

    /// Whether no message waits here (some may still be under way).
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.front().is_none_or(|first| first.len() == 0)
    }

    /// Keeps the memory of a small chunk that has left, rather than to make it anew for each message of a quiet peer.
    fn keep(&mut self, mut spare: BytesMut) {
        if self.chunks.is_empty() {
            spare.clear();
            self.chunks.push_back(Chunk { head: spare.into(), ..Chunk::default() });
        }
    }

    /// Encodes a message at the tail.
    #[inline(always)]
    pub(crate) fn push(&mut self, prefix: Prefix<'_>, message: &Outgoing<'_>) {
        let envelope = match prefix {
            Prefix::Envelope(envelope) => Some(envelope),
            Prefix::Frames([]) => None,
            Prefix::Frames(frames) => {
                frames.iter().for_each(|frame| self.push_frame(None, frame, true));
                None
            }
        };
        match message {
            Outgoing::Bytes(bytes) => self.push_payload(envelope, bytes, None, false),
            Outgoing::Made(message) => match message.frames() {
                [only] => self.push_frame(envelope, only, false),
                frames => self.push_frames(envelope, frames),
            },
        }
        self.messages += 1;
    }

    fn push_frames(&mut self, mut envelope: Option<Envelope>, frames: &[Frame]) {
        let last = frames.len() - 1;
        for (index, frame) in frames.iter().enumerate() {
            self.push_frame(envelope.take(), frame, index < last);
        }
    }

    #[inline(always)]
    fn push_frame(&mut self, envelope: Option<Envelope>, frame: &Frame, more: bool) {
        let shared = frame.as_shared().filter(|bytes| bytes.len() >= UNCOPIED);
        self.push_payload(envelope, frame, shared, more);
    }

    /// Encodes a frame, by copy unless it is `shared`, and what stands before it.
    #[inline(always)]
    fn push_payload(
        &mut self,
        envelope: Option<Envelope>,
        payload: &[u8],
        shared: Option<&Bytes>,
        more: bool,
    ) {
        let head = frame::MAX_HEADER + if envelope.is_some() { Envelope::MOST } else { 0 };
        let need = head + if shared.is_some() { 0 } else { payload.len() };
        let before = self.bytes;
        let tail = match self.chunks.back_mut() {
            Some(tail) if tail.body.is_empty() && tail.head.len() + need <= tail.head.capacity() => tail,
            _ => Self::open(&mut self.chunks, self.pool.as_ref(), need),
        };
        let start = tail.head.len();
        if let Some(envelope) = envelope {
            envelope.put(&mut *tail.head);
        }
        frame::put_header(&mut *tail.head, payload.len(), more, false);
        match shared {
            Some(bytes) => tail.body = bytes.clone(),
            None => tail.head.extend_from_slice(payload),
        }
        self.bytes = before + (tail.head.len() - start) + tail.body.len();
        tail.continues = more;
        tail.messages += usize::from(!more);
    }

    /// A new chunk at the tail with room for `need` bytes.
    #[cold]
    fn open<'a>(chunks: &'a mut VecDeque<Chunk>, pool: Option<&Pool>, need: usize) -> &'a mut Chunk {
        Self::drop_kept(chunks);
        let [small, ..] = CHUNK_STARTS;
        let head = match chunks.back() {
            // Ended by a large frame, as this one may be again: it need not hold more than a header.
            Some(tail) if tail.head.len() < small && !tail.body.is_empty() => {
                Buffer::of_its_own(small.max(need))
            }
            _ => {
                let size = CHUNK_STARTS.get(chunks.len()).copied().unwrap_or(CHUNK).max(need);
                pool.map_or_else(|| Buffer::of_its_own(size), |pool| pool.lend(size))
            }
        };
        chunks.push_back(Chunk { head, ..Chunk::default() });
        let last = chunks.len() - 1;
        &mut chunks[last]
    }

    /// A message in wire form, for a fan-out: encoded once, queued many times.
    pub(crate) fn encode(message: &Outgoing<'_>) -> Bytes {
        let mut wire = Vec::with_capacity(message.byte_len() + message.len() * frame::MAX_HEADER);
        message.each_frame(|payload, more| {
            frame::put_header(&mut wire, payload.len(), more, false);
            wire.extend_from_slice(payload);
        });
        wire.into()
    }

    /// Appends an encoded message that at most so many queues get: by copy, unless it is large or all copies together are.
    pub(crate) fn push_encoded(&mut self, encoded: &Bytes, queues: usize) {
        let is_shared = match encoded.len() {
            ..=UNPINNED => false,
            bytes => bytes > COPIED || bytes.saturating_mul(queues) > COPIES,
        };
        if is_shared {
            self.link(Buffer::default(), encoded.clone(), 1);
        } else {
            self.append_copy(encoded, 1);
        }
    }

    /// Appends whole frames in which `messages` messages end, by copy; none: the message goes on behind them.
    pub(crate) fn append_copy(&mut self, run: &[u8], messages: usize) {
        let tail = match self.chunks.back_mut() {
            Some(tail) if tail.body.is_empty() && tail.head.len() + run.len() <= tail.head.capacity() => tail,
            _ => Self::open(&mut self.chunks, self.pool.as_ref(), run.len()),
        };
        tail.head.extend_from_slice(run);
        tail.messages += messages;
        tail.continues = messages == 0;
        self.messages += messages;
        self.bytes += run.len();
    }

    /// To be called when nothing more is encoded behind what is here, before any of it is received.
    #[inline]
    pub(crate) fn freeze(&mut self) {
        if self.bytes > UNPINNED {
            self.chunks.iter_mut().for_each(Chunk::freeze);
        }
    }

    /// Appends received frames in which `messages` messages end; none: the message goes on in the next run.
    ///
    /// They stay in the read buffer that they came in, unless many such are held and the messages are small.
    pub(crate) fn append(&mut self, run: Bytes, messages: usize) {
        let is_crowded = self.pool.as_ref().is_some_and(Pool::is_crowded);
        if is_crowded && run.len() <= (messages * CHEAP).min(CHUNK) {
            return self.append_copy(&run, messages);
        }
        let pin = self.pool.as_ref().map(Pool::pin).unwrap_or_default();
        self.link(pin, run, messages);
    }

    fn link(&mut self, head: Buffer, body: Bytes, messages: usize) {
        Self::drop_kept(&mut self.chunks);
        self.messages += messages;
        self.bytes += body.len();
        self.chunks.push_back(Chunk { head, body, messages, continues: messages == 0, ..Chunk::default() });
    }

    /// Moves chunks of up to about `limit` bytes to `taken`, whole messages only. They stay on the gauge until
    /// they are released.
    pub(crate) fn take(&mut self, taken: &mut VecDeque<Chunk>, limit: usize) {
        if self.is_empty() {
            return self.shrink();
        }
        let mut size = 0;
        while size < limit || taken.back().is_some_and(Chunk::continues) {
            let Some(chunk) = self.chunks.pop_front() else { break };
            size += chunk.len();
            taken.push_back(chunk);
        }
        self.shrink();
    }

    /// Takes what has left of a batch off the gauge, or puts what has not left on it again. Keeps the batch's spare memory.
    pub(crate) fn settle(&mut self, batch: &mut Batch) {
        match (batch.take_freed(), batch.recount()) {
            (freed, None) => self.release(freed.messages, freed.bytes),
            (_, Some(held)) => {
                self.messages += held.messages;
                self.bytes += held.bytes;
            }
        }
        if let Some(spare) = batch.take_spare() {
            self.keep(spare);
        }
    }

    /// Exchanges the only chunk that waits here for an empty one, if it is one message in one run of no more than `limit`
    /// bytes, which then is not on the gauge any more. To be called while nothing is under way.
    pub(crate) fn swap_only(&mut self, chunk: &mut Chunk, limit: usize) -> bool {
        let ([only], []) = self.chunks.as_mut_slices() else { return false };
        // While it is written, as many may be queued as the mark says: so it is one message that oversteps it, and no more.
        if only.messages != 1 || only.continues || !only.body.is_empty() || !(1..=limit).contains(&only.len())
        {
            return false;
        }
        std::mem::swap(only, chunk);
        (self.messages, self.bytes) = (0, 0);
        true
    }

    /// Takes messages that have left (or are lost) off the gauge.
    pub(crate) const fn release(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Puts taken chunks back at the head. Their first `written` bytes, in which `messages` messages end, are
    /// gone; they end at a message boundary and have been released.
    pub(crate) fn give_back(&mut self, chunks: VecDeque<Chunk>, written: usize, messages: usize) {
        Self::drop_kept(&mut self.chunks);
        for chunk in chunks.into_iter().rev() {
            self.chunks.push_front(chunk);
        }
        let (mut bytes, mut messages) = (written, messages);
        while bytes > 0
            && let Some(first) = self.chunks.front_mut()
        {
            if bytes < first.len() {
                return first.trim(bytes, messages);
            }
            bytes -= first.len();
            messages -= first.messages();
            self.drop_front();
        }
    }

    /// Drops everything that waits here. Returns how many messages that was.
    pub(crate) fn clear(&mut self) -> usize {
        let (messages, bytes) = self.waiting();
        self.chunks.clear();
        self.shrink();
        self.release(messages, bytes);
        messages
    }

    /// Moves everything that waits here behind what waits in `other`.
    pub(crate) fn move_to(&mut self, other: &mut Self) {
        let (messages, bytes) = self.waiting();
        self.release(messages, bytes);
        Self::drop_kept(&mut self.chunks);
        Self::drop_kept(&mut other.chunks);
        other.chunks.append(&mut self.chunks);
        self.shrink();
        other.messages += messages;
        other.bytes += bytes;
    }

    /// The messages and bytes that nobody has taken.
    fn waiting(&self) -> (usize, usize) {
        self.chunks.iter().fold((0, 0), |(messages, bytes), c| (messages + c.messages(), bytes + c.len()))
    }

    /// Decodes the next message to where it stays. False: there is none.
    #[inline(always)]
    pub(crate) fn pop(&mut self, into: &mut Message) -> bool {
        let Some(more) = self.pop_frame(into.reset()) else { return false };
        if more {
            self.pop_frames(into);
        }
        self.messages = self.messages.saturating_sub(1);
        true
    }

    /// As [`pop`](Self::pop), for who has no place for it yet.
    #[cfg(any(test, fuzzing, feature = "__internals"))]
    pub(crate) fn pop_message(&mut self) -> Option<Message> {
        let mut message = Message::new();
        self.pop(&mut message).then_some(message)
    }

    /// The frames behind the first.
    #[inline(never)]
    fn pop_frames(&mut self, message: &mut Message) {
        // Nearly always two to four: an address, a delimiter, a body.
        let mut frames = Vec::with_capacity(4);
        frames.push(std::mem::take(message.reset()));
        let mut more = true;
        while more {
            let mut frame = Frame::new();
            more = self.pop_frame(&mut frame).unwrap_or(false);
            frames.push(frame);
        }
        *message = Message::from(frames);
    }

    /// Takes this envelope off the next message, as far as it starts with its frames and goes on behind them. Whether that
    /// were all.
    pub(crate) fn strip(&mut self, envelope: Envelope) -> bool {
        match Envelope::read(self.front()) {
            Some((found, bytes)) => {
                let fits = found == envelope;
                if fits {
                    self.skip(bytes);
                }
                fits
            }
            None => envelope.with_frames(|frames| frames.iter().all(|frame| self.strip_frame(frame))),
        }
    }

    fn strip_frame(&mut self, frame: &[u8]) -> bool {
        let run = self.front();
        let Some(header) = Header::decode(run).filter(|header| header.more) else { return false };
        let fits = run.get(header.head..header.total()) == Some(frame);
        if fits {
            self.skip(header.total());
        }
        fits
    }

    /// Takes the envelope off the next message, if it is a short one and lies in one run.
    pub(crate) fn open_envelope(&mut self) -> Option<Envelope> {
        let (envelope, bytes) = Envelope::read(self.front())?;
        self.skip(bytes);
        Some(envelope)
    }

    /// What comes next, as far as it lies in one run.
    #[inline]
    fn front(&self) -> &[u8] {
        match self.chunks.front() {
            Some(chunk) if chunk.at < chunk.head.len() => &chunk.head[chunk.at..],
            Some(chunk) => &chunk.body,
            None => &[],
        }
    }

    /// Passes over so much of that.
    fn skip(&mut self, bytes: usize) {
        let Some(chunk) = self.chunks.front_mut() else { return };
        if chunk.at < chunk.head.len() {
            chunk.at += bytes;
        } else {
            chunk.body.advance(bytes);
        }
        self.used(bytes);
    }

    /// Decodes the next frame to its place. Says whether its message goes on.
    #[inline(always)]
    fn pop_frame(&mut self, into: &mut Frame) -> Option<bool> {
        let chunk = self.chunks.front_mut()?;
        let (more, used) = if chunk.at < chunk.head.len() {
            let run = &chunk.head[chunk.at..];
            let header = Header::decode(run)?;
            let end = header.head + header.body;
            match run.get(header.head..end) {
                Some(payload) => into.copy_front(&run[header.head..], payload.len()),
                None => *into = Frame::from(std::mem::take(&mut chunk.body)),
            }
            chunk.at = (chunk.at + end).min(chunk.head.len());
            (header.more, end)
        } else {
            let header = Header::decode(&chunk.body)?;
            let end = header.head + header.body;
            if header.body <= UNPINNED {
                into.copy_front(chunk.body.get(header.head..)?, header.body);
                chunk.body.advance(end);
            } else {
                let mut whole = chunk.body.split_to(end);
                whole.advance(header.head);
                *into = Frame::from(whole);
            }
            (header.more, end)
        };
        self.used(used);
        Some(more)
    }

    /// So much of the front chunk has been decoded.
    #[inline(always)]
    fn used(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.chunks.front().is_some_and(|chunk| chunk.at >= chunk.head.len() && chunk.body.is_empty()) {
            self.drained();
        }
    }

    #[cold]
    fn drop_front(&mut self) {
        self.chunks.pop_front();
        self.shrink();
    }

    /// The front chunk has been decoded. A small one is written to again rather than made anew for each message
    /// of a quiet peer.
    fn drained(&mut self) {
        let is_last = self.chunks.len() == 1;
        match self.chunks.front_mut() {
            Some(only) if is_last && only.head.is_tiny() => only.clear(),
            _ => self.drop_front(),
        }
    }

    /// What is put behind a small chunk that was kept takes its place.
    fn drop_kept(chunks: &mut VecDeque<Chunk>) {
        if chunks.front().is_some_and(|first| first.len() == 0) {
            chunks.pop_front();
        }
    }

    /// Gives the room of a burst up: an idle peer owns none.
    fn shrink(&mut self) {
        if self.is_empty() && self.chunks.capacity() > BURST {
            self.chunks.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::*;

    #[test]
    fn whatever_follows_a_small_chunk_that_was_kept_is_found() {
        for body in [10, 3000, 100_000] {
            let mut queue = ChunkQueue::default();
            for length in [1, body, 1] {
                let message = Message::from(vec![7; length]);
                match length {
                    1 => queue.append_copy(&ChunkQueue::encode(&(&mut message.clone()).into()), 1),
                    _ => queue.append(ChunkQueue::encode(&(&mut message.clone()).into()), 1),
                }
                assert_eq!(queue.pop_message(), Some(message));
                assert_eq!((queue.messages(), queue.bytes(), queue.pop_message()), (0, 0, None));
            }
            queue.append_copy(&ChunkQueue::encode(&Outgoing::Bytes(&vec![7; body.min(3000)])), 1);
            assert_eq!(queue.pop_message().map(|message| message.byte_len()), Some(body.min(3000)));
        }
    }

    #[test]
    fn an_envelope_is_stripped_wherever_its_frames_lie_and_only_if_something_is_behind_it() {
        let frames = |message: &Message| -> Vec<Bytes> {
            let last = message.len() - 1;
            let wire = |(index, frame): (usize, &Frame)| {
                let mut wire = Vec::new();
                frame::put_header(&mut wire, frame.len(), index < last, false);
                wire.extend_from_slice(frame);
                wire.into()
            };
            message.frames().iter().enumerate().map(wire).collect()
        };
        let id: &[u8] = &[0, 0, 0, 7];
        let envelope = Envelope::Id([0, 0, 0, 7]);
        let whole = Message::from([id, b"", b"body", b"more"]);
        let stripped = |message: &Message, apart: bool| {
            let mut queue = ChunkQueue::default();
            match apart {
                true => {
                    let (last, first) =
                        frames(message).split_last().map(|(l, f)| (l.clone(), f.to_vec())).unwrap();
                    first.into_iter().for_each(|run| queue.append(run, 0));
                    queue.append(last, 1);
                }
                false => queue.push(Prefix::NONE, &(&mut message.clone()).into()),
            }
            queue.push(Prefix::NONE, &Outgoing::Bytes(b"next"));
            let is_stripped = queue.strip(envelope);
            let rest = queue.pop_message().filter(|_| is_stripped);
            assert_eq!(queue.pop_message(), Some(Message::from("next")));
            assert_eq!((queue.messages(), queue.bytes()), (0, 0));
            rest
        };
        for apart in [false, true] {
            assert_eq!(stripped(&whole, apart), Some(Message::from(["body", "more"])));
            for wrong in
                [&[id][..], &[id, b""], &[id, b"x", b"body"], &[b"", b"body"], &[b"0000", b"", b"body"]]
            {
                let wrong = wrong.iter().map(|frame| Frame::copy_from_slice(frame)).collect();
                assert_eq!(stripped(&wrong, apart), None, "{wrong:?}");
            }
        }
    }

    #[test]
    fn large_frames_that_wait_hold_little_more_than_themselves() {
        let mut queue = ChunkQueue::default();
        let body = Message::from(vec![7; UNCOPIED]);
        (0..100).for_each(|_| queue.push(Prefix::NONE, &(&mut body.clone()).into()));
        let heads: usize = queue.chunks.iter().map(|chunk| chunk.head.capacity()).sum();
        assert!(heads <= 200 * 1024, "{heads} bytes for a hundred headers");
    }

    #[test]
    fn small_messages_are_copied_when_many_read_buffers_are_held() {
        let encode = |length: usize| ChunkQueue::encode(&Outgoing::Bytes(&vec![7; length]));
        let (small, large) = (encode(100), encode(100_000));
        let pool = Pool::default();
        let mut queue = ChunkQueue::new(&pool);
        let lie_there =
            |queue: &ChunkQueue| queue.chunks.iter().filter(|chunk| !chunk.body.is_empty()).count();
        while !pool.is_crowded() {
            queue.append(small.clone(), 1);
        }
        let held = lie_there(&queue);
        queue.append(small, 1);
        queue.append(large, 1);
        assert_eq!(lie_there(&queue), held + 1);
        let sizes = std::iter::from_fn(|| queue.pop_message()).map(|message| message.byte_len());
        assert_eq!(sizes.collect::<Vec<_>>(), [vec![100; held + 1], vec![100_000]].concat());
        assert!(!pool.is_crowded());
    }

    #[test]
    fn a_message_for_many_queues_is_shared_where_all_copies_would_be_much() {
        for (length, queues, is_shared) in
            [(100, 1000, false), (1000, 8, false), (1000, 64, true), (COPIED, 1, true)]
        {
            let encoded = ChunkQueue::encode(&Outgoing::Bytes(&vec![7; length]));
            let mut queue = ChunkQueue::default();
            queue.push_encoded(&encoded, queues);
            let chunk = queue.chunks.front().unwrap();
            assert_eq!(chunk.body.as_ptr() == encoded.as_ptr(), is_shared, "{length} to {queues}");
            assert_eq!(queue.pop_message().unwrap().byte_len(), length);
        }
    }

    #[test]
    fn a_small_chunk_that_left_is_written_to_again_and_is_nothing_until_then() {
        let (mut queue, mut batch) = (ChunkQueue::default(), Batch::default());
        let mut places = Vec::new();
        for _ in 0..3 {
            queue.push(Prefix::NONE, &Outgoing::Bytes(b"text"));
            places.push(queue.front().as_ptr());
            queue.take(batch.chunks(), usize::MAX);
            batch.abandon();
            queue.settle(&mut batch);
            queue.take(batch.chunks(), usize::MAX);
            assert!(queue.is_empty() && batch.is_empty());
        }
        assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "{places:?}");

        let encoded = |text| ChunkQueue::encode(&Outgoing::Bytes(text));
        let mut other = ChunkQueue::default();
        other.append(encoded(b"first"), 1);
        queue.move_to(&mut other);
        other.append(encoded(b"second"), 1);
        other.take(batch.chunks(), usize::MAX);
        assert!(
            batch.chunks().iter().all(|chunk| chunk.len() > 0),
            "an empty write would end the connection"
        );
        let (chunks, _) = batch.into_rest();
        queue.keep(BytesMut::with_capacity(CHUNK_STARTS[0]));
        queue.give_back(chunks, 0, 0);
        let mut rest = Batch::default();
        queue.take(rest.chunks(), usize::MAX);
        assert!(rest.chunks().iter().map(Chunk::len).eq([7, 8]), "{rest:?}");
    }

    #[test]
    fn the_room_of_a_burst_is_given_up_however_it_leaves() {
        let leave: [fn(&mut ChunkQueue); 3] = [
            |queue| _ = queue.clear(),
            |queue| queue.move_to(&mut ChunkQueue::default()),
            |queue| queue.take(&mut VecDeque::new(), usize::MAX),
        ];
        for (number, leave) in leave.into_iter().enumerate() {
            let mut queue = ChunkQueue::default();
            (0..10 * BURST)
                .for_each(|_| queue.push(Prefix::NONE, &(&mut Message::from(vec![7; UNCOPIED])).into()));
            assert!(queue.chunks.capacity() > BURST);
            leave(&mut queue);
            assert!(queue.is_empty() && queue.chunks.capacity() <= BURST, "way {number}");
        }
    }

    #[test]
    fn a_queue_that_was_never_used_owns_nothing() {
        assert_eq!(ChunkQueue::new(&Pool::default()).chunks.capacity(), 0);
    }

    #[test]
    fn a_drained_queue_keeps_a_small_chunk_at_most() {
        let mut queue = ChunkQueue::new(&Pool::default());
        (0..1000).for_each(|_| queue.push(Prefix::NONE, &Outgoing::Bytes(&[7; 100])));
        while queue.pop_message().is_some() {}
        let kept: usize = queue.chunks.iter().map(|chunk| chunk.head.capacity()).sum();
        assert!(kept <= CHUNK_STARTS[0], "{kept} bytes");
    }
}
