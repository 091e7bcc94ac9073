//! Chunks on their way to the kernel: what one driver has taken from its outbox and not yet wholly written.
//!
//! The batch knows which messages the kernel has taken, so that the gauge is exact while a peer does not read,
//! and so that a lost link gives back precisely the messages the peer cannot have got whole.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::BytesMut;

use super::Chunk;
use crate::zmtp::frame::Header;

/// The most slices given to one write: Linux takes 1024, but past a few dozen the copy dominates the call.
pub(crate) const SLICES: usize = 64;

/// Taken chunks, in order. Starts at a message boundary.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    chunks: VecDeque<Chunk>,
    /// How many bytes from the start of the first chunk are with the kernel.
    written: usize,
    /// How much of that has been counted as freed: up to a message boundary.
    settled: Freed,
    freed: Freed,
    /// The memory of a small chunk that left, for the next one.
    spare: Option<BytesMut>,
    /// It is off the gauge, as if it had left already.
    uncounted: bool,
}

/// Messages that left, with their size on the wire.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// How many bytes the chunks hold, with what is written of the first.
    pub(crate) fn len(&self) -> usize {
        match self.chunks.as_slices() {
            ([only], []) => only.len(),
            _ => self.chunks.iter().map(Chunk::len).sum(),
        }
    }

    /// Where the outbox puts what is taken.
    pub(crate) const fn chunks(&mut self) -> &mut VecDeque<Chunk> {
        &mut self.chunks
    }

    /// What is to be written next, if that is one slice.
    pub(crate) fn only_slice(&self) -> Option<&[u8]> {
        let mut chunks = self.chunks.iter();
        let ([head, []], None) = (chunks.next()?.parts(), chunks.next()) else { return None };
        head.get(self.written..)
    }

    /// Appends the next message behind the first `passed` bytes, in wire form. Nothing: there is none.
    pub(crate) fn copy_message(&self, passed: usize, into: &mut BytesMut) {
        let (mut skip, mut missing, mut more) = (self.written.saturating_add(passed), 0, true);
        for part in self.chunks.iter().flat_map(Chunk::parts) {
            let mut rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            while !rest.is_empty() {
                // A header is never divided between two parts.
                if missing == 0 {
                    let Some(header) = Header::decode(rest).filter(|_| more) else { return };
                    (missing, more) = (header.total(), header.more);
                }
                let (taken, left) = rest.split_at(missing.min(rest.len()));
                into.extend_from_slice(taken);
                missing -= taken.len();
                rest = left;
            }
        }
    }

    /// Fills `slices` with what is to be written next. Returns how many were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut filled = 0;
        for part in self.chunks.iter().flat_map(Chunk::parts) {
            let Some(slot) = slices.get_mut(filled) else { break };
            let rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            if !rest.is_empty() {
                *slot = IoSlice::new(rest);
                filled += 1;
            }
        }
        filled
    }

    /// The kernel took `bytes` more.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        while let Some((chunks, size)) = self.first_whole() {
            let is_all = chunks == self.chunks.len();
            for _ in 0..chunks {
                let Some(chunk) = self.chunks.pop_front() else { break };
                self.freed.messages += chunk.messages();
                if is_all && chunks == 1 {
                    self.spare = chunk.into_tiny();
                }
            }
            self.freed.messages -= self.settled.messages;
            self.freed.bytes += size - self.settled.bytes;
            self.settled = Freed::default();
            self.written -= size;
        }
    }

    /// Nothing more of it is to be written.
    pub(crate) fn abandon(&mut self) {
        self.advance(self.len() - self.written);
    }

    /// The shortest run of written chunks that ends a message, and its size: nearly always one chunk.
    #[inline]
    fn first_whole(&self) -> Option<(usize, usize)> {
        let first = self.chunks.front()?;
        if first.continues() {
            return self.first_run();
        }
        (first.len() <= self.written).then(|| (1, first.len()))
    }

    #[cold]
    fn first_run(&self) -> Option<(usize, usize)> {
        let mut size = 0;
        for (index, chunk) in self.chunks.iter().enumerate() {
            size += chunk.len();
            if size > self.written {
                return None;
            }
            if !chunk.continues() {
                return Some((index + 1, size));
            }
        }
        None
    }

    /// Counts the messages wholly written in chunks that are not done with. Needed when the kernel is full, and
    /// when the link is lost, and only then.
    pub(crate) fn settle(&mut self) {
        let mut settled = Freed::default();
        let (mut start, mut before) = (0, 0);
        for chunk in &self.chunks {
            if start >= self.written {
                break;
            }
            let (bytes, messages) = chunk.boundary(self.written - start);
            if messages > 0 {
                settled = Freed { messages: before + messages, bytes: start + bytes };
            }
            start += chunk.len();
            before += chunk.messages();
        }
        self.freed.messages += settled.messages - self.settled.messages;
        self.freed.bytes += settled.bytes - self.settled.bytes;
        self.settled = settled;
    }

    /// Whether something left since the last [`take_freed`](Self::take_freed) that the gauge still counts.
    pub(crate) const fn has_freed(&self) -> bool {
        self.freed.messages > 0 && !self.uncounted
    }

    /// Begins with a chunk that is off the gauge, and of which the kernel took so many bytes, but not all. Before more is
    /// taken, its queue must settle it.
    pub(crate) fn resume(&mut self, chunk: Chunk, written: usize) {
        self.chunks.push_back(chunk);
        (self.written, self.uncounted) = (written, true);
    }

    /// What must be put on the gauge again, if it was said to have left and has not. To be asked after
    /// [`take_freed`](Self::take_freed), which then is of no interest.
    pub(crate) fn recount(&mut self) -> Option<Freed> {
        std::mem::take(&mut self.uncounted).then(|| {
            let sum = |sum: Freed, chunk: &Chunk| Freed {
                messages: sum.messages + chunk.messages(),
                bytes: sum.bytes + chunk.len(),
            };
            let held = self.chunks.iter().fold(Freed::default(), sum);
            Freed { messages: held.messages - self.settled.messages, bytes: held.bytes - self.settled.bytes }
        })
    }

    /// What left since the last call.
    pub(crate) fn take_freed(&mut self) -> Freed {
        std::mem::take(&mut self.freed)
    }

    /// The memory of a small chunk that left, for its queue to write to again.
    pub(crate) fn take_spare(&mut self) -> Option<BytesMut> {
        self.spare.take()
    }

    /// The chunks that are not done with, and how much of them is: whole messages.
    pub(crate) fn into_rest(mut self) -> (VecDeque<Chunk>, Freed) {
        self.settle();
        (self.chunks, self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ChunkQueue;
    use super::*;
    use crate::message::{Frame, Message, Outgoing};
    use crate::zmtp::Prefix;

    /// Encodes the messages and takes them all.
    fn taken(messages: &[Message]) -> (ChunkQueue, Batch) {
        let (mut queue, mut batch) = (ChunkQueue::default(), Batch::default());
        messages.iter().cloned().for_each(|mut message| queue.push(Prefix::NONE, &(&mut message).into()));
        queue.take(batch.chunks(), usize::MAX);
        (queue, batch)
    }

    fn unwritten(batch: &Batch) -> usize {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = batch.slices(&mut slices);
        slices[..filled].iter().map(|slice| slice.len()).sum()
    }

    /// What messages take on the wire.
    fn size_of(messages: &[Message]) -> usize {
        unwritten(&taken(messages).1)
    }

    #[test]
    fn every_cut_gives_back_exactly_the_messages_not_wholly_written() {
        let large = vec![7; 9000];
        let messages =
            [Message::from("one"), Message::from(["a", "b"]), large.clone().into(), Message::from("end")];
        let mut with_parts = messages.to_vec();
        with_parts.push([large.clone(), large.clone(), vec![1]].into());
        with_parts.push(Message::from("last"));
        let (_, whole) = taken(&with_parts);
        for cut in 0..=unwritten(&whole) {
            let (mut queue, mut batch) = taken(&with_parts);
            batch.advance(cut / 2);
            batch.settle();
            batch.advance(cut - cut / 2);
            batch.settle();
            let freed = batch.take_freed();
            let whole = (0..with_parts.len()).take_while(|n| size_of(&with_parts[..=*n]) <= cut).count();
            assert_eq!(
                freed,
                Freed { messages: whole, bytes: size_of(&with_parts[..whole]) },
                "cut at {cut}"
            );
            queue.release(freed.messages, freed.bytes);
            let (rest, settled) = batch.into_rest();
            queue.give_back(rest, settled.bytes, settled.messages);
            assert_eq!(queue.messages(), with_parts.len() - freed.messages, "cut at {cut}");
            let left: Vec<_> = std::iter::from_fn(|| queue.pop_message()).collect();
            assert_eq!(left, with_parts[freed.messages..], "cut at {cut}");
            assert_eq!((queue.messages(), queue.bytes()), (0, 0), "cut at {cut}");
        }
    }

    #[test]
    fn a_message_is_never_taken_in_part() {
        let (mut queue, mut batch) = (ChunkQueue::default(), Batch::default());
        queue.push(Prefix::NONE, &Outgoing::Made(&mut [vec![1; 9000], vec![2], vec![3; 9000]].into()));
        queue.push(Prefix::NONE, &Outgoing::Bytes(b"next"));
        queue.take(batch.chunks(), 1);
        let size = unwritten(&batch);
        assert_eq!(size, 9009 + 3 + 9009);
        batch.advance(size);
        assert!(batch.is_empty());
        assert_eq!(batch.take_freed().messages, 1);
    }

    #[test]
    fn frames_that_end_a_chunk_are_not_taken_without_what_is_behind_them() {
        let body = vec![7; 1000];
        let before = [Frame::from("1234"), Frame::new()];
        let whole = size_of(&[Message::from(["1234".into(), vec![], body.clone()])]);
        let mut together = 0;
        // Whatever the first chunk holds, one of these fills it up to where only the frames before fit.
        for size in 0..600 {
            let first = vec![1; size];
            let (mut queue, mut batch) = (ChunkQueue::default(), Batch::default());
            queue.push(Prefix::NONE, &Outgoing::Bytes(&first));
            queue.push(Prefix::Frames(&before), &Outgoing::Bytes(&body));
            queue.take(batch.chunks(), 1);
            let (alone, taken) = (size_of(&[first.into()]), unwritten(&batch));
            together += usize::from(taken != alone);
            assert!(taken == alone || taken == alone + whole, "{size}: {taken} bytes");
            for cut in [alone, alone + 3, alone + 8].into_iter().filter(|cut| *cut < taken) {
                batch.advance(cut - batch.written);
                batch.settle();
            }
            assert_eq!(batch.take_freed().messages, usize::from(taken != alone), "{size}");
        }
        assert!((1..600).contains(&together), "{together}");
    }

    #[test]
    fn written_messages_leave_the_gauge_when_the_kernel_is_full() {
        let (mut queue, mut batch) = taken(&vec![Message::from("12345678"); 10]);
        assert_eq!(queue.messages(), 10);
        batch.advance(10 * 3 + 4);
        batch.settle();
        assert_eq!(batch.take_freed(), Freed { messages: 3, bytes: 30 });
        batch.advance(10 * 7 - 4);
        let freed = batch.take_freed();
        assert_eq!(freed, Freed { messages: 7, bytes: 70 });
        queue.release(10, 100);
        assert!(batch.is_empty());
    }
}
