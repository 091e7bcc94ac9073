//! Chunk queues and batches against a list of messages and a count of bytes.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::Choices;
use crate::message::{self, Message};
use crate::pipe::{Batch, Chunk, ChunkQueue, SLICES};
use crate::zmtp::{Envelope, Prefix};

/// An outgoing queue, the batch that a driver took from it, and what both must hold.
#[derive(Default)]
struct Outgoing {
    queue: ChunkQueue,
    batch: Batch,
    /// Where what is written alone is put, again and again.
    alone: Chunk,
    /// Messages that the kernel has not taken wholly, with their wire form.
    waiting: VecDeque<(Message, Bytes)>,
    /// Bytes of them that the kernel has.
    written: usize,
}

fn draw(choices: &mut Choices<'_>) -> Message {
    let mut message = Message::from(vec![choices.byte(); choices.len()]);
    for _ in 0..choices.below(4) {
        message.push_back(vec![choices.byte(); choices.len()]);
    }
    message
}

impl Outgoing {
    fn push(&mut self, choices: &mut Choices<'_>) {
        let mut message = draw(choices);
        let prefix = match choices.below(3) {
            0 => Prefix::Envelope(Envelope::of((choices.below(2) == 0).then_some(7))),
            _ => Prefix::NONE,
        };
        let mut body = message.clone();
        prefix.put_before(&mut message);
        let encoded = ChunkQueue::encode(&message::Outgoing::Made(&mut message));
        match choices.below(2) {
            0 => self.queue.push(prefix, &message::Outgoing::Made(&mut body)),
            _ => self.queue.push_encoded(&encoded, 1),
        }
        self.waiting.push_back((message, encoded));
    }

    /// As an outbox does: the gauge is put right first.
    fn take(&mut self, limit: usize) {
        self.queue.settle(&mut self.batch);
        self.queue.take(self.batch.chunks(), limit);
    }

    /// Writes up to `most` bytes, which must be the next ones of the messages.
    fn write(&mut self, most: usize) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = self.batch.slices(&mut slices);
        assert!(filled > 0 || self.batch.is_empty(), "nothing to write, and not done");
        let wire: Vec<u8> =
            slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        let expected =
            self.waiting.iter().flat_map(|(_, encoded)| encoded.iter().copied()).skip(self.written);
        assert!(wire.iter().copied().eq(expected.take(wire.len())), "other bytes than the messages'");
        self.batch.advance(wire.len());
        self.written += wire.len();
    }

    /// The kernel is full: what it has wholly taken is off the gauge, and nothing else.
    fn settle(&mut self) {
        self.batch.settle();
        self.queue.settle(&mut self.batch);
        while let Some((_, encoded)) = self.waiting.front()
            && encoded.len() <= self.written
        {
            self.written -= encoded.len();
            self.waiting.pop_front();
        }
        self.check();
    }

    /// What is alone in the queue is written without a batch, as far as the kernel takes it.
    fn write_only(&mut self, limit: usize, most: usize) {
        if !self.batch.is_empty() {
            return;
        }
        self.settle();
        if !self.queue.swap_only(&mut self.alone, limit) {
            return;
        }
        let bytes = self.alone.len();
        assert!(self.queue.is_empty() && (1..=limit).contains(&bytes));
        if most >= bytes {
            let [whole, _] = self.alone.parts();
            assert_eq!(whole, self.waiting[0].1, "other bytes than the message's");
            self.waiting.pop_front();
            self.alone.renew();
            return self.check();
        }
        let [part, _] = self.alone.parts();
        assert_eq!(part[..most], self.waiting[0].1[..most], "other bytes than the message's");
        self.batch.resume(std::mem::take(&mut self.alone), most);
        self.written += most;
    }

    fn check(&self) {
        let bytes: usize = self.waiting.iter().map(|(_, encoded)| encoded.len()).sum();
        assert_eq!((self.queue.messages(), self.queue.bytes()), (self.waiting.len(), bytes), "the gauge");
    }

    /// The link is lost: what was not written wholly is at the head again.
    fn lose(&mut self) {
        self.settle();
        let (rest, settled) = std::mem::take(&mut self.batch).into_rest();
        self.queue.give_back(rest, settled.bytes, settled.messages);
        self.written = 0;
        self.check();
    }
}

/// An outgoing queue through writes, lost links and all.
pub fn chunk_ops(data: &[u8]) {
    let mut choices = Choices(data);
    let mut out = Outgoing::default();
    while !choices.is_empty() {
        match choices.below(8) {
            0..3 => out.push(&mut choices),
            3 => out.take(choices.len()),
            4 | 5 => out.write(choices.len()),
            6 => out.settle(),
            _ if choices.below(2) == 0 => out.write_only(choices.len(), choices.len()),
            _ if choices.below(2) == 0 => out.lose(),
            _ => {}
        }
    }
    out.lose();
    receive(&out.waiting);
    receive_frozen(&out.waiting);
    for (message, _) in out.waiting {
        assert_eq!(out.queue.pop_message(), Some(message));
    }
    assert!(out.queue.pop_message().is_none());
    assert_eq!((out.queue.messages(), out.queue.bytes()), (0, 0));
}

/// The same messages as they arrive: in runs, by copy and not.
fn receive(messages: &VecDeque<(Message, Bytes)>) {
    let mut queue = ChunkQueue::default();
    for (n, (_, encoded)) in messages.iter().enumerate() {
        if n % 2 == 0 { queue.append_copy(encoded, 1) } else { queue.append(encoded.clone(), 1) }
    }
    for (n, (message, _)) in messages.iter().enumerate() {
        let mut message = message.clone();
        if n % 3 == 0 {
            assert_eq!(queue.open_envelope(), Envelope::take(&mut message));
        }
        assert_eq!(queue.pop_message(), Some(message));
    }
    assert_eq!((queue.messages(), queue.bytes()), (0, 0));
}

/// The same messages as they come from an in-process peer.
fn receive_frozen(messages: &VecDeque<(Message, Bytes)>) {
    let mut queue = ChunkQueue::default();
    for (message, _) in messages {
        queue.push(Prefix::NONE, &message::Outgoing::Made(&mut message.clone()));
    }
    queue.freeze();
    for (message, _) in messages {
        assert_eq!(queue.pop_message().as_ref(), Some(message));
    }
    assert_eq!((queue.messages(), queue.bytes()), (0, 0));
}
