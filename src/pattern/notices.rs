//! What an XPUB's application reads: subscription notices, and what subscribers send upstream.
//!
//! Notices of all peers stand in one line, in the order in which they became true: a proxy that passes them on
//! ends up with what really holds. They are applied before they are queued here, so an application that never
//! reads holds up no subscription.

use std::collections::VecDeque;

use super::fair_queue::FairQueue;
use super::{Delivery, Inbound, Lanes};
use crate::message::{Frame, Message};
use crate::pipe::PipeId;

/// The most notices kept for an application that does not read; then the oldest go. A million prefixes is more
/// than one socket is asked for, and 48 MiB.
const MAX: usize = 1 << 20;

/// The receiving half of XPUB.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    notices: VecDeque<Delivery>,
    queue: FairQueue,
}

impl Inbound for Notices {
    fn identify(&mut self, pipe: PipeId, name: Option<&Frame>) {
        self.queue.identify(pipe, name);
    }

    fn ready(&mut self, pipe: PipeId) {
        self.queue.ready(pipe);
    }

    fn notice(&mut self, from: PipeId, message: Message) {
        if self.notices.len() >= MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(Delivery::new(from, message));
    }

    fn next(&mut self, lanes: &mut impl Lanes) -> Option<Delivery> {
        self.notices.pop_front().or_else(|| self.queue.next(lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fake::{FakeLanes, pipe};

    #[test]
    fn notices_come_in_the_order_in_which_they_became_true() {
        let mut inbound = Notices::default();
        inbound.notice(pipe(1), "\0a".into());
        inbound.notice(pipe(0), "\u{1}a".into());
        let mut lanes = FakeLanes::default();
        let next = inbound.next(&mut lanes).unwrap();
        assert_eq!((next.from, next.message), (pipe(1), Message::from("\0a")));
        assert_eq!(inbound.next(&mut lanes).unwrap().message, "\u{1}a");
        assert!(inbound.next(&mut lanes).is_none());
    }
}
