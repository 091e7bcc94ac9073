//! What an XPUB's application reads: subscription notices, and what subscribers send upstream.
//!
//! Notices of all peers stand in one line, in the order in which they became true: a proxy that passes them on
//! ends up with what really holds. They are applied before they are queued here, so an application that never
//! reads holds up no subscription.

use std::collections::VecDeque;

use super::fair_queue::FairQueue;
use super::{Inbound, Lanes, Origin};
use crate::message::{Frame, Message};
use crate::pipe::PipeId;

/// The most notices kept for an application that does not read; then the oldest go. A million prefixes is more
/// than one socket is asked for, and 48 MiB.
const MAX: usize = 1 << 20;

/// The most bytes of them: 64 for each of a million. Prefixes are seldom longer, and peers choose them.
const MAX_BYTES: usize = MAX * 64;

/// An empty queue keeps room for so many: a burst of a hundred thousand would leave six megabytes.
const BURST: usize = 1024;

/// The receiving half of XPUB.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    notices: VecDeque<(PipeId, Message)>,
    bytes: usize,
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
        self.bytes += message.byte_len();
        self.notices.push_back((from, message));
        // One is always kept, however long.
        while self.notices.len() > MAX || (self.bytes > MAX_BYTES && self.notices.len() > 1) {
            self.pop();
        }
    }

    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin> {
        let Some((from, notice)) = self.pop() else { return self.queue.next(lanes, into) };
        *into = notice;
        Some(from.into())
    }
}

impl Notices {
    fn pop(&mut self) -> Option<(PipeId, Message)> {
        let (from, notice) = self.notices.pop_front()?;
        self.bytes -= notice.byte_len();
        if self.notices.is_empty() && self.notices.capacity() > BURST {
            self.notices = VecDeque::new();
        }
        Some((from, notice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fake::{FakeLanes, pipe, receive};

    #[test]
    fn notices_come_in_the_order_in_which_they_became_true() {
        let mut inbound = Notices::default();
        inbound.notice(pipe(1), "\0a".into());
        inbound.notice(pipe(0), "\u{1}a".into());
        let mut lanes = FakeLanes::default();
        let (from, next) = receive(&mut inbound, &mut lanes).unwrap();
        assert_eq!((from.pipe, next), (pipe(1), Message::from("\0a")));
        assert_eq!(receive(&mut inbound, &mut lanes).unwrap().1, "\u{1}a");
        assert!(receive(&mut inbound, &mut lanes).is_none());
    }

    #[test]
    fn long_notices_that_nobody_reads_push_the_oldest_out() {
        const LEN: usize = 1 << 20;
        let mut inbound = Notices::default();
        for n in 0..=u8::MAX {
            inbound.notice(pipe(0), Message::from(vec![n; LEN]));
            assert!(inbound.bytes <= MAX_BYTES, "{} bytes", inbound.bytes);
        }
        let kept = u8::try_from(MAX_BYTES / LEN).unwrap();
        let mut lanes = FakeLanes::default();
        for n in 256 - u16::from(kept)..256 {
            assert_eq!(u16::from(receive(&mut inbound, &mut lanes).unwrap().1.first()[0]), n);
        }
        assert!(receive(&mut inbound, &mut lanes).is_none());
        assert_eq!(inbound.bytes, 0);
    }

    #[test]
    fn a_burst_of_notices_leaves_no_memory_behind() {
        let mut inbound = Notices::default();
        (0..50 * BURST).for_each(|_| inbound.notice(pipe(0), "\u{1}a".into()));
        while receive(&mut inbound, &mut FakeLanes::default()).is_some() {}
        assert!(inbound.notices.capacity() <= BURST);
    }
}
