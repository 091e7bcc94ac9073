//! Measures a cell: starts the processes of each run, hears their reports, and holds one against the other.
//!
//! Whatever happens, no process outlives its run, and a run that is not whole gives an error and no figure.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use crate::Outcome;
use crate::cell::{Cell, Pattern, Transport};
use crate::job::{GO, Job, SHORT, Side};
use crate::load::{Metric, Pace, Summary};
use crate::rivals::{BARE, LIBZMQ, OURS, contenders};
use crate::row::{Row, Sample, Series};

/// How long a run may take: it sends for less than two seconds, and then large marks have to drain.
const LIMIT: Duration = Duration::from_secs(40);

/// A cell whose ratio to libzmq varies by more than this part of itself is measured again.
pub(crate) const NOISE: f64 = 0.35;

/// Measures a cell, and once more with more pairs if its runs disagree.
pub(crate) fn measure(cell: Cell, pairs: usize, pace: Pace) -> Outcome<Row> {
    let row = measure_once(cell, pairs, pace)?;
    if !row.is_noisy() || pace != Pace::FULL {
        return Ok(row);
    }
    eprintln!("{cell}: its runs disagree, so once more");
    measure_once(cell, pairs + 2, pace)
}

/// Runs every variant of every library once a pair.
fn measure_once(cell: Cell, pairs: usize, pace: Pace) -> Outcome<Row> {
    let mut series = Vec::new();
    for contender in contenders() {
        for (turn, variant) in (contender.variants)(cell).iter().enumerate() {
            series.push((turn, Series::new(contender, variant)));
        }
    }
    // First variants first: zocket and its rivals alternate within a pair too.
    series.sort_by_key(|(turn, _)| *turn);
    let mut row = Row::new(cell, series.into_iter().map(|(_, series)| series).collect());
    for pair in 1..=pairs {
        eprintln!("{cell}: pair {pair} of {pairs}");
        let mut failed = Vec::new();
        for (index, series) in row.series.iter_mut().enumerate() {
            match run_long_enough(cell, series, pace) {
                Ok(sample) => series.samples.push(sample),
                Err(error) => {
                    let name = series.contender.name;
                    let error = format!("{cell}, {name} ({}): {error}", series.variant);
                    if [OURS, LIBZMQ, BARE].contains(&name) {
                        return Err(error.into());
                    }
                    failed.push((index, error));
                }
            }
        }
        // A rival that cannot do this is no measure for it.
        for (index, error) in failed.into_iter().rev() {
            eprintln!("{error}");
            row.series.remove(index);
            row.failed.push(error);
        }
    }
    Ok(row)
}

/// Runs again, for twice as long, what was too short for its receiver.
fn run_long_enough(cell: Cell, series: &Series, pace: Pace) -> Outcome<Sample> {
    match run(cell, series, pace)? {
        Some(sample) => Ok(sample),
        None => {
            run(cell, series, Pace { run: pace.run * 2, ..pace })?.ok_or_else(|| "twice too short".into())
        }
    }
}

/// The figures of one run; none if it was too short.
fn run(cell: Cell, series: &Series, pace: Pace) -> Outcome<Option<Sample>> {
    let deadline = Instant::now() + LIMIT;
    let socket_file = env::temp_dir().join(format!("rivals-{}.sock", process::id()));
    let endpoint = match cell.transport {
        Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
        Transport::Ipc => format!("ipc://{}", socket_file.display()),
        Transport::Inproc => "inproc://rivals".to_owned(),
        Transport::Udp => "udp://127.0.0.1:0".to_owned(),
        Transport::Quic => "quic://127.0.0.1:0".to_owned(),
    };
    // Of a run that ended early.
    drop(fs::remove_file(&socket_file));
    let (say, lines) = channel();
    let stage = Stage { lines, deadline };
    let mut job = Job::new(series.contender, series.variant, cell, pace, endpoint);
    let mut peers = vec![Peer::start(&job, 0, say.clone())?];
    if job.side == Side::Serve {
        job.endpoint = stage.hear_endpoint()?;
        job.side = Side::Dial;
        peers.push(Peer::start(&job, 1, say)?);
    }
    let summaries = stage.hear_reports(&mut peers);
    drop(fs::remove_file(socket_file));
    let summaries = summaries?;
    summaries.map(|summaries| merge(cell, &summaries)).transpose()
}

/// The figures of a run, of what each of its processes says.
#[expect(clippy::cast_precision_loss, reason = "no run has 2^52 messages")]
fn merge(cell: Cell, summaries: &[Summary]) -> Outcome<Sample> {
    if let [a, b] = summaries
        && a.total != b.total
        && !cell.is_lossy()
    {
        return Err(format!("one side counts {}, the other {}", a.total, b.total).into());
    }
    let mut sample = Sample::default();
    for (metric, value) in summaries.iter().flat_map(|summary| &summary.metrics) {
        sample.add(*metric, *value);
    }
    let counted = summaries.iter().map(|summary| summary.counted).sum::<u64>();
    let cpu = summaries.iter().map(|summary| summary.cpu).sum::<f64>();
    // Connecting is no message.
    if counted > 0 && cell.pattern != Pattern::Connect {
        sample.add(Metric::Cpu, cpu * 1e6 / counted as f64);
    }
    Ok(sample)
}

/// Where the processes of a run are heard.
struct Stage {
    /// Who says what; nothing, at its end.
    lines: Receiver<(usize, Option<String>)>,
    deadline: Instant,
}

impl Stage {
    fn hear_endpoint(&self) -> Outcome<String> {
        let (who, line) = self.hear()?;
        let endpoint = line.strip_prefix("at ").map(str::to_owned);
        endpoint.ok_or_else(|| format!("{} said {line:?} before it was bound", name(who)).into())
    }

    /// Waits until all have reported, and hands on what they tell each other. None: the run was too short.
    fn hear_reports(&self, peers: &mut [Peer]) -> Outcome<Option<Vec<Summary>>> {
        let mut summaries = Vec::new();
        while summaries.len() < peers.len() {
            let (who, line) = self.hear()?;
            if let Some(report) = line.strip_prefix("report ") {
                summaries.push(report.parse()?);
                peers[who].has_reported = true;
            } else if line == SHORT {
                return Ok(None);
            } else if line == GO {
                let other = peers.get_mut(1 - who).ok_or("a peer speaks to itself")?;
                writeln!(other.input, "{GO}")?;
            } else if line.is_empty() && peers[who].has_reported {
                // It ended as it should.
            } else {
                return Err(format!("{} ended without a report; its error is above", name(who)).into());
            }
        }
        Ok(Some(summaries))
    }

    /// The next line. An empty one is a process's end.
    fn hear(&self) -> Outcome<(usize, String)> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok((who, line)) => Ok((who, line.unwrap_or_default())),
            Err(RecvTimeoutError::Timeout) => Err(format!("the run was not over after {LIMIT:?}").into()),
            Err(RecvTimeoutError::Disconnected) => Err("all processes are gone".into()),
        }
    }
}

fn name(who: usize) -> &'static str {
    if who == 0 { "the binding side" } else { "the connecting side" }
}

/// A process that ends with this value, if not before.
struct Peer {
    child: Child,
    input: ChildStdin,
    has_reported: bool,
}

impl Peer {
    fn start(job: &Job, who: usize, say: Sender<(usize, Option<String>)>) -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(job.to_args()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("the peer has no standard input")?;
        let out = child.stdout.take().ok_or("the peer has no standard output")?;
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                drop(say.send((who, Some(line))));
            }
            drop(say.send((who, None)));
        });
        Ok(Self { child, input, has_reported: false })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has reported, or its report is of no use any more.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
