//! A tokio loop over the same kind of stream and no library at all: what a round trip costs at least.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::{BARE, Contender, FLAVOURS, in_task};
use crate::Outcome;
use crate::cell::Pattern;
use crate::job::{Job, Side, announce};
use crate::load::{Report, Trips};

pub(crate) static CONTENDER: Contender = Contender { name: BARE, variants, peer };

fn variants(pattern: Pattern) -> &'static [&'static str] {
    match pattern {
        Pattern::PushPull => &[],
        Pattern::ReqRep => FLAVOURS,
    }
}

fn peer(job: &Job) -> Outcome<Report> {
    let (size, side, endpoint) = (job.cell.size, job.side, job.endpoint.clone());
    in_task(&job.variant, async move {
        match endpoint.split_once("://") {
            Some(("tcp", address)) => {
                let stream = tcp(side, address).await?;
                stream.set_nodelay(true)?;
                converse(side, size, stream).await
            }
            Some(("ipc", path)) => converse(side, size, unix(side, path).await?).await,
            _ => Err(format!("no transport for {endpoint:?}").into()),
        }
    })
}

async fn tcp(side: Side, address: &str) -> Outcome<TcpStream> {
    if side == Side::Dial {
        return Ok(TcpStream::connect(address).await?);
    }
    let listener = TcpListener::bind(address).await?;
    announce(&format!("tcp://{}", listener.local_addr()?))?;
    Ok(listener.accept().await?.0)
}

async fn unix(side: Side, path: &str) -> Outcome<UnixStream> {
    if side == Side::Dial {
        return Ok(UnixStream::connect(path).await?);
    }
    let listener = UnixListener::bind(path)?;
    announce(&format!("ipc://{path}"))?;
    Ok(listener.accept().await?.0)
}

async fn converse(
    side: Side,
    size: usize,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Outcome<Report> {
    let mut buffer = vec![0; size];
    if side == Side::Dial {
        let mut trips = Trips::new(size);
        while let Some(question) = trips.ask() {
            stream.write_all(question).await?;
            stream.read_exact(&mut buffer).await?;
            trips.answered(&buffer)?;
        }
        return trips.report();
    }
    let mut count = 0;
    while stream.read_exact(&mut buffer).await.is_ok() {
        stream.write_all(&buffer).await?;
        count += 1;
    }
    Ok(Report { count, ..Report::default() })
}
