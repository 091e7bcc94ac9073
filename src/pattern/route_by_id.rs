//! By name: ROUTER. [`RouteById`] sends to the pipe that the first frame names, [`Named`] puts the name in
//! front of what it reads.
//!
//! A name is what the application gave to a connection, or what the peer calls itself, or one that we make up:
//! five bytes that start with 0. It belongs to one pipe, from the handshake until the link is lost; a name that
//! the application gave belongs to it for good, so messages may wait for the first link.
//! Who comes with a name that is taken gets it by hand-over, or is muted until the name is free.
//!
//! Source: RFC 28, "The ROUTER socket type"; for duplicate names, libzmq.

use std::collections::{HashMap, VecDeque};

use super::fair_queue::{FairQueue, Turn};
use super::{Inbound, Lanes, Offer, Origin, Outbound, Outlets, Routed, Welcome};
use crate::message::{Frame, Message, Outgoing};
use crate::pipe::{PipeId, Table};
use crate::zmtp::{PeerInfo, Prefix};

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Options {
    /// A message that cannot go is an error, or waits. Otherwise it is dropped.
    pub(crate) mandatory: bool,
    /// A newcomer takes over a name that is in use. Otherwise it is muted.
    pub(crate) handover: bool,
}

#[derive(Debug)]
pub(crate) struct RouteById {
    options: Options,
    names: HashMap<Frame, PipeId>,
    pipes: Table<Peer>,
    /// Who waits for a name, first come first served.
    muted: HashMap<Frame, VecDeque<PipeId>>,
    /// Names given up while somebody waited for one.
    freed: Vec<Frame>,
    next: u32,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Peer {
    standing: Standing,
    /// The name that we made up for it. It gets it again: the application may have kept it.
    made_up: Option<Frame>,
}

#[derive(Debug, Default)]
enum Standing {
    #[default]
    Nameless,
    Named(Frame),
    /// Named by the application: it keeps the name without a link.
    Fixed(Frame),
    /// Waits for this name.
    Muted(Frame),
}

/// Two connections cannot have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another peer has this routing id")]
pub(crate) struct NameTaken;

impl RouteById {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            names: HashMap::new(),
            pipes: Table::default(),
            muted: HashMap::new(),
            freed: Vec::new(),
            next: fastrand::u32(..),
            dropped: 0,
        }
    }

    /// Messages that named nobody, or a pipe that was full, and were not `mandatory`.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Gives an attached pipe a name, whatever its peer will call itself. To be called before its handshake.
    pub(crate) fn name_pipe(&mut self, pipe: PipeId, name: Frame) -> Result<(), NameTaken> {
        if self.names.get(&name).is_some_and(|&other| other != pipe) {
            return Err(NameTaken);
        }
        self.give_up(pipe);
        self.names.insert(name.clone(), pipe);
        let made_up = self.pipes.get_mut(pipe).and_then(|peer| peer.made_up.take());
        self.pipes.insert_at(pipe, Peer { standing: Standing::Fixed(name), made_up });
        Ok(())
    }

    /// Makes the name the pipe's own. Whoever had it must have given it up.
    fn bind(&mut self, pipe: PipeId, name: Frame) {
        self.names.insert(name.clone(), pipe);
        if let Some(peer) = self.pipes.get_mut(pipe) {
            peer.standing = Standing::Named(name);
        }
    }

    /// Ends the pipe's claim to whatever name it has or waits for.
    fn give_up(&mut self, pipe: PipeId) {
        let Some(peer) = self.pipes.get_mut(pipe) else { return };
        match std::mem::take(&mut peer.standing) {
            Standing::Nameless => {}
            Standing::Named(name) | Standing::Fixed(name) => {
                self.names.remove(&name);
                if self.muted.contains_key(&name) {
                    self.freed.push(name);
                }
            }
            Standing::Muted(name) => {
                if let Some(line) = self.muted.get_mut(&name) {
                    line.retain(|&other| other != pipe);
                    if line.is_empty() {
                        self.muted.remove(&name);
                    }
                }
            }
        }
    }

    /// As [`give_up`](Self::give_up), but what the application gave stays.
    fn forget_link(&mut self, pipe: PipeId) {
        if !matches!(self.pipes.get(pipe), Some(Peer { standing: Standing::Fixed(_), .. })) {
            self.give_up(pipe);
        }
    }

    fn make_up(&mut self, pipe: PipeId) -> Frame {
        if let Some(name) = self.pipes.get(pipe).and_then(|peer| peer.made_up.clone())
            && !self.names.contains_key(&name)
        {
            return name;
        }
        loop {
            let mut name = [0; 5];
            name[1..].copy_from_slice(&self.next.to_be_bytes());
            self.next = self.next.wrapping_add(1);
            // A peer may call itself by such a name: nothing on the wire forbids it.
            if !self.names.contains_key(&name[..]) {
                let name = Frame::from(&name);
                if let Some(peer) = self.pipes.get_mut(pipe) {
                    peer.made_up = Some(name.clone());
                }
                return name;
            }
        }
    }

    fn is_fixed(&self, pipe: PipeId) -> bool {
        matches!(self.pipes.get(pipe), Some(Peer { standing: Standing::Fixed(_), .. }))
    }

    fn claim(&mut self, pipe: PipeId, name: Frame) -> Welcome {
        match self.names.get(&name).copied() {
            None => {
                self.bind(pipe, name.clone());
                Welcome::Accept { name: Some(name) }
            }
            // What the application named is not for peers to take.
            Some(holder) if self.options.handover && !self.is_fixed(holder) => {
                if let Some(peer) = self.pipes.get_mut(holder) {
                    peer.standing = Standing::Nameless;
                }
                self.bind(pipe, name.clone());
                Welcome::Replace { name, evicted: holder }
            }
            Some(_) => {
                self.muted.entry(name.clone()).or_default().push_back(pipe);
                if let Some(peer) = self.pipes.get_mut(pipe) {
                    peer.standing = Standing::Muted(name);
                }
                Welcome::Mute
            }
        }
    }

    fn undeliverable(&mut self, why: Routed) -> Routed {
        if self.options.mandatory {
            return why;
        }
        self.dropped += 1;
        Routed::Sent
    }
}

impl Outbound for RouteById {
    fn any_pipe(&self) -> bool {
        false
    }

    fn attach(&mut self, pipe: PipeId) {
        if self.pipes.get(pipe).is_none() {
            self.pipes.insert_at(pipe, Peer::default());
        }
    }

    fn identify(&mut self, pipe: PipeId, peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        self.attach(pipe);
        self.forget_link(pipe);
        if let Some(Peer { standing: Standing::Fixed(name), .. }) = self.pipes.get(pipe) {
            return Welcome::Accept { name: Some(name.clone()) };
        }
        if peer.routing_id().is_empty() {
            let name = self.make_up(pipe);
            self.bind(pipe, name.clone());
            return Welcome::Accept { name: Some(name) };
        }
        self.claim(pipe, peer.routing_id().clone())
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.forget_link(pipe);
        Vec::new()
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.give_up(pipe);
        self.pipes.vacate(pipe);
        Vec::new()
    }

    fn unmute(&mut self) -> Option<(PipeId, Frame)> {
        while let Some(name) = self.freed.pop() {
            if self.names.contains_key(&name) {
                continue;
            }
            let Some(line) = self.muted.get_mut(&name) else { continue };
            let first = line.pop_front();
            if line.is_empty() {
                self.muted.remove(&name);
            }
            if let Some(pipe) = first {
                self.bind(pipe, name.clone());
                return Some((pipe, name));
            }
        }
        None
    }

    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        let Some(&pipe) = self.names.get(message.first()) else {
            return self.undeliverable(Routed::Unroutable);
        };
        // A name with nothing behind it says nothing to anybody.
        let Outgoing::Made(message) = message else { return self.undeliverable(Routed::Unroutable) };
        let Some(name) = message.pop_front() else { return self.undeliverable(Routed::Unroutable) };
        let mut rest = Outgoing::Made(message);
        let offer = outlets.offer(pipe, Prefix::NONE, &mut rest);
        if offer == Offer::Taken {
            return Routed::Sent;
        }
        if offer == Offer::Full && !self.options.mandatory {
            // It misses this one: counted there.
            outlets.copy(&[pipe], &rest);
            return Routed::Sent;
        }
        message.push_front(name);
        if offer == Offer::Full { Routed::Blocked } else { self.undeliverable(Routed::Unroutable) }
    }
}

/// The receiving half: who sent it goes in front.
#[derive(Debug, Default)]
pub(crate) struct Named {
    queue: FairQueue,
    lanes: Table<Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Until the link is lost. Kept after the pipe is gone, or its name somebody else's: what arrived under it is read
    /// under it.
    name: Option<Frame>,
    /// What is left of earlier links: that many messages, to be read under the name of their time. Dropped if there was
    /// none.
    earlier: VecDeque<(Option<Frame>, usize)>,
    /// Something arrived, but nobody may read it before there is a name: an in-process peer may send that early.
    unread: bool,
    /// The pipe is gone: forget the lane when it is empty.
    gone: bool,
}

impl Lane {
    /// Whether it is known under which name the next message is to be read.
    fn is_readable(&self) -> bool {
        self.name.is_some() || self.gone || !self.earlier.is_empty()
    }

    /// The name for the next message.
    fn next_name(&mut self) -> Option<Frame> {
        let Some((name, left)) = self.earlier.front_mut() else { return self.name.clone() };
        let name = name.clone();
        *left -= 1;
        if *left == 0 {
            self.earlier.pop_front();
        }
        name
    }
}

impl Named {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn lane(&mut self, pipe: PipeId) -> &mut Lane {
        if self.lanes.get(pipe).is_none() {
            self.lanes.insert_at(pipe, Lane::default());
        }
        self.lanes.get_mut(pipe).expect("it was put there")
    }
}

impl Inbound for Named {
    fn attach(&mut self, pipe: PipeId) {
        self.lane(pipe);
    }

    fn identify(&mut self, pipe: PipeId, name: Option<&Frame>) {
        let lane = self.lane(pipe);
        lane.name = name.cloned();
        if lane.is_readable() && std::mem::take(&mut lane.unread) {
            self.queue.ready(pipe);
        }
    }

    fn lost(&mut self, pipe: PipeId, waiting: usize) {
        let lane = self.lane(pipe);
        let known: usize = lane.earlier.iter().map(|(_, count)| count).sum();
        let name = lane.name.take();
        if waiting > known {
            lane.earlier.push_back((name, waiting - known));
        }
        if lane.is_readable() && std::mem::take(&mut lane.unread) {
            self.queue.ready(pipe);
        }
    }

    fn detach(&mut self, pipe: PipeId) {
        let waiting = self.queue.is_waiting(pipe);
        let lane = self.lane(pipe);
        lane.gone = true;
        if std::mem::take(&mut lane.unread) {
            // It never had a name. Its turn empties it: a lane that stays full would never be forgotten.
            self.queue.ready(pipe);
        } else if !waiting {
            self.lanes.vacate(pipe);
        }
    }

    fn ready(&mut self, pipe: PipeId) {
        let lane = self.lane(pipe);
        if lane.is_readable() {
            self.queue.ready(pipe);
        } else {
            lane.unread = true;
        }
    }

    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin> {
        let Self { queue, lanes: known } = self;
        queue.next_by(|from| {
            let Some(lane) = known.get_mut(from) else { return Turn::Empty };
            if !lane.is_readable() {
                lane.unread = true;
                return Turn::Empty;
            }
            if !lanes.pop(from, into) {
                if lane.gone {
                    known.vacate(from);
                }
                return Turn::Empty;
            }
            let Some(name) = lane.next_name() else { return Turn::Dropped };
            into.push_front(name);
            Turn::Taken
        })
    }
}

#[cfg(test)]
mod tests;
