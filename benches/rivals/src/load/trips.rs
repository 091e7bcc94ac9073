//! Round trips, one at a time, and the side that answers.

use std::time::{Duration, Instant};

use super::{Metric, Pace, Report};
use crate::Outcome;
use crate::job::Job;
use crate::usage::cpu_time;

/// The least number of round trips before the first one that counts.
const WARM_UP: u64 = 500;

/// The first byte of the first request that counts. No other request starts with it.
pub(super) const STARTER: u8 = u8::MAX;

/// The requester's round trips. The last request is empty, which tells the other side to stop.
pub(crate) struct Trips {
    question: Vec<u8>,
    asked: Instant,
    deadline: Instant,
    pace: Pace,
    trips: u64,
    /// CPU time when the first trip that counts began.
    warm: Option<Duration>,
    nanos: Vec<u64>,
}

impl Trips {
    pub(crate) fn new(job: &Job) -> Self {
        let now = Instant::now();
        Self {
            question: vec![0; job.cell.size],
            asked: now,
            deadline: now + job.pace.warm_up,
            pace: job.pace,
            trips: 0,
            warm: None,
            nanos: Vec::with_capacity(1 << 22),
        }
    }

    /// The next request, or `None` when the time is over.
    #[inline]
    pub(crate) fn ask(&mut self) -> Option<&[u8]> {
        let byte = u8::try_from(self.trips % u64::from(STARTER)).unwrap_or(0);
        self.question.fill(byte);
        if self.trips >= WARM_UP && self.asked >= self.deadline {
            if self.warm.is_some() {
                return None;
            }
            self.question.fill(STARTER);
            self.warm = Some(cpu_time());
            self.asked = Instant::now();
            self.deadline = self.asked + self.pace.run;
        }
        Some(&self.question)
    }

    /// The reply to it. The next request is taken to leave at once, so that the clock is read once a trip.
    #[inline]
    pub(crate) fn answered(&mut self, reply: &[u8]) -> Outcome<()> {
        let now = Instant::now();
        if self.warm.is_some() {
            self.nanos.push(u64::try_from((now - self.asked).as_nanos())?);
        }
        self.asked = now;
        self.trips += 1;
        if reply != self.question {
            return Err(format!("reply {} is not an echo", self.trips).into());
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a trip")]
    pub(crate) fn report(&mut self) -> Outcome<Report> {
        self.nanos.sort_unstable();
        let at = |percent: usize| {
            let nanos = self.nanos.get(self.nanos.len() * percent / 100);
            nanos.map(|nanos| *nanos as f64 / 1e3).ok_or("no round trip was made")
        };
        let report = Report { counted: self.nanos.len() as u64, ..Report::plain(self.trips, self.warm) };
        Ok(report.with(Metric::P50, at(50)?).with(Metric::P99, at(99)?))
    }
}

/// The side that answers.
#[derive(Debug, Default)]
pub(crate) struct Served {
    count: u64,
    warm: Option<Duration>,
}

impl Served {
    /// Counts a request that is to be answered with itself; `None` for the one that ends the run.
    #[inline]
    pub(crate) fn serve(&mut self, request: &[u8]) -> Option<()> {
        let first = request.first()?;
        if *first == STARTER && self.warm.is_none() {
            self.warm = Some(cpu_time());
        }
        self.count += 1;
        Some(())
    }

    pub(crate) fn report(&self) -> Report {
        Report::plain(self.count, self.warm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_count_every_trip_and_know_when_it_is_warm() {
        let mut job = Job::of("req_rep/tcp/1/free");
        job.pace = Pace { warm_up: Duration::from_millis(2), run: Duration::from_millis(5) };
        let (mut trips, mut served) = (Trips::new(&job), Served::default());
        while let Some(question) = trips.ask().map(<[u8]>::to_vec) {
            served.serve(&question).expect("a question");
            trips.answered(&question).unwrap();
        }
        assert!(served.serve(&[]).is_none());
        let report = trips.report().unwrap();
        assert_eq!(served.report().total, report.total);
        assert!(served.warm.is_some());
        assert!(report.total >= WARM_UP + report.counted && report.counted > 0, "{report:?}");
        assert!(matches!(report.metrics[..], [(Metric::P50, p50), (Metric::P99, p99)] if p50 <= p99));
    }

    #[test]
    fn a_reply_that_is_no_echo_is_an_error() {
        let mut trips = Trips::new(&Job::of("req_rep/tcp/1/free"));
        assert!(trips.ask().is_some());
        assert!(trips.answered(&[1]).is_err());
    }
}
