//! omq-tokio as its own benchmarks use it: sockets on the caller's runtime, which try before they wait.
//!
//! Its `blocking` sockets, with an I/O thread of their own, were faster at 16 bytes (by 1.4) and slower above; they
//! are not measured here. Options are its defaults, but for what keeps messages: its linger is zero and its PUB
//! drops unless told otherwise.

use bytes::Bytes;
use omq_tokio::message::MAX_INLINE_MESSAGE;
use omq_tokio::{Error, Message, MonitorEvent, MonitorRecvError, Options, Socket, SocketType, TrySendError};
use tokio::task::coop;

use super::certificate::{self, Certificate};
use super::loops::{Kind, Sock, run};
use super::{Contender, FLAVOURS};
use crate::Outcome;
use crate::cell::{Cell, Cores, Transport};
use crate::job::{Job, Side};
use crate::load::Gathering;

pub(crate) static CONTENDER: Contender = Contender { name: "omq", variants, peer: run::<Omq> };

fn variants(cell: Cell) -> &'static [&'static str] {
    match cell.cores {
        // Only its blocking receives can keep looking.
        Cores::Busy => &[],
        // Its sockets have no udp of this kind.
        _ if cell.transport == Transport::Udp => &[],
        _ => FLAVOURS,
    }
}

struct Omq {
    socket: Socket,
    /// What a side that binds shows over quic.
    shown: Option<Certificate>,
}

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
        let (_, trusted) = certificate::heard(&job.endpoint);
        options.quic.trust_system = false;
        options.quic.trust_pem = trusted.map(String::into_bytes);
        let mut shown = None;
        if job.cell.transport == Transport::Quic && job.side == Side::Serve {
            let own = shown.insert(Certificate::new()?);
            options.quic.server_cert_pem = Some(own.pem.clone().into_bytes());
            options.quic.server_key_pem = Some(own.key.clone().into_bytes());
        }
        Ok(Self { socket: Socket::new(kind, options), shown })
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        let bound = self.socket.bind(endpoint).await?.to_string();
        Ok(match &self.shown {
            Some(own) => own.at(&bound),
            None => bound,
        })
    }

    async fn gather(&mut self, job: &Job, gathering: &mut Gathering) -> Outcome<()> {
        let mut events = self.socket.monitor();
        job.announce(&self.bind(&job.endpoint).await?);
        while !gathering.is_whole() {
            match events.recv().await {
                Ok(MonitorEvent::HandshakeSucceeded { .. }) => gathering.arrived(),
                Ok(_) => {}
                Err(MonitorRecvError::Lagged(_)) => {
                    gathering.are_here(self.socket.connections().await?.len())
                }
                Err(error) => return Err(error.to_string().into()),
            }
        }
        Ok(())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome<()> {
        Ok(self.socket.connect(certificate::heard(endpoint).0).await?)
    }

    async fn subscribe(&mut self, prefix: &[u8]) -> Outcome<()> {
        Ok(self.socket.subscribe(Bytes::copy_from_slice(prefix)).await?)
    }

    #[inline]
    async fn send(&mut self, message: Message) -> Outcome<()> {
        match self.socket.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => Ok(self.socket.send(message).await?),
            Err(error) => Err(error.to_string().into()),
        }
    }

    #[inline]
    async fn recv(&mut self) -> Outcome<Message> {
        match self.socket.try_recv() {
            Err(Error::WouldBlock) => Ok(self.socket.recv().await?),
            message => {
                coop::consume_budget().await;
                Ok(message?)
            }
        }
    }

    async fn finish(_: &Job, sockets: Vec<Self>) -> Outcome<()> {
        for Self { socket, .. } in sockets {
            socket.close().await?;
        }
        Ok(())
    }
}
