//! zeromq (zmq.rs) on tokio, with its defaults.
//!
//! It has no inproc, and cannot keep looking for messages before it sleeps (`busy`). Its queues hold 100 000
//! messages of whatever size, and its PUB drops the rest. (Its XPUB would wait for every subscriber, but writes one
//! message at a time, ten times slower.) So where that would be lost messages or gigabytes, receivers tell senders
//! now and then how far they are, as its users would.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::sleep;
use zeromq::{
    DealerSocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket, Socket, SocketEvent,
    SocketRecv, SocketSend, SubSocket, ZmqMessage,
};

use super::loops::{Kind, Sock, run};
use super::{Contender, FLAVOURS};
use crate::Outcome;
use crate::cell::{Cell, Cores, Pattern, Transport};
use crate::job::Job;
use crate::load::Gathering;

pub(crate) static CONTENDER: Contender = Contender { name: "zeromq", variants, peer: run::<Zeromq> };

fn variants(cell: Cell) -> &'static [&'static str] {
    let speaks = matches!(cell.transport, Transport::Tcp | Transport::Ipc);
    if speaks && cell.cores != Cores::Busy { FLAVOURS } else { &[] }
}

/// Receivers tell after so many messages; a sender is at most twice as many ahead of the slowest. Zero: they do not.
fn window(job: &Job) -> u64 {
    const MESSAGES: usize = 65_536;
    const BYTES: usize = 64 << 20;
    let Cell { pattern, size, .. } = job.cell;
    let is_paced = match pattern {
        Pattern::FanOut | Pattern::Prefixes => true,
        Pattern::PushPull | Pattern::Shared => size >= 32_768,
        _ => false,
    };
    if is_paced { (MESSAGES / receivers(job)).min(BYTES / size).min(4096) as u64 } else { 0 }
}

fn receivers(job: &Job) -> usize {
    if job.cell.pattern == Pattern::FanOut { job.cell.peers } else { 1 }
}

/// How many receivers have ended which window.
static ENDED: Mutex<BTreeMap<u64, usize>> = Mutex::new(BTreeMap::new());

/// The number in a message's stamp; a probe's is zero.
fn number(message: &ZmqMessage) -> u64 {
    let stamp = message.get(0).and_then(|payload| payload.last_chunk::<16>());
    stamp.and_then(|stamp| stamp.first_chunk()).copied().map_or(0, u64::from_le_bytes)
}

fn heard(job: &Job, message: &ZmqMessage) {
    let next = number(message) + 1;
    if window(job) > 0 && next.is_multiple_of(window(job)) {
        let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        let so_far = ended.entry(next).or_default();
        *so_far += 1;
        if *so_far == receivers(job) {
            ended.remove(&next);
            job.tell();
        }
    }
}

enum Zeromq {
    Push(PushSocket, Job),
    Pull(PullSocket, Job),
    Req(ReqSocket),
    Rep(RepSocket),
    Pub(PubSocket, Job),
    Sub(SubSocket, Job),
    Router(RouterSocket),
    Dealer(DealerSocket),
}

/// Calls a method of whichever socket it is, of those that have it.
macro_rules! each {
    ($sock:expr, $socket:ident => $call:expr, [$($kind:ident)*]) => {
        match $sock {
            $(Zeromq::$kind($socket, ..) => $call,)*
            _ => return Err("no such method".into()),
        }
    };
}

impl Sock for Zeromq {
    type Message = ZmqMessage;

    #[inline]
    fn message(payload: &[u8]) -> ZmqMessage {
        Bytes::copy_from_slice(payload).into()
    }

    fn with_body(number: &[u8], body: &Bytes) -> ZmqMessage {
        let mut message = Self::message(number);
        message.push_back(body.clone());
        message
    }

    fn parts(message: &ZmqMessage) -> usize {
        message.len()
    }

    fn part(message: &ZmqMessage, index: usize) -> &[u8] {
        message.get(index).map_or(&[], |frame| frame)
    }

    async fn open(job: &Job, kind: Kind) -> Outcome<Self> {
        Ok(match kind {
            Kind::Push => Self::Push(PushSocket::new(), job.clone()),
            Kind::Pull => Self::Pull(PullSocket::new(), job.clone()),
            Kind::Req => Self::Req(ReqSocket::new()),
            Kind::Rep => Self::Rep(RepSocket::new()),
            Kind::Pub => Self::Pub(PubSocket::new(), job.clone()),
            Kind::Sub => Self::Sub(SubSocket::new(), job.clone()),
            Kind::Router => Self::Router(RouterSocket::new()),
            Kind::Dealer => Self::Dealer(DealerSocket::new()),
        })
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        let bound = each!(self, socket => socket.bind(endpoint).await?, [Pull Rep Pub Router]);
        Ok(bound.to_string())
    }

    async fn gather(&mut self, job: &Job, gathering: &mut Gathering) -> Outcome<()> {
        let mut events = each!(self, socket => socket.monitor(), [Pull]);
        job.announce(&self.bind(&job.endpoint).await?);
        while !gathering.is_whole() {
            if let SocketEvent::Accepted(..) = events.recv().await? {
                gathering.arrived();
            }
        }
        Ok(())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome<()> {
        each!(self, socket => socket.connect(endpoint).await?, [Push Req Sub Dealer]);
        Ok(())
    }

    async fn subscribe(&mut self, prefix: &[u8]) -> Outcome<()> {
        let prefix = std::str::from_utf8(prefix)?;
        each!(self, socket => socket.subscribe(prefix).await?, [Sub]);
        Ok(())
    }

    #[inline]
    async fn send(&mut self, message: ZmqMessage) -> Outcome<()> {
        if let Self::Push(_, job) | Self::Pub(_, job) = self {
            let (number, window) = (number(&message), window(job));
            if window > 0 && number >= 2 * window && number.is_multiple_of(window) {
                job.told().await;
            }
        }
        each!(self, socket => socket.send(message).await?, [Push Req Rep Pub Router Dealer]);
        Ok(())
    }

    #[inline]
    async fn recv(&mut self) -> Outcome<ZmqMessage> {
        let message = each!(self, socket => socket.recv().await?, [Pull Req Rep Sub Router Dealer]);
        if let Self::Pull(_, job) | Self::Sub(_, job) = self {
            heard(job, &message);
        }
        Ok(message)
    }

    /// Its sockets have no linger. A PUB that ends forgets what it has; of the others, tasks write what is left,
    /// unless the runtime ends before them.
    async fn finish(_: &Job, mut sockets: Vec<Self>) -> Outcome<()> {
        for socket in &mut sockets {
            if let Self::Pub(socket, job) = socket {
                let mut events = socket.monitor();
                for _ in 0..receivers(job) {
                    while !matches!(events.recv().await?, SocketEvent::Disconnected(_)) {}
                }
            }
        }
        drop(sockets);
        while Handle::current().metrics().num_alive_tasks() > 1 {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}
