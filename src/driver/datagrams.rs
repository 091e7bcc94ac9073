//! Datagrams to nobody in particular, or from nobody in particular: no handshake, and nobody answers.
//!
//! A RADIO tells whatever it sends to each address that it connects to, and a PUB to each multicast group, so there its
//! pipe counts as a member of every group and a subscriber to everything ([`send`]). A DISH, or a SUB at a multicast
//! group, has one pipe for each address that it binds, whoever sends there, and filters when it receives ([`receive`]).
//!
//! Invariant: one descriptor cannot stop one peer, so what arrives is always read; without room in the lane it is
//! dropped and counted.

mod receive;
mod send;

use std::sync::Arc;
use std::task::{Context, Poll};

pub(super) use receive::receive;
pub(super) use send::transmit;

use super::{Ends, Port};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::pipe::{Batch, LaneId, PipeId, Taken};
use crate::zmtp::datagram::ledger::Missed;
use crate::zmtp::{PeerInfo, SocketKind};

/// After how many datagrams one `poll` lets others run. What came with the last of them is read too.
pub(super) const READ_BUDGET: usize = 64;

/// Makes a pipe ready, with a peer of which nothing is known but what it must be.
fn open(port: &dyn Port, pipe: PipeId, peer: SocketKind, ends: Ends) -> Result<(), Disconnect> {
    let info = PeerInfo::silent(peer);
    // Nobody hears what there is to say first.
    port.identify(pipe, &info, &ends)?;
    port.report(Event::Ready { pipe, endpoint: ends.endpoint, peer: ends.peer, info });
    Ok(())
}

/// What the outbox holds is in `batch`, or else our waker is in the outbox. Commands are for nobody.
fn poll_take(
    port: &dyn Port,
    pipe: PipeId,
    cx: &Context<'_>,
    batch: &mut Batch,
) -> Poll<Result<(), Disconnect>> {
    port.poll_take(pipe.lane(0), cx, batch, &mut Vec::new()).map(|taken| match taken {
        Taken::Some | Taken::All => Ok(()),
        Taken::Finished => Err(Disconnect::Closed),
        Taken::Stop(why) => Err(why),
    })
}

pub(super) fn report_dropped(port: &dyn Port, pipe: PipeId, messages: u64, reason: Dropped) {
    if messages > 0 {
        port.report(Event::Dropped { pipe, messages, reason });
    }
}

pub(super) fn report_missed(port: &dyn Port, pipe: PipeId, missed: Missed) {
    report_dropped(port, pipe, missed.lost, Dropped::Lost);
    report_dropped(port, pipe, missed.late, Dropped::Late);
}

/// The way into a lane: what finds no room there is dropped and counted.
pub(super) struct Gate {
    port: Arc<dyn Port>,
    lane: LaneId,
    /// What the lane takes, as far as we know: it can only be more.
    room: usize,
    /// Messages find no room, of which the first has been reported.
    misses: bool,
    /// How many more did not.
    missed: u64,
}

impl Gate {
    pub(super) const fn new(port: Arc<dyn Port>, lane: LaneId) -> Self {
        Self { port, lane, room: 0, misses: false, missed: 0 }
    }

    /// Delivers the frames of a message.
    pub(super) fn deliver(&mut self, frames: &[u8], cx: &Context<'_>) {
        if self.room == 0 && !self.misses {
            self.ask(cx);
        }
        if self.room > 0 {
            self.room = self.port.deliver_copy(self.lane, frames, 1);
        } else if self.misses {
            self.missed += 1;
        } else {
            self.misses = true;
            report_dropped(&*self.port, self.lane.pipe, 1, Dropped::ReceiverFull);
        }
    }

    /// To be called at each `poll`: there may be room again.
    pub(super) fn look(&mut self, cx: &Context<'_>) {
        if self.misses {
            self.ask(cx);
        }
    }

    /// Asks the lane; without room, our waker stays there.
    fn ask(&mut self, cx: &Context<'_>) {
        if let Poll::Ready(room) = self.port.poll_room(self.lane, cx) {
            self.room = room;
            self.misses = false;
            report_dropped(
                &*self.port,
                self.lane.pipe,
                std::mem::take(&mut self.missed),
                Dropped::ReceiverFull,
            );
        }
    }
}

/// What was not reported yet is, at the end.
impl Drop for Gate {
    fn drop(&mut self) {
        report_dropped(&*self.port, self.lane.pipe, self.missed, Dropped::ReceiverFull);
    }
}
