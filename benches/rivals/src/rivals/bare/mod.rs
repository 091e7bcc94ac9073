//! No library at all, only tokio: what the machine gives, and so the floor for any library on it.
//!
//! Over streams, a loop that frames, copies and batches as a library must; for round trips, reads and writes of
//! the payload alone; in one process, tokio's channel; over udp, many datagrams a system call; over quic, one stream.

mod channel;
mod framed;
mod quic;
mod udp;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::{BARE, Contender, FLAVOURS, all, in_runtime, runtime};
use crate::Outcome;
use crate::cell::{Cell, Pattern, Transport};
use crate::job::{Job, Side};
use crate::load::{Clients, Report, Served, Tally, Trips};

pub(crate) static CONTENDER: Contender = Contender { name: BARE, variants, peer };

fn variants(cell: Cell) -> &'static [&'static str] {
    match cell.pattern {
        Pattern::PushPull | Pattern::ReqRep | Pattern::FanOut | Pattern::Router => FLAVOURS,
        _ => &[],
    }
}

fn peer(job: &Job) -> Outcome<Report> {
    match job.cell.transport {
        Transport::Tcp => in_runtime(job, over_tcp),
        Transport::Ipc => in_runtime(job, over_ipc),
        Transport::Inproc => channel::run(job),
        Transport::Udp => in_runtime(job, udp::run),
        Transport::Quic => in_runtime(job, quic::run),
    }
}

async fn over_tcp(job: Job) -> Outcome<Report> {
    let address = job.endpoint.strip_prefix("tcp://").ok_or("no tcp endpoint")?;
    let mut streams = Vec::new();
    if job.side == Side::Dial {
        for _ in 0..job.cell.peers {
            streams.push(TcpStream::connect(address).await?);
        }
    } else {
        let listener = TcpListener::bind(address).await?;
        job.announce(&format!("tcp://{}", listener.local_addr()?));
        for _ in 0..job.cell.peers {
            streams.push(listener.accept().await?.0);
        }
    }
    for stream in &streams {
        stream.set_nodelay(true)?;
    }
    over(job, streams).await
}

async fn over_ipc(job: Job) -> Outcome<Report> {
    let path = job.endpoint.strip_prefix("ipc://").ok_or("no ipc endpoint")?;
    if job.side == Side::Dial {
        let stream = UnixStream::connect(path).await?;
        return over(job, vec![stream]).await;
    }
    let listener = UnixListener::bind(path)?;
    job.announce(&job.endpoint);
    let stream = listener.accept().await?.0;
    over(job, vec![stream]).await
}

async fn over<S>(job: Job, mut streams: Vec<S>) -> Outcome<Report>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serves = job.side == Side::Serve;
    match job.cell.pattern {
        Pattern::PushPull if !serves => framed::send(&job, &mut streams).await,
        Pattern::FanOut if serves => framed::send(&job, &mut streams).await,
        Pattern::PushPull | Pattern::FanOut => {
            let mut tasks = JoinSet::new();
            for stream in streams {
                tasks.spawn(framed::receive(Tally::new(&job), stream));
            }
            Report::audience(all(tasks).await?)
        }
        Pattern::Router => {
            let mut tasks = JoinSet::new();
            if serves {
                streams.into_iter().for_each(|stream| drop(tasks.spawn(framed::echo(stream))));
            } else {
                let clients = Clients::of(&job).into_iter().zip(streams);
                clients.for_each(|(client, stream)| drop(tasks.spawn(framed::ask(client, stream))));
            }
            Ok(all(tasks).await?.into_iter().collect())
        }
        _ => {
            let stream = streams.pop().ok_or("no stream")?;
            if serves { reply(stream).await } else { request(&job, stream).await }
        }
    }
}

async fn request(job: &Job, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Outcome<Report> {
    let (mut trips, mut reply) = (Trips::new(job), vec![0; job.cell.size]);
    while let Some(question) = trips.ask() {
        stream.write_all(question).await?;
        stream.read_exact(&mut reply).await?;
        trips.answered(&reply)?;
    }
    trips.report()
}

async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Outcome<Report> {
    let (mut served, mut request) = (Served::default(), [0]);
    // The end of the stream is the good-bye.
    while stream.read_exact(&mut request).await.is_ok() {
        served.serve(&request);
        stream.write_all(&request).await?;
    }
    Ok(served.report())
}
