//! The pace of senders who fill queues faster than kernels empty them.
//!
//! To copy a large message is less work than to write it and read it again. So whoever sends such in a loop would always be
//! a whole mark ahead, 64 MiB, and each message would have left the caches by the time it is written. Who has had a turn,
//! and lets others run anyway, waits while all peers have more than 1 MiB waiting. 256 KiB and 1 MiB a message go 1.1 to 1.4
//! times as fast so over ipc, and 1.1 times over tcp.
//!
//! A mark says how much may wait, so this does not go on for long: who finds a peer that reads nothing, or a slow network,
//! waits a moment once, and then fills the queue. Nor does it hold up what is for other peers: a ROUTER does not wait so, nor
//! does a publisher.

use std::task::Context;
use std::time::{Duration, Instant};

use super::Composition;
use super::core::{Core, Out};
use super::locked::Locked;
use super::outlets::Outlet;
use crate::driver::{Alarm, now};
use crate::pattern::Outbound;
use crate::sync::Ticket;

/// So long: a link that takes half a gigabyte a second or more, and only there do caches matter, writes what is too much
/// meanwhile.
const PAUSE: Duration = Duration::from_millis(2);

/// Who has taken so much meanwhile is waited for once more.
const CAUGHT_UP: usize = 1024 * 1024;

/// A place among those who wait to send.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) ticket: Option<Ticket>,
    /// Ends a pause.
    alarm: Alarm,
}

/// Senders wait until then for peers to catch up, of whom so many bytes waited when that began.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<(Instant, usize)>);

impl Pace {
    /// A peer has caught up.
    pub(super) const fn renew(&mut self) {
        self.0 = None;
    }
}

impl<P: Composition> Core<P> {
    /// A sender has had its turn: it lets others run, and waits if no peer needs more yet.
    pub(super) fn end_turn(
        &self,
        mut out: Locked<'_, Out<P::Outbound>>,
        line: &mut Line,
        cx: &mut Context<'_>,
    ) {
        out.renew_budget();
        // Who has waited already may have been woken in place of another, and must not wait for more.
        let pause = if line.ticket.is_none() { out.pause() } else { None };
        if pause.is_some() {
            out.senders.wait(&mut line.ticket, cx.waker());
        }
        drop(out);
        if !pause.is_some_and(|end| line.alarm.wakes_at(end, cx)) {
            cx.waker().wake_by_ref();
        }
    }
}

impl<O: Outbound> Out<O> {
    /// Until when a sender is to wait, if it is. Where a message is for one peer, or for all, nobody waits for another one.
    fn pause(&mut self) -> Option<Instant> {
        if !self.pattern.any_pipe() || self.pipes.len() == 0 {
            return None;
        }
        let mut waiting = 0;
        for (_, pipe) in self.pipes.iter_mut() {
            match &mut pipe.outlet {
                Outlet::Wire(outboxes) => waiting += outboxes.depth()?,
                Outlet::Local(_) | Outlet::Waiting(_) => return None,
            }
        }
        let now = now();
        let (end, before) = self.pace.0.get_or_insert((now + PAUSE, waiting));
        if *end <= now && waiting + CAUGHT_UP <= *before {
            // Slower than was thought, or further behind, but it goes on.
            (*end, *before) = (now + PAUSE, waiting);
        }
        (now < *end).then_some(*end)
    }
}
