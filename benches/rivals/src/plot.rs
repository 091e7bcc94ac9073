//! What was measured, drawn as SVG: throughput against message size, and round trips.
//!
//! A plot has its own white ground, so that it reads alike on light and dark pages. Each library is drawn with
//! its best variant in each cell.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::cell::{Cores, Pattern, Transport};
use crate::load::Metric;
use crate::rivals::{BARE, contenders};
use crate::row::Row;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 56.0;
const INK: &str = "#24292f";
const PALE: &str = "#d8dee4";

/// How a library is shown: its name, its name here, its colour.
const LOOKS: [(&str, &str, &str); 6] = [
    ("ours", "zocket", "#d9480f"),
    ("libzmq", "libzmq", "#1971c2"),
    ("omq", "omq", "#2f9e44"),
    ("rzmq", "rzmq", "#9c36b5"),
    ("zeromq", "zmq.rs", "#b08800"),
    (BARE, "no library", "#868e96"),
];

fn look(name: &str) -> (&str, &'static str) {
    LOOKS.iter().find(|(known, ..)| *known == name).map_or((name, INK), |(_, shown, colour)| (shown, colour))
}

/// Draws what the rows have the cells for.
pub(crate) fn draw(rows: &[Row], into: &Path) -> Outcome<()> {
    fs::create_dir_all(into)?;
    for (name, svg) in [("throughput.svg", throughput(rows)), ("latency.svg", latency(rows))] {
        match svg {
            Some(svg) => fs::write(into.join(name), svg)?,
            None => eprintln!("{name}: the cells for it were not measured"),
        }
    }
    Ok(())
}

/// A library's figure in a cell.
fn figure(row: &Row, name: &str, metric: Metric) -> Option<f64> {
    Some(row.ranked(|other| other == name).first()?.spread(metric)?.median)
}

/// Messages per second against their size, over tcp, both axes logarithmic.
fn throughput(rows: &[Row]) -> Option<String> {
    const HEIGHT: f64 = 440.0;
    const BOTTOM: f64 = HEIGHT - 52.0;
    const LEGEND: f64 = 130.0;
    let wanted = |row: &&Row| row.cell.pattern == Pattern::PushPull && row.cell.transport == Transport::Tcp;
    let mut rows = rows.iter().filter(wanted).collect::<Vec<_>>();
    rows.sort_by_key(|row| row.cell.size);
    let mut lines = Vec::new();
    for name in contenders().map(|contender| contender.name) {
        let figure =
            |row: &&Row| figure(row, name, Metric::Rate).map(|rate| (log2(row.cell.size), rate.log10()));
        let line = rows.iter().filter_map(figure).collect::<Vec<_>>();
        if line.len() > 1 {
            lines.push((name, line));
        }
    }
    let all = || lines.iter().flat_map(|(_, line)| line);
    let x_range = range(all().map(|(x, _)| *x))?;
    let y_range = range(all().map(|(_, y)| *y)).map(|(low, high)| (low.floor(), high.ceil()))?;
    let x = |value: f64| scale(value, x_range, (LEFT, WIDTH - RIGHT));
    let y = |value: f64| scale(value, y_range, (BOTTOM, TOP));
    let mut svg = open(HEIGHT, "PUSH to PULL over tcp on one machine, messages per second");
    let mut exponent = y_range.0;
    while exponent <= y_range.1 {
        let at = y(exponent);
        rule(&mut svg, (LEFT, at), (WIDTH - RIGHT, at));
        text(&mut svg, (LEFT - 8.0, at + 4.0), "end", INK, &short(10_f64.powf(exponent)));
        exponent += 1.0;
    }
    for row in &rows {
        let at = x(log2(row.cell.size));
        text(&mut svg, (at, BOTTOM + 20.0), "middle", INK, &bytes(row.cell.size));
    }
    text(&mut svg, (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 10.0), "middle", INK, "bytes in a message");
    // The best at small messages first, where the lines are apart; they all fall, so the corner above is free.
    lines.sort_by(|(_, a), (_, b)| b[0].1.total_cmp(&a[0].1));
    for ((name, line), place) in lines.iter().zip(0_u8..) {
        let (shown, colour) = look(name);
        let points = line.iter().map(|point| (x(point.0), y(point.1))).collect::<Vec<_>>();
        stroke(&mut svg, &points, name);
        for (x, y) in points {
            put(&mut svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
        }
        let (at, height) = (WIDTH - RIGHT - LEGEND, TOP + 22.0 + 20.0 * f64::from(place));
        stroke(&mut svg, &[(at, height), (at + 28.0, height)], name);
        text(&mut svg, (at + 38.0, height + 4.0), "start", INK, shown);
    }
    Some(svg + "</svg>\n")
}

/// Median and 99th percentile of round trips, both processes on one core.
fn latency(rows: &[Row]) -> Option<String> {
    const BAR: f64 = 22.0;
    const STEP: f64 = 36.0;
    let row = rows.iter().find(|row| {
        let cell = row.cell;
        cell.pattern == Pattern::ReqRep && cell.transport == Transport::Tcp && cell.cores == Cores::Pinned
    })?;
    let bar = |name| Some((name, figure(row, name, Metric::P50)?, figure(row, name, Metric::P99)?));
    let mut bars = contenders().filter_map(|contender| bar(contender.name)).collect::<Vec<_>>();
    bars.sort_by(|a, b| a.1.total_cmp(&b.1));
    let longest = bars.iter().map(|(_, _, p99)| *p99).fold(0.0, f64::max);
    let mut y = TOP + 8.0;
    let mut svg = open(
        y + STEP * f64::from(u32::try_from(bars.len()).ok()?) + 34.0,
        "Round trip of REQ and REP over tcp, both processes on one core",
    );
    let left = LEFT + 36.0;
    // The figures stand behind the bars.
    let x = |micros: f64| scale(micros, (0.0, longest), (left, WIDTH - RIGHT - 90.0));
    for (name, p50, p99) in bars {
        let (shown, colour) = look(name);
        text(&mut svg, (left - 10.0, y + 16.0), "end", colour, shown);
        for (micros, opacity) in [(p99, 0.3), (p50, 1.0)] {
            let wide = x(micros) - left;
            put(
                &mut svg,
                format_args!(
                    "<rect x=\"{left}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{BAR}\" rx=\"3\" fill=\"{colour}\" \
                     fill-opacity=\"{opacity}\"/>"
                ),
            );
        }
        text(&mut svg, (x(p99) + 8.0, y + 16.0), "start", INK, &format!("{p50:.1} / {p99:.1} µs"));
        y += STEP;
    }
    text(&mut svg, (left, y + 14.0), "start", INK, "dark: median; pale: 99th percentile");
    Some(svg + "</svg>\n")
}

fn open(height: f64, title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n"
    );
    put(
        &mut svg,
        format_args!(
            "<text x=\"24\" y=\"30\" font-size=\"16\" font-weight=\"600\" fill=\"{INK}\">{title}</text>"
        ),
    );
    svg
}

fn put(svg: &mut String, element: std::fmt::Arguments<'_>) {
    // A string takes everything.
    writeln!(svg, "{element}").ok();
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, text: &str) {
    put(
        svg,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        ),
    );
}

/// A library's line.
fn stroke(svg: &mut String, points: &[(f64, f64)], name: &str) {
    let colour = look(name).1;
    let style =
        if name == BARE { "stroke-dasharray=\"5 4\" stroke-width=\"1.5\"" } else { "stroke-width=\"2.5\"" };
    let points = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    put(svg, format_args!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" {style}/>"));
}

fn rule(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    put(
        svg,
        format_args!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{PALE}\"/>"),
    );
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    (low < high).then_some((low, high))
}

fn scale(value: f64, (from, to): (f64, f64), (low, high): (f64, f64)) -> f64 {
    low + (value - from) / (to - from) * (high - low)
}

#[expect(clippy::cast_precision_loss, reason = "a message's size")]
fn log2(size: usize) -> f64 {
    (size as f64).log2()
}

fn short(number: f64) -> String {
    match number {
        1e6.. => format!("{:.0} M", number / 1e6),
        1e3.. => format!("{:.0} k", number / 1e3),
        _ => format!("{number:.0}"),
    }
}

fn bytes(size: usize) -> String {
    match size {
        0x10_0000.. => format!("{} Mi", size >> 20),
        0x400.. => format!("{} Ki", size >> 10),
        _ => size.to_string(),
    }
}

#[cfg(all(test, feature = "libzmq"))]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn every_library_that_was_measured_is_drawn() {
        let rate = Metric::Rate;
        let rows = ["push_pull/tcp/64", "push_pull/tcp/1048576", "push_pull/ipc/64"].map(|cell| {
            let slow = if cell.ends_with("64") { 1.0 } else { 1000.0 };
            let figures = [8e6, 3e6, 2e7].map(|rate| [rate / slow]);
            row(
                cell,
                &[
                    ("ours", "ct", rate, &figures[0]),
                    ("libzmq", "large", rate, &figures[1]),
                    (BARE, "ct", rate, &figures[2]),
                ],
            )
        });
        let svg = throughput(&rows).expect("two sizes");
        for part in [">zocket<", ">libzmq<", ">no library<", ">64<", ">1 Mi<", ">1 k<", ">100 M<"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert!(throughput(&rows[1..]).is_none(), "one size is no line");
        assert!(latency(&rows).is_none());
    }

    #[test]
    fn round_trips_are_drawn_from_the_pinned_cell() {
        let figures = [("ours", "ct", Metric::P50, &[8.0][..]), ("ours", "ct", Metric::P99, &[12.5])];
        let svg = latency(&[row("req_rep/tcp/1/pinned", &figures)]).expect("the cell");
        assert!(svg.contains("8.0 / 12.5 µs") && svg.contains(">zocket<"), "{svg}");
        assert!(latency(&[row("req_rep/tcp/1/free", &figures)]).is_none());
    }
}
