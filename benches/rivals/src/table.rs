//! The Markdown table at the end: a line a cell, a column a library, every variant.

use std::fmt;

use crate::cell::Pattern;
use crate::load::Metric;
use crate::rivals::contenders;
use crate::row::{Row, Series};

#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<String>,
    /// Rivals that are not in a line, and why.
    failed: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, row: &Row) {
        let note = if row.is_noisy() { "<br>runs disagree" } else { "" };
        let mut line = format!("| {}{note} |", row.cell);
        for contender in contenders() {
            let variants = row.ranked(|name| name == contender.name);
            let shown = variants.iter().map(|series| shown(row.cell.pattern, series)).collect::<Vec<_>>();
            line += &format!(" {} |", shown.join("<br>"));
        }
        for other in [row.libzmq(), row.rival(), row.bare()] {
            line += &row.ratio(other).map_or_else(
                || " |".to_owned(),
                |ratio| format!(" {:.2} ({:.2} – {:.2}) |", ratio.median, ratio.min, ratio.max),
            );
        }
        self.lines.push(line);
        self.failed.extend_from_slice(&row.failed);
    }
}

/// A variant's figures.
fn shown(pattern: Pattern, series: &Series) -> String {
    let median = |metric| series.spread(metric).map(|spread| spread.median);
    let of = |metric| median(metric).unwrap_or(f64::NAN);
    let figures = match pattern {
        Pattern::ReqRep => format!("{:.2} / {:.2} µs", of(Metric::P50), of(Metric::P99)),
        Pattern::Idle => format!("{:.0} ms CPU", of(Metric::IdleCpuMs)),
        Pattern::Connect => format!(
            "{}; {:.1}, then {:.1} KiB each; least share {:.2}",
            per_second(of(Metric::Rate)),
            of(Metric::IdleKib),
            of(Metric::AfterKib),
            of(Metric::LeastShare)
        ),
        Pattern::Prefixes => format!(
            "{:.2} s, {:.1} MiB, {}",
            of(Metric::Seconds),
            of(Metric::Mib),
            per_second(of(Metric::Rate))
        ),
        _ => format!("{}, {:.3} µs CPU", per_second(of(Metric::Rate)), of(Metric::Cpu)),
    };
    let lost = median(Metric::Lost).map_or_else(String::new, |lost| format!(", {:.1} % lost", 100.0 * lost));
    format!("{figures}{lost} {}", series.variant)
}

fn per_second(rate: f64) -> String {
    if rate >= 1e6 { format!("{:.2} M/s", rate / 1e6) } else { format!("{:.1} k/s", rate / 1e3) }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = contenders().map(|contender| contender.name).collect::<Vec<_>>();
        writeln!(f, "| cell | {} | × libzmq | × best other | × bare |", names.join(" | "))?;
        writeln!(f, "|---|{}---|---|---|", "---|".repeat(names.len()))?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(
            f,
            "\nMessages per second at the receiver, and CPU time per message in both processes; round trips as \
             p50 / p99. Medians over the pairs; ratios are of zocket's better flavour, with their range."
        )?;
        self.failed.iter().try_for_each(|error| writeln!(f, "Left out: {error}"))
    }
}
