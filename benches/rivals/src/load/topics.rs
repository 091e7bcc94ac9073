//! Many prefixes, as a telemetry system has them, and how long it takes until a publisher knows them.

use std::time::Instant;

use super::{Metric, Report, Tally};
use crate::Outcome;
use crate::job::Job;
use crate::usage::resident_kib;

const AREAS: [&str; 4] = ["north", "south", "east", "west"];
const KINDS: [&str; 3] = ["temp", "wind", "humidity"];

/// Distinct topics of 16 to 21 bytes, none of them a prefix of another.
pub(crate) struct Topics(Vec<Vec<u8>>);

impl Topics {
    pub(crate) fn new(job: &Job) -> Self {
        let topic = |number: usize| {
            let (area, kind) = (AREAS[number % AREAS.len()], KINDS[number % KINDS.len()]);
            format!("{area}/{number:06}/{kind}").into_bytes()
        };
        Self((0..job.cell.peers).map(topic).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The topic that is subscribed to last.
    pub(crate) fn last(&self) -> &[u8] {
        self.0.last().map_or(&[], Vec::as_slice)
    }

    /// Topics in an order that no cache foresees; each comes once in as many numbers.
    pub(super) fn scattered(&self, number: u64) -> &[u8] {
        /// A prime, so that it shares no factor with the number of topics.
        const STEP: u64 = 48_611;
        let index = number.wrapping_mul(STEP) % self.0.len() as u64;
        usize::try_from(index).ok().and_then(|index| self.0.get(index)).map_or(&[], Vec::as_slice)
    }
}

/// The publisher's memory, from before it is bound.
pub(crate) struct Publishing {
    before_kib: f64,
}

impl Publishing {
    pub(crate) fn start() -> Outcome<Self> {
        Ok(Self { before_kib: resident_kib()? })
    }

    /// All prefixes are known.
    pub(crate) fn done(&self) -> Outcome<Published> {
        Ok(Published { mib: (resident_kib()? - self.before_kib) / 1024.0 })
    }
}

pub(crate) struct Published {
    mib: f64,
}

impl Published {
    pub(crate) fn report(&self, report: Report) -> Report {
        report.with(Metric::Mib, self.mib)
    }
}

/// The subscriber's clock, from its first subscription to the first message that matches its last one; and then
/// its count.
pub(crate) struct Subscriber {
    started: Instant,
    seconds: Option<f64>,
    tally: Tally,
    job: Job,
}

impl Subscriber {
    pub(crate) fn start(job: &Job) -> Self {
        Self { started: Instant::now(), seconds: None, tally: Tally::new(job), job: job.clone() }
    }

    /// As [`Tally::take`]. The first message is a probe, which the publisher sends until it is told to stop.
    #[inline]
    pub(crate) fn take(&mut self, message: &[u8]) -> Outcome<Option<Report>> {
        let seconds = *self.seconds.get_or_insert_with(|| {
            self.job.tell();
            self.started.elapsed().as_secs_f64()
        });
        let report = self.tally.take(message)?;
        Ok(report.map(|report| report.with(Metric::Seconds, seconds)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_topic_is_drawn_once_in_a_round() {
        let topics = Topics::new(&Job::of("prefixes/tcp/100000"));
        let drawn = (0..100_000).map(|number| topics.scattered(number)).collect::<HashSet<_>>();
        assert_eq!(drawn.len(), 100_000);
        assert!(drawn.iter().all(|topic| (16..=21).contains(&topic.len())));
        assert_eq!(topics.last(), b"west/099999/temp");
    }
}
