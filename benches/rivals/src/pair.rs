//! Measures a cell: starts the two processes of each run, hears their reports, and holds one against the other.
//!
//! Whatever happens, no process outlives its run, and a run that is not whole gives an error and no figure.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use crate::Outcome;
use crate::cell::{Cell, Pattern, Transport};
use crate::job::{Job, Side, parse_report};
use crate::load::Report;
use crate::report::{Row, Series};
use crate::rivals::contenders;

/// How long a run may take: it sends for less than two seconds, and then large marks have to drain.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs every variant of every library once a pair.
pub(crate) fn measure(cell: Cell, pairs: usize) -> Outcome<Row> {
    let mut series = Vec::new();
    for contender in contenders() {
        for (turn, variant) in (contender.variants)(cell.pattern).iter().enumerate() {
            series.push((turn, Series::new(contender, variant)));
        }
    }
    // First variants first: zocket and its rivals alternate within a pair too.
    series.sort_by_key(|(turn, _)| *turn);
    let mut series = series.into_iter().map(|(_, series)| series).collect::<Vec<_>>();
    for pair in 1..=pairs {
        eprintln!("{cell}: pair {pair} of {pairs}");
        for series in &mut series {
            let report = run(cell, series).map_err(|error| {
                format!("{cell}, {} ({}): {error}", series.contender.name, series.variant)
            })?;
            series.add(cell.pattern, report);
        }
    }
    Ok(Row { cell, series })
}

fn run(cell: Cell, series: &Series) -> Outcome<Report> {
    let deadline = Instant::now() + LIMIT;
    let socket_file = env::temp_dir().join(format!("rivals-{}.sock", process::id()));
    let mut job = Job {
        contender: series.contender,
        variant: series.variant.to_owned(),
        side: Side::Serve,
        cell,
        endpoint: match cell.transport {
            Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Transport::Ipc => format!("ipc://{}", socket_file.display()),
        },
    };
    let server = Peer::start(&job)?;
    job.endpoint = server.hear("at ", deadline)?;
    job.side = Side::Dial;
    let client = Peer::start(&job)?;
    // The measuring side first: what it has to say of an error is said first.
    let (measuring, other) = match cell.pattern {
        Pattern::PushPull => (&server, &client),
        Pattern::ReqRep => (&client, &server),
    };
    let report = parse_report(&measuring.hear("report ", deadline)?)?;
    let theirs = parse_report(&other.hear("report ", deadline)?)?;
    drop(fs::remove_file(socket_file));
    if report.count != theirs.count {
        return Err(format!("one side counts {}, the other {}", report.count, theirs.count).into());
    }
    Ok(report)
}

/// A process that ends with this value, if not before.
struct Peer {
    child: Child,
    lines: Receiver<String>,
    side: Side,
}

impl Peer {
    fn start(job: &Job) -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(job.to_args()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let out = child.stdout.take().ok_or("the peer has no standard output")?;
        let (say, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines, side: job.side })
    }

    /// The rest of the next line, which must start like this.
    fn hear(&self, start: &str, deadline: Instant) -> Outcome<String> {
        let side = match self.side {
            Side::Serve => "the binding side",
            Side::Dial => "the connecting side",
        };
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.strip_prefix(start) {
                Some(rest) => Ok(rest.to_owned()),
                None => Err(format!("{side} said {line:?} where `{start}` was due").into()),
            },
            Err(RecvTimeoutError::Timeout) => Err(format!("{side} did not finish within {LIMIT:?}").into()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("{side} ended without a report; its error, if it said one, is above").into())
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has reported, or its report is of no use any more.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
