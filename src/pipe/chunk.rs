//! A run of frames: what a queue holds, and what a driver takes from it.

use bytes::{Buf, Bytes, BytesMut};

use crate::pool::Buffer;
use crate::zmtp::frame;

/// Frames up to this size are copied out of a received chunk, so that a program that keeps a few of them does
/// not keep 64 KiB for each.
pub(super) const UNPINNED: usize = 512;

/// A run of whole frames: the bytes of `head`, then those of `body`. An outgoing chunk may end in a large
/// frame whose header stands in `head` and whose payload is `body`, uncopied. Received runs are one of the two.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(super) head: Buffer,
    pub(super) body: Bytes,
    /// How much of `head` has been decoded, or has left.
    pub(super) at: usize,
    /// Messages that end in this chunk.
    pub(super) messages: usize,
    /// Whether the last frame says MORE: the next chunk continues its message.
    pub(super) continues: bool,
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.head.len() - self.at + self.body.len()
    }

    pub(crate) const fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) const fn continues(&self) -> bool {
        self.continues
    }

    /// Its memory, if that is little enough for an idle queue to keep.
    pub(super) fn into_tiny(self) -> Option<BytesMut> {
        self.head.into_tiny()
    }

    /// The two runs of bytes, in wire order.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [self.head.get(self.at..).unwrap_or_default(), &self.body]
    }

    /// The last message boundary at or before `written` bytes, and how many messages end before it.
    /// For chunks on their way out.
    pub(crate) fn boundary(&self, written: usize) -> (usize, usize) {
        let [head, body] = self.parts();
        let run = if head.is_empty() { body } else { head };
        let (mut end, mut messages) = (0, 0);
        while let Some(next) = frame::next_message(run, end).filter(|next| *next <= written) {
            (end, messages) = (next, messages + 1);
        }
        (end, messages)
    }

    /// Lets frames that are worth it be received in place, where they would not hold much that is nobody's.
    pub(super) fn freeze(&mut self) {
        let is_worth_it = self.head.len() > self.messages.max(1) * UNPINNED;
        if is_worth_it && self.at == 0 && self.body.is_empty() && self.head.len() >= self.head.capacity() / 2
        {
            self.body = Bytes::from_owner(std::mem::take(&mut self.head));
        }
    }

    /// Becomes an empty one, with its memory if a queue may keep that.
    pub(crate) fn renew(&mut self) {
        if self.head.is_tiny() && self.body.is_empty() {
            self.clear();
        } else {
            *self = Self::default();
        }
    }

    pub(super) fn clear(&mut self) {
        self.head.clear();
        (self.at, self.messages) = (0, 0);
    }

    /// Drops the first `bytes` bytes, which hold `messages` whole messages.
    pub(super) fn trim(&mut self, bytes: usize, messages: usize) {
        let in_head = bytes.min(self.head.len() - self.at);
        self.at += in_head;
        self.body.advance((bytes - in_head).min(self.body.len()));
        self.messages -= messages;
    }
}
