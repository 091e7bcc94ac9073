//! What a process says of its run: a [`Report`] while it runs, a [`Summary`] on the line it prints.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::Start;
use crate::Outcome;

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Messages, requests or connections per second.
    Rate,
    /// Round trips, µs.
    P50,
    P99,
    /// CPU time in µs per message, both processes.
    Cpu,
    /// Memory of the bound side per peer, KiB, before any message.
    IdleKib,
    /// The same after all messages.
    AfterKib,
    /// What the least served peer got of the first messages, by its fair share.
    LeastShare,
    /// Until all prefixes are known.
    Seconds,
    /// Memory of the publisher for its prefixes.
    Mib,
    /// CPU time of both processes while nothing happens.
    IdleCpuMs,
    /// The part of what was sent that did not arrive.
    Lost,
}

impl Metric {
    pub(crate) const ALL: [Self; 11] = [
        Self::Rate,
        Self::P50,
        Self::P99,
        Self::Cpu,
        Self::IdleKib,
        Self::AfterKib,
        Self::LeastShare,
        Self::Seconds,
        Self::Mib,
        Self::IdleCpuMs,
        Self::Lost,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Cpu => "cpu_us_per_msg",
            Self::IdleKib => "idle_kib",
            Self::AfterKib => "after_kib",
            Self::LeastShare => "least_share",
            Self::Seconds => "add_seconds",
            Self::Mib => "mib",
            Self::IdleCpuMs => "idle_cpu_ms",
            Self::Lost => "lost_share",
        }
    }

    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Self::Rate | Self::LeastShare)
    }
}

/// What one side has to say of its run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// All messages, or round trips. Both sides must agree on it.
    pub(crate) total: u64,
    /// Those of the measured time, on the side that measures.
    pub(crate) counted: u64,
    /// The measured time, if there is a rate to be had from it.
    pub(crate) span: Option<(Instant, Instant)>,
    /// CPU time of this process when it was warm.
    pub(crate) warm_cpu: Option<Duration>,
    pub(crate) metrics: Vec<(Metric, f64)>,
}

impl Report {
    /// Of a side that only counts.
    pub(super) fn plain(total: u64, start: Option<Duration>) -> Self {
        Self { total, warm_cpu: start, ..Self::default() }
    }

    pub(super) fn timed(total: u64, counted: u64, start: Start, end: Instant) -> Self {
        let span = Some((start.at, end));
        Self { total, counted, span, warm_cpu: Some(start.cpu), ..Self::default() }
    }

    pub(super) fn with(mut self, metric: Metric, value: f64) -> Self {
        self.metrics.push((metric, value));
        self
    }

    /// The two sides of a run, in one process.
    pub(crate) fn both(a: Self, b: Self) -> Outcome<Self> {
        if a.total != b.total {
            return Err(format!("one side counts {}, the other {}", a.total, b.total).into());
        }
        let total = a.total;
        Ok(Self { total, ..[a, b].into_iter().collect() })
    }

    /// Peers of one process that all received the same.
    pub(crate) fn audience(reports: Vec<Self>) -> Outcome<Self> {
        let total = reports.first().map_or(0, |report| report.total);
        if let Some(other) = reports.iter().find(|report| report.total != total) {
            return Err(format!("one subscriber counts {total}, another {}", other.total).into());
        }
        Ok(Self { total, ..reports.into_iter().collect() })
    }

    #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 messages")]
    pub(crate) fn summary(&self, cpu: Duration) -> Summary {
        let mut metrics = self.metrics.clone();
        if let Some((from, to)) = self.span {
            let seconds = to.saturating_duration_since(from).as_secs_f64();
            metrics.push((Metric::Rate, self.counted as f64 / seconds));
        }
        let cpu = cpu.saturating_sub(self.warm_cpu.unwrap_or_default()).as_secs_f64();
        Summary { total: self.total, counted: self.counted, cpu, metrics }
    }
}

/// Several peers of one process, side by side.
impl FromIterator<Self> for Report {
    fn from_iter<I: IntoIterator<Item = Self>>(reports: I) -> Self {
        reports.into_iter().fold(Self::default(), |mut all, one| {
            all.total += one.total;
            all.counted += one.counted;
            all.span = match (all.span, one.span) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
            all.warm_cpu = match (all.warm_cpu, one.warm_cpu) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            all.metrics.extend(one.metrics);
            all
        })
    }
}

/// A report as one process tells it to another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    pub(crate) total: u64,
    pub(crate) counted: u64,
    /// CPU seconds from when the process was warm.
    pub(crate) cpu: f64,
    pub(crate) metrics: Vec<(Metric, f64)>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.total, self.counted, self.cpu)?;
        self.metrics.iter().try_for_each(|(metric, value)| write!(f, " {}={value}", metric.name()))
    }
}

impl FromStr for Summary {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(line: &str) -> Outcome<Self> {
        let mut words = line.split(' ');
        let mut word = || words.next().ok_or_else(|| format!("no report: {line:?}"));
        let (total, counted, cpu) = (word()?.parse()?, word()?.parse()?, word()?.parse()?);
        let metrics = words.map(|word| {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("no report: {line:?}"))?;
            let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name);
            Ok((metric.ok_or_else(|| format!("no figure {name:?}"))?, value.parse()?))
        });
        Ok(Self { total, counted, cpu, metrics: metrics.collect::<Outcome<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read_back() {
        let start = Start { at: Instant::now(), cpu: Duration::from_secs(1) };
        let report =
            Report::timed(1200, 1000, start, start.at + Duration::from_secs(2)).with(Metric::P99, 1.5);
        let summary = report.summary(Duration::from_millis(1500));
        assert_eq!(summary.to_string(), "1200 1000 0.5 p99=1.5 rate=500");
        assert_eq!(summary.to_string().parse::<Summary>().unwrap(), summary);
        for broken in ["", "1 2", "1 2 x", "1 2 3 p99", "1 2 3 p98=1"] {
            assert!(broken.parse::<Summary>().is_err(), "{broken:?}");
        }
    }

    #[test]
    fn peers_of_one_process_add_up_over_the_time_they_share() {
        let from = Instant::now();
        let report = |start, end| {
            let at = |seconds| from + Duration::from_secs(seconds);
            Report::timed(60, 50, Start { at: at(start), cpu: Duration::ZERO }, at(end))
        };
        let all = [report(1, 3), report(2, 5)].into_iter().collect::<Report>();
        assert_eq!((all.total, all.counted), (120, 100));
        assert_eq!(all.summary(Duration::ZERO).metrics, [(Metric::Rate, 25.0)]);
    }

    #[test]
    fn two_sides_that_do_not_agree_are_an_error() {
        let side = |total| Report::plain(total, None);
        assert!(Report::both(side(5), side(6)).is_err());
        assert_eq!(Report::both(side(5), side(5)).unwrap().total, 5);
    }
}
