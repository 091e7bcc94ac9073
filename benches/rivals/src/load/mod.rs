//! What is sent and how it is checked, the same for every library.
//!
//! Sending sides *draw* their messages here, receiving sides hand each one in, and both end with a [`Report`].
//! Every message says who sent it and the how-manieth it is, so that a lost, doubled or reordered one is found
//! where it happens. The sender's clock says when a run is warm and when it is over; it tells the other side by
//! a mark in the message at that point, so that both sides measure the same messages. Where messages may be lost the
//! receiver's clock says so, and it tells the sender.

mod clients;
mod gathering;
mod lossy;
mod report;
mod rotation;
mod stamp;
mod stream;
mod tally;
mod topics;
mod trips;

use std::time::{Duration, Instant};

pub(crate) use clients::{Client, Clients, IN_FLIGHT, Next};
pub(crate) use gathering::{Gathering, Idle, SETTLE};
pub(crate) use report::{Metric, Report, Summary};
pub(crate) use rotation::Rotation;
use stamp::Mark;
pub(crate) use stream::Load;
pub(crate) use tally::{Audience, Short, Tally};
pub(crate) use topics::{Publishing, Subscriber, Topics};
pub(crate) use trips::{Served, Trips};

use crate::usage::cpu_time;

/// Between a publisher's probes.
pub(crate) const PROBES: Duration = Duration::from_millis(1);

/// How long the parts of a run last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Before the clock starts.
    pub(crate) warm_up: Duration,
    /// What counts.
    pub(crate) run: Duration,
}

impl Pace {
    pub(crate) const FULL: Self =
        Self { warm_up: Duration::from_millis(300), run: Duration::from_millis(1900) };
    pub(crate) const QUICK: Self =
        Self { warm_up: Duration::from_millis(100), run: Duration::from_millis(400) };

    /// How long idle connections are watched.
    pub(crate) fn idle(self) -> Duration {
        self.run * 3
    }

    /// The least that a receiver may have measured: its first and last message may have waited differently long.
    fn shortest(self) -> Duration {
        const ENOUGH: Duration = Duration::from_millis(1500);
        if self.run > ENOUGH { ENOUGH } else { self.run / 2 }
    }
}

/// A sender's clock.
#[derive(Debug)]
struct Clock {
    pace: Pace,
    next: Option<Instant>,
    is_warm: bool,
    is_over: bool,
    cpu: Duration,
}

impl Clock {
    fn new(pace: Pace) -> Self {
        Self { pace, next: None, is_warm: false, is_over: false, cpu: Duration::ZERO }
    }

    /// The mark that the next message gets.
    #[cold]
    fn look(&mut self) -> Mark {
        let now = Instant::now();
        let next = *self.next.get_or_insert(now + self.pace.warm_up);
        if now < next {
            return Mark::Plain;
        }
        if self.is_warm {
            self.is_over = true;
            return Mark::End;
        }
        self.is_warm = true;
        self.next = Some(now + self.pace.run);
        self.cpu = cpu_time();
        Mark::Start
    }

    /// As [`look`](Self::look), where the receiver says when it is over.
    #[cold]
    fn look_on(&mut self, is_over: bool) -> Mark {
        self.is_over = is_over;
        let now = Instant::now();
        if !self.is_warm && now >= *self.next.get_or_insert(now + self.pace.warm_up) {
            self.is_warm = true;
            self.cpu = cpu_time();
        }
        Mark::Look
    }
}

/// The moment a measured time starts.
#[derive(Debug, Clone, Copy)]
struct Start {
    at: Instant,
    cpu: Duration,
}

impl Start {
    fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_time() }
    }
}
