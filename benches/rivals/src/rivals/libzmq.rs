//! libzmq 4.3.5 through its cheapest calls: one I/O thread, blocking sends and receives, one reused message.

use interop::libzmq::{Context, Flags, Kind, Msg, Opt, Socket};

use super::{Contender, LIBZMQ};
use crate::Outcome;
use crate::cell::Pattern;
use crate::job::{Job, Side, announce};
use crate::load::{Load, Report, Tally, Trips};

pub(crate) static CONTENDER: Contender = Contender { name: LIBZMQ, variants, peer };

const LARGE_MARKS: &str = "large";
/// What large marks are: a million messages, or this many bytes of payload, for the machine's memory's sake.
const LARGE_BYTES: usize = 1 << 30;

fn variants(pattern: Pattern) -> &'static [&'static str] {
    match pattern {
        Pattern::PushPull => &["default", LARGE_MARKS],
        // At most one message is under way.
        Pattern::ReqRep => &["default"],
    }
}

fn peer(job: &Job) -> Outcome<Report> {
    let context = Context::new();
    match (job.cell.pattern, job.side) {
        (Pattern::PushPull, Side::Serve) => pull(job, &socket(job, &context, Kind::Pull)?),
        (Pattern::PushPull, Side::Dial) => push(job, &socket(job, &context, Kind::Push)?),
        (Pattern::ReqRep, Side::Serve) => reply(job, &socket(job, &context, Kind::Rep)?),
        (Pattern::ReqRep, Side::Dial) => request(job, &socket(job, &context, Kind::Req)?),
    }
}

fn socket(job: &Job, context: &Context, kind: Kind) -> Outcome<Socket> {
    let socket = context.socket(kind)?;
    if job.variant == LARGE_MARKS {
        let mark = i32::try_from((LARGE_BYTES / job.cell.size).min(1_000_000))?;
        socket.set(Opt::SendHighWater, mark)?;
        socket.set(Opt::ReceiveHighWater, mark)?;
    }
    Ok(socket)
}

fn pull(job: &Job, pull: &Socket) -> Outcome<Report> {
    announce(&pull.bind(&job.endpoint)?)?;
    let (mut tally, mut message) = (Tally::new(job.cell.size), Msg::new());
    loop {
        pull.recv_into(&mut message, Flags::NONE)?;
        if let Some(report) = tally.take(message.as_bytes())? {
            return Ok(report);
        }
    }
}

fn push(job: &Job, push: &Socket) -> Outcome<Report> {
    push.connect(&job.endpoint)?;
    let mut load = Load::new(job.cell.size);
    while let Some(payload) = load.draw() {
        push.send(payload, Flags::NONE)?;
    }
    // The context ends only when all has left, as linger is for ever by default.
    Ok(load.report())
}

fn reply(job: &Job, rep: &Socket) -> Outcome<Report> {
    announce(&rep.bind(&job.endpoint)?)?;
    let (mut count, mut request) = (0, Msg::new());
    loop {
        rep.recv_into(&mut request, Flags::NONE)?;
        if request.is_empty() {
            return Ok(Report { count, ..Report::default() });
        }
        rep.send(request.as_bytes(), Flags::NONE)?;
        count += 1;
    }
}

fn request(job: &Job, req: &Socket) -> Outcome<Report> {
    req.connect(&job.endpoint)?;
    let (mut trips, mut reply) = (Trips::new(job.cell.size), Msg::new());
    while let Some(question) = trips.ask() {
        req.send(question, Flags::NONE)?;
        req.recv_into(&mut reply, Flags::NONE)?;
        trips.answered(reply.as_bytes())?;
    }
    // Nobody answers the good-bye.
    req.send(&[], Flags::NONE)?;
    trips.report()
}
