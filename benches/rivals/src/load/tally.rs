//! A receiver's count: of one sender or of many, each in its own order.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::lossy::Gaps;
use super::stamp::{Mark, STAMP, Stamp};
use super::{Pace, Report, Start};
use crate::Outcome;
use crate::cell::Pattern;
use crate::job::Job;

/// What one socket has received.
pub(crate) struct Tally {
    size: usize,
    /// Of each sender.
    seen: Vec<u64>,
    ended: usize,
    start: Option<(Start, u64)>,
    pace: Pace,
    /// Whether the run has no clock: it ends when a number of messages is there.
    is_burst: bool,
    audience: Option<Arc<Audience>>,
    /// Where messages may be lost.
    gaps: Option<Gaps>,
}

impl Tally {
    pub(crate) fn new(job: &Job) -> Self {
        let cell = job.cell;
        let is_shared = cell.pattern == Pattern::Shared;
        Self {
            size: if is_shared { STAMP } else { cell.size },
            seen: vec![0; cell.senders()],
            ended: 0,
            start: None,
            pace: job.pace,
            is_burst: cell.pattern == Pattern::Connect,
            audience: None,
            gaps: cell.is_lossy().then(|| Gaps::new(job)),
        }
    }

    /// Counts a message; the last one gives the report.
    #[inline]
    pub(crate) fn take(&mut self, message: &[u8]) -> Outcome<Option<Report>> {
        let stamp = Stamp::of(message).filter(|_| message.len() == self.size);
        let Some(stamp) = stamp else { return Err(self.stranger(message)) };
        let seen = self.seen.get_mut(stamp.sender as usize);
        if stamp.mark == Mark::Plain
            && let Some(seen) = seen
            && *seen == stamp.number
        {
            *seen += 1;
            return Ok(None);
        }
        self.take_marked(stamp)
    }

    /// As [`take`](Self::take), for a number and the body that all messages share.
    pub(crate) fn take_shared(&mut self, job: &Job, number: &[u8], body: &[u8]) -> Outcome<Option<Report>> {
        if body.len() != job.cell.size {
            return Err(format!("a body of {} bytes, not {}", body.len(), job.cell.size).into());
        }
        self.take(number)
    }

    /// How many messages have been received from the sender that got least.
    pub(crate) fn least(&self) -> u64 {
        self.seen.iter().copied().min().unwrap_or(0)
    }

    /// How many messages have been received.
    pub(crate) fn total(&self) -> u64 {
        self.seen.iter().sum()
    }

    #[cold]
    fn take_marked(&mut self, stamp: Stamp) -> Outcome<Option<Report>> {
        if let Some(gaps) = &mut self.gaps {
            let seen = &mut self.seen[0];
            gaps.pass(seen, stamp.number)?;
            return Ok((stamp.mark == Mark::Look).then(|| gaps.look(*seen)).flatten());
        }
        let Stamp { number, sender, mark } = stamp;
        if mark == Mark::Probe {
            if let Some(audience) = self.audience.take() {
                audience.hears();
            }
            return Ok(None);
        }
        let seen = self.seen.get_mut(sender as usize).ok_or_else(|| format!("no sender {sender}"))?;
        if *seen != number {
            return Err(format!("message {number} of sender {sender} came where {seen} was due").into());
        }
        *seen += 1;
        match mark {
            Mark::Start => self.start = Some((Start::now(), self.total())),
            Mark::End => self.ended += 1,
            Mark::Plain | Mark::Probe | Mark::Look => {}
        }
        if self.ended < self.seen.len() { Ok(None) } else { self.report().map(Some) }
    }

    fn report(&self) -> Outcome<Report> {
        let total = self.total();
        let Some((start, before)) = self.start else {
            let plain = self.is_burst.then(|| Report::plain(total, None));
            return plain.ok_or_else(|| "the run ended before it was warm".into());
        };
        let end = Instant::now();
        let (elapsed, least) = (end - start.at, self.pace.shortest());
        if elapsed < least {
            return Err(Short { elapsed, least }.into());
        }
        Ok(Report::timed(total, total - before, start, end))
    }

    #[cold]
    fn stranger(&self, message: &[u8]) -> Box<dyn Error + Send + Sync> {
        format!("a message of {} bytes that nobody sent; {} are due", message.len(), self.size).into()
    }
}

/// A run that took the receiver too little time to say anything, since its first message waited longer than its
/// last one. Nothing is wrong but the length of the run.
#[derive(Debug)]
pub(crate) struct Short {
    elapsed: Duration,
    least: Duration,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run took {:?} at the receiver, less than {:?}", self.elapsed, self.least)
    }
}

impl Error for Short {}

/// Subscribers that wait until each of them hears the publisher, which probes until then.
pub(crate) struct Audience {
    deaf: AtomicUsize,
    job: Job,
}

impl Audience {
    /// A tally for each subscriber. When all have heard a probe, the publisher is told.
    pub(crate) fn gather(job: &Job) -> Vec<Tally> {
        let audience = Arc::new(Self { deaf: AtomicUsize::new(job.cell.peers), job: job.clone() });
        let tally = |_| Tally { audience: Some(Arc::clone(&audience)), ..Tally::new(job) };
        (0..job.cell.peers).map(tally).collect()
    }

    fn hears(&self) {
        if self.deaf.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.job.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Load, Rotation};
    use super::*;

    /// What a receiver says of a run without the messages that `lost` names; its clock started `wait` earlier.
    fn received(lost: impl Fn(u64) -> bool, wait: Duration) -> Outcome<Option<Report>> {
        let mut job = Job::of("push_pull/tcp/1024");
        job.pace.warm_up = Duration::from_millis(10);
        job.pace.run = Duration::from_millis(18);
        let (mut load, mut tally) = (Load::new(&job), Tally::new(&job));
        let mut report = Ok(None);
        while let (Some(message), Ok(None)) = (load.draw(), &report) {
            if !lost(Stamp::of(message).unwrap().number) {
                report = tally.take(message);
                if let Some((start, 0..)) = &mut tally.start {
                    start.at = Instant::now().checked_sub(wait).unwrap();
                }
            }
        }
        report
    }

    fn error(outcome: Outcome<Option<Report>>) -> String {
        outcome.expect_err("the run is not whole").to_string()
    }

    const LONG: Duration = Duration::from_millis(10);

    #[test]
    fn a_whole_run_counts_what_came_after_it_was_warm() {
        let report = received(|_| false, LONG).unwrap().unwrap();
        assert!(report.counted > 0 && report.total > report.counted + 1, "{report:?}");
        assert!(report.span.is_some_and(|(from, to)| to - from >= LONG), "{report:?}");
    }

    #[test]
    fn a_lost_message_is_an_error() {
        let error = error(received(|number| number == 5, LONG));
        assert_eq!(error, "message 6 of sender 0 came where 5 was due");
    }

    #[test]
    fn a_run_that_is_short_at_the_receiver_is_an_error() {
        assert!(error(received(|_| false, Duration::ZERO)).contains("less than 9ms"));
    }

    #[test]
    fn what_nobody_sent_is_an_error() {
        let mut tally = Tally::new(&Job::of("push_pull/tcp/64"));
        assert!(tally.take(&[0; 63]).is_err());
        assert!(tally.take(&[7; 64]).is_err());
        let mut message = [0; 64];
        Stamp { number: 0, sender: 1, mark: Mark::Plain }.put(&mut message);
        assert_eq!(tally.take(&message).unwrap_err().to_string(), "no sender 1");
    }

    #[test]
    fn a_crowd_is_counted_sender_by_sender_until_all_have_ended() {
        let job = Job::of("connect/tcp/2000");
        let (mut load, mut tally) = (Rotation::new(&job), Tally::new(&job));
        let mut report = None;
        while let Some((_, message)) = load.draw() {
            assert!(report.is_none(), "one is left");
            report = tally.take(message).unwrap();
        }
        let report = report.expect("all have ended");
        assert_eq!((report.total, tally.least()), (2_000_000, 1000));
        assert_eq!(load.report().total, report.total);
    }
}
