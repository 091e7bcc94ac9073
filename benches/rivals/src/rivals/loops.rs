//! The loops of the async rivals, over what their sockets have in common.
//!
//! A rival says in [`Sock`] how one of its sockets is opened, sends, receives and ends; what is done with them is
//! then the same for all, as in `zocket.rs`.

use std::future::Future;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{all, in_runtime};
use crate::Outcome;
use crate::cell::Pattern;
use crate::job::{Job, Side};
use crate::load::{
    Audience, Client, Clients, Gathering, IN_FLIGHT, Idle, Load, Next, PROBES, Publishing, Report, Rotation,
    SETTLE, Served, Subscriber, Tally, Topics, Trips,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Push,
    Pull,
    Req,
    Rep,
    /// Drops nothing.
    Pub,
    Sub,
    Router,
    Dealer,
}

pub(super) trait Sock: Sized + Send + 'static {
    type Message: Send;

    /// A copy of the payload.
    fn message(payload: &[u8]) -> Self::Message;
    /// A copy of the number, and the body itself.
    fn with_body(number: &[u8], body: &Bytes) -> Self::Message;
    fn parts(message: &Self::Message) -> usize;
    fn part(message: &Self::Message, index: usize) -> &[u8];

    fn open(job: &Job, kind: Kind) -> impl Future<Output = Outcome<Self>> + Send;
    /// Returns the endpoint with its port.
    fn bind(&mut self, endpoint: &str) -> impl Future<Output = Outcome<String>> + Send;
    /// Binds, announces, and waits until all peers are ready.
    fn gather(&mut self, job: &Job, gathering: &mut Gathering) -> impl Future<Output = Outcome<()>> + Send;
    fn connect(&mut self, endpoint: &str) -> impl Future<Output = Outcome<()>> + Send;
    /// For subscribers, also of many prefixes.
    fn subscribe(&mut self, prefix: &[u8]) -> impl Future<Output = Outcome<()>> + Send;
    fn send(&mut self, message: Self::Message) -> impl Future<Output = Outcome<()>> + Send;
    fn recv(&mut self) -> impl Future<Output = Outcome<Self::Message>> + Send;
    /// Ends them, when all that they were given has left.
    fn finish(job: &Job, sockets: Vec<Self>) -> impl Future<Output = Outcome<()>> + Send;
}

pub(super) fn run<S: Sock>(job: &Job) -> Outcome<Report> {
    in_runtime(job, |job| async move {
        let serves = job.side == Side::Serve;
        match job.cell.pattern {
            Pattern::PushPull | Pattern::Shared if serves => pull::<S>(&job).await,
            Pattern::PushPull | Pattern::Shared => push::<S>(&job).await,
            Pattern::ReqRep | Pattern::Router if serves => answer::<S>(&job).await,
            Pattern::ReqRep => request::<S>(&job).await,
            Pattern::Router => deal::<S>(&job).await,
            Pattern::FanOut | Pattern::Prefixes if serves => publish::<S>(&job).await,
            Pattern::FanOut => subscribe::<S>(&job).await,
            Pattern::Prefixes => subscribe_topics::<S>(&job).await,
            Pattern::Crowd | Pattern::Connect | Pattern::Idle if serves => pull_many::<S>(&job).await,
            Pattern::Crowd | Pattern::Connect | Pattern::Idle => push_many::<S>(&job).await,
        }
    })
}

async fn bound<S: Sock>(job: &Job, kind: Kind) -> Outcome<S> {
    let mut socket = S::open(job, kind).await?;
    job.announce(&socket.bind(&job.endpoint).await?);
    Ok(socket)
}

async fn connected<S: Sock>(job: &Job, kind: Kind) -> Outcome<S> {
    let mut socket = S::open(job, kind).await?;
    socket.connect(&job.endpoint).await?;
    Ok(socket)
}

async fn count<S: Sock>(mut socket: S, mut tally: Tally) -> Outcome<Report> {
    loop {
        if let Some(report) = tally.take(S::part(&socket.recv().await?, 0))? {
            return Ok(report);
        }
    }
}

async fn pull<S: Sock>(job: &Job) -> Outcome<Report> {
    let (mut pull, mut tally) = (bound::<S>(job, Kind::Pull).await?, Tally::new(job));
    if job.cell.pattern == Pattern::PushPull {
        return count(pull, tally).await;
    }
    loop {
        let message = pull.recv().await?;
        if let Some(report) = tally.take_shared(job, S::part(&message, 0), S::part(&message, 1))? {
            return Ok(report);
        }
    }
}

async fn push<S: Sock>(job: &Job) -> Outcome<Report> {
    let (mut push, mut load) = (connected::<S>(job, Kind::Push).await?, Load::new(job));
    let body = (job.cell.pattern == Pattern::Shared).then(|| Bytes::from(vec![7; job.cell.size]));
    while let Some(payload) = load.draw() {
        let message = match &body {
            Some(body) => S::with_body(payload, body),
            None => S::message(payload),
        };
        push.send(message).await?;
    }
    S::finish(job, vec![push]).await?;
    Ok(load.report())
}

/// A REP echoes a copy, a ROUTER the message as it came, with whom it is for.
async fn answer<S: Sock>(job: &Job) -> Outcome<Report> {
    let routes = job.cell.pattern == Pattern::Router;
    let mut socket = bound::<S>(job, if routes { Kind::Router } else { Kind::Rep }).await?;
    let mut served = Served::default();
    loop {
        let request = socket.recv().await?;
        let payload = S::part(&request, S::parts(&request) - 1);
        if served.serve(payload).is_none() {
            job.tell();
            return Ok(served.report());
        }
        let reply = if routes { request } else { S::message(payload) };
        socket.send(reply).await?;
    }
}

async fn request<S: Sock>(job: &Job) -> Outcome<Report> {
    let (mut req, mut trips) = (connected::<S>(job, Kind::Req).await?, Trips::new(job));
    while let Some(question) = trips.ask() {
        req.send(S::message(question)).await?;
        trips.answered(S::part(&req.recv().await?, 0))?;
    }
    req.send(S::message(&[])).await?;
    job.told().await;
    S::finish(job, vec![req]).await?;
    trips.report()
}

async fn deal<S: Sock>(job: &Job) -> Outcome<Report> {
    let mut tasks = JoinSet::new();
    for client in Clients::of(job) {
        tasks.spawn(ask(connected::<S>(job, Kind::Dealer).await?, client));
    }
    let (mut dealers, reports): (Vec<_>, Vec<_>) = all(tasks).await?.into_iter().unzip();
    for dealer in &mut dealers[..1] {
        dealer.send(S::message(&[])).await?;
    }
    job.told().await;
    S::finish(job, dealers).await?;
    Ok(reports.into_iter().collect())
}

async fn ask<S: Sock>(mut dealer: S, mut client: Client) -> Outcome<(S, Report)> {
    for _ in 0..IN_FLIGHT {
        dealer.send(S::message(client.ask())).await?;
    }
    loop {
        match client.answered(S::part(&dealer.recv().await?, 0))? {
            Next::Ask(request) => dealer.send(S::message(request)).await?,
            Next::Wait => {}
            Next::Over => return Ok((dealer, client.report()?)),
        }
    }
}

async fn publish<S: Sock>(job: &Job) -> Outcome<Report> {
    let topics = (job.cell.pattern == Pattern::Prefixes).then(|| Topics::new(job));
    let publishing = Publishing::start()?;
    let (mut publisher, mut load) = (bound::<S>(job, Kind::Pub).await?, Load::new(job));
    while !job.is_told() {
        let topic = topics.as_ref().map_or(&b""[..], Topics::last);
        publisher.send(S::message(&load.probe(topic))).await?;
        sleep(PROBES).await;
    }
    let published = publishing.done()?;
    while let Some(payload) = match &topics {
        Some(topics) => load.draw_about(topics),
        None => load.draw(),
    } {
        publisher.send(S::message(payload)).await?;
    }
    S::finish(job, vec![publisher]).await?;
    Ok(if topics.is_some() { published.report(load.report()) } else { load.report() })
}

async fn subscribe<S: Sock>(job: &Job) -> Outcome<Report> {
    let mut tasks = JoinSet::new();
    for tally in Audience::gather(job) {
        let mut sub = connected::<S>(job, Kind::Sub).await?;
        sub.subscribe(b"").await?;
        tasks.spawn(count(sub, tally));
    }
    Report::audience(all(tasks).await?)
}

async fn subscribe_topics<S: Sock>(job: &Job) -> Outcome<Report> {
    let topics = Topics::new(job);
    let mut sub = connected::<S>(job, Kind::Sub).await?;
    // Not all of them wait for the connection.
    sleep(SETTLE).await;
    let mut subscriber = Subscriber::start(job);
    for topic in topics.iter() {
        sub.subscribe(topic).await?;
    }
    loop {
        if let Some(report) = subscriber.take(S::part(&sub.recv().await?, 0))? {
            return Ok(report);
        }
    }
}

async fn pull_many<S: Sock>(job: &Job) -> Outcome<Report> {
    let mut gathering = Gathering::new(job)?;
    let mut pull = S::open(job, Kind::Pull).await?;
    pull.gather(job, &mut gathering).await?;
    if job.cell.pattern == Pattern::Crowd {
        job.tell();
        return count(pull, Tally::new(job)).await;
    }
    sleep(SETTLE).await;
    gathering.idle()?;
    job.tell();
    let idle = Idle::start();
    job.told().await;
    if job.cell.pattern == Pattern::Idle {
        return Ok(idle.report());
    }
    let mut tally = Tally::new(job);
    let report = loop {
        let report = tally.take(S::part(&pull.recv().await?, 0))?;
        gathering.watch(&tally);
        if let Some(report) = report {
            break report;
        }
    };
    sleep(SETTLE).await;
    let report = gathering.report(report);
    job.tell();
    report
}

async fn push_many<S: Sock>(job: &Job) -> Outcome<Report> {
    let mut tasks = JoinSet::new();
    for _ in 0..job.cell.peers {
        let job = job.clone();
        tasks.spawn(async move { connected::<S>(&job, Kind::Push).await });
    }
    let mut pushes = all(tasks).await?;
    job.told().await;
    if job.cell.pattern == Pattern::Idle {
        let idle = Idle::start();
        sleep(job.pace.idle()).await;
        job.tell();
        return Ok(idle.report());
    }
    let mut rotation = Rotation::new(job);
    while let Some((peer, payload)) = rotation.draw() {
        pushes[peer].send(S::message(payload)).await?;
    }
    if job.cell.pattern == Pattern::Connect {
        job.tell();
        job.told().await;
    }
    S::finish(job, pushes).await?;
    Ok(rotation.report())
}
