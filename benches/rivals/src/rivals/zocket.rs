//! zocket through its public API, with default options.

use zocket::{Message, Pull, Push, Rep, Req};

use super::{Contender, FLAVOURS, OURS, in_task};
use crate::Outcome;
use crate::cell::Pattern;
use crate::job::{Job, Side, announce};
use crate::load::{Load, Report, Tally, Trips};

pub(crate) static CONTENDER: Contender = Contender { name: OURS, variants: |_| FLAVOURS, peer };

fn peer(job: &Job) -> Outcome<Report> {
    let (size, endpoint) = (job.cell.size, job.endpoint.clone());
    match (job.cell.pattern, job.side) {
        (Pattern::PushPull, Side::Serve) => in_task(&job.variant, pull(size, endpoint)),
        (Pattern::PushPull, Side::Dial) => in_task(&job.variant, push(size, endpoint)),
        (Pattern::ReqRep, Side::Serve) => in_task(&job.variant, reply(endpoint)),
        (Pattern::ReqRep, Side::Dial) => in_task(&job.variant, request(size, endpoint)),
    }
}

async fn pull(size: usize, at: String) -> Outcome<Report> {
    let pull = Pull::new();
    announce(pull.bind(at.as_str()).await?.as_str())?;
    let mut tally = Tally::new(size);
    loop {
        let message = pull.recv().await?;
        if let Some(report) = tally.take(message.first())? {
            return Ok(report);
        }
    }
}

async fn push(size: usize, to: String) -> Outcome<Report> {
    let push = Push::new();
    push.connect(to.as_str())?;
    let mut load = Load::new(size);
    while let Some(payload) = load.draw() {
        push.send(payload).await?;
    }
    match push.close().await.messages {
        0 => Ok(load.report()),
        unsent => Err(format!("{unsent} messages were not delivered").into()),
    }
}

async fn reply(at: String) -> Outcome<Report> {
    let rep = Rep::new();
    announce(rep.bind(at.as_str()).await?.as_str())?;
    let mut count = 0;
    loop {
        let request = rep.recv().await?;
        let payload = request.message().first();
        if payload.is_empty() {
            return Ok(Report { count, ..Report::default() });
        }
        let echo = Message::from(&payload[..]);
        request.reply(echo).await?;
        count += 1;
    }
}

async fn request(size: usize, to: String) -> Outcome<Report> {
    let req = Req::new();
    req.connect(to.as_str())?;
    let mut trips = Trips::new(size);
    while let Some(question) = trips.ask() {
        let reply = req.request(question).await?;
        trips.answered(reply.first())?;
    }
    // Nobody answers the good-bye.
    let good_bye = tokio::spawn(async move { req.request("").await });
    drop(good_bye.await);
    trips.report()
}
