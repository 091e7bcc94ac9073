//! Datagrams, many a system call, copied as a library must.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::Outcome;
use crate::job::{Job, Side};
use crate::load::{Load, Report, Tally};

/// How many datagrams a system call.
const MANY: usize = 64;
/// Larger than any of them.
const SLOT: usize = 2048;

pub(super) async fn run(job: Job) -> Outcome<Report> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    if job.side == Side::Serve {
        job.announce(&format!("udp://{}", socket.local_addr()?));
        receive(&job, &socket).await
    } else {
        socket.connect(job.endpoint.strip_prefix("udp://").ok_or("no udp endpoint")?).await?;
        send(&job, &socket).await
    }
}

async fn send(job: &Job, socket: &UdpSocket) -> Outcome<Report> {
    let (mut load, mut batch) = (Load::new(job), Vec::new());
    let (size, mut is_over) = (job.cell.size, false);
    while !is_over {
        while !is_over && batch.len() < MANY * size {
            match load.draw() {
                Some(payload) => batch.extend_from_slice(payload),
                None => is_over = true,
            }
        }
        let mut rest = &batch[..];
        while !rest.is_empty() {
            let datagrams = || {
                let slices = rest.chunks(size).map(|datagram| [IoSlice::new(datagram)]).collect::<Vec<_>>();
                let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
                let to = vec![None; slices.len()];
                let sent = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, to, [], MsgFlags::empty())?;
                Ok(sent.count())
            };
            let sent = socket.async_io(Interest::WRITABLE, datagrams).await?;
            rest = &rest[sent * size..];
        }
        batch.clear();
    }
    job.tell();
    Ok(load.report())
}

async fn receive(job: &Job, socket: &UdpSocket) -> Outcome<Report> {
    let (mut tally, mut buffer, mut body) = (Tally::new(job), vec![0; MANY * SLOT], Vec::new());
    loop {
        let mut lengths = [0; MANY];
        let datagrams = || {
            let mut slots = buffer.chunks_mut(SLOT).map(|slot| [IoSliceMut::new(slot)]).collect::<Vec<_>>();
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(MANY, None);
            let arrived = recvmmsg(socket.as_raw_fd(), &mut headers, &mut slots, MsgFlags::empty(), None)?;
            Ok(arrived.zip(&mut lengths).map(|(message, length)| *length = message.bytes).count())
        };
        let arrived = socket.async_io(Interest::READABLE, datagrams).await?;
        for (slot, length) in buffer.chunks(SLOT).zip(&lengths[..arrived]) {
            body.clear();
            body.extend_from_slice(&slot[..*length]);
            if let Some(report) = tally.take(&body)? {
                // Until then the sender sends.
                job.told().await;
                return Ok(report);
            }
        }
    }
}
