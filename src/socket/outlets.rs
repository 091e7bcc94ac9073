//! A socket's outgoing pipes, as its pattern sees them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use zocket_transport::Endpoint;

use super::local::Local;
use super::locked::Effects;
use crate::driver::{Ends, Port};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::message::{Message, Outgoing};
use crate::pattern::Outlets;
use crate::pipe::{ChunkQueue, HighWater, Offer, Outboxes, PipeId, Table, weight};
use crate::sync::{TaskGuard, Wakes};
use crate::zmtp::{Command, PeerInfo, Prefix, packet};

/// One pipe's outgoing side.
#[derive(Debug)]
pub(super) struct OutPipe {
    pub(super) outlet: Outlet,
    pub(super) endpoint: Endpoint,
    /// Who is at the other end, while somebody is.
    pub(super) peer: Option<(PeerInfo, Ends)>,
    /// Whether the pipe waits for its next link rather than end with this one.
    pub(super) dialled: bool,
    pub(super) dropped: Drops,
}

/// Where a pipe's messages go.
#[derive(Debug)]
pub(super) enum Outlet {
    /// To a driver.
    Wire(Outboxes),
    /// Straight into the lane of an in-process peer.
    Local(Local),
    /// To an in-process peer that has not bound yet.
    Waiting(Waiting),
}

/// Messages for an in-process name that nobody has bound.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) messages: VecDeque<Message>,
    bytes: usize,
    /// It has no task, but a closing socket waits for it all the same.
    _guard: TaskGuard,
}

impl Waiting {
    pub(super) const fn new(guard: TaskGuard) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, _guard: guard }
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }

    fn push(&mut self, message: Message) {
        self.bytes += weight(&message);
        self.messages.push_back(message);
    }

    fn has_room(&self, mark: HighWater) -> bool {
        mark.room(self.messages.len(), self.bytes) > 0
    }
}

/// Messages that a pipe's peer missed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Drops {
    pub(super) total: u64,
    unreported: u64,
    episode: bool,
}

impl Drops {
    fn add(&mut self, pipe: PipeId) -> Option<Event> {
        self.total += 1;
        if self.episode {
            self.unreported += 1;
            return None;
        }
        self.episode = true;
        Some(Event::Dropped { pipe, messages: 1, reason: Dropped::QueueFull })
    }

    /// The pipe moves again.
    pub(super) fn end_episode(&mut self, pipe: PipeId) -> Option<Event> {
        self.episode = false;
        let messages = std::mem::take(&mut self.unreported);
        (messages > 0).then_some(Event::Dropped { pipe, messages, reason: Dropped::QueueFull })
    }
}

/// The pipes of a socket for the length of one critical section.
pub(super) struct View<'a> {
    pub(super) pipes: &'a mut Table<OutPipe>,
    pub(super) effects: &'a mut Effects,
    pub(super) mark: HighWater,
    pub(super) conflate: bool,
    /// How many lanes messages are spread over, where peers have as many.
    pub(super) lanes: u8,
    /// The one that this message goes on.
    pub(super) lane: u8,
    /// Whether messages that fit packets go as such, where a link has them.
    pub(super) datagrams: bool,
    /// This message does.
    pub(super) fits: bool,
}

/// An in-process pipe whose name another one took.
pub(super) struct Evicted {
    pub(super) old: PipeId,
    /// Whether this side connected.
    pub(super) dialled: bool,
    pub(super) endpoint: Endpoint,
    pub(super) port: Arc<dyn Port>,
    pub(super) pipe: PipeId,
}

impl OutPipe {
    /// Ties the pipe to an in-process peer and hands over what waits. False: the peer has gone, and it waits on.
    pub(super) fn link(&mut self, mut local: Local, wakes: &mut Wakes) -> bool {
        let Outlet::Waiting(waiting) = &mut self.outlet else { return false };
        while let Some(mut message) = waiting.messages.pop_front() {
            let bytes = weight(&message);
            if local.offer(Prefix::NONE, &mut (&mut message).into(), wakes) != Offer::Taken {
                waiting.messages.push_front(message);
                return false;
            }
            waiting.bytes -= bytes;
        }
        // If it goes from here on, it finds us linked and says so.
        if local.room() == Offer::Gone {
            return false;
        }
        self.outlet = Outlet::Local(local);
        true
    }

    /// How much waits for the peer: messages and bytes.
    pub(super) fn queued(&self) -> (usize, usize) {
        match &self.outlet {
            Outlet::Wire(outboxes) => outboxes.queued(),
            Outlet::Local(_) => (0, 0),
            Outlet::Waiting(waiting) => (waiting.messages.len(), waiting.bytes),
        }
    }
}

/// A dialled pipe outlives its in-process peer: it waits for the next one, as it is about to be told.
fn unless_dialled(is_dialled: bool, offer: Offer) -> Offer {
    if is_dialled && offer == Offer::Gone { Offer::Full } else { offer }
}

impl View<'_> {
    /// Has the message go on a lane.
    pub(super) const fn pick_lane(&mut self, number: u8) {
        self.lane = number % self.lanes;
    }

    /// Looks whether the message fits a packet, if that matters.
    #[inline]
    pub(super) fn measure(&mut self, message: &Outgoing<'_>) {
        self.fits = self.datagrams && packet::fits(message.byte_len(), message.len());
    }

    fn wake(&mut self, driver: Option<Waker>) {
        self.effects.wakes.add(driver);
    }

    /// Ends the connection of a pipe whose name another one took. An in-process one is ended after unlocking.
    pub(super) fn evict(&mut self, old: PipeId) -> Option<Evicted> {
        let state = self.pipes.get_mut(old)?;
        match &mut state.outlet {
            Outlet::Wire(outboxes) => {
                self.effects.wakes.add(outboxes.first().stop(Disconnect::HandedOver));
                None
            }
            Outlet::Local(Local { port, pipe, .. }) => Some(Evicted {
                old,
                dialled: state.dialled,
                endpoint: state.endpoint.clone(),
                port: Arc::clone(port),
                pipe: *pipe,
            }),
            Outlet::Waiting(_) => None,
        }
    }

    /// The pipes that would take a message now, whatever the pattern has been told of them.
    pub(super) fn with_room(&mut self) -> Vec<PipeId> {
        let (lane, fits, conflate, mark) = (self.lane, self.fits, self.conflate, self.mark);
        let has_room = |(pipe, state): (PipeId, &mut OutPipe)| {
            let has_room = match &mut state.outlet {
                Outlet::Wire(outboxes) => outboxes.pick(lane, fits).fits(),
                Outlet::Waiting(waiting) => conflate || waiting.has_room(mark),
                Outlet::Local(local) => local.room() == Offer::Taken,
            };
            has_room.then_some(pipe)
        };
        self.pipes.iter_mut().filter_map(has_room).collect()
    }

    /// Queues a copy for one of so many peers, encoding the message when the first of them needs it.
    #[inline]
    fn copy_to(&mut self, to: PipeId, peers: usize, message: &Outgoing<'_>, encoded: &mut Option<Bytes>) {
        let Some(pipe) = self.pipes.get_mut(to) else { return };
        let offer = if let Outlet::Wire(outboxes) = &mut pipe.outlet {
            let outbox = outboxes.pick(self.lane, self.fits);
            if outbox.has_room() {
                let encoded = encoded.get_or_insert_with(|| ChunkQueue::encode(message));
                let driver = outbox.push_encoded(encoded, peers);
                return self.wake(driver);
            }
            Offer::Full
        } else {
            match self.room(to) {
                Offer::Taken => message.with_copy(|copy| self.offer(to, Prefix::NONE, copy)),
                refusal => refusal,
            }
        };
        if offer != Offer::Taken {
            self.dropped(to);
        }
    }

    #[cold]
    fn dropped(&mut self, to: PipeId) {
        if let Some(pipe) = self.pipes.get_mut(to) {
            self.effects.events.extend(pipe.dropped.add(to));
        }
    }
}

impl Outlets for View<'_> {
    #[inline]
    fn lane(&self) -> u8 {
        self.lane
    }

    fn lane_by(&mut self, topic: &[u8]) {
        if self.lanes > 1 {
            let mut hasher = DefaultHasher::new();
            hasher.write(topic);
            self.lane = u8::try_from(hasher.finish() % u64::from(self.lanes)).unwrap_or_default();
        }
    }

    fn room(&mut self, to: PipeId) -> Offer {
        let Some(pipe) = self.pipes.get_mut(to) else { return Offer::Gone };
        let has_room = match &mut pipe.outlet {
            Outlet::Wire(outboxes) => outboxes.pick(self.lane, self.fits).has_room(),
            Outlet::Waiting(waiting) => self.conflate || waiting.has_room(self.mark),
            Outlet::Local(local) => return unless_dialled(pipe.dialled, local.room()),
        };
        if has_room { Offer::Taken } else { Offer::Full }
    }

    #[inline(always)]
    fn offer(&mut self, to: PipeId, prefix: Prefix<'_>, message: &mut Outgoing<'_>) -> Offer {
        let Some(pipe) = self.pipes.get_mut(to) else { return Offer::Gone };
        match &mut pipe.outlet {
            Outlet::Wire(outboxes) => {
                let outbox = outboxes.pick(self.lane, self.fits);
                if !outbox.has_room() {
                    return Offer::Full;
                }
                let driver = outbox.push(prefix, message);
                self.effects.wakes.add(driver);
            }
            Outlet::Local(local) => {
                let offer = local.offer(prefix, message, &mut self.effects.wakes);
                return unless_dialled(pipe.dialled, offer);
            }
            Outlet::Waiting(waiting) => {
                if self.conflate {
                    waiting.clear();
                } else if !waiting.has_room(self.mark) {
                    return Offer::Full;
                }
                let mut message = message.take();
                prefix.put_before(&mut message);
                waiting.push(message);
            }
        }
        Offer::Taken
    }

    fn copy(&mut self, to: &[PipeId], message: &Outgoing<'_>) {
        let mut encoded = None;
        match to {
            // One peer: no need to encode it apart.
            &[only] if self.room(only) == Offer::Taken => {
                message.with_copy(|copy| self.offer(only, Prefix::NONE, copy));
            }
            several => {
                several.iter().for_each(|pipe| self.copy_to(*pipe, several.len(), message, &mut encoded))
            }
        }
    }

    fn command(&mut self, to: PipeId, command: Command) {
        match self.pipes.get_mut(to).map(|pipe| &mut pipe.outlet) {
            Some(Outlet::Wire(outboxes)) => {
                let driver = outboxes.first().command(command);
                self.wake(driver);
            }
            Some(Outlet::Local(Local { port, pipe, .. })) => port.command(*pipe, command),
            // Greeted with everything when somebody binds.
            Some(Outlet::Waiting(_)) | None => {}
        }
    }
}
