//! What is printed: one JSON line a cell, then a table, then the gate.

use std::fmt;

use crate::cell::{Cell, Pattern};
use crate::load::Report;
use crate::rivals::{Contender, LIBZMQ, OURS, contenders};

/// The runs of one variant of one library, a figure a pair.
pub(crate) struct Series {
    pub(crate) contender: &'static Contender,
    pub(crate) variant: &'static str,
    /// Messages per second, or the p50 of round trips in microseconds.
    figures: Vec<f64>,
    /// The p99 of round trips.
    tails: Vec<f64>,
}

/// A measured cell.
pub(crate) struct Row {
    pub(crate) cell: Cell,
    pub(crate) series: Vec<Series>,
}

/// One number over all pairs.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), min: at(0), max: at(last) }
    }
}

impl Series {
    pub(crate) fn new(contender: &'static Contender, variant: &'static str) -> Self {
        Self { contender, variant, figures: Vec::new(), tails: Vec::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 messages")]
    pub(crate) fn add(&mut self, pattern: Pattern, report: Report) {
        let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
        match pattern {
            // The first message starts the clock.
            Pattern::PushPull => {
                self.figures.push(report.count.saturating_sub(1) as f64 / report.elapsed.as_secs_f64());
            }
            Pattern::ReqRep => {
                self.figures.push(micros(report.p50));
                self.tails.push(micros(report.p99));
            }
        }
    }

    fn figure(&self) -> f64 {
        Spread::of(self.figures.clone()).median
    }
}

impl Row {
    /// A library's variants, the best first.
    fn ranked(&self, contender: &str) -> Vec<&Series> {
        let mut series =
            self.series.iter().filter(|series| series.contender.name == contender).collect::<Vec<_>>();
        series.sort_by(|a, b| a.figure().total_cmp(&b.figure()));
        if self.cell.pattern == Pattern::PushPull {
            series.reverse();
        }
        series
    }

    /// zocket by libzmq, pair by pair.
    fn ratio(&self) -> Option<Spread> {
        let (ours, theirs) = (self.ranked(OURS), self.ranked(LIBZMQ));
        let (ours, theirs) = (ours.first()?, theirs.first()?);
        let pairs = ours.figures.iter().zip(&theirs.figures);
        Some(Spread::of(pairs.map(|(ours, theirs)| ours / theirs).collect()))
    }

    pub(crate) fn to_json(&self) -> String {
        let (unit, digits) = match self.cell.pattern {
            Pattern::PushPull => ("msg/s", 0),
            Pattern::ReqRep => ("us", 2),
        };
        let mut json = format!("{{\"cell\":\"{}\",\"unit\":\"{unit}\"", self.cell);
        for name in contenders().map(|contender| contender.name) {
            let ranked = self.ranked(name);
            let Some(best) = ranked.first() else { continue };
            match self.cell.pattern {
                Pattern::PushPull => json += &format!(",\"{name}\":{:.0}", best.figure()),
                Pattern::ReqRep => {
                    let p99 = Spread::of(best.tails.clone()).median;
                    json += &format!(",\"{name}_p50\":{:.2},\"{name}_p99\":{p99:.2}", best.figure());
                }
            }
            let kind = if name == LIBZMQ { "marks" } else { "flavour" };
            json += &format!(",\"{name}_{kind}\":\"{}\"", best.variant);
            if let (OURS, Some(other)) = (name, ranked.get(1)) {
                json += &format!(",\"other_flavour\":{:.digits$}", other.figure());
            }
        }
        if let Some(Spread { median, min, max }) = self.ratio() {
            json += &format!(",\"ratio\":{median:.3},\"min\":{min:.3},\"max\":{max:.3}");
        }
        json + "}"
    }
}

/// The Markdown table.
#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, row: &Row) {
        let mut line = format!("| {} |", row.cell);
        for contender in contenders() {
            let variants = row.ranked(contender.name);
            let shown = variants.iter().map(|series| shown(row.cell.pattern, series)).collect::<Vec<_>>();
            line += &format!(" {} |", shown.join(", "));
        }
        line += &row.ratio().map_or_else(
            || " | |".to_owned(),
            |Spread { median, min, max }| format!(" {median:.2} | {min:.2} – {max:.2} |"),
        );
        self.lines.push(line);
    }
}

fn shown(pattern: Pattern, series: &Series) -> String {
    let figure = series.figure();
    let variant = series.variant;
    match pattern {
        Pattern::PushPull if figure >= 1e6 => format!("{:.2} M/s {variant}", figure / 1e6),
        Pattern::PushPull => format!("{:.1} k/s {variant}", figure / 1e3),
        Pattern::ReqRep => {
            format!("{figure:.1} / {:.1} µs {variant}", Spread::of(series.tails.clone()).median)
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = contenders().map(|contender| contender.name).collect::<Vec<_>>();
        writeln!(f, "| cell | {} | ratio | min – max |", names.join(" | "))?;
        writeln!(f, "|---|{}---|---|", "---|".repeat(names.len()))?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(
            f,
            "\nMessages per second at the receiver; round trips as p50 / p99. Medians over the pairs."
        )
    }
}

/// Cells that the gate names.
const GATE: [(&str, Bound); 5] = [
    ("push_pull/tcp/64", Bound::AtLeast(2.5)),
    ("push_pull/tcp/256", Bound::AtLeast(2.5)),
    ("push_pull/tcp/1024", Bound::AtLeast(2.5)),
    ("req_rep/tcp/1/pinned", Bound::AtMost(0.5)),
    ("req_rep/ipc/1/pinned", Bound::AtMost(0.5)),
];

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// What was measured of the gate's cells.
#[derive(Default)]
pub(crate) struct Gate {
    ratios: Vec<(String, f64)>,
}

impl Gate {
    pub(crate) fn add(&mut self, row: &Row) {
        self.ratios.extend(row.ratio().map(|ratio| (row.cell.to_string(), ratio.median)));
    }

    /// Prints each of the gate's cells. Says whether all were measured and hold.
    pub(crate) fn verdict(&self) -> bool {
        let mut held = true;
        for (name, bound) in GATE {
            let ratio = self.ratios.iter().find(|(cell, _)| cell == name).map(|(_, ratio)| *ratio);
            let (sign, limit, holds) = match bound {
                Bound::AtLeast(limit) => ('≥', limit, ratio.map(|ratio| ratio >= limit)),
                Bound::AtMost(limit) => ('≤', limit, ratio.map(|ratio| ratio <= limit)),
            };
            let verdict = match holds {
                Some(true) => "pass",
                Some(false) => "FAIL",
                None => "not measured",
            };
            let ratio = ratio.map_or_else(String::new, |ratio| format!(" {ratio:.2}"));
            println!("gate: {name}{ratio} {sign} {limit}: {verdict}");
            held &= holds == Some(true);
        }
        held
    }
}

#[cfg(all(test, feature = "libzmq"))]
mod tests {
    use super::*;

    fn row(cell: &str, ours: &[[f64; 2]], theirs: &[f64]) -> Row {
        let series = |name: &str, variant, figures: Vec<f64>| Series {
            contender: contenders().find(|contender| contender.name == name).expect("a contender"),
            variant,
            tails: figures.clone(),
            figures,
        };
        let flavour = |at: usize| ours.iter().map(|pair| pair[at]).collect();
        let series = vec![
            series(OURS, "ct", flavour(0)),
            series(LIBZMQ, "default", theirs.to_vec()),
            series(OURS, "mt", flavour(1)),
        ];
        Row { cell: cell.parse().expect("a cell"), series }
    }

    #[test]
    fn the_better_flavour_counts_and_the_ratio_is_taken_pair_by_pair() {
        let row =
            row("push_pull/tcp/64", &[[90.0, 300.0], [80.0, 400.0], [70.0, 100.0]], &[100.0, 80.0, 100.0]);
        let json = "{\"cell\":\"push_pull/tcp/64\",\"unit\":\"msg/s\",\"ours\":300,\"ours_flavour\":\"mt\",\
                    \"other_flavour\":80,\"libzmq\":100,\"libzmq_marks\":\"default\",\
                    \"ratio\":3.000,\"min\":1.000,\"max\":5.000}";
        assert_eq!(row.to_json(), json);
    }

    #[test]
    fn the_gate_holds_only_when_every_cell_was_measured_and_passed() {
        let mut gate = Gate::default();
        for (cell, bound) in GATE {
            assert!(!gate.verdict(), "{cell} is missing");
            let ratio = match bound {
                Bound::AtLeast(limit) | Bound::AtMost(limit) => limit,
            };
            gate.add(&row(cell, &[[ratio, ratio]], &[1.0]));
        }
        assert!(gate.verdict());
        for ratio in &mut gate.ratios {
            ratio.1 = 1.0;
        }
        assert!(!gate.verdict());
    }
}
