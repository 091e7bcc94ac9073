//! One pipe's share of a socket's inbox: what one peer sent and nobody has received yet.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::inbox::{Arrivals, Inbox};
use super::{ChunkQueue, HighWater};
use crate::message::Message;
use crate::pool::Pool;
use crate::zmtp::Envelope;

/// Received messages of one peer. Plain data under the socket's inbound lock.
#[derive(Debug)]
pub(crate) struct Lane {
    held: Held,
    mark: HighWater,
    /// Keep only the newest message.
    conflate: bool,
    /// Its peer's name is taken: nothing is read until it is free.
    muted: bool,
    /// The pipe is gone; the lane goes when it is empty.
    orphaned: bool,
    /// How many messages are of links that have ended. Kept only where a peer has several lanes.
    earlier: usize,
    /// Somebody waits for room: the driver, or an in-process sender.
    starved: bool,
    driver: Option<Waker>,
    /// Wakes an in-process sender; unlike a driver's waker it is good for ever.
    resumer: Option<Waker>,
}

#[derive(Debug)]
enum Held {
    /// From a wire: chunks, decoded as they are received.
    Chunks(ChunkQueue),
    /// From an in-process peer.
    Arrivals(Box<Arrivals>),
}

impl Lane {
    pub(crate) fn for_wire(mark: HighWater, conflate: bool, pool: &Pool) -> Self {
        Self::new(Held::Chunks(ChunkQueue::new(pool)), mark, conflate)
    }

    /// For an in-process peer, whose sender `resumer` wakes when it was refused and may go on.
    pub(crate) fn in_process(mark: HighWater, conflate: bool, resumer: Waker) -> Self {
        let mut lane = Self::new(Held::Arrivals(Box::new(Arrivals::new(mark, conflate))), mark, conflate);
        lane.resumer = Some(resumer);
        lane
    }

    /// An empty one of the same kind, for another lane of the same peer.
    pub(crate) fn sibling(&self) -> Self {
        let held = match &self.held {
            Held::Chunks(queue) => Held::Chunks(queue.sibling()),
            Held::Arrivals(_) => Held::Arrivals(Box::new(Arrivals::new(self.mark, self.conflate))),
        };
        let lane = Self::new(held, self.mark, self.conflate);
        Self { muted: self.muted, orphaned: self.orphaned, ..lane }
    }

    /// Ties the lane of a waiting pipe to the peer that came.
    pub(crate) fn link(&mut self, mark: HighWater, conflate: bool, resumer: Waker) {
        (self.mark, self.conflate) = (mark, conflate);
        self.resumer = Some(resumer);
        if let Held::Arrivals(arrivals) = &mut self.held {
            arrivals.limit(mark, conflate);
        }
    }

    /// Where an in-process peer puts its messages.
    pub(crate) fn inbox(&self) -> Option<&Arc<Inbox>> {
        match &self.held {
            Held::Chunks(_) => None,
            Held::Arrivals(arrivals) => Some(arrivals.inbox()),
        }
    }

    const fn new(held: Held, mark: HighWater, conflate: bool) -> Self {
        Self {
            held,
            mark,
            conflate,
            muted: false,
            orphaned: false,
            earlier: 0,
            starved: false,
            driver: None,
            resumer: None,
        }
    }

    #[inline]
    pub(crate) fn messages(&self) -> usize {
        match &self.held {
            Held::Chunks(queue) => queue.messages(),
            Held::Arrivals(arrivals) => arrivals.held().0,
        }
    }

    /// Whether it is empty, and of a wire: who appends then knows. An in-process sender does only when it was told.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        matches!(&self.held, Held::Chunks(queue) if queue.messages() == 0)
    }

    /// Messages and bytes.
    #[inline]
    pub(crate) fn load(&self) -> (usize, usize) {
        match &self.held {
            Held::Chunks(queue) => (queue.messages(), queue.bytes()),
            Held::Arrivals(arrivals) => arrivals.held(),
        }
    }

    /// How many messages a driver may deliver now.
    pub(crate) fn room(&self) -> usize {
        if self.muted { 0 } else { self.free() }
    }

    fn free(&self) -> usize {
        match () {
            () if self.orphaned => 0,
            () if self.conflate => usize::MAX,
            () => {
                let (messages, bytes) = self.load();
                self.mark.room(messages, bytes)
            }
        }
    }

    /// As [`room`](Self::room); without any, the driver is woken at low water.
    pub(crate) fn poll_room(&mut self, cx: &Context<'_>) -> Poll<usize> {
        match self.room() {
            0 => {
                self.starved = true;
                self.driver = Some(cx.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(room),
        }
    }

    /// Appends received runs of whole frames, in which `messages` messages end. Returns whether the lane was
    /// empty before.
    pub(crate) fn append(&mut self, held: &mut Vec<Bytes>, last: Bytes, messages: usize) -> bool {
        let was_empty = self.messages() == 0;
        let Held::Chunks(queue) = &mut self.held else { return false };
        for run in held.drain(..) {
            queue.append(run, 0);
        }
        queue.append(last, messages);
        self.keep_newest();
        was_empty
    }

    /// As [`append`](Self::append), by copy.
    pub(crate) fn append_copy(&mut self, run: &[u8], messages: usize) -> bool {
        let was_empty = self.messages() == 0;
        let Held::Chunks(queue) = &mut self.held else { return false };
        queue.append_copy(run, messages);
        self.keep_newest();
        was_empty
    }

    #[inline]
    fn keep_newest(&mut self) {
        if self.conflate {
            (1..self.messages()).for_each(|_| _ = self.pop(&mut Message::new()));
        }
    }

    /// Moves the next message to `into`. False: there is none.
    #[inline(always)]
    pub(crate) fn pop(&mut self, into: &mut Message) -> bool {
        match &mut self.held {
            Held::Chunks(queue) => queue.pop(into),
            Held::Arrivals(arrivals) => arrivals.pop(into),
        }
    }

    /// As [`pop`](Self::pop), where a peer has several lanes.
    pub(crate) fn pop_counted(&mut self, into: &mut Message) -> bool {
        self.earlier = self.earlier.saturating_sub(1);
        self.pop(into)
    }

    /// Takes this envelope off the next message, if it starts with it. If not, the message may have lost its start. `None`:
    /// there is none.
    #[inline]
    pub(crate) fn strip(&mut self, envelope: Envelope) -> Option<bool> {
        match &mut self.held {
            Held::Chunks(queue) => (queue.messages() > 0).then(|| queue.strip(envelope)),
            Held::Arrivals(arrivals) => arrivals.strip(envelope),
        }
    }

    /// Takes the envelope off the next message, if it is a short one. If not, the message is whole.
    #[inline]
    pub(crate) fn open(&mut self) -> Option<Envelope> {
        match &mut self.held {
            Held::Chunks(queue) => queue.open_envelope(),
            Held::Arrivals(arrivals) => arrivals.open(),
        }
    }

    /// What it holds is of a link that has ended.
    pub(crate) fn end_session(&mut self) {
        self.earlier = self.messages();
    }

    /// Whether it holds something of a link that has ended.
    pub(crate) const fn has_earlier(&self) -> bool {
        self.earlier > 0
    }

    /// Whether an in-process sender may push; if not, it is told at low water.
    #[inline]
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.free() > 0;
        self.starved |= !has_room;
        has_room
    }

    /// Whether what was just taken from the lane concerns anybody else: who waits for room, or for its end.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        (self.starved && self.is_low()) || (self.orphaned && self.messages() == 0)
    }

    /// Whether somebody who waited for room can go on: once, at low water.
    #[inline]
    pub(crate) fn resumes(&mut self) -> bool {
        if !self.starved || self.muted || !self.is_low() {
            return false;
        }
        self.starved = false;
        true
    }

    fn is_low(&self) -> bool {
        let (messages, bytes) = self.load();
        self.mark.is_low(messages, bytes)
    }

    /// Who waited for room.
    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take().or_else(|| self.resumer.clone())
    }

    pub(crate) const fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub(crate) fn orphan(&mut self) {
        self.orphaned = true;
        if let Held::Arrivals(arrivals) = &self.held {
            arrivals.close();
        }
    }

    pub(crate) const fn is_orphaned(&self) -> bool {
        self.orphaned
    }
}
