//! Many peers that come to one socket: how fast they are there, what they cost, and whether each is served.

use std::time::{Duration, Instant};

use super::rotation::BURST;
use super::{Metric, Report, Tally};
use crate::Outcome;
use crate::job::Job;
use crate::usage::{cpu_time, resident_kib};

/// How long everything rests before memory is looked at.
pub(crate) const SETTLE: Duration = Duration::from_millis(300);

/// The first messages that are looked at for fairness, per peer.
const LOOK: u64 = BURST / 10;

/// The bound side. Made before it binds.
pub(crate) struct Gathering {
    peers: usize,
    here: usize,
    /// When the first and the last peer were ready.
    span: Option<(Instant, Instant)>,
    received: u64,
    base_kib: f64,
    idle_kib: f64,
    least_share: Option<f64>,
}

impl Gathering {
    pub(crate) fn new(job: &Job) -> Outcome<Self> {
        let (peers, base_kib) = (job.cell.peers, resident_kib()?);
        Ok(Self { peers, here: 0, received: 0, span: None, base_kib, idle_kib: 0.0, least_share: None })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.here >= self.peers
    }

    /// A peer's handshake is over.
    pub(crate) fn arrived(&mut self) {
        self.are_here(self.here + 1);
    }

    /// So many peers are ready now.
    pub(crate) fn are_here(&mut self, peers: usize) {
        let now = Instant::now();
        self.here = peers;
        if peers > 0 {
            self.span = Some((self.span.map_or(now, |(first, _)| first), now));
        }
    }

    /// Looks at the memory that idle peers cost.
    pub(crate) fn idle(&mut self) -> Outcome<()> {
        self.idle_kib = self.kib_per_peer()?;
        Ok(())
    }

    /// Looks whether messages come from all peers alike. Called after each one.
    #[inline]
    pub(crate) fn watch(&mut self, tally: &Tally) {
        self.received += 1;
        if self.received == LOOK * self.peers as u64 {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let share = tally.least() as f64 / LOOK as f64;
            self.least_share = Some(share);
        }
    }

    /// Looks at the memory again, when all has been received.
    pub(crate) fn report(&self, report: Report) -> Outcome<Report> {
        let after = self.kib_per_peer()?;
        let least = self.least_share.ok_or("too few messages to look at their fairness")?;
        let counted = self.peers.saturating_sub(1) as u64;
        Ok(Report { span: self.span, counted, ..report }
            .with(Metric::IdleKib, self.idle_kib)
            .with(Metric::AfterKib, after)
            .with(Metric::LeastShare, least))
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of peers")]
    fn kib_per_peer(&self) -> Outcome<f64> {
        Ok((resident_kib()? - self.base_kib).max(0.0) / self.peers as f64)
    }
}

/// What this process does with CPU time while there is nothing to do.
pub(crate) struct Idle {
    cpu: Duration,
}

impl Idle {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu_time() }
    }

    pub(crate) fn report(&self) -> Report {
        let spent = cpu_time().saturating_sub(self.cpu);
        Report::default().with(Metric::IdleCpuMs, spent.as_secs_f64() * 1e3)
    }
}
