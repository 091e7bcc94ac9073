//! The pace of senders who fill queues faster than kernels empty them.
//!
//! To copy a large message is less work than to write it and read it again. So whoever sends such in a loop would always be
//! a whole mark ahead, 64 MiB, and each message would have left the caches by the time it is written. Who has had a turn,
//! and lets others run anyway, waits while all peers have more than 1 MiB waiting. 256 KiB and 1 MiB a message go 1.3 times
//! as fast over ipc so, and 1.1 to 1.4 times over tcp.
//!
//! A mark says how much may wait, so this does not go on for long: who finds a peer that reads nothing, or a slow network,
//! waits a moment once, and then fills the queue.

use std::task::Context;
use std::time::{Duration, Instant};

use super::Composition;
use super::core::{Core, Out};
use super::locked::Locked;
use super::outlets::Outlet;
use crate::driver::{Alarm, now};
use crate::sync::Ticket;

/// So long: a link that takes half a gigabyte a second or more, and only there do caches matter, writes what is too much
/// meanwhile.
const PAUSE: Duration = Duration::from_millis(2);

/// A place among those who wait to send.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) ticket: Option<Ticket>,
    /// Ends a pause.
    alarm: Alarm,
}

/// Until when senders wait for peers to catch up, since these fell behind.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Instant>);

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
        let pause = out.pause();
        if pause.is_some() {
            out.senders.wait(&mut line.ticket, cx.waker());
        }
        drop(out);
        if !pause.is_some_and(|end| line.alarm.wakes_at(end, cx)) {
            cx.waker().wake_by_ref();
        }
    }
}

impl<O> Out<O> {
    /// Until when a sender is to wait, if it is.
    fn pause(&mut self) -> Option<Instant> {
        let all_are_deep = self.pipes.iter_mut().all(|(_, pipe)| match &mut pipe.outlet {
            Outlet::Wire(outboxes) => outboxes.is_deep(),
            Outlet::Local(_) | Outlet::Waiting(_) => false,
        });
        if self.pipes.len() == 0 || !all_are_deep {
            return None;
        }
        let now = now();
        let end = *self.pace.0.get_or_insert(now + PAUSE);
        (now < end).then_some(end)
    }
}
