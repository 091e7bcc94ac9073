//! rzmq on tokio, with its defaults but for the adaptive throttle, which its own benchmarks turn off too.
//!
//! Its io_uring backend is another transport than all others here have, so it stays off. It has no way to keep
//! looking for messages before it sleeps (`busy`). With a thousand peers it does not connect, or end, within a
//! run's time limit, or loses messages: it has no `crowd` and no `connect` either.

use std::sync::OnceLock;

use bytes::Bytes;
use rzmq::socket::{ADAPTIVE_THROTTLE, LAST_ENDPOINT, ROUTER_MANDATORY, SUBSCRIBE, SocketEvent, XPUB_NODROP};
use rzmq::{Context, Msg, Socket, SocketType};

use super::loops::{Kind, Sock, run};
use super::{Contender, FLAVOURS};
use crate::Outcome;
use crate::cell::{Cell, Cores, Pattern, Transport};
use crate::job::Job;
use crate::load::Gathering;

pub(crate) static CONTENDER: Contender = Contender { name: "rzmq", variants, peer: run::<Rzmq> };

fn variants(cell: Cell) -> &'static [&'static str] {
    match cell.pattern {
        Pattern::Crowd | Pattern::Connect => &[],
        _ if cell.cores == Cores::Busy || !cell.transport.is_common() => &[],
        _ => FLAVOURS,
    }
}

/// Both sides of an inproc cell share it.
static CONTEXT: OnceLock<Context> = OnceLock::new();

fn context() -> Outcome<&'static Context> {
    if CONTEXT.get().is_none() {
        drop(CONTEXT.set(Context::new()?));
    }
    CONTEXT.get().ok_or_else(|| "no context".into())
}

struct Rzmq {
    socket: Socket,
    /// Whether its messages have more than one frame.
    is_multipart: bool,
}

enum Frames {
    One(Msg),
    Many(Vec<Msg>),
}

impl Sock for Rzmq {
    type Message = Frames;

    #[inline]
    fn message(payload: &[u8]) -> Frames {
        Frames::One(Msg::from_bytes(Bytes::copy_from_slice(payload)))
    }

    fn with_body(number: &[u8], body: &Bytes) -> Frames {
        let number = Bytes::copy_from_slice(number);
        Frames::Many([number, body.clone()].map(Msg::from_bytes).into())
    }

    fn parts(message: &Frames) -> usize {
        match message {
            Frames::One(_) => 1,
            Frames::Many(frames) => frames.len(),
        }
    }

    fn part(message: &Frames, index: usize) -> &[u8] {
        let frame = match message {
            Frames::One(frame) => Some(frame),
            Frames::Many(frames) => frames.get(index),
        };
        frame.and_then(Msg::data).unwrap_or_default()
    }

    async fn open(job: &Job, kind: Kind) -> Outcome<Self> {
        let is_multipart = kind == Kind::Router || job.cell.pattern == Pattern::Shared;
        let socket_type = match kind {
            Kind::Push => SocketType::Push,
            Kind::Pull => SocketType::Pull,
            Kind::Req => SocketType::Req,
            Kind::Rep => SocketType::Rep,
            Kind::Pub => SocketType::Pub,
            Kind::Sub => SocketType::Sub,
            Kind::Router => SocketType::Router,
            Kind::Dealer => SocketType::Dealer,
        };
        let socket = context()?.socket(socket_type)?;
        socket.set_option(ADAPTIVE_THROTTLE, 0).await?;
        match kind {
            Kind::Pub => socket.set_option(XPUB_NODROP, true).await?,
            Kind::Router => socket.set_option(ROUTER_MANDATORY, true).await?,
            _ => {}
        }
        Ok(Self { socket, is_multipart })
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        self.socket.bind(endpoint).await?;
        Ok(String::from_utf8(self.socket.get_option(LAST_ENDPOINT).await?)?)
    }

    async fn gather(&mut self, job: &Job, gathering: &mut Gathering) -> Outcome<()> {
        // It forgets what does not fit.
        let events = self.socket.monitor(8 * job.cell.peers).await?;
        job.announce(&self.bind(&job.endpoint).await?);
        while !gathering.is_whole() {
            if let SocketEvent::HandshakeSucceeded { .. } = events.recv().await? {
                gathering.arrived();
            }
        }
        Ok(())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome<()> {
        Ok(self.socket.connect(endpoint).await?)
    }

    async fn subscribe(&mut self, prefix: &[u8]) -> Outcome<()> {
        Ok(self.socket.set_option_raw(SUBSCRIBE, prefix).await?)
    }

    #[inline]
    async fn send(&mut self, message: Frames) -> Outcome<()> {
        match message {
            Frames::One(frame) => self.socket.send(frame).await?,
            Frames::Many(frames) => self.socket.send_multipart(frames).await?,
        }
        Ok(())
    }

    #[inline]
    async fn recv(&mut self) -> Outcome<Frames> {
        if self.is_multipart {
            return Ok(Frames::Many(self.socket.recv_multipart().await?));
        }
        Ok(Frames::One(self.socket.recv().await?))
    }

    async fn finish(job: &Job, sockets: Vec<Self>) -> Outcome<()> {
        for Self { socket, .. } in &sockets {
            socket.close().await?;
        }
        // The other side of an inproc cell still receives.
        if job.cell.transport != Transport::Inproc {
            context()?.term().await?;
        }
        Ok(())
    }
}
