//! What many sockets of one process send, some messages from each in turn.

use super::stamp::{Mark, Stamp};
use super::{Clock, Pace, Report};
use crate::cell::Pattern;
use crate::job::Job;

/// Messages of a peer before the next one's turn.
const TURN: u64 = 37;

/// Messages of each peer in a burst: 27 turns, and the last. All libraries queue as many by default.
pub(crate) const BURST: u64 = 27 * TURN + 1;

pub(crate) struct Rotation {
    message: Vec<u8>,
    /// By each peer.
    sent: Vec<u64>,
    peer: usize,
    /// Of this turn.
    left: u64,
    clock: Clock,
    /// A burst has so many each, whatever the time.
    is_burst: bool,
    /// Who sends its last message next.
    ending: Option<usize>,
}

impl Rotation {
    pub(crate) fn new(job: &Job) -> Self {
        Self {
            message: vec![7; job.cell.size],
            sent: vec![0; job.cell.peers],
            peer: 0,
            left: TURN,
            // The queues of a thousand peers take their time to fill, and to empty.
            clock: Clock::new(Pace { warm_up: job.pace.warm_up * 3, run: job.pace.run * 3 / 2 }),
            is_burst: job.cell.pattern == Pattern::Connect,
            ending: None,
        }
    }

    /// The next message and the peer that sends it, or `None` after the last of each.
    #[inline]
    pub(crate) fn draw(&mut self) -> Option<(usize, &[u8])> {
        let mut mark = Mark::Plain;
        if self.left == 0 && self.ending.is_none() {
            mark = self.turn();
        }
        if let Some(next) = &mut self.ending {
            (self.peer, mark) = (*next, Mark::End);
            *next += 1;
        } else {
            self.left -= 1;
        }
        let (peer, sent) = (self.peer, self.sent.get_mut(self.peer)?);
        Stamp { number: *sent, sender: u32::try_from(peer).ok()?, mark }.put(&mut self.message);
        *sent += 1;
        Some((peer, &self.message))
    }

    /// The next peer's turn begins, or the end.
    fn turn(&mut self) -> Mark {
        self.left = TURN;
        self.peer = (self.peer + 1) % self.sent.len();
        let mark = if !self.is_burst {
            self.clock.look()
        } else if self.sent[self.peer] + 1 < BURST {
            Mark::Plain
        } else {
            Mark::End
        };
        if mark == Mark::End {
            self.ending = Some(0);
        }
        mark
    }

    pub(crate) fn report(&self) -> Report {
        Report::plain(self.sent.iter().sum(), Some(self.clock.cpu))
    }
}
