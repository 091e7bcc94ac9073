//! Counting where messages may be lost: what was lost is counted too, and the receiver has the clock.
//!
//! Invariant: nothing comes twice, and nothing after what was sent later.

use std::time::Instant;

use super::{Metric, Pace, Report, Start};
use crate::Outcome;
use crate::job::Job;

/// What did not come from the one sender, and the clock.
pub(super) struct Gaps {
    /// The sender is told when it is enough.
    job: Job,
    lost: u64,
    /// When the first mark came.
    began: Option<Instant>,
    /// The start of what counts, with all that was received and lost before.
    start: Option<(Start, u64, u64)>,
}

impl Gaps {
    pub(super) fn new(job: &Job) -> Self {
        Self { job: job.clone(), lost: 0, began: None, start: None }
    }

    /// A message comes where `due` was due.
    pub(super) fn pass(&mut self, due: &mut u64, number: u64) -> Outcome<()> {
        let missed = number.checked_sub(*due);
        let missed = missed.ok_or_else(|| format!("message {number} came where {due} was due"))?;
        self.lost += missed;
        *due = number + 1;
        Ok(())
    }

    /// Looks at the clock; when the time is over, the sender is told. `passed` messages were received or lost.
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 messages")]
    pub(super) fn look(&mut self, passed: u64) -> Option<Report> {
        let Pace { warm_up, run } = self.job.pace;
        let (now, received) = (Instant::now(), passed - self.lost);
        let Some((start, before, lost)) = self.start else {
            if now - *self.began.get_or_insert(now) >= warm_up {
                self.start = Some((Start::now(), received, self.lost));
            }
            return None;
        };
        if now - start.at < run {
            return None;
        }
        self.job.tell();
        let (counted, lost) = (received - before, self.lost - lost);
        let share = lost as f64 / (counted + lost).max(1) as f64;
        Some(Report::timed(received, counted, start, now).with(Metric::Lost, share))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Load, Tally};
    use super::*;

    /// What a receiver says that misses one message in `every`.
    fn received(every: usize) -> Report {
        let mut job = Job::of("push_pull/udp/64");
        (job.pace.warm_up, job.pace.run) = (Pace::QUICK.warm_up / 20, Pace::QUICK.run / 20);
        let (mut load, mut tally) = (Load::new(&job), Tally::new(&job));
        for turn in 1_usize.. {
            let message = load.draw().expect("nobody says that it is over");
            if turn.is_multiple_of(every) {
                continue;
            }
            if let Some(report) = tally.take(message).unwrap() {
                return report;
            }
        }
        unreachable!()
    }

    #[test]
    fn what_is_lost_is_no_error_and_is_counted() {
        let report = received(3);
        let [(Metric::Lost, share)] = report.metrics[..] else { panic!("{report:?}") };
        assert!((share - 1.0 / 3.0).abs() < 0.01 && report.counted > 0, "{report:?}");
        let [(Metric::Lost, share)] = received(usize::MAX).metrics[..] else { panic!("no share") };
        assert!(share.abs() < f64::EPSILON);
    }

    #[test]
    fn what_comes_twice_is_an_error() {
        let mut gaps = Gaps::new(&Job::of("push_pull/udp/64"));
        let mut due = 0;
        gaps.pass(&mut due, 4).unwrap();
        assert_eq!((gaps.lost, due), (4, 5));
        assert!(gaps.pass(&mut due, 4).is_err());
    }
}
