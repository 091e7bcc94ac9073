//! What has to be reached, cell by cell, and whether it is.
//!
//! A target holds a figure of zocket against another one of the same run. The median over the pairs decides.

use std::fmt;

use crate::load::Metric;
use crate::rivals::OURS;
use crate::row::Row;

use Bound::{AtLeast, AtMost};
use Than::{AboveBare, Absolute, Bare, Best, Libzmq, OtherFlavour, Rival};

/// What zocket's figure is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Than {
    /// × libzmq, its better marks.
    Libzmq,
    /// × the best of the other rivals.
    Rival,
    /// × the best of libzmq and the other rivals.
    Best,
    /// × a bare loop on the same flavour of runtime.
    Bare,
    /// The same, as a difference.
    AboveBare,
    /// zocket's worse flavour × its better one.
    OtherFlavour,
    /// The figure itself.
    Absolute,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone)]
struct Target {
    cell: String,
    metric: Metric,
    than: Than,
    bound: Bound,
    /// Enough as well, where the machine leaves no more room.
    or: Option<(Than, Bound)>,
}

impl Target {
    fn new(cell: impl Into<String>, metric: Metric, than: Than, bound: Bound) -> Self {
        Self { cell: cell.into(), metric, than, bound, or: None }
    }

    fn or(self, than: Than, bound: Bound) -> Self {
        Self { or: Some((than, bound)), ..self }
    }

    /// All of them.
    fn all() -> Vec<Self> {
        use Metric::{AfterKib, Cpu, IdleCpuMs, IdleKib, LeastShare, Mib, P50, Rate, Seconds};
        let mut all = Vec::new();
        let mut add = |cell: &str, metric, than, bound| all.push(Self::new(cell, metric, than, bound));
        for cell in ["push_pull/inproc/64", "push_pull/inproc/4096"] {
            add(cell, Rate, Libzmq, AtLeast(3.0));
            add(cell, Rate, Bare, AtLeast(1.0));
            add(cell, Rate, OtherFlavour, AtLeast(0.6));
        }
        for transport in ["tcp", "ipc"] {
            let pinned = format!("req_rep/{transport}/1/pinned");
            add(&pinned, P50, AboveBare, AtMost(2.0));
            add(&pinned, P50, Libzmq, AtMost(0.4));
            add(&pinned, P50, Rival, AtMost(1.0));
            let free = format!("req_rep/{transport}/1/free");
            add(&free, P50, Bare, AtMost(1.05));
            add(&free, P50, Libzmq, AtMost(0.8));
            add(&format!("req_rep/{transport}/1/busy"), P50, Libzmq, AtMost(0.3));
        }
        add("req_rep/inproc/1", P50, Absolute, AtMost(1.0));
        add("push_pull/tcp/64", Cpu, Libzmq, AtMost(0.5));
        add("router/tcp/64x64", Rate, Best, AtLeast(1.7));
        add("crowd/tcp/64x1000", Rate, Libzmq, AtLeast(2.0));
        add("connect/tcp/2000", Rate, Libzmq, AtLeast(1.0));
        add("connect/tcp/2000", IdleKib, Absolute, AtMost(6.0));
        add("connect/tcp/2000", AfterKib, Absolute, AtMost(6.0));
        add("connect/tcp/2000", LeastShare, Absolute, AtLeast(0.5));
        add("prefixes/tcp/100000", Seconds, Libzmq, AtMost(1.0));
        add("prefixes/tcp/100000", Mib, Absolute, AtMost(10.0));
        add("prefixes/tcp/100000", Rate, Libzmq, AtLeast(2.0));
        add("idle/tcp/100", IdleCpuMs, Absolute, AtMost(10.0));
        all.extend(Self::streams());
        for size in [1024, 4096, 32_768, 262_144, 1_048_576] {
            all.push(Self::new(format!("push_pull/quic/{size}"), Rate, Bare, AtLeast(0.85)));
        }
        for size in [64, 1024, 4096, 32_768] {
            all.push(Self::new(format!("push_pull/quic/{size}"), Rate, Rival, AtLeast(1.0)));
        }
        for size in [64, 1200] {
            all.push(Self::new(format!("push_pull/udp/{size}"), Rate, Bare, AtLeast(0.8)));
        }
        for size in [64, 1024, 4096] {
            for peers in [1, 8, 64] {
                let cell = format!("fan_out/tcp/{size}x{peers}");
                all.push(Self::new(cell, Rate, Best, AtLeast(1.5)).or(Bare, AtLeast(0.7)));
            }
        }
        all
    }

    /// One PUSH, one PULL, over tcp and ipc.
    fn streams() -> impl Iterator<Item = Self> {
        const BY_SIZE: [(usize, f64); 8] = [
            (16, 3.5),
            (64, 3.7),
            (256, 4.0),
            (1024, 4.0),
            (4096, 4.0),
            (32_768, 2.5),
            (262_144, 1.4),
            (1_048_576, 1.15),
        ];
        ["tcp", "ipc"].into_iter().flat_map(|transport| {
            BY_SIZE.into_iter().flat_map(move |(size, times)| {
                let target = |than, bound| {
                    Self::new(format!("push_pull/{transport}/{size}"), Metric::Rate, than, bound)
                };
                [
                    target(Libzmq, AtLeast(times)).or(Bare, AtLeast(0.9)),
                    target(Rival, AtLeast(1.0)),
                    target(OtherFlavour, AtLeast(0.6)),
                ]
            })
        })
    }

    fn judge(&self, row: &Row) -> Verdict {
        // Held against the rivals that were left, it would pass too easily.
        let lacks_rivals = matches!(self.than, Rival | Best) && !row.failed.is_empty();
        if lacks_rivals || row.is_noisy() {
            return Verdict::Unclear;
        }
        let of =
            |than: Than, bound: Bound| than.value(self.metric, row).map(|value| (value, bound.holds(value)));
        let first = of(self.than, self.bound);
        let second = self.or.and_then(|(than, bound)| of(than, bound));
        match (first, second) {
            (None, None) => Verdict::NotMeasured,
            (Some((value, true)), _) => Verdict::Pass(value, self.than),
            // The other way to hold counts only beside the first.
            (Some(_), Some((value, true))) => {
                Verdict::Pass(value, self.or.map_or(self.than, |(than, _)| than))
            }
            (Some((value, false)), _) => Verdict::Fail(value, self.than),
            (None, Some(_)) => Verdict::NotMeasured,
        }
    }
}

impl Than {
    fn value(self, metric: Metric, row: &Row) -> Option<f64> {
        let ratio = |other| row.against(metric, other, |ours, theirs| ours / theirs);
        let spread = match self {
            Libzmq => ratio(row.libzmq()),
            Rival => ratio(row.rival()),
            Best => ratio(row.best_rival()),
            Bare => ratio(row.bare()),
            AboveBare => row.against(metric, row.bare(), |ours, bare| ours - bare),
            OtherFlavour => {
                let other = row.ranked(|name| name == OURS).get(1).copied();
                row.against(metric, other, |better, worse| worse / better)
            }
            Absolute => row.ours()?.spread(metric),
        };
        spread.map(|spread| spread.median)
    }

    fn words(self, metric: Metric) -> &'static str {
        match self {
            Libzmq => "× libzmq",
            Rival => "× the best other rival",
            Best => "× the best rival",
            Bare => "× bare",
            AboveBare => "µs above bare",
            OtherFlavour => "× the other flavour",
            Absolute => match metric {
                Metric::P50 | Metric::P99 => "µs",
                Metric::IdleKib | Metric::AfterKib => "KiB a peer",
                Metric::Mib => "MiB",
                Metric::IdleCpuMs => "ms",
                _ => "of a fair share",
            },
        }
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            AtLeast(limit) => value >= limit,
            AtMost(limit) => value <= limit,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtLeast(limit) => write!(f, "≥ {limit}"),
            AtMost(limit) => write!(f, "≤ {limit}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Pass(f64, Than),
    Fail(f64, Than),
    /// The pairs disagree, or a rival failed.
    Unclear,
    NotMeasured,
}

/// The targets, and what is known of them.
pub(crate) struct Targets(Vec<(Target, Verdict)>);

impl Targets {
    pub(crate) fn new() -> Self {
        Self(Target::all().into_iter().map(|target| (target, Verdict::NotMeasured)).collect())
    }

    pub(crate) fn add(&mut self, row: &Row) {
        let cell = row.cell.to_string();
        for (target, verdict) in self.0.iter_mut().filter(|(target, _)| target.cell == cell) {
            *verdict = target.judge(row);
        }
    }

    /// Whether something was measured, and all that was holds beyond doubt.
    pub(crate) fn hold(&self) -> bool {
        let mut verdicts = self.0.iter().map(|(_, verdict)| verdict);
        let failed = verdicts.clone().any(|verdict| matches!(verdict, Verdict::Fail(..) | Verdict::Unclear));
        !failed && verdicts.any(|verdict| matches!(verdict, Verdict::Pass(..)))
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (target, verdict) in &self.0 {
            let Target { cell, metric, than, bound, or } = target;
            write!(f, "target: {cell} {} {bound} {}", metric.name(), than.words(*metric))?;
            if let Some((than, bound)) = or {
                write!(f, ", or {bound} {}", than.words(*metric))?;
            }
            match verdict {
                Verdict::Pass(value, than) => writeln!(f, ": {value:.2} {}: pass", than.words(*metric))?,
                Verdict::Fail(value, than) => writeln!(f, ": {value:.2} {}: FAIL", than.words(*metric))?,
                Verdict::Unclear => writeln!(f, ": unclear, as the pairs disagree or a rival failed")?,
                Verdict::NotMeasured => writeln!(f, ": not measured")?,
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "libzmq"))]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::rivals::{BARE, LIBZMQ};
    use crate::row::tests::row;

    fn verdict(target: &Target, figures: &[(&str, &'static str, Metric, &[f64])]) -> Verdict {
        target.judge(&row(&target.cell, figures))
    }

    #[test]
    fn every_target_is_of_a_cell_that_exists() {
        for target in Target::all() {
            assert!(target.cell.parse::<Cell>().is_ok(), "{}", target.cell);
        }
    }

    #[test]
    fn a_target_holds_by_libzmq_or_by_the_bare_loop() {
        let rate = Metric::Rate;
        let target = Target::new("push_pull/tcp/64", rate, Libzmq, AtLeast(3.7)).or(Bare, AtLeast(0.9));
        let figures = |ours, bare| {
            verdict(
                &target,
                &[(OURS, "ct", rate, ours), (LIBZMQ, "default", rate, &[1.0]), (BARE, "ct", rate, bare)],
            )
        };
        assert_eq!(figures(&[4.0], &[100.0]), Verdict::Pass(4.0, Libzmq));
        assert_eq!(figures(&[3.0], &[3.0]), Verdict::Pass(1.0, Bare));
        assert_eq!(figures(&[3.0], &[4.0]), Verdict::Fail(3.0, Libzmq));
        let alone = verdict(&target, &[(OURS, "ct", rate, &[9.0]), (BARE, "ct", rate, &[1.0])]);
        assert_eq!(alone, Verdict::NotMeasured);
    }

    #[test]
    fn round_trips_are_held_against_the_bare_loop_of_the_same_flavour() {
        let p50 = Metric::P50;
        let target = Target::new("req_rep/tcp/1/pinned", p50, AboveBare, AtMost(2.0));
        let figures = [
            (OURS, "ct", p50, &[8.0][..]),
            (OURS, "mt", p50, &[9.0]),
            (BARE, "ct", p50, &[5.0]),
            (BARE, "mt", p50, &[7.0]),
        ];
        assert_eq!(verdict(&target, &figures), Verdict::Fail(3.0, AboveBare));
    }

    #[test]
    fn nothing_is_concluded_from_pairs_that_disagree_or_without_a_rival_that_failed() {
        let rate = Metric::Rate;
        let target = Target::new("push_pull/tcp/64", rate, Libzmq, AtLeast(2.0));
        let figures = [(OURS, "ct", rate, &[4.0, 9.0, 9.0][..]), (LIBZMQ, "default", rate, &[1.0, 1.0, 1.0])];
        assert_eq!(verdict(&target, &figures), Verdict::Unclear);
        let best = Target::new("router/tcp/64x64", rate, Best, AtLeast(1.7));
        let mut row = row(&best.cell, &[(OURS, "ct", rate, &[4.0]), (LIBZMQ, "default", rate, &[1.0])]);
        assert_eq!(best.judge(&row), Verdict::Pass(4.0, Best));
        row.failed.push("a rival lost messages".into());
        assert_eq!(best.judge(&row), Verdict::Unclear);
    }

    #[test]
    fn targets_hold_when_something_was_measured_and_nothing_failed() {
        let mut targets = Targets::new();
        assert!(!targets.hold());
        let mut trip = |micros| {
            targets.add(&row("req_rep/inproc/1", &[(OURS, "ct", Metric::P50, &[micros])]));
            targets.hold()
        };
        assert!(trip(0.9));
        assert!(!trip(1.1));
        assert!(targets.to_string().contains("p50 ≤ 1 µs: 1.10 µs: FAIL\n"));
    }
}
