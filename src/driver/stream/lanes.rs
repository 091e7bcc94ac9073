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

use super::packets::PacketLane;
use super::{Connection, Phase};
use crate::driver::{Ends, Port};
use crate::error::{Disconnect, ProtocolError};
use crate::pipe::PipeId;
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
    /// Ready when the link must end, or when the pipe closes and this has nothing more to write.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect>;

    /// Whether the last look read all that had arrived.
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

/// What all lanes of a connection need.
#[derive(Debug)]
struct Shared {
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
    /// Which numbers are in use, from 1 on.
    taken: Box<[AtomicBool]>,
    over: Mutex<Over>,
}

/// Whether the first lane has come to its end, and who is to hear of it.
#[derive(Debug, Default)]
struct Over {
    is_over: bool,
    waiting: WaitSet,
}

impl Connection {
    /// How many lanes this link has, and whether it has packets, by what both peers want.
    pub(super) fn agree(&mut self, info: &PeerInfo) -> (u8, bool) {
        if self.streams.is_none() {
            return (1, false);
        }
        let options = self.port.options();
        let lanes = options.link.lanes.count().min(info.lanes());
        let too_small = |packets: &dyn Packets| options.datagrams && packets.max_size() < MAX_PACKET;
        self.packets.take_if(|packets| !info.datagrams() || too_small(&**packets));
        (lanes, self.packets.is_some())
    }

    pub(super) fn start_lanes(&mut self, pipe: PipeId, lanes: u8, dialled: bool) {
        let packets = self.packets.take();
        let Some(streams) = self.streams.take().filter(|_| lanes > 1 || packets.is_some()) else { return };
        let mut tasks = JoinSet::new();
        let shared = Arc::new(Shared {
            port: Arc::clone(&self.port),
            pipe,
            ends: self.ends.clone(),
            taken: (1..lanes).map(|_| AtomicBool::new(false)).collect(),
            over: Mutex::default(),
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
        if let Some(packets) = packets {
            let mut lane = PacketLane::new(packets, Arc::clone(&self.port), pipe.lane(lanes));
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                let why = shared.drive(&mut lane, &mut None).await;
                drop(lane);
                shared.ended(why);
            });
        }
        self.lanes = Lanes(Some((tasks, shared)));
    }

    /// A lane of a connection whose handshake is over.
    fn lane(wire: Box<dyn Stream>, number: u8, shared: &Shared) -> Self {
        let Shared { port, pipe, ends, .. } = shared;
        let engine = Engine::for_lane(port.engine_config());
        let mut lane = Self::new(wire, Arc::clone(port), ends.clone(), Some(*pipe), Weak::new(), engine);
        lane.number = number;
        lane.bell = port.drive(pipe.lane(number));
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
            let over = self.poll_over(cx, &mut place);
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

    /// Drives a lane to its end, or until it has read all there is and the first has come to its own.
    async fn drive(&self, lane: &mut impl Lane, place: &mut Option<Ticket>) -> Disconnect {
        let end = poll_fn(|cx| {
            let over = self.poll_over(cx, place);
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
        let mut over = lock(&self.over);
        over.is_over = true;
        let waiting: Vec<_> = over.waiting.all().collect();
        drop(over);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready when the first lane has come to its end.
    fn poll_over(&self, cx: &Context<'_>, place: &mut Option<Ticket>) -> Poll<()> {
        let mut over = lock(&self.over);
        if over.is_over {
            return Poll::Ready(());
        }
        over.waiting.wait(place, cx.waker());
        Poll::Pending
    }

    /// Whether that is a lane of this link, and not in use.
    fn claims(&self, number: u8) -> bool {
        let lane = usize::from(number).checked_sub(1).and_then(|index| self.taken.get(index));
        lane.is_some_and(|taken| !taken.swap(true, Ordering::Relaxed))
    }
}
