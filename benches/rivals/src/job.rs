//! What one of the two processes of a run does. The program starts itself for it, with the job as arguments.
//!
//! The process answers on its standard output: `at ENDPOINT` once it is bound, `report …` when it is done.

use std::io::Write;
use std::time::Duration;

use crate::Outcome;
use crate::cell::Cell;
use crate::load::Report;
use crate::rivals::{Contender, contenders};

/// The first argument of a process that is a peer.
pub(crate) const PEER: &str = "--peer";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Binds: the receiver, the replier.
    Serve,
    /// Connects: the sender, the requester.
    Dial,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) contender: &'static Contender,
    pub(crate) variant: String,
    pub(crate) side: Side,
    pub(crate) cell: Cell,
    /// Where to bind, or whom to connect to.
    pub(crate) endpoint: String,
}

impl Job {
    pub(crate) fn to_args(&self) -> [String; 6] {
        let side = match self.side {
            Side::Serve => "serve",
            Side::Dial => "dial",
        };
        let name = self.contender.name.to_owned();
        [PEER.into(), name, self.variant.clone(), side.into(), self.cell.to_string(), self.endpoint.clone()]
    }

    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut word = || args.next().ok_or("a peer is told library, variant, side, cell and endpoint");
        let name = word()?;
        let contender = contenders().find(|contender| contender.name == name);
        Ok(Self {
            contender: contender.ok_or_else(|| format!("no library {name:?}"))?,
            variant: word()?,
            side: if word()? == "serve" { Side::Serve } else { Side::Dial },
            cell: word()?.parse()?,
            endpoint: word()?,
        })
    }

    pub(crate) fn run(&self) -> Outcome<()> {
        if self.cell.pinned {
            // Before any other thread exists, so that all of them inherit it.
            let core = core_affinity::get_core_ids().unwrap_or_default().pop().ok_or("no core to be had")?;
            if !core_affinity::set_for_current(core) {
                return Err(format!("this process may not be pinned to core {}", core.id).into());
            }
        }
        let Report { count, elapsed, p50, p99 } = (self.contender.peer)(self)?;
        let [elapsed, p50, p99] = [elapsed, p50, p99].map(|time| time.as_nanos());
        say(&format!("report {count} {elapsed} {p50} {p99}"))
    }
}

/// Tells the parent where this process is bound.
pub(crate) fn announce(endpoint: &str) -> Outcome<()> {
    say(&format!("at {endpoint}"))
}

fn say(line: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// The other end of `report …`.
pub(crate) fn parse_report(line: &str) -> Outcome<Report> {
    let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let &[count, elapsed, p50, p99] = &numbers[..] else { return Err(format!("no report: {line:?}").into()) };
    let [elapsed, p50, p99] = [elapsed, p50, p99].map(Duration::from_nanos);
    Ok(Report { count, elapsed, p50, p99 })
}
