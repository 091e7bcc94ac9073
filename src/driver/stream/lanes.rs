//! The lanes of a connection beside its first: one task each, which moves messages and nothing else.
//!
//! How many there are both peers know from the handshake, and whoever connected opens them. A lane that breaks a rule
//! ends the whole connection; a connection that ends takes its lanes with it, once they have read what the peer sent
//! before it left.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use tokio::task::JoinSet;
use zocket_transport::{BoxFuture, Packets, Stream};

use super::latest::LatestLane;
use super::packets::PacketLane;
use super::{Connection, Phase};
use crate::driver::{Ends, Port};
use crate::error::{Disconnect, ProtocolError};
use crate::pipe::{Apart, Batch, Bell, LaneId, PipeId, Taken};
use crate::sync::{Ticket, WaitSet, lock};
use crate::zmtp::packet::MAX_PACKET;
use crate::zmtp::{Engine, PeerInfo};

/// The lanes of a connection, under way, if there are any.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Option<(JoinSet<()>, Arc<Shared>)>);

impl Lanes {
    pub(crate) const fn any(&self) -> bool {
        self.0.is_some()
    }

    /// The peer says that it has sent so many packets.
    pub(super) fn told(&self, sent: u64) {
        if let Some((_, shared)) = &self.0 {
            shared.told(sent);
        }
    }

    /// Ends them. When this resolves, nobody takes from the pipe's queues any more.
    pub(crate) async fn end(self, why: &Disconnect) {
        let Some((mut tasks, shared)) = self.0 else { return };
        if let Disconnect::PeerClosed = why {
            // As on the first: what the peer said before is still read, and nothing else waited for. It has ended the first
            // lane when we had acknowledged all of the others.
            shared.finish();
            while tasks.join_next().await.is_some() {}
        }
        tasks.shutdown().await;
    }
}

/// A lane on its way, with its number.
type Opening = BoxFuture<'static, io::Result<(u8, Box<dyn Stream>)>>;

/// What moves messages beside the first lane.
pub(super) trait Lane {
    /// The peer has sent so many packets, as far as it has said.
    fn told(&mut self, _sent: u64) {}

    /// Ready when the link must end, or when the pipe closes and this has nothing more to write.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect>;

    /// Whether the last look read all that had arrived, and nothing more is expected.
    fn is_dry(&self) -> bool;
}

impl Lane for Connection {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        self.poll_end(cx)
    }

    fn is_dry(&self) -> bool {
        self.is_dry
    }
}

/// Where a lane that goes apart takes its messages from. It has no commands: they go on the first lane.
pub(super) struct Source {
    port: Arc<dyn Port>,
    lane: LaneId,
    bell: Bell,
    /// The outbox was empty when we last looked, and has our waker.
    asleep: bool,
}

impl Source {
    pub(super) fn new(port: Arc<dyn Port>, lane: LaneId) -> Self {
        Self { bell: port.drive(lane, false), port, lane, asleep: false }
    }

    pub(super) fn poll_take(&mut self, cx: &Context<'_>, batch: &mut Batch) -> Poll<Taken> {
        if self.asleep && !self.bell.has_rung() {
            return Poll::Pending;
        }
        let taken = self.port.poll_take(self.lane, cx, batch, &mut Vec::new());
        self.asleep = taken.is_pending();
        taken
    }

    /// The next look hands back what was written, though there may be nothing new.
    pub(super) const fn look_again(&mut self) {
        self.asleep = false;
    }
}

/// What all lanes of a connection need.
#[derive(Debug)]
struct Shared {
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
    /// Which numbers are in use, from 1 on.
    taken: Box<[AtomicBool]>,
    heard: Mutex<Heard>,
}

/// What the first lane has heard and the others are to know.
#[derive(Debug, Default)]
struct Heard {
    /// It has come to its end.
    is_over: bool,
    /// How many packets the peer has sent.
    sent: u64,
    waiting: WaitSet,
}

impl Connection {
    /// How many lanes this link has, and what goes apart, by what both peers want.
    pub(super) fn agree(&mut self, info: &PeerInfo) -> (u8, Apart) {
        if self.streams.is_none() {
            return (1, Apart::Nothing);
        }
        let options = self.port.options();
        let lanes = options.link.lanes.count().min(info.lanes());
        let ours = options.latest(self.port.engine_config().kind);
        self.oneways.take_if(|_| lanes > 1 || !ours.agrees(info.latest()));
        let too_small = |packets: &dyn Packets| options.datagrams && packets.max_size() < MAX_PACKET;
        let has_latest = self.oneways.is_some();
        self.packets.take_if(|packets| has_latest || !info.datagrams() || too_small(&**packets));
        let apart = match self.packets {
            _ if has_latest => Apart::Latest,
            Some(_) => Apart::Packets,
            None => Apart::Nothing,
        };
        (lanes, apart)
    }

    pub(super) fn start_lanes(&mut self, pipe: PipeId, lanes: u8, dialled: bool) {
        let (packets, oneways) = (self.packets.take(), self.oneways.take());
        let is_needed = lanes > 1 || packets.is_some() || oneways.is_some();
        let Some(streams) = self.streams.take().filter(|_| is_needed) else { return };
        let mut tasks = JoinSet::new();
        let shared = Arc::new(Shared {
            port: Arc::clone(&self.port),
            pipe,
            ends: self.ends.clone(),
            taken: (1..lanes).map(|_| AtomicBool::new(false)).collect(),
            heard: Mutex::default(),
        });
        for number in 1..lanes {
            let shared = Arc::clone(&shared);
            if dialled {
                let opening = streams.open(number);
                tasks.spawn(shared.serve(Box::pin(async move { Ok((number, opening.await?)) })));
            } else {
                tasks.spawn(shared.serve(streams.accept()));
            }
        }
        let (port, apart) = (Arc::clone(&self.port), pipe.lane(lanes));
        if let Some(packets) = packets {
            tasks.spawn(Arc::clone(&shared).run(PacketLane::new(packets, port, apart)));
        } else if let Some(oneways) = oneways {
            tasks.spawn(Arc::clone(&shared).run(LatestLane::new(oneways, port, apart)));
        }
        self.lanes = Lanes(Some((tasks, shared)));
    }

    /// A lane of a connection whose handshake is over.
    fn lane(wire: Box<dyn Stream>, number: u8, shared: &Shared) -> Self {
        let Shared { port, pipe, ends, .. } = shared;
        let engine = Engine::for_lane(port.engine_config());
        let mut lane = Self::new(wire, Arc::clone(port), ends.clone(), Some(*pipe), Weak::new(), engine);
        lane.number = number;
        lane.bell = port.drive(pipe.lane(number), false);
        lane.phase = Phase::Traffic;
        lane
    }
}

impl Shared {
    /// Serves one lane to its end.
    async fn serve(self: Arc<Self>, mut opening: Opening) {
        let mut place = None;
        // Whether it is over is asked first: what has not come by then does not come.
        let opened = poll_fn(|cx| {
            let over = self.poll_over(cx, &mut place).0;
            match opening.as_mut().poll(cx) {
                Poll::Pending => over.map(|()| None),
                opened => opened.map(Some),
            }
        });
        let why = match opened.await {
            Some(Ok((number, wire))) if self.claims(number) => {
                self.drive(&mut Connection::lane(wire, number, &self), &mut place).await
            }
            Some(Ok((number, _))) => ProtocolError::BadLane { number }.into(),
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => error.into(),
            // The link is at its end, as the first lane hears when it has read what came before.
            Some(Err(_)) | None => return,
        };
        self.ended(why);
    }

    /// Serves what goes apart to its end.
    async fn run(self: Arc<Self>, mut lane: impl Lane) {
        let why = self.drive(&mut lane, &mut None).await;
        drop(lane);
        self.ended(why);
    }

    /// Drives a lane to its end, or until it has read all there is and the first has come to its own.
    async fn drive(&self, lane: &mut impl Lane, place: &mut Option<Ticket>) -> Disconnect {
        let end = poll_fn(|cx| {
            let (over, sent) = self.poll_over(cx, place);
            lane.told(sent);
            match lane.poll_end(cx) {
                Poll::Pending if lane.is_dry() => over.map(|()| Disconnect::PeerClosed),
                end => end,
            }
        });
        end.await
    }

    /// A lane has ended, for this reason.
    fn ended(&self, why: Disconnect) {
        // Else it is at its end, and waits for the others.
        if !matches!(why, Disconnect::PeerClosed | Disconnect::Closed) {
            self.port.give_up(self.pipe, why);
        }
    }

    /// The first lane has come to its end.
    fn finish(&self) {
        self.hear(|heard| heard.is_over = true);
    }

    fn told(&self, sent: u64) {
        self.hear(|heard| heard.sent = sent);
    }

    fn hear(&self, what: impl FnOnce(&mut Heard)) {
        let mut heard = lock(&self.heard);
        what(&mut heard);
        let waiting: Vec<_> = heard.waiting.all().collect();
        drop(heard);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready when the first lane has come to its end. And how many packets the peer has sent.
    fn poll_over(&self, cx: &Context<'_>, place: &mut Option<Ticket>) -> (Poll<()>, u64) {
        let mut heard = lock(&self.heard);
        if heard.is_over {
            return (Poll::Ready(()), heard.sent);
        }
        heard.waiting.wait(place, cx.waker());
        (Poll::Pending, heard.sent)
    }

    /// Whether that is a lane of this link, and not in use.
    fn claims(&self, number: u8) -> bool {
        let lane = usize::from(number).checked_sub(1).and_then(|index| self.taken.get(index));
        lane.is_some_and(|taken| !taken.swap(true, Ordering::Relaxed))
    }
}
