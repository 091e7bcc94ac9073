//! One request, then its reply: REQ. [`Ask`] sends and knows whose turn it is, [`Answer`] reads the one reply
//! that fits.
//!
//! A request is `[id] [empty] body`. The id comes back in front of the reply, so a late reply to an abandoned
//! request is told from the reply to the next. Every REP reflects it; a program behind a ROUTER may not expect
//! it, so there it needs `correlate`. Without an id only a fresh connection tells the two apart.
//! Requests go to pipes with a link only, so a link that is lost is known to have taken its request along.
//!
//! The socket holds the outbound lock from [`Answer::drain`] over `ask` to [`Answer::expect`]: what arrived
//! before is stale, and no loss falls in between. What arrives after is the reply, or has the id of an earlier request.
//!
//! Source: RFC 28, "The REQ socket type"; for ids, libzmq's `REQ_CORRELATE`.

use super::fair_queue::{FairQueue, Turn};
use super::load_balance::LoadBalance;
use super::{Inbound, Lanes, Origin, Outbound, Outlets, Routed, Welcome};
use crate::message::{Message, Outgoing};
use crate::pipe::{PipeId, Table};
use crate::zmtp::{Envelope, PeerInfo, Prefix, SocketKind};

/// Where a request went, and by what its reply is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) pipe: PipeId,
    pub(crate) id: Option<u32>,
}

/// A request while another one is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request must be followed by its reply")]
pub(crate) struct OutOfTurn;

/// The sending half.
#[derive(Debug)]
pub(crate) struct Ask {
    balance: LoadBalance,
    /// Which pipes lead to a REP.
    reflects: Table<bool>,
    correlate: bool,
    /// A request may take the place of the open one.
    relaxed: bool,
    next_id: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next move is a request.
    Idle,
    /// The next move is the reply. Of the sending half: or it has come, which that half is told before the next request.
    Waiting(Asked),
    /// As `Waiting`, but the connection is gone. The reply may have arrived before that.
    Orphaned(Asked),
}

impl State {
    fn open(self) -> Option<Asked> {
        match self {
            Self::Idle => None,
            Self::Waiting(asked) | Self::Orphaned(asked) => Some(asked),
        }
    }
}

impl Ask {
    pub(crate) fn new(correlate: bool) -> Self {
        Self {
            balance: LoadBalance::only_live(),
            reflects: Table::default(),
            correlate,
            relaxed: false,
            next_id: fastrand::u32(..),
            state: State::Idle,
        }
    }

    /// A request that finds a peer takes the place of the open one. What may be replaced at any time needs an id to
    /// be told from what replaced it.
    pub(crate) fn relaxed() -> Self {
        Self { relaxed: true, ..Self::new(true) }
    }

    /// The last request, unless its end is known here.
    pub(crate) fn asked(&self) -> Option<Asked> {
        self.state.open()
    }

    /// Sends a request; when `Sent`, [`asked`](Self::asked) says where to.
    pub(crate) fn ask(
        &mut self,
        message: &mut Outgoing<'_>,
        outlets: &mut impl Outlets,
    ) -> Result<Routed, OutOfTurn> {
        if self.state != State::Idle && !self.relaxed {
            return Err(OutOfTurn);
        }
        let Self { balance, reflects, correlate, next_id, .. } = self;
        let has_id = |pipe| *correlate || reflects.get(pipe) == Some(&true);
        let id_for = |pipe| has_id(pipe).then_some(*next_id);
        let offer = |pipe| outlets.offer(pipe, Prefix::Envelope(Envelope::of(id_for(pipe))), message);
        match balance.choose(offer) {
            Ok(pipe) => {
                let id = id_for(pipe);
                *next_id = next_id.wrapping_add(1);
                self.state = State::Waiting(Asked { pipe, id });
                Ok(Routed::Sent)
            }
            Err(why) => Ok(why),
        }
    }

    /// The reply has come: the next move is a request.
    pub(crate) fn answered(&mut self) {
        self.state = State::Idle;
    }

    /// Gives the open request up, if there is one. Its reply may still come: the pipe returned needs a fresh
    /// connection, since nothing else would tell that reply from the next.
    pub(crate) fn abandon(&mut self) -> Option<PipeId> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Waiting(Asked { pipe, id: None }) => Some(pipe),
            _ => None,
        }
    }
}

impl Outbound for Ask {
    fn attach(&mut self, pipe: PipeId) {
        self.balance.attach(pipe);
    }

    fn identify(&mut self, pipe: PipeId, peer: &PeerInfo, outlets: &mut impl Outlets) -> Welcome {
        self.reflects.insert_at(pipe, peer.kind() == Some(SocketKind::Rep));
        self.balance.identify(pipe, peer, outlets)
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        if let State::Waiting(asked) = self.state
            && asked.pipe == pipe
        {
            self.state = State::Orphaned(asked);
        }
        self.balance.lost(pipe)
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.lost(pipe);
        self.reflects.vacate(pipe);
        self.balance.detach(pipe)
    }

    fn resume(&mut self, pipe: PipeId) {
        self.balance.resume(pipe);
    }

    /// As [`Ask::ask`]; out of turn, the message has nowhere to go.
    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        self.ask(message, outlets).unwrap_or(Routed::Unroutable)
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Answer {
    queue: FairQueue,
    /// `Idle`: nothing is read, as a reply may arrive before it is expected.
    state: State,
    /// Another request was made meanwhile, and its sender waits for its turn.
    followed: bool,
    dropped: u64,
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self { queue: FairQueue::new(), state: State::Idle, followed: false, dropped: 0 }
    }

    /// Messages that were no reply, or no longer wanted.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Drops what has arrived: before a request nothing is expected.
    #[inline]
    pub(crate) fn drain(&mut self, lanes: &mut impl Lanes) {
        if !self.queue.is_idle() {
            self.drop_all(lanes);
        }
    }

    #[cold]
    fn drop_all(&mut self, lanes: &mut impl Lanes) {
        let Self { queue, dropped, .. } = self;
        queue.next_by(|from| {
            while lanes.pop(from, &mut Message::new()) {
                *dropped += 1;
            }
            Turn::Empty
        });
    }

    /// From now on the reply to this request is looked for, and only that.
    pub(crate) fn expect(&mut self, asked: Asked) {
        self.state = State::Waiting(asked);
    }

    /// The request whose reply is looked for.
    pub(crate) fn expected(&self) -> Option<Asked> {
        self.state.open()
    }

    /// A request had to wait for its turn, for another one is open.
    pub(crate) fn follow(&mut self) {
        self.followed = true;
    }

    /// Whether somebody must be told when the open request is over. Who is told and still has to wait says so again.
    pub(crate) fn take_followed(&mut self) -> bool {
        std::mem::take(&mut self.followed)
    }

    /// Looks for no reply any more.
    pub(crate) fn abandon(&mut self) {
        self.state = State::Idle;
    }

    /// Whether the peer that was asked is gone, so that no reply will come; says so once. To be asked after
    /// `next` found nothing, since a reply that came before the loss is as good as any.
    pub(crate) fn take_peer_lost(&mut self) -> bool {
        let lost = matches!(self.state, State::Orphaned(_));
        if lost {
            self.state = State::Idle;
        }
        lost
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new()
    }
}

impl Inbound for Answer {
    fn lost(&mut self, pipe: PipeId, _waiting: usize) {
        if let State::Waiting(asked) = self.state
            && asked.pipe == pipe
        {
            self.state = State::Orphaned(asked);
        }
    }

    fn detach(&mut self, pipe: PipeId) {
        self.lost(pipe, 0);
    }

    fn ready(&mut self, pipe: PipeId) {
        self.queue.ready(pipe);
    }

    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin> {
        let Asked { pipe, id } = self.expected()?;
        let envelope = Envelope::of(id);
        let Self { queue, dropped, .. } = self;
        let origin = queue.next_by(|from| {
            let fits = if from == pipe { lanes.strip(from, envelope) } else { Some(false) };
            let Some(fits) = fits.filter(|_| lanes.pop(from, into)) else { return Turn::Empty };
            if fits {
                // A lane that leaves its turn now need not be looked into before the next request.
                return if lanes.is_drained(from) { Turn::Last } else { Turn::Taken };
            }
            *dropped += 1;
            Turn::Dropped
        })?;
        self.state = State::Idle;
        Some(origin)
    }
}

#[cfg(test)]
mod tests;
