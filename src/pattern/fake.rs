//! A socket made of two vectors: what the patterns' tests send to and receive from.

use std::collections::VecDeque;

use super::{Inbound, Lanes, Offer, Origin, Outlets};
use crate::message::{Message, Outgoing};
use crate::pipe::PipeId;
use crate::zmtp::{Command, Envelope, PeerInfo, Prefix, SocketKind};

pub(crate) fn pipe(slot: u32) -> PipeId {
    PipeId::new(slot, 0)
}

pub(crate) fn peer(kind: SocketKind, routing_id: &str) -> PeerInfo {
    PeerInfo::for_test(kind, routing_id.as_bytes())
}

/// Pipes with a capacity each, and a log of what went where. A pipe that was never opened is `Gone`.
#[derive(Debug, Default)]
pub(crate) struct FakeOutlets {
    pipes: Vec<(PipeId, Queue)>,
    /// Messages in the order they were taken, prefix included.
    pub(crate) log: Vec<(PipeId, Message)>,
    pub(crate) commands: Vec<(PipeId, Command)>,
    /// How often `offer` or `room` said `Full`.
    pub(crate) refusals: usize,
    /// How many copies found no room.
    pub(crate) missed: usize,
    /// The lane that is sent on.
    pub(crate) lane: u8,
    /// What last chose it.
    pub(crate) topic: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Queue {
    capacity: usize,
    depth: usize,
}

impl FakeOutlets {
    pub(crate) fn open(&mut self, pipe: PipeId, capacity: usize) {
        self.pipes.push((pipe, Queue { capacity, depth: 0 }));
    }

    pub(crate) fn close(&mut self, pipe: PipeId) {
        self.pipes.retain(|(other, _)| *other != pipe);
    }

    /// The peer reads all it was sent.
    pub(crate) fn drain(&mut self, pipe: PipeId) {
        if let Some(queue) = self.queue(pipe) {
            queue.depth = 0;
        }
    }

    /// The log for tests with single-frame messages: slot and text.
    pub(crate) fn sent(&self) -> Vec<(usize, &str)> {
        let text = |message| std::str::from_utf8(Message::last(message)).unwrap();
        self.log.iter().map(|(pipe, message)| (pipe.slot(), text(message))).collect()
    }

    pub(crate) fn last(&self) -> PipeId {
        self.log.last().unwrap().0
    }

    fn queue(&mut self, pipe: PipeId) -> Option<&mut Queue> {
        self.pipes.iter_mut().find(|(other, _)| *other == pipe).map(|(_, queue)| queue)
    }
}

impl Outlets for FakeOutlets {
    fn room(&mut self, to: PipeId) -> Offer {
        let offer = match self.queue(to) {
            None => Offer::Gone,
            Some(queue) if queue.depth >= queue.capacity => Offer::Full,
            Some(_) => Offer::Taken,
        };
        self.refusals += usize::from(offer == Offer::Full);
        offer
    }

    fn offer(&mut self, to: PipeId, prefix: Prefix<'_>, message: &mut Outgoing<'_>) -> Offer {
        let offer = self.room(to);
        if offer == Offer::Taken {
            self.queue(to).unwrap().depth += 1;
            let mut taken = message.take();
            prefix.put_before(&mut taken);
            self.log.push((to, taken));
        }
        offer
    }

    fn copy(&mut self, to: &[PipeId], message: &Outgoing<'_>) {
        for &pipe in to {
            let taken = message.with_copy(|copy| self.offer(pipe, Prefix::NONE, copy)) == Offer::Taken;
            self.missed += usize::from(!taken);
        }
    }

    fn command(&mut self, to: PipeId, command: Command) {
        self.commands.push((to, command));
    }

    fn lane(&self) -> u8 {
        self.lane
    }

    fn lane_by(&mut self, topic: &[u8]) {
        self.topic = Some(topic.into());
    }
}

#[derive(Debug, Default)]
pub(crate) struct FakeLanes {
    lanes: Vec<(PipeId, VecDeque<Message>)>,
}

impl FakeLanes {
    /// Whether the lane was empty: the caller owes the pattern a `ready` then.
    pub(crate) fn arrive(&mut self, from: PipeId, message: impl Into<Message>) -> bool {
        if self.lane(from).is_none() {
            self.lanes.push((from, VecDeque::new()));
        }
        let lane = self.lane(from).unwrap();
        lane.push_back(message.into());
        lane.len() == 1
    }

    fn lane(&mut self, from: PipeId) -> Option<&mut VecDeque<Message>> {
        self.lanes.iter_mut().find(|(other, _)| *other == from).map(|(_, lane)| lane)
    }
}

impl Lanes for FakeLanes {
    fn pop(&mut self, from: PipeId, into: &mut Message) -> bool {
        self.lane(from).and_then(VecDeque::pop_front).map(|message| *into = message).is_some()
    }

    fn strip(&mut self, from: PipeId, envelope: Envelope) -> Option<bool> {
        let next = self.lane(from)?.front_mut()?;
        Some(Envelope::take(next) == Some(envelope))
    }

    fn is_drained(&mut self, from: PipeId) -> bool {
        self.lane(from).is_some_and(|lane| lane.is_empty())
    }

    fn open(&mut self, from: PipeId) -> Option<Envelope> {
        Envelope::take(self.lane(from)?.front_mut()?)
    }
}

/// The next message and its origin.
pub(crate) fn receive(inbound: &mut impl Inbound, lanes: &mut FakeLanes) -> Option<(Origin, Message)> {
    let mut message = Message::new();
    inbound.next(lanes, &mut message).map(|origin| (origin, message))
}
