//! libzmq 4.3.5 through its cheapest calls: one I/O thread, blocking sends and receives, one reused message.
//!
//! Where a process has many sockets, one thread serves them all, as they are ready.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use interop::libzmq::{Context, Error, EventKind, Flags, Kind, Msg, Opt, Poller, Ready, Socket};

use super::{Contender, LIBZMQ, block_on};
use crate::Outcome;
use crate::cell::{Cell, Pattern};
use crate::job::{Job, Side};
use crate::load::{
    Audience, Clients, Gathering, IN_FLIGHT, Idle, Load, Next, PROBES, Publishing, Report, Rotation, SETTLE,
    Served, Subscriber, Tally, Topics, Trips,
};

pub(crate) static CONTENDER: Contender = Contender { name: LIBZMQ, variants, peer };

const LARGE_MARKS: &str = "large";
/// What large marks are: a million messages, or this many bytes of payload, for the machine's memory's sake.
const LARGE_BYTES: usize = 1 << 30;
/// A socket that has nothing for so long never will.
const PATIENCE: Duration = Duration::from_secs(20);
/// As many connections may wait to be accepted; its default of 100 makes a crowd come back after a second.
const BACKLOG: i32 = 4096;

fn variants(cell: Cell) -> &'static [&'static str] {
    match cell.pattern {
        _ if !cell.transport.is_common() => &[],
        Pattern::PushPull | Pattern::Shared | Pattern::FanOut => &["default", LARGE_MARKS],
        // Nothing queues there, or its default marks are what is measured.
        _ => &["default"],
    }
}

fn peer(job: &Job) -> Outcome<Report> {
    let context = Context::new();
    // Two per socket that is watched.
    context.set_max_sockets(i32::try_from(job.cell.peers * 2 + 16)?)?;
    let Some((serve, dial)) = job.halves() else { return side(job, &context) };
    let (done, results) = channel();
    let (other, other_context, other_done) = (serve, context.clone(), done.clone());
    thread::spawn(move || other_done.send(side(&other, &other_context)));
    thread::spawn(move || {
        block_on(dial.told());
        done.send(side(&dial, &context))
    });
    Report::both(results.recv()??, results.recv()??)
}

fn side(job: &Job, context: &Context) -> Outcome<Report> {
    let serves = job.side == Side::Serve;
    let open = |kind| socket(job, context, kind);
    match job.cell.pattern {
        Pattern::PushPull | Pattern::Shared if serves => pull(job, &open(Kind::Pull)?),
        Pattern::PushPull => push(job, &open(Kind::Push)?),
        Pattern::Shared => push_shared(job, &open(Kind::Push)?),
        Pattern::ReqRep if serves => reply(job, &open(Kind::Rep)?),
        Pattern::ReqRep => request(job, &open(Kind::Req)?),
        Pattern::FanOut if serves => publish(job, &open(Kind::Pub)?),
        Pattern::FanOut => subscribe(job, context),
        Pattern::Router if serves => route(job, &open(Kind::Router)?),
        Pattern::Router => deal(job, context),
        Pattern::Crowd if serves => pull_crowd(job, &open(Kind::Pull)?),
        Pattern::Connect if serves => pull_burst(job, &open(Kind::Pull)?),
        Pattern::Idle if serves => pull_nothing(job, &open(Kind::Pull)?),
        Pattern::Crowd | Pattern::Connect => push_in_turn(job, context),
        Pattern::Idle => push_nothing(job, context),
        Pattern::Prefixes if serves => publish_topics(job, &open(Kind::Pub)?),
        Pattern::Prefixes => subscribe_topics(job, &open(Kind::Sub)?),
    }
}

fn socket(job: &Job, context: &Context, kind: Kind) -> Outcome<Socket> {
    let socket = context.socket(kind)?;
    socket.set(Opt::Backlog, BACKLOG)?;
    if kind == Kind::Pub {
        socket.set(Opt::XPubNoDrop, 1)?;
    }
    if job.variant == LARGE_MARKS {
        let mark = i32::try_from((LARGE_BYTES / job.cell.size / job.cell.peers).min(1_000_000))?;
        socket.set(Opt::SendHighWater, mark)?;
        socket.set(Opt::ReceiveHighWater, mark)?;
    }
    Ok(socket)
}

/// As many sockets as the cell has peers, each connected.
fn sockets(job: &Job, context: &Context, kind: Kind) -> Outcome<Vec<Socket>> {
    let open = |_| {
        let socket = socket(job, context, kind)?;
        if kind == Kind::Sub {
            socket.set_bytes(Opt::Subscribe, b"")?;
        }
        socket.connect(&job.endpoint)?;
        Ok(socket)
    };
    (0..job.cell.peers).map(open).collect()
}

/// Whether there was a message.
fn try_recv(socket: &Socket, message: &mut Msg) -> Outcome<bool> {
    match socket.recv_into(message, Flags::DONT_WAIT) {
        Ok(()) => Ok(true),
        Err(Error::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn pull(job: &Job, pull: &Socket) -> Outcome<Report> {
    job.announce(&pull.bind(&job.endpoint)?);
    let mut tally = Tally::new(job);
    if job.cell.pattern != Pattern::Shared {
        return count(pull, |message| tally.take(message));
    }
    let (mut number, mut body) = (Msg::new(), Msg::new());
    loop {
        pull.recv_into(&mut number, Flags::NONE)?;
        pull.recv_into(&mut body, Flags::NONE)?;
        if let Some(report) = tally.take_shared(job, number.as_bytes(), body.as_bytes())? {
            return Ok(report);
        }
    }
}

fn count(socket: &Socket, mut take: impl FnMut(&[u8]) -> Outcome<Option<Report>>) -> Outcome<Report> {
    let mut message = Msg::new();
    loop {
        socket.recv_into(&mut message, Flags::NONE)?;
        if let Some(report) = take(message.as_bytes())? {
            return Ok(report);
        }
    }
}

fn push(job: &Job, push: &Socket) -> Outcome<Report> {
    push.connect(&job.endpoint)?;
    let mut load = Load::new(job);
    while let Some(payload) = load.draw() {
        push.send(payload, Flags::NONE)?;
    }
    // The context ends only when all has left, as linger is for ever by default.
    Ok(load.report())
}

fn push_shared(job: &Job, push: &Socket) -> Outcome<Report> {
    push.connect(&job.endpoint)?;
    let body = Arc::new(vec![7; job.cell.size]);
    let mut load = Load::new(job);
    while let Some(number) = load.draw() {
        push.send(number, Flags::MORE)?;
        push.send_msg(&mut Msg::from(Arc::clone(&body)), Flags::NONE)?;
    }
    Ok(load.report())
}

fn reply(job: &Job, rep: &Socket) -> Outcome<Report> {
    job.announce(&rep.bind(&job.endpoint)?);
    let (mut served, mut request) = (Served::default(), Msg::new());
    loop {
        rep.recv_into(&mut request, Flags::NONE)?;
        if served.serve(request.as_bytes()).is_none() {
            return Ok(served.report());
        }
        rep.send(request.as_bytes(), Flags::NONE)?;
    }
}

fn request(job: &Job, req: &Socket) -> Outcome<Report> {
    req.connect(&job.endpoint)?;
    let (mut trips, mut reply) = (Trips::new(job), Msg::new());
    while let Some(question) = trips.ask() {
        req.send(question, Flags::NONE)?;
        req.recv_into(&mut reply, Flags::NONE)?;
        trips.answered(reply.as_bytes())?;
    }
    // Nobody answers the good-bye.
    req.send(&[], Flags::NONE)?;
    trips.report()
}

fn publish(job: &Job, publisher: &Socket) -> Outcome<Report> {
    job.announce(&publisher.bind(&job.endpoint)?);
    let mut load = Load::new(job);
    while !job.is_told() {
        publisher.send(&load.probe(b""), Flags::NONE)?;
        thread::sleep(PROBES);
    }
    while let Some(payload) = load.draw() {
        publisher.send(payload, Flags::NONE)?;
    }
    Ok(load.report())
}

fn subscribe(job: &Job, context: &Context) -> Outcome<Report> {
    let subs = sockets(job, context, Kind::Sub)?;
    let (mut tallies, mut message) = (Audience::gather(job), Msg::new());
    let (mut poller, mut reports) = (Poller::new(&subs, Ready::IN), Vec::new());
    while reports.len() < subs.len() {
        for index in poller.wait(PATIENCE)? {
            while try_recv(&subs[index], &mut message)? {
                reports.extend(tallies[index].take(message.as_bytes())?);
            }
        }
    }
    Report::audience(reports)
}

fn route(job: &Job, router: &Socket) -> Outcome<Report> {
    job.announce(&router.bind(&job.endpoint)?);
    let (mut served, mut peer, mut request) = (Served::default(), Msg::new(), Msg::new());
    loop {
        router.recv_into(&mut peer, Flags::NONE)?;
        router.recv_into(&mut request, Flags::NONE)?;
        if served.serve(request.as_bytes()).is_none() {
            return Ok(served.report());
        }
        router.send_msg(&mut peer, Flags::MORE)?;
        router.send_msg(&mut request, Flags::NONE)?;
    }
}

fn deal(job: &Job, context: &Context) -> Outcome<Report> {
    let dealers = sockets(job, context, Kind::Dealer)?;
    let (mut clients, mut reply) = (Clients::of(job), Msg::new());
    for (dealer, client) in dealers.iter().zip(&mut clients) {
        for _ in 0..IN_FLIGHT {
            dealer.send(client.ask(), Flags::NONE)?;
        }
    }
    let (mut poller, mut over) = (Poller::new(&dealers, Ready::IN), 0);
    while over < dealers.len() {
        for index in poller.wait(PATIENCE)? {
            while try_recv(&dealers[index], &mut reply)? {
                match clients[index].answered(reply.as_bytes())? {
                    Next::Ask(request) => dealers[index].send(request, Flags::NONE)?,
                    Next::Wait => {}
                    Next::Over => over += 1,
                }
            }
        }
    }
    dealers[0].send(&[], Flags::NONE)?;
    clients.iter().map(|client| client.report()).collect()
}

/// Waits until all peers of a socket are connected.
fn gather(job: &Job, pull: &Socket) -> Outcome<Gathering> {
    let mut gathering = Gathering::new(job)?;
    pull.watch()?;
    job.announce(&pull.bind(&job.endpoint)?);
    while !gathering.is_whole() {
        pull.until(EventKind::HandshakeSucceeded, PATIENCE)?.ok_or("no peer came")?;
        gathering.arrived();
    }
    Ok(gathering)
}

fn pull_crowd(job: &Job, pull: &Socket) -> Outcome<Report> {
    gather(job, pull)?;
    job.tell();
    let mut tally = Tally::new(job);
    count(pull, |message| tally.take(message))
}

fn pull_burst(job: &Job, pull: &Socket) -> Outcome<Report> {
    let mut gathering = gather(job, pull)?;
    thread::sleep(SETTLE);
    gathering.idle()?;
    job.tell();
    block_on(job.told());
    let mut tally = Tally::new(job);
    let report = count(pull, |message| {
        let report = tally.take(message);
        gathering.watch(&tally);
        report
    })?;
    thread::sleep(SETTLE);
    let report = gathering.report(report);
    job.tell();
    report
}

fn pull_nothing(job: &Job, pull: &Socket) -> Outcome<Report> {
    gather(job, pull)?;
    thread::sleep(SETTLE);
    job.tell();
    let idle = Idle::start();
    block_on(job.told());
    Ok(idle.report())
}

fn push_in_turn(job: &Job, context: &Context) -> Outcome<Report> {
    let pushes = sockets(job, context, Kind::Push)?;
    block_on(job.told());
    let mut rotation = Rotation::new(job);
    while let Some((peer, payload)) = rotation.draw() {
        pushes[peer].send(payload, Flags::NONE)?;
    }
    if job.cell.pattern == Pattern::Connect {
        job.tell();
        block_on(job.told());
    }
    Ok(rotation.report())
}

fn push_nothing(job: &Job, context: &Context) -> Outcome<Report> {
    let _pushes = sockets(job, context, Kind::Push)?;
    block_on(job.told());
    let idle = Idle::start();
    thread::sleep(job.pace.idle());
    job.tell();
    Ok(idle.report())
}

fn publish_topics(job: &Job, publisher: &Socket) -> Outcome<Report> {
    let topics = Topics::new(job);
    let publishing = Publishing::start()?;
    job.announce(&publisher.bind(&job.endpoint)?);
    let mut load = Load::new(job);
    while !job.is_told() {
        publisher.send(&load.probe(topics.last()), Flags::NONE)?;
        thread::sleep(PROBES);
    }
    let published = publishing.done()?;
    while let Some(payload) = load.draw_about(&topics) {
        publisher.send(payload, Flags::NONE)?;
    }
    Ok(published.report(load.report()))
}

fn subscribe_topics(job: &Job, sub: &Socket) -> Outcome<Report> {
    let topics = Topics::new(job);
    // At its default mark it loses subscriptions in silence.
    sub.set(Opt::SendHighWater, 0)?;
    sub.watch()?;
    sub.connect(&job.endpoint)?;
    sub.until(EventKind::HandshakeSucceeded, PATIENCE)?.ok_or("no publisher came")?;
    let mut subscriber = Subscriber::start(job);
    for topic in topics.iter() {
        sub.set_bytes(Opt::Subscribe, topic)?;
    }
    count(sub, |message| subscriber.take(message))
}
