//! Two tasks of one runtime and tokio's channel between them, as long as zocket's queues.

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::{all, runtime};
use crate::Outcome;
use crate::cell::Pattern;
use crate::job::Job;
use crate::load::{Load, Report, Served, Tally, Trips};

/// zocket's default marks.
const MARK: usize = 1000;
const MARK_BYTES: usize = 64 << 20;

type Payload = Vec<u8>;

pub(super) fn run(job: &Job) -> Outcome<Report> {
    let runtime = runtime(&job.variant)?;
    let mut sides = JoinSet::new();
    let mark = MARK.min(MARK_BYTES / job.cell.size);
    let (there, here) = channel(mark);
    if job.cell.pattern == Pattern::ReqRep {
        let (answer, answers) = channel(mark);
        sides.spawn_on(reply(here, answer), runtime.handle());
        sides.spawn_on(request(Trips::new(job), there, answers), runtime.handle());
    } else {
        sides.spawn_on(receive(Tally::new(job), here), runtime.handle());
        sides.spawn_on(send(Load::new(job), there), runtime.handle());
    }
    let reports = runtime.block_on(all(sides))?;
    let [a, b] = <[Report; 2]>::try_from(reports).map_err(|_| "a job has two sides")?;
    Report::both(a, b)
}

async fn send(mut load: Load, there: Sender<Payload>) -> Outcome<Report> {
    while let Some(payload) = load.draw() {
        there.send(payload.to_vec()).await?;
    }
    Ok(load.report())
}

async fn receive(mut tally: Tally, mut here: Receiver<Payload>) -> Outcome<Report> {
    while let Some(payload) = here.recv().await {
        if let Some(report) = tally.take(&payload)? {
            return Ok(report);
        }
    }
    Err("the channel ended before the run".into())
}

async fn request(
    mut trips: Trips,
    there: Sender<Payload>,
    mut answers: Receiver<Payload>,
) -> Outcome<Report> {
    while let Some(question) = trips.ask() {
        there.send(question.to_vec()).await?;
        let answer = answers.recv().await.ok_or("nobody answers any more")?;
        trips.answered(&answer)?;
    }
    trips.report()
}

async fn reply(mut here: Receiver<Payload>, answer: Sender<Payload>) -> Outcome<Report> {
    let mut served = Served::default();
    // The end of the channel is the good-bye.
    while let Some(question) = here.recv().await {
        served.serve(&question);
        answer.send(question).await?;
    }
    Ok(served.report())
}
