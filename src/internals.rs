//! Handles on the inside for this repository's own benches and fuzz targets; no part of the public API.
//!
//! Opaque values with the few operations that are measured, so that the modules themselves stay private and may
//! change. Nothing here is called by the library.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::message::{Message, Outgoing};
use crate::options::SocketOptions;
use crate::pattern::subscriptions::Subscriptions;
use crate::pipe::{COPIED, Chunk, ChunkQueue, PipeId};
use crate::zmtp::{Engine, Event, Prefix, SocketKind};

/// A message in wire form.
#[must_use]
pub fn encode(message: &Message) -> Bytes {
    ChunkQueue::encode(&Outgoing::Made(&mut message.clone()))
}

/// One connection that is past its handshake, looking at the same run of frames again and again.
#[derive(Debug)]
pub struct Scan {
    engine: Engine,
    input: BytesMut,
}

impl Scan {
    /// `run` is whole messages in wire form.
    ///
    /// # Panics
    ///
    /// If two of our own engines cannot agree.
    #[must_use]
    pub fn new(run: &[u8]) -> Self {
        let now = Instant::now();
        let [mut push, mut engine] = [SocketKind::Push, SocketKind::Pull]
            .map(|kind| Engine::new(Arc::new(SocketOptions::default().engine_config(kind)), now));
        let [mut to_push, mut to_pull] = [BytesMut::new(), BytesMut::new()];
        while !(push.is_ready() && engine.is_ready()) {
            to_pull.unsplit(push.control().split());
            to_push.unsplit(engine.control().split());
            push.poll(&mut to_push, 1, || now).expect("our own greeting is good");
            engine.poll(&mut to_pull, 1, || now).expect("our own greeting is good");
        }
        Self { engine, input: BytesMut::from(run) }
    }

    /// Scans the run. Returns how many messages it has.
    ///
    /// # Panics
    ///
    /// If the run is not whole messages.
    pub fn scan(&mut self) -> u32 {
        // The run stays, as if another just like it had arrived in its place.
        match self.engine.poll(&mut self.input, u32::MAX, Instant::now) {
            Ok(Some(Event::Traffic { bytes, messages })) if bytes == self.input.len() => messages,
            other => unreachable!("not a run of whole messages: {other:?}"),
        }
    }
}

/// One pipe's queue, in either direction.
#[derive(Debug, Default)]
pub struct Queue {
    chunks: ChunkQueue,
    taken: VecDeque<Chunk>,
}

impl Queue {
    /// Encodes a message of one frame at the tail, as `send` does with borrowed bytes.
    #[inline]
    pub fn push(&mut self, payload: &[u8]) {
        self.chunks.push(Prefix::NONE, &Outgoing::Bytes(payload));
    }

    /// Takes everything and lets it go at once, as a driver does whose kernel takes all. Returns the bytes.
    pub fn take(&mut self) -> usize {
        let mut size = 0;
        self.chunks.take(&mut self.taken, usize::MAX);
        while let Some(chunk) = self.taken.pop_front() {
            size += chunk.len();
            self.chunks.release(chunk.messages(), chunk.len());
        }
        size
    }

    /// Appends a run of frames that arrived, as a driver does.
    pub fn append(&mut self, run: &Bytes, messages: usize) {
        if run.len() <= COPIED {
            self.chunks.append_copy(run, messages);
        } else {
            self.chunks.append(run.clone(), messages);
        }
    }

    /// Decodes the next message, as `recv` does.
    #[inline]
    pub fn pop(&mut self) -> Option<Message> {
        self.chunks.pop_message()
    }
}

/// A publisher's subscriptions.
#[derive(Debug, Default)]
pub struct Trie {
    subscriptions: Subscriptions,
    matched: Vec<PipeId>,
}

impl Trie {
    /// Subscribes a peer to a prefix.
    pub fn add(&mut self, prefix: &[u8], peer: u32) {
        self.subscriptions.add(prefix, PipeId::new(peer, 0));
    }

    /// Cancels that.
    pub fn remove(&mut self, prefix: &[u8], peer: u32) {
        self.subscriptions.remove(prefix, PipeId::new(peer, 0));
    }

    /// How many peers get a message of this topic.
    #[inline]
    pub fn matches(&mut self, topic: &[u8]) -> usize {
        self.matched.clear();
        self.subscriptions.matches(topic, &mut self.matched);
        self.matched.len()
    }
}
