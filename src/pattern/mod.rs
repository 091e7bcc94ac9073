//! Routing policy: which pipe gets a message, and which pipe is read next.
//!
//! Patterns are values. They see pipes as [`PipeId`]s and queues through two small traits, [`Outlets`] and
//! [`Lanes`]; they know nothing of tasks, locks, sockets or time. A socket type is a choice of an [`Outbound`]
//! and an [`Inbound`] half:
//!
//! | kind | outbound | inbound |
//! |---|---|---|
//! | PUSH, PULL | [`LoadBalance`](load_balance::LoadBalance) / – | – / [`FairQueue`](fair_queue::FairQueue) |
//! | DEALER | [`ByLane`](by_lane::ByLane) | `FairQueue` |
//! | PAIR | [`Exclusive`](exclusive::Exclusive) | `FairQueue` of one |
//! | REQ | [`Ask`](lockstep::Ask) | [`Answer`](lockstep::Answer) |
//! | REP | [`Direct`](direct::Direct), by the pipe in the request | [`Requests`](direct::Requests) + [`envelope`] |
//! | ROUTER | [`RouteById`](route_by_id::RouteById) | [`Named`](route_by_id::Named) |
//! | PUB, XPUB | [`Distribute`](distribute::Distribute) | – / subscription notices |
//! | SUB, XSUB | [`Subscriber`](subscriber::Subscriber) | [`Filtered`](subscriber::Filtered) / `FairQueue` |
//! | RADIO, DISH | [`Broadcast`](groups::Broadcast) / [`Member`](groups::Member) | – / [`Admitted`](groups::Admitted) |
//!
//! Source: RFC 28 (request-reply), 29 (publish-subscribe), 30 (pipeline), 31 (exclusive pair), 48 (radio-dish).

pub(crate) mod by_lane;
pub(crate) mod direct;
pub(crate) mod distribute;
pub(crate) mod envelope;
pub(crate) mod exclusive;
pub(crate) mod fair_queue;
#[cfg(test)]
mod fake;
pub(crate) mod groups;
pub(crate) mod load_balance;
pub(crate) mod lockstep;
pub(crate) mod notices;
mod ring;
pub(crate) mod route_by_id;
pub(crate) mod subscriber;
pub(crate) mod subscriptions;

use crate::message::{Frame, Message, Outgoing};
use crate::pipe::{Offer, PipeId};
use crate::zmtp::{Command, Envelope, PeerInfo, Prefix};

/// Where messages leave to: a socket's outgoing queues, or two vectors in a test.
pub(crate) trait Outlets {
    /// Whether [`offer`](Self::offer) would take a message now. `Full` promises, here as there, that
    /// [`Outbound::resume`] will name the pipe once it has room again.
    fn room(&mut self, to: PipeId) -> Offer;

    /// Queues `prefix` and `message` as one message. Unless `Taken`, the message is left whole; when taken, it
    /// may have been moved out.
    fn offer(&mut self, to: PipeId, prefix: Prefix<'_>, message: &mut Outgoing<'_>) -> Offer;

    /// Queues a copy at each pipe that has room. The others miss it: that is counted against the pipe and
    /// reported there.
    fn copy(&mut self, to: &[PipeId], message: &Outgoing<'_>);

    /// Sends a command ahead of messages. Commands are bounded by the pattern's own state, not by marks.
    fn command(&mut self, to: PipeId, command: Command);

    /// The lane that the message goes on, where peers have several.
    fn lane(&self) -> u8;

    /// Has the topic choose it.
    fn lane_by(&mut self, topic: &[u8]);
}

/// Where messages arrive: one lane a pipe.
pub(crate) trait Lanes {
    /// Moves the next message to `into`. False: there is none.
    fn pop(&mut self, from: PipeId, into: &mut Message) -> bool;

    /// Takes this envelope off the next message, if it starts with it. If not, the message may have lost its start. `None`:
    /// there is no message, which a moment later need not be true.
    fn strip(&mut self, from: PipeId, envelope: Envelope) -> Option<bool>;

    /// Whether nothing is there, and what comes next will be announced. It may be so though this says no.
    fn is_drained(&mut self, from: PipeId) -> bool;

    /// Takes the envelope off the next message, if it is a short one and plain to see. If not, the message is whole.
    fn open(&mut self, from: PipeId) -> Option<Envelope>;
}

/// How routing a message ended. Unless `Sent`, the message is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routed {
    /// Queued, or dropped where the pattern says so.
    Sent,
    /// Every pipe that could take it is full.
    Blocked,
    /// Nobody to send to yet.
    NoPeer,
    /// It names a peer that is not there.
    Unroutable,
}

/// What the outbound half says of a peer whose handshake finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// Part of the socket from now on. `name` is its routing id, for patterns that have one.
    Accept { name: Option<Frame> },
    /// As `Accept`, and it takes over the name of another pipe, whose connection must end.
    Replace { name: Frame, evicted: PipeId },
    /// Stays connected but is neither read nor written: its name is taken. `Outbound::unmute` may free it.
    Mute,
    /// The socket has no place for it; its connection ends.
    Refuse,
}

/// The sending half of a pattern.
pub(crate) trait Outbound: Send + 'static {
    /// Whether a message may go to any pipe, so that one waiting sender is as good as another. If not, room in
    /// one pipe may be what the last in line waits for, and all of them must look.
    fn any_pipe(&self) -> bool {
        true
    }

    /// The pipe exists and may queue: on the connecting side that is before anybody answered.
    fn attach(&mut self, _pipe: PipeId) {}

    /// A handshake finished on it (again, after each reconnect).
    fn identify(&mut self, pipe: PipeId, peer: &PeerInfo, outlets: &mut impl Outlets) -> Welcome;

    /// Its link is gone, but the pipe stays: somebody is dialling again. Returns notices for the application.
    fn lost(&mut self, pipe: PipeId) -> Vec<Message>;

    /// The pipe is gone. Returns notices for the application.
    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.lost(pipe)
    }

    /// The pipe has room again after it refused a message.
    fn resume(&mut self, _pipe: PipeId) {}

    /// A peer subscribed or cancelled, joined or left. Returns a notice for the application.
    fn command(&mut self, _from: PipeId, _command: Command) -> Option<Message> {
        None
    }

    /// Whether messages whose first frame is this are wanted, of a peer that does not know what is.
    fn wants(&self, _topic: &[u8]) -> bool {
        true
    }

    /// Commands a new peer must hear first: the subscriptions, or groups, each once.
    fn greet(&self) -> Vec<Command> {
        Vec::new()
    }

    /// A muted pipe that may be identified now, since another pipe gave its name up; with that name.
    fn unmute(&mut self) -> Option<(PipeId, Frame)> {
        None
    }

    /// Chooses pipes for the message and offers it to them.
    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed;
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) pipe: PipeId,
    /// Which conversation with that peer it belongs to, where the pattern counts them (REP).
    pub(crate) session: u32,
    /// Its envelope, if it was taken off where it lay (REP).
    pub(crate) envelope: Option<Envelope>,
}

impl From<PipeId> for Origin {
    fn from(pipe: PipeId) -> Self {
        Self { pipe, session: 0, envelope: None }
    }
}

/// The receiving half of a pattern.
pub(crate) trait Inbound: Send + 'static {
    /// The pipe exists; nothing has arrived on it.
    fn attach(&mut self, _pipe: PipeId) {}

    /// A handshake finished; `name` is the routing id that the outbound half gave the peer.
    fn identify(&mut self, _pipe: PipeId, _name: Option<&Frame>) {}

    /// Its link is gone; the pipe stays, and so do the `waiting` messages of its lane.
    fn lost(&mut self, _pipe: PipeId, _waiting: usize) {}

    /// The pipe is gone. What had arrived stays readable, so the lane is forgotten only when it is empty.
    fn detach(&mut self, _pipe: PipeId) {}

    /// Something came into the lane where nothing was. It may have been read since, or stand behind what has not been.
    fn ready(&mut self, pipe: PipeId);

    /// The outbound half has a notice for the application: what `command`, `lost` or `detach` returned.
    fn notice(&mut self, _from: PipeId, _message: Message) {}

    /// Moves the next message of the lane whose turn it is to `into`: it is decoded where it stays. Handed up
    /// from layer to layer as a return value it cost a fifth of receiving 64 bytes.
    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin>;
}

/// The half of a socket type that never sends.
#[derive(Debug, Default)]
pub(crate) struct Nothing;

impl Outbound for Nothing {
    fn attach(&mut self, _pipe: PipeId) {}

    fn identify(&mut self, _pipe: PipeId, _peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, _pipe: PipeId) -> Vec<Message> {
        Vec::new()
    }

    fn detach(&mut self, _pipe: PipeId) -> Vec<Message> {
        Vec::new()
    }

    fn resume(&mut self, _pipe: PipeId) {}

    fn route(&mut self, _message: &mut Outgoing<'_>, _outlets: &mut impl Outlets) -> Routed {
        Routed::NoPeer
    }
}

/// The half of a socket type that never receives: what its peers send is dropped.
impl Inbound for Nothing {
    fn ready(&mut self, _pipe: PipeId) {}

    fn next(&mut self, _lanes: &mut impl Lanes, _into: &mut Message) -> Option<Origin> {
        None
    }
}
