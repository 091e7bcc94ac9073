//! One message of each ready lane in turn: PULL, DEALER, PAIR, REP, XSUB, and below the other receiving halves.
//!
//! Lanes that may hold something form a ring; one that turns out empty leaves it until `ready`. A lane whose
//! pipe is gone is read to its end like any other and then never comes back, so `detach` has nothing to do.
//!
//! Source: RFC 28 and 30, "SHALL receive incoming messages from its peers using a fair-queuing strategy".

use super::ring::Ring;
use super::{Inbound, Lanes, Origin};
use crate::message::Message;
use crate::pipe::{PipeId, Table};

#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    ring: Ring,
    /// Who is in the ring: `ready` may come while the lane still stands there.
    waiting: Table<()>,
}

/// What came of looking into a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A message for the application.
    Taken,
    /// As above, and its lane is known to be empty now. It loses its place: only for who reads one lane at a time.
    Last,
    /// There was something, but not for the application.
    Dropped,
    Empty,
}

impl FairQueue {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether the lane may hold something.
    pub(crate) fn is_waiting(&self, pipe: PipeId) -> bool {
        self.waiting.get(pipe).is_some()
    }

    /// Whether no lane is announced.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.ring.current().is_none()
    }

    /// Looks into lanes in turn until one gives a message or all were found empty.
    #[inline(always)]
    pub(crate) fn next_by(&mut self, mut look: impl FnMut(PipeId) -> Turn) -> Option<Origin> {
        while let Some(from) = self.ring.current() {
            match look(from) {
                Turn::Taken => {
                    self.ring.advance();
                    return Some(from.into());
                }
                Turn::Last => {
                    self.leave(from);
                    return Some(from.into());
                }
                Turn::Dropped => self.ring.advance(),
                Turn::Empty => self.leave(from),
            }
        }
        None
    }

    /// As [`next`](Inbound::next), of the messages whose first frame is wanted. Nearly all are, where their sender filters
    /// too: to look at the frame in the queue first was to look twice.
    #[inline(always)]
    pub(crate) fn next_wanted(
        &mut self,
        lanes: &mut impl Lanes,
        into: &mut Message,
        mut wants: impl FnMut(&[u8]) -> bool,
    ) -> Option<Origin> {
        let origin = self.next_by(|from| match lanes.pop(from, into) {
            false => Turn::Empty,
            true if wants(into.first()) => Turn::Taken,
            true => Turn::Dropped,
        });
        if origin.is_none() {
            // Whoever waits now must not hold what was not wanted.
            *into = Message::new();
        }
        origin
    }

    /// The lane whose turn it is turned out empty.
    fn leave(&mut self, lane: PipeId) {
        self.ring.leave();
        self.waiting.vacate(lane);
    }
}

impl Inbound for FairQueue {
    fn ready(&mut self, pipe: PipeId) {
        if self.waiting.get(pipe).is_none() {
            self.waiting.insert_at(pipe, ());
            self.ring.join(pipe);
        }
    }

    #[inline(always)]
    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin> {
        self.next_by(|from| if lanes.pop(from, into) { Turn::Taken } else { Turn::Empty })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::fake::{FakeLanes, pipe, receive};

    fn read(queue: &mut FairQueue, lanes: &mut FakeLanes) -> Vec<String> {
        std::iter::from_fn(|| receive(queue, lanes)).map(|(_, message)| message.to_text()).collect()
    }

    #[test]
    fn a_busy_lane_does_not_hold_up_a_quiet_one() {
        let mut lanes = FakeLanes::default();
        let mut queue = FairQueue::new();
        for text in ["a1", "a2", "a3"] {
            lanes.arrive(pipe(0), text);
        }
        lanes.arrive(pipe(1), "b1");
        queue.ready(pipe(0));
        queue.ready(pipe(1));
        assert_eq!(read(&mut queue, &mut lanes), ["a1", "b1", "a2", "a3"]);
    }

    #[test]
    fn a_lane_that_is_announced_twice_stands_in_the_ring_once() {
        let mut lanes = FakeLanes::default();
        let mut queue = FairQueue::new();
        for text in ["a1", "a2"] {
            lanes.arrive(pipe(0), text);
            queue.ready(pipe(0));
        }
        lanes.arrive(pipe(1), "b1");
        queue.ready(pipe(1));
        assert_eq!(read(&mut queue, &mut lanes), ["a1", "b1", "a2"]);
    }

    #[test]
    fn a_lane_that_is_known_to_be_drained_leaves_the_ring_and_may_join_again() {
        let mut lanes = FakeLanes::default();
        let mut queue = FairQueue::new();
        for (n, text) in [(0, "a1"), (1, "b1"), (1, "b2")] {
            lanes.arrive(pipe(n), text);
            queue.ready(pipe(n));
        }
        let next = |queue: &mut FairQueue, lanes: &mut FakeLanes| {
            let mut message = Message::new();
            let from = queue.next_by(|from| match lanes.pop(from, &mut message) {
                false => panic!("an empty lane was looked into"),
                true if lanes.is_drained(from) => Turn::Last,
                true => Turn::Taken,
            });
            from.map(|_| message.to_text())
        };
        let mut read = |lanes: &mut FakeLanes| [(); 3].map(|()| next(&mut queue, lanes));
        assert_eq!(read(&mut lanes), ["a1", "b1", "b2"].map(|text| Some(text.to_owned())));
        assert!(queue.is_idle());
        lanes.arrive(pipe(0), "a2");
        queue.ready(pipe(0));
        assert_eq!(next(&mut queue, &mut lanes).as_deref(), Some("a2"));
        assert!(queue.is_idle() && next(&mut queue, &mut lanes).is_none());
    }

    #[test]
    fn what_arrived_before_the_pipe_went_is_still_read() {
        let mut lanes = FakeLanes::default();
        let mut queue = FairQueue::new();
        lanes.arrive(pipe(0), "last words");
        queue.ready(pipe(0));
        queue.detach(pipe(0));
        let successor = PipeId::new(0, 1);
        lanes.arrive(successor, "hello");
        queue.ready(successor);
        assert_eq!(read(&mut queue, &mut lanes), ["last words", "hello"]);
    }

    proptest! {
        #[test]
        fn everything_is_read_once_and_each_lane_in_its_order(
            steps in prop::collection::vec((0_u32..5, any::<bool>()), 1..200),
        ) {
            let mut lanes = FakeLanes::default();
            let mut queue = FairQueue::new();
            let mut sent = vec![Vec::new(); 5];
            let mut got = vec![Vec::new(); 5];
            for (serial, (n, arrival)) in steps.into_iter().enumerate() {
                if arrival {
                    sent[n as usize].push(serial.to_string());
                    if lanes.arrive(pipe(n), &*serial.to_string()) {
                        queue.ready(pipe(n));
                    }
                } else if let Some((from, message)) = receive(&mut queue, &mut lanes) {
                    got[from.pipe.slot()].push(message.to_text());
                }
            }
            while let Some((from, message)) = receive(&mut queue, &mut lanes) {
                got[from.pipe.slot()].push(message.to_text());
            }
            prop_assert_eq!(sent, got);
        }

        #[test]
        fn full_lanes_are_read_evenly(lanes_count in 1_u32..20, reads in 0_u32..200) {
            let mut lanes = FakeLanes::default();
            let mut queue = FairQueue::new();
            for n in 0..lanes_count {
                for _ in 0..200 {
                    lanes.arrive(pipe(n), "m");
                }
                queue.ready(pipe(n));
            }
            let mut counts = vec![0; lanes_count as usize];
            for _ in 0..reads {
                counts[receive(&mut queue, &mut lanes).unwrap().0.pipe.slot()] += 1;
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
