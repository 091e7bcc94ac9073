//! zocket through its public API, with default options.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::sleep;
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{Context, Dealer, Event, Message, Pub, Pull, Push, Rep, Req, Router, SocketBuilder, Sub};

use super::{Contender, FLAVOURS, OURS, all, in_runtime};
use crate::Outcome;
use crate::cell::{Cores, Pattern, Transport};
use crate::job::{Job, Side};
use crate::load::{
    Audience, Client, Clients, Gathering, IN_FLIGHT, Idle, Load, Next, PROBES, Publishing, Report, Rotation,
    SETTLE, Served, Subscriber, Tally, Topics, Trips,
};

pub(crate) static CONTENDER: Contender = Contender { name: OURS, variants: |_| FLAVOURS, peer };

fn peer(job: &Job) -> Outcome<Report> {
    in_runtime(job, |job| async move {
        let serves = job.side == Side::Serve;
        match job.cell.pattern {
            Pattern::PushPull | Pattern::Shared if serves => pull(&job).await,
            Pattern::PushPull => push(&job).await,
            Pattern::Shared => push_shared(&job).await,
            Pattern::ReqRep if serves => reply(&job).await,
            Pattern::ReqRep => request(&job).await,
            Pattern::FanOut if serves => publish(&job).await,
            Pattern::FanOut => subscribe(&job).await,
            Pattern::Router if serves => route(&job).await,
            Pattern::Router => deal(&job).await,
            Pattern::Crowd if serves => pull_crowd(&job).await,
            Pattern::Connect if serves => pull_burst(&job).await,
            Pattern::Idle if serves => pull_nothing(&job).await,
            Pattern::Crowd | Pattern::Connect => push_in_turn(&job).await,
            Pattern::Idle => push_nothing(&job).await,
            Pattern::Prefixes if serves => publish_topics(&job).await,
            Pattern::Prefixes => subscribe_topics(&job).await,
        }
    })
}

/// The context of a side that binds. Over quic it has a new key; the word for that goes behind the endpoint.
fn listening(job: &Job) -> Outcome<(Context, String)> {
    if job.cell.transport != Transport::Quic {
        return Ok((Context::global().clone(), String::new()));
    }
    let identity = Identity::generate()?;
    let word = format!(" {}", identity.fingerprint());
    Ok((Context::builder().transport(Quic::server(identity)).build()?, word))
}

/// The context of a side that connects, and where to.
fn dialling(job: &Job) -> Outcome<(Context, &str)> {
    let Some((endpoint, word)) = job.endpoint.split_once(' ') else {
        return Ok((Context::global().clone(), &job.endpoint));
    };
    let trust = Trust::keys([word.parse()?]);
    Ok((Context::builder().transport(Quic::client(trust)).build()?, endpoint))
}

async fn pull(job: &Job) -> Outcome<Report> {
    let (context, word) = listening(job)?;
    let pull = Pull::builder().context(&context).build();
    job.announce(&format!("{}{word}", pull.bind(job.endpoint.as_str()).await?));
    let mut tally = Tally::new(job);
    loop {
        let message = pull.recv().await?;
        let report = match job.cell.pattern {
            Pattern::Shared => tally.take_shared(job, message.first(), message.last())?,
            _ => tally.take(message.first())?,
        };
        if let Some(report) = report {
            if job.cell.is_lossy() {
                // Until then the sender sends.
                job.told().await;
            }
            return Ok(report);
        }
    }
}

async fn push(job: &Job) -> Outcome<Report> {
    let (context, endpoint) = dialling(job)?;
    let push = Push::builder().context(&context).build();
    push.connect(endpoint)?;
    let mut load = Load::new(job);
    while let Some(payload) = load.draw() {
        push.send(payload).await?;
    }
    if job.cell.is_lossy() {
        job.tell();
        return Ok(load.report());
    }
    delivered(push.close().await.messages)?;
    Ok(load.report())
}

async fn push_shared(job: &Job) -> Outcome<Report> {
    let push = Push::new();
    push.connect(job.endpoint.as_str())?;
    let body = Bytes::from(vec![7; job.cell.size]);
    let mut load = Load::new(job);
    while let Some(number) = load.draw() {
        push.send([number.into(), zocket::Frame::from(body.clone())]).await?;
    }
    delivered(push.close().await.messages)?;
    Ok(load.report())
}

fn delivered(unsent: usize) -> Outcome<()> {
    if unsent == 0 { Ok(()) } else { Err(format!("{unsent} messages were not delivered").into()) }
}

/// How long a connection looks for more: many round trips.
const BUSY: Duration = Duration::from_millis(1);

/// The options of both sides of a round trip.
fn options<P: zocket::Pattern>(job: &Job, builder: SocketBuilder<P>) -> SocketBuilder<P> {
    match job.cell.cores {
        Cores::Free | Cores::Pinned => builder,
        Cores::Busy => builder.busy_poll(BUSY),
    }
}

async fn reply(job: &Job) -> Outcome<Report> {
    let rep = options(job, Rep::builder()).build();
    job.announce(rep.bind(job.endpoint.as_str()).await?.as_str());
    let mut served = Served::default();
    loop {
        let request = rep.recv().await?;
        let payload = request.message().first();
        if served.serve(payload).is_none() {
            return Ok(served.report());
        }
        let echo = Message::from(&payload[..]);
        request.reply(echo).await?;
    }
}

async fn request(job: &Job) -> Outcome<Report> {
    let req = options(job, Req::builder()).build();
    req.connect(job.endpoint.as_str())?;
    let mut trips = Trips::new(job);
    while let Some(question) = trips.ask() {
        let reply = req.request(question).await?;
        trips.answered(reply.first())?;
    }
    // Nobody answers the good-bye.
    let good_bye = tokio::spawn(async move { req.request("").await });
    drop(good_bye.await);
    trips.report()
}

async fn publish(job: &Job) -> Outcome<Report> {
    let publisher = Pub::builder().no_drop(true).build();
    job.announce(publisher.bind(job.endpoint.as_str()).await?.as_str());
    let mut load = Load::new(job);
    while !job.is_told() {
        publisher.send(load.probe(b"")).await?;
        sleep(PROBES).await;
    }
    while let Some(payload) = load.draw() {
        publisher.send(payload).await?;
    }
    delivered(publisher.close().await.messages)?;
    Ok(load.report())
}

async fn subscribe(job: &Job) -> Outcome<Report> {
    let mut tasks = JoinSet::new();
    for mut tally in Audience::gather(job) {
        let sub = Sub::new();
        sub.subscribe("")?;
        sub.connect(job.endpoint.as_str())?;
        tasks.spawn(async move {
            loop {
                if let Some(report) = tally.take(sub.recv().await?.first())? {
                    return Ok(report);
                }
            }
        });
    }
    Report::audience(all(tasks).await?)
}

async fn route(job: &Job) -> Outcome<Report> {
    let router = Router::new();
    job.announce(router.bind(job.endpoint.as_str()).await?.as_str());
    let mut served = Served::default();
    loop {
        let message = router.recv().await?;
        if served.serve(message.last()).is_none() {
            return Ok(served.report());
        }
        router.send(message).await?;
    }
}

async fn deal(job: &Job) -> Outcome<Report> {
    let mut tasks = JoinSet::new();
    for client in Clients::of(job) {
        let dealer = Dealer::new();
        dealer.connect(job.endpoint.as_str())?;
        tasks.spawn(ask(dealer, client));
    }
    let (dealers, reports): (Vec<_>, Vec<_>) = all(tasks).await?.into_iter().unzip();
    for dealer in &dealers[..1] {
        dealer.send("").await?;
        dealer.close().await;
    }
    Ok(reports.into_iter().collect())
}

async fn ask(dealer: Dealer, mut client: Client) -> Outcome<(Dealer, Report)> {
    for _ in 0..IN_FLIGHT {
        dealer.send(client.ask()).await?;
    }
    loop {
        match client.answered(dealer.recv().await?.first())? {
            Next::Ask(request) => dealer.send(request).await?,
            Next::Wait => {}
            Next::Over => return Ok((dealer, client.report()?)),
        }
    }
}

/// A PULL with all its peers connected.
async fn gather(job: &Job) -> Outcome<(Pull, Gathering)> {
    let mut gathering = Gathering::new(job)?;
    let pull = Pull::new();
    let mut events = pull.monitor();
    job.announce(pull.bind(job.endpoint.as_str()).await?.as_str());
    while !gathering.is_whole() {
        match events.next().await {
            Some(Event::Ready { .. }) => gathering.arrived(),
            Some(Event::Lagged { .. }) => {
                gathering.are_here(pull.peers().iter().filter(|peer| peer.info.is_some()).count());
            }
            Some(_) => {}
            None => return Err("the socket is closed".into()),
        }
    }
    Ok((pull, gathering))
}

async fn pull_crowd(job: &Job) -> Outcome<Report> {
    let (pull, _) = gather(job).await?;
    job.tell();
    let mut tally = Tally::new(job);
    loop {
        if let Some(report) = tally.take(pull.recv().await?.first())? {
            return Ok(report);
        }
    }
}

async fn pull_burst(job: &Job) -> Outcome<Report> {
    let (pull, mut gathering) = gather(job).await?;
    sleep(SETTLE).await;
    gathering.idle()?;
    job.tell();
    job.told().await;
    let mut tally = Tally::new(job);
    let report = loop {
        let report = tally.take(pull.recv().await?.first())?;
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

async fn pull_nothing(job: &Job) -> Outcome<Report> {
    let (_pull, _) = gather(job).await?;
    sleep(SETTLE).await;
    job.tell();
    let idle = Idle::start();
    job.told().await;
    Ok(idle.report())
}

async fn connect(job: &Job) -> Outcome<Vec<Push>> {
    let pushes = (0..job.cell.peers).map(|_| Push::new()).collect::<Vec<_>>();
    for push in &pushes {
        push.connect(job.endpoint.as_str())?;
    }
    job.told().await;
    Ok(pushes)
}

async fn push_in_turn(job: &Job) -> Outcome<Report> {
    let pushes = connect(job).await?;
    let mut rotation = Rotation::new(job);
    while let Some((peer, payload)) = rotation.draw() {
        pushes[peer].send(payload).await?;
    }
    if job.cell.pattern == Pattern::Connect {
        job.tell();
        job.told().await;
    }
    for push in &pushes {
        delivered(push.close().await.messages)?;
    }
    Ok(rotation.report())
}

async fn push_nothing(job: &Job) -> Outcome<Report> {
    let _pushes = connect(job).await?;
    let idle = Idle::start();
    sleep(job.pace.idle()).await;
    job.tell();
    Ok(idle.report())
}

async fn publish_topics(job: &Job) -> Outcome<Report> {
    let topics = Topics::new(job);
    let publishing = Publishing::start()?;
    let publisher = Pub::builder().no_drop(true).build();
    job.announce(publisher.bind(job.endpoint.as_str()).await?.as_str());
    let mut load = Load::new(job);
    while !job.is_told() {
        publisher.send(load.probe(topics.last())).await?;
        sleep(PROBES).await;
    }
    let published = publishing.done()?;
    while let Some(payload) = load.draw_about(&topics) {
        publisher.send(payload).await?;
    }
    delivered(publisher.close().await.messages)?;
    Ok(published.report(load.report()))
}

async fn subscribe_topics(job: &Job) -> Outcome<Report> {
    let topics = Topics::new(job);
    let sub = Sub::new();
    sub.connect(job.endpoint.as_str())?;
    sub.connected(job.endpoint.as_str()).await?;
    let mut subscriber = Subscriber::start(job);
    for topic in topics.iter() {
        sub.subscribe(topic)?;
    }
    loop {
        if let Some(report) = subscriber.take(sub.recv().await?.first())? {
            return Ok(report);
        }
    }
}
