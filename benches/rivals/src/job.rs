//! What one of the processes of a run does. The program starts itself for it, with the job as arguments.
//!
//! The process answers on its standard output: `at ENDPOINT` once it is bound, `report …` when it is done.
//! Where the sides have to wait for each other, one says `go` and the parent hands it to the other.

use std::io::{BufRead, Write};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::Outcome;
use crate::cell::{Cell, Cores, Transport};
use crate::load::{Pace, Short, Summary};
use crate::rivals::{Contender, contenders};
use crate::usage::cpu_time;

/// The first argument of a process that is a peer.
pub(crate) const PEER: &str = "--peer";

/// What one side tells the other.
pub(crate) const GO: &str = "go";

/// What a process says of a run that was too short, rather than report.
pub(crate) const SHORT: &str = "short";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Binds.
    Serve,
    /// Connects.
    Dial,
    /// Both in one process.
    Both,
}

impl Side {
    const NAMES: [(Self, &str); 3] = [(Self::Serve, "serve"), (Self::Dial, "dial"), (Self::Both, "both")];

    /// The side that binds. Of a cell that has one process, that process.
    pub(crate) fn first(cell: Cell) -> Self {
        if cell.transport == Transport::Inproc { Self::Both } else { Self::Serve }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) contender: &'static Contender,
    pub(crate) variant: String,
    pub(crate) side: Side,
    pub(crate) cell: Cell,
    pub(crate) pace: Pace,
    /// Where to bind, or whom to connect to.
    pub(crate) endpoint: String,
    line: Line,
}

/// The way to the other side.
#[derive(Debug, Clone)]
struct Line {
    /// How often this side was told to go, and has not noticed yet.
    heard: Arc<Semaphore>,
    /// The other side, if it is in this process.
    near: Option<Arc<Semaphore>>,
}

impl Job {
    pub(crate) fn new(
        contender: &'static Contender,
        variant: &str,
        cell: Cell,
        pace: Pace,
        endpoint: String,
    ) -> Self {
        let line = Line { heard: Arc::new(Semaphore::new(0)), near: None };
        Self { contender, variant: variant.to_owned(), side: Side::first(cell), cell, pace, endpoint, line }
    }

    /// Of a cell, for tests of what has to do with no library.
    #[cfg(test)]
    pub(crate) fn of(cell: &str) -> Self {
        let contender = contenders().next().expect("a library");
        Self::new(contender, "", cell.parse().expect("a cell"), Pace::QUICK, String::new())
    }

    pub(crate) fn to_args(&self) -> Vec<String> {
        let side = Side::NAMES.iter().find(|(side, _)| *side == self.side).map_or("", |(_, name)| name);
        let [warm_up, run] = [self.pace.warm_up, self.pace.run].map(|time| time.as_millis().to_string());
        let (name, cell) = (self.contender.name.to_owned(), self.cell.to_string());
        vec![PEER.into(), name, self.variant.clone(), side.into(), cell, warm_up, run, self.endpoint.clone()]
    }

    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut word =
            || args.next().ok_or("a peer is told library, variant, side, cell, times and endpoint");
        let name = word()?;
        let contender = contenders().find(|contender| contender.name == name);
        let contender = contender.ok_or_else(|| format!("no library {name:?}"))?;
        let (variant, side, cell) = (word()?, word()?, word()?.parse()?);
        let side = Side::NAMES.iter().find(|(_, name)| *name == side).ok_or("no such side")?.0;
        let mut millis =
            || Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Duration::from_millis(word()?.parse()?));
        let pace = Pace { warm_up: millis()?, run: millis()? };
        Ok(Self { side, ..Self::new(contender, &variant, cell, pace, word()?) })
    }

    /// Does the job and says how it went.
    pub(crate) fn run(&self) -> Outcome<()> {
        if self.cell.cores == Cores::Pinned {
            // Before any other thread exists, so that all of them inherit it.
            let core = core_affinity::get_core_ids().unwrap_or_default().pop().ok_or("no core to be had")?;
            if !core_affinity::set_for_current(core) {
                return Err(format!("this process may not be pinned to core {}", core.id).into());
            }
        }
        self.listen();
        let report = match (self.contender.peer)(self) {
            Err(error) if error.is::<Short>() => {
                say(SHORT);
                return Ok(());
            }
            report => report?,
        };
        let summary: Summary = report.summary(cpu_time());
        say(&format!("report {summary}"));
        Ok(())
    }

    /// The two sides of a job that has one process.
    pub(crate) fn halves(&self) -> Option<(Self, Self)> {
        if self.side != Side::Both {
            return None;
        }
        let [a, b] = [(), ()].map(|()| Arc::new(Semaphore::new(0)));
        let half = |side, heard: &Arc<_>, near: &Arc<_>| {
            let line = Line { heard: Arc::clone(heard), near: Some(Arc::clone(near)) };
            Self { side, line, ..self.clone() }
        };
        Some((half(Side::Serve, &a, &b), half(Side::Dial, &b, &a)))
    }

    /// Says where this side is bound; the other one then starts.
    pub(crate) fn announce(&self, endpoint: &str) {
        if self.line.near.is_some() {
            self.tell();
        } else {
            say(&format!("at {endpoint}"));
        }
    }

    /// Tells the other side to go on.
    pub(crate) fn tell(&self) {
        match &self.line.near {
            Some(near) => near.add_permits(1),
            None => say(GO),
        }
    }

    /// Waits until the other side has told this one to go on.
    pub(crate) async fn told(&self) {
        if let Ok(permit) = self.line.heard.acquire().await {
            permit.forget();
        }
    }

    /// Whether the other side has told this one to go on.
    pub(crate) fn is_told(&self) -> bool {
        self.line.heard.try_acquire().is_ok_and(|permit| {
            permit.forget();
            true
        })
    }

    /// Hears what the parent hands on, and ends with it.
    fn listen(&self) {
        let heard = Arc::clone(&self.line.heard);
        thread::spawn(move || {
            for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
                heard.add_permits(1);
            }
            process::exit(1);
        });
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // If nobody listens any more, nobody misses it.
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_back_from_its_arguments() {
        let mut job = Job::of("fan_out/tcp/64x8");
        job.side = Side::Dial;
        job.variant = "mt".into();
        job.endpoint = "tcp://127.0.0.1:5".into();
        let args = job.to_args();
        let read = Job::from_args(args.iter().skip(1).cloned()).unwrap();
        assert_eq!((read.to_args(), read.pace), (args, job.pace));
        assert!(Job::from_args(["ours".to_owned()].into_iter()).is_err());
    }

    #[test]
    fn one_process_has_two_sides_that_hear_each_other() {
        let (serve, dial) = Job::of("push_pull/inproc/64").halves().expect("two sides");
        serve.announce("inproc://here");
        assert!(dial.is_told() && !dial.is_told() && !serve.is_told());
        assert!(Job::of("push_pull/tcp/64").halves().is_none());
    }
}
