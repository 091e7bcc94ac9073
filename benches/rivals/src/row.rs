//! A measured cell: the runs of every variant of every library, pair by pair, and one held against the other.

use crate::cell::{Cell, Pattern};
use crate::load::Metric;
use crate::pair::NOISE;
use crate::rivals::{BARE, Contender, LIBZMQ, OURS, contenders};

/// The figures of one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<(Metric, f64)>);

impl Sample {
    /// Adds what one process says of a figure; what two say is summed up.
    pub(crate) fn add(&mut self, metric: Metric, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, sum)) => *sum += value,
            None => self.0.push((metric, value)),
        }
    }

    fn get(&self, metric: Metric) -> Option<f64> {
        self.0.iter().find(|(known, _)| *known == metric).map(|(_, value)| *value)
    }
}

/// The runs of one variant of one library, a sample a pair.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) contender: &'static Contender,
    pub(crate) variant: &'static str,
    pub(crate) samples: Vec<Sample>,
}

impl Series {
    pub(crate) fn new(contender: &'static Contender, variant: &'static str) -> Self {
        Self { contender, variant, samples: Vec::new() }
    }

    /// A figure over all pairs.
    pub(crate) fn spread(&self, metric: Metric) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.get(metric)).collect())
    }

    fn median(&self, metric: Metric) -> f64 {
        self.spread(metric).map_or(f64::NAN, |spread| spread.median)
    }
}

/// One number over all pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(values: Option<Vec<f64>>) -> Option<Self> {
        let mut values = values?;
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied();
        let last = values.len().checked_sub(1)?;
        let median = f64::midpoint(at(last / 2)?, at(last.div_ceil(2))?);
        Some(Self { median, min: at(0)?, max: at(last)? })
    }
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) cell: Cell,
    pub(crate) series: Vec<Series>,
    /// What went wrong in rivals, which therefore are not in `series`.
    pub(crate) failed: Vec<String>,
}

impl Row {
    pub(crate) fn new(cell: Cell, series: Vec<Series>) -> Self {
        Self { cell, series, failed: Vec::new() }
    }

    /// The figure that a cell is about.
    pub(crate) fn main_metric(&self) -> Metric {
        match self.cell.pattern {
            Pattern::ReqRep => Metric::P50,
            Pattern::Idle => Metric::IdleCpuMs,
            _ => Metric::Rate,
        }
    }

    /// The variants of all libraries that `wanted` names, the best first.
    pub(crate) fn ranked(&self, wanted: impl Fn(&str) -> bool) -> Vec<&Series> {
        let metric = self.main_metric();
        let mut series =
            self.series.iter().filter(|series| wanted(series.contender.name)).collect::<Vec<_>>();
        series.sort_by(|a, b| a.median(metric).total_cmp(&b.median(metric)));
        if metric.more_is_better() {
            series.reverse();
        }
        series
    }

    pub(crate) fn ours(&self) -> Option<&Series> {
        self.ranked(|name| name == OURS).first().copied()
    }

    pub(crate) fn libzmq(&self) -> Option<&Series> {
        self.ranked(|name| name == LIBZMQ).first().copied()
    }

    /// The best of the other rivals.
    pub(crate) fn rival(&self) -> Option<&Series> {
        self.ranked(|name| ![OURS, LIBZMQ, BARE].contains(&name)).first().copied()
    }

    /// The best of all rivals.
    pub(crate) fn best_rival(&self) -> Option<&Series> {
        self.ranked(|name| ![OURS, BARE].contains(&name)).first().copied()
    }

    /// The bare loop on the flavour of runtime that suits zocket best.
    pub(crate) fn bare(&self) -> Option<&Series> {
        let flavour = self.ours()?.variant;
        self.series.iter().find(|series| series.contender.name == BARE && series.variant == flavour)
    }

    /// zocket's figure and another's in one number, pair by pair.
    pub(crate) fn against(
        &self,
        metric: Metric,
        other: Option<&Series>,
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let pairs = self.ours()?.samples.iter().zip(&other?.samples);
        Spread::of(pairs.map(|(a, b)| Some(compare(a.get(metric)?, b.get(metric)?))).collect())
    }

    pub(crate) fn ratio(&self, other: Option<&Series>) -> Option<Spread> {
        self.against(self.main_metric(), other, |ours, theirs| ours / theirs)
    }

    /// Whether the pairs disagree so much that nothing follows.
    pub(crate) fn is_noisy(&self) -> bool {
        // What nothing is spent on has no ratio.
        self.cell.pattern != Pattern::Idle
            && self.ratio(self.libzmq()).is_some_and(|ratio| (ratio.max - ratio.min) / ratio.median > NOISE)
    }

    pub(crate) fn to_json(&self) -> String {
        let main = self.main_metric();
        let unit = match main {
            Metric::P50 => "us",
            Metric::IdleCpuMs => "ms",
            _ if self.cell.pattern == Pattern::Connect => "conn/s",
            _ => "msg/s",
        };
        let mut json = format!("{{\"cell\":\"{}\",\"unit\":\"{unit}\"", self.cell);
        for name in contenders().map(|contender| contender.name) {
            let ranked = self.ranked(|other| other == name);
            let Some(best) = ranked.first() else { continue };
            for metric in Metric::ALL {
                let Some(Spread { median, min, max }) = best.spread(metric) else { continue };
                if metric == main && main == Metric::Rate {
                    add(&mut json, name, format_args!("{median:.0}"));
                    add(&mut json, &format!("{name}_range"), format_args!("[{min:.0},{max:.0}]"));
                } else {
                    add(&mut json, &format!("{name}_{}", metric.name()), format_args!("{median:.3}"));
                }
            }
            let kind = if name == LIBZMQ { "marks" } else { "flavour" };
            add(&mut json, &format!("{name}_{kind}"), format_args!("\"{}\"", best.variant));
            if let (OURS, Some(other)) = (name, ranked.get(1)) {
                add(&mut json, "other_flavour", format_args!("{:.3}", other.median(main)));
            }
        }
        let rivals = [("", self.libzmq()), ("rival_", self.rival()), ("bare_", self.bare())];
        for (prefix, other) in rivals {
            let Some(Spread { median, min, max }) = self.ratio(other) else { continue };
            if let ("rival_", Some(other)) = (prefix, other) {
                add(&mut json, "rival", format_args!("\"{}\"", other.contender.name));
            }
            for (name, value) in [("ratio", median), ("min", min), ("max", max)] {
                add(&mut json, &format!("{prefix}{name}"), format_args!("{value:.3}"));
            }
        }
        add(&mut json, "pairs", format_args!("{}", self.ours().map_or(0, |ours| ours.samples.len())));
        add(&mut json, "noisy", format_args!("{}", self.is_noisy()));
        if !self.failed.is_empty() {
            add(&mut json, "failed", format_args!("{:?}", self.failed));
        }
        json + "}"
    }
}

/// Adds a number that JSON can say, or anything else.
fn add(json: &mut String, name: &str, value: std::fmt::Arguments<'_>) {
    let value = value.to_string();
    let value = if ["NaN", "inf", "-inf"].contains(&value.as_str()) { "null" } else { &value };
    *json += &format!(",\"{name}\":{value}");
}

#[cfg(all(test, feature = "libzmq"))]
pub(crate) mod tests {
    use super::*;

    /// A row with these figures of each library's variants, a list a variant.
    pub(crate) fn row(cell: &str, figures: &[(&str, &'static str, Metric, &[f64])]) -> Row {
        let mut row = Row::new(cell.parse().expect("a cell"), Vec::new());
        for &(name, variant, metric, values) in figures {
            let contender = contenders().find(|contender| contender.name == name).expect("a contender");
            let known = |series: &&mut Series| series.contender.name == name && series.variant == variant;
            let samples = values.iter().map(|value| Sample(vec![(metric, *value)]));
            match row.series.iter_mut().find(known) {
                Some(series) => {
                    series
                        .samples
                        .iter_mut()
                        .zip(values)
                        .for_each(|(sample, value)| sample.add(metric, *value));
                }
                None => row.series.push(Series { contender, variant, samples: samples.collect() }),
            }
        }
        row
    }

    #[test]
    fn the_better_flavour_counts_and_the_ratio_is_taken_pair_by_pair() {
        let row = row(
            "push_pull/tcp/64",
            &[
                (OURS, "ct", Metric::Rate, &[90.0, 80.0, 70.0]),
                (LIBZMQ, "default", Metric::Rate, &[100.0, 80.0, 100.0]),
                (OURS, "mt", Metric::Rate, &[300.0, 400.0, 100.0]),
                (OURS, "mt", Metric::Cpu, &[0.5, 0.25, 1.0]),
                (BARE, "ct", Metric::Rate, &[1.0, 1.0, 1.0]),
                (BARE, "mt", Metric::Rate, &[600.0, 400.0, 400.0]),
            ],
        );
        let json = row.to_json();
        for part in [
            "{\"cell\":\"push_pull/tcp/64\",\"unit\":\"msg/s\",\"ours\":300,\"ours_range\":[100,400]",
            "\"ours_cpu_us_per_msg\":0.500,\"ours_flavour\":\"mt\",\"other_flavour\":80.000",
            "\"libzmq\":100,\"libzmq_range\":[80,100],\"libzmq_marks\":\"default\"",
            "\"ratio\":3.000,\"min\":1.000,\"max\":5.000",
            "\"bare_ratio\":0.500,\"bare_min\":0.250,\"bare_max\":1.000,\"pairs\":3,\"noisy\":true}",
        ] {
            assert!(json.contains(part), "{part} in {json}");
        }
    }

    #[test]
    fn less_is_better_for_round_trips() {
        let p50 = |value| [value; 5];
        let row = row(
            "req_rep/tcp/1/pinned",
            &[
                (OURS, "ct", Metric::P50, &p50(9.0)),
                (OURS, "mt", Metric::P50, &p50(8.0)),
                (LIBZMQ, "default", Metric::P50, &p50(24.0)),
            ],
        );
        assert_eq!(row.ours().map(|series| series.variant), Some("mt"));
        assert!(!row.is_noisy() && row.rival().is_none() && row.bare().is_none());
        assert_eq!(row.ratio(row.libzmq()).map(|ratio| ratio.median), Some(1.0 / 3.0));
    }
}
