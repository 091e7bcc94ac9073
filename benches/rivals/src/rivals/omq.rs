//! omq-tokio as its own benchmarks use it: sockets on the caller's runtime, which try before they wait.
//!
//! Its `blocking` sockets, with an I/O thread of their own, were faster at 16 bytes (by 1.4) and slower above; they
//! are not measured here. Options are its defaults, but for what keeps messages: its linger is zero and its PUB
//! drops unless told otherwise.

use bytes::Bytes;
use omq_tokio::message::MAX_INLINE_MESSAGE;
use omq_tokio::{Error, Message, MonitorEvent, MonitorRecvError, Options, Socket, SocketType, TrySendError};
use tokio::task::coop;

use super::loops::{Kind, Sock, run};
use super::{Contender, FLAVOURS};
use crate::Outcome;
use crate::cell::{Cell, Cores};
use crate::job::Job;
use crate::load::Gathering;

pub(crate) static CONTENDER: Contender = Contender { name: "omq", variants, peer: run::<Omq> };

fn variants(cell: Cell) -> &'static [&'static str] {
    match cell.cores {
        // Only its blocking receives can keep looking.
        Cores::Busy => &[],
        _ => FLAVOURS,
    }
}

struct Omq(Socket);

impl Sock for Omq {
    type Message = Message;

    #[inline]
    fn message(payload: &[u8]) -> Message {
        if payload.len() <= MAX_INLINE_MESSAGE {
            Message::from_slice(payload)
        } else {
            Message::single(Bytes::copy_from_slice(payload))
        }
    }

    fn with_body(number: &[u8], body: &Bytes) -> Message {
        Message::multipart([Bytes::copy_from_slice(number), body.clone()])
    }

    fn parts(message: &Message) -> usize {
        message.len()
    }

    fn part(message: &Message, index: usize) -> &[u8] {
        message.part_slice(index).unwrap_or_default()
    }

    async fn open(job: &Job, kind: Kind) -> Outcome<Self> {
        let kind = match kind {
            Kind::Push => SocketType::Push,
            Kind::Pull => SocketType::Pull,
            Kind::Req => SocketType::Req,
            Kind::Rep => SocketType::Rep,
            Kind::Pub => SocketType::Pub,
            Kind::Sub => SocketType::Sub,
            Kind::Router => SocketType::Router,
            Kind::Dealer => SocketType::Dealer,
        };
        let mut options = Options::default().linger_forever();
        options.xpub_nodrop = true;
        // The rest of a crowd is turned away otherwise, and comes back later.
        options.max_pending_handshakes = options.max_pending_handshakes.max(job.cell.peers);
        Ok(Self(Socket::new(kind, options)))
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        Ok(self.0.bind(endpoint).await?.to_string())
    }

    async fn gather(&mut self, job: &Job, gathering: &mut Gathering) -> Outcome<()> {
        let mut events = self.0.monitor();
        job.announce(&self.bind(&job.endpoint).await?);
        while !gathering.is_whole() {
            match events.recv().await {
                Ok(MonitorEvent::HandshakeSucceeded { .. }) => gathering.arrived(),
                Ok(_) => {}
                Err(MonitorRecvError::Lagged(_)) => gathering.are_here(self.0.connections().await?.len()),
                Err(error) => return Err(error.to_string().into()),
            }
        }
        Ok(())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome<()> {
        Ok(self.0.connect(endpoint).await?)
    }

    async fn subscribe(&mut self, prefix: &[u8]) -> Outcome<()> {
        Ok(self.0.subscribe(Bytes::copy_from_slice(prefix)).await?)
    }

    #[inline]
    async fn send(&mut self, message: Message) -> Outcome<()> {
        match self.0.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => Ok(self.0.send(message).await?),
            Err(error) => Err(error.to_string().into()),
        }
    }

    #[inline]
    async fn recv(&mut self) -> Outcome<Message> {
        match self.0.try_recv() {
            Err(Error::WouldBlock) => Ok(self.0.recv().await?),
            message => {
                coop::consume_budget().await;
                Ok(message?)
            }
        }
    }

    async fn finish(_: &Job, sockets: Vec<Self>) -> Outcome<()> {
        for Self(socket) in sockets {
            socket.close().await?;
        }
        Ok(())
    }
}
