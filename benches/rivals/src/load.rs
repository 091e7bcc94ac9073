//! What is sent and how it is checked, the same for every library.
//!
//! A throughput run lasts as long as the sender's clock says and ends with a marker that carries the count. Each
//! message before it carries its number, so that a lost, doubled or reordered one is found where it happens.

use std::time::{Duration, Instant};

use crate::Outcome;

/// How long a sender sends, and a requester asks.
const RUN: Duration = Duration::from_millis(1600);

/// The least that a receiver may have measured: the rest went to connecting.
const SHORTEST: Duration = Duration::from_millis(1500);

/// Round trips before the first one that counts.
const WARM_UP: u64 = 500;

/// The number of the message that ends a run.
const MARKER: u64 = u64::MAX;

/// What one process says of its run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Report {
    /// Messages, or round trips.
    pub(crate) count: u64,
    /// From the first to the last, at the receiver.
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// The sender's messages, one after the other.
pub(crate) struct Load {
    message: Vec<u8>,
    sent: u64,
    /// The clock is read once in so many messages, less one.
    mask: u64,
    deadline: Option<Instant>,
    over: bool,
}

impl Load {
    /// Messages of `size` bytes, at least 16.
    pub(crate) fn new(size: usize) -> Self {
        let stride = (64 * 1024 / size).clamp(1, 256).next_power_of_two() as u64;
        Self { message: vec![7; size], sent: 0, mask: stride - 1, deadline: None, over: false }
    }

    /// The next message, or `None` after the marker. Whoever sends it copies it.
    #[inline]
    pub(crate) fn draw(&mut self) -> Option<&[u8]> {
        if self.over {
            return None;
        }
        let mut number = self.sent;
        if number & self.mask == 0 {
            let now = Instant::now();
            if now >= *self.deadline.get_or_insert(now + RUN) {
                self.over = true;
                self.message[8..16].copy_from_slice(&(number + 1).to_le_bytes());
                number = MARKER;
            }
        }
        self.message[..8].copy_from_slice(&number.to_le_bytes());
        self.sent += 1;
        Some(&self.message)
    }

    pub(crate) fn report(&self) -> Report {
        Report { count: self.sent, ..Report::default() }
    }
}

/// The receiver's count.
pub(crate) struct Tally {
    size: usize,
    seen: u64,
    first: Option<Instant>,
}

impl Tally {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, seen: 0, first: None }
    }

    /// Counts a message; the marker gives the report.
    #[inline]
    pub(crate) fn take(&mut self, message: &[u8]) -> Outcome<Option<Report>> {
        let first = *self.first.get_or_insert_with(Instant::now);
        if message.len() != self.size {
            return Err(format!("a message of {} bytes, not {}", message.len(), self.size).into());
        }
        let number = number(message, 0);
        if number == self.seen {
            self.seen += 1;
            return Ok(None);
        }
        let elapsed = first.elapsed();
        if number != MARKER {
            return Err(format!("message {number} came where {} was due", self.seen).into());
        }
        let sent = number_of_sent(message);
        self.seen += 1;
        if sent != self.seen {
            return Err(format!("{sent} messages were sent, {} received", self.seen).into());
        }
        if elapsed < SHORTEST {
            return Err(format!("the run took {elapsed:?} at the receiver, less than {SHORTEST:?}").into());
        }
        Ok(Some(Report { count: sent, elapsed, ..Report::default() }))
    }
}

fn number(message: &[u8], at: usize) -> u64 {
    message.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn number_of_sent(marker: &[u8]) -> u64 {
    number(marker, 8)
}

/// The requester's round trips. The last request is empty, which tells the other side to stop.
pub(crate) struct Trips {
    question: Vec<u8>,
    asked: Instant,
    deadline: Instant,
    trips: u64,
    nanos: Vec<u64>,
}

impl Trips {
    pub(crate) fn new(size: usize) -> Self {
        let now = Instant::now();
        Self { question: vec![0; size], asked: now, deadline: now, trips: 0, nanos: Vec::new() }
    }

    /// The next request, or `None` when the time is over.
    #[inline]
    pub(crate) fn ask(&mut self) -> Option<&[u8]> {
        self.asked = Instant::now();
        if self.trips == WARM_UP {
            self.deadline = self.asked + RUN;
        }
        if self.trips > WARM_UP && self.asked >= self.deadline {
            return None;
        }
        let [low, ..] = self.trips.to_le_bytes();
        self.question.fill(low);
        Some(&self.question)
    }

    /// The reply to it.
    #[inline]
    pub(crate) fn answered(&mut self, reply: &[u8]) -> Outcome<()> {
        if self.trips >= WARM_UP {
            self.nanos.push(u64::try_from(self.asked.elapsed().as_nanos())?);
        }
        self.trips += 1;
        if reply != self.question {
            return Err(format!("reply {} is not an echo", self.trips).into());
        }
        Ok(())
    }

    pub(crate) fn report(&mut self) -> Outcome<Report> {
        self.nanos.sort_unstable();
        let at = |percent: usize| {
            let index = (self.nanos.len() * percent / 100).min(self.nanos.len().saturating_sub(1));
            self.nanos.get(index).copied().map(Duration::from_nanos).ok_or("no round trip was made")
        };
        Ok(Report { count: self.trips, elapsed: RUN, p50: at(50)?, p99: at(99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a receiver says of a run without the messages that `lost` names, `wait` after its first.
    fn received(lost: impl Fn(u64) -> bool, wait: Duration) -> Outcome<Option<Report>> {
        let (mut load, mut tally) = (Load::new(1024), Tally::new(1024));
        load.deadline = Some(Instant::now() + Duration::from_millis(20));
        let mut report = Ok(None);
        while let (Some(message), Ok(None)) = (load.draw(), &report) {
            if !lost(number(message, 0)) {
                report = tally.take(message);
                tally.first = Instant::now().checked_sub(wait);
            }
        }
        assert!(report.is_err() || load.over, "the marker ends the run");
        report
    }

    fn error(outcome: Outcome<Option<Report>>) -> String {
        outcome.expect_err("the run is not whole").to_string()
    }

    #[test]
    fn a_whole_run_counts_the_marker_too() {
        let report = received(|_| false, SHORTEST).unwrap().unwrap();
        assert!(report.count > 1 && report.elapsed >= SHORTEST, "{report:?}");
    }

    #[test]
    fn a_lost_message_is_an_error() {
        assert_eq!(error(received(|number| number == 5, SHORTEST)), "message 6 came where 5 was due");
    }

    #[test]
    fn losing_everything_behind_some_message_is_an_error() {
        let error = error(received(|number| number >= 5 && number != MARKER, SHORTEST));
        assert!(error.ends_with("messages were sent, 6 received"), "{error}");
    }

    #[test]
    fn a_short_run_is_an_error() {
        assert!(error(received(|_| false, Duration::ZERO)).contains("less than 1.5s"));
    }

    #[test]
    fn a_reply_that_is_no_echo_is_an_error() {
        let mut trips = Trips::new(1);
        assert!(trips.ask().is_some());
        assert!(trips.answered(&[1]).is_err());
    }
}
