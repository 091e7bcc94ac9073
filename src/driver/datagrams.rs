//! RADIO and DISH over datagrams: no handshake, and nobody answers.
//!
//! A RADIO tells whatever it sends to each address that it connects to, so there its pipe counts as a member of every
//! group. A DISH has one pipe for each address that it binds, whoever sends there, and filters when it receives.
//!
//! Invariant: one descriptor cannot stop one peer, so what arrives is always read; without room in the lane it is
//! dropped and counted.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::time;
use zocket_transport::{Datagrams, Endpoint, ReceiveBatch, SendBatch};

use super::accept::Retries;
use super::{Ends, Port, Remains};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::pipe::{Batch, PipeId, Taken};
use crate::zmtp::{Command, PeerInfo, SocketKind, radio};

/// After how many datagrams one `poll` lets others run. What came with the last of them is read too.
pub(super) const READ_BUDGET: usize = 64;

thread_local! {
    /// Lent to whoever receives on this thread: a link needs one only until its `poll` is over.
    static SPARE: Cell<Option<ReceiveBatch>> = const { Cell::new(None) };
}

/// Lends room for datagrams.
pub(super) fn with_room<T>(receive: impl FnOnce(&mut ReceiveBatch) -> T) -> T {
    let mut batch = SPARE.take().unwrap_or_default();
    let received = receive(&mut batch);
    SPARE.set(Some(batch));
    received
}

/// Messages of a pipe's batch that are on their way as datagrams, and what else goes between them.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) datagrams: SendBatch,
    /// How much of the pipe's batch each datagram is.
    sizes: VecDeque<usize>,
    /// Their sum.
    passed: usize,
}

impl Gathered {
    /// Adds a datagram which is `size` bytes of the batch.
    pub(super) fn push(&mut self, datagram: &[u8], size: usize) {
        self.datagrams.push(datagram, None);
        self.sizes.push_back(size);
        self.passed += size;
    }

    /// The first `count` are gone. Returns how much of the batch they were.
    pub(super) fn advance(&mut self, count: usize) -> usize {
        self.datagrams.advance(count);
        let gone = self.sizes.drain(..count.min(self.sizes.len())).sum();
        self.passed -= gone;
        gone
    }
}

/// One end of what is said to nobody in particular, or by nobody in particular.
struct Station {
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    pipe: PipeId,
    batch: Batch,
    commands: Vec<Command>,
    /// The frames of a message.
    frames: BytesMut,
    datagram: BytesMut,
    gathered: Gathered,
}

impl Station {
    /// Makes the pipe ready, with a peer of which nothing is known but what it must be.
    fn open(
        wire: Box<dyn Datagrams>,
        port: Arc<dyn Port>,
        pipe: PipeId,
        peer: SocketKind,
        ends: Ends,
    ) -> Result<Self, Disconnect> {
        let info = PeerInfo::silent(peer);
        // Nobody hears what there is to say first.
        port.identify(pipe, &info, &ends)?;
        port.report(Event::Ready { pipe, endpoint: ends.endpoint, peer: ends.peer, info });
        let (frames, datagram) = (BytesMut::new(), BytesMut::new());
        let (batch, commands, gathered) = (Batch::default(), Vec::new(), Gathered::default());
        Ok(Self { wire, port, pipe, batch, commands, frames, datagram, gathered })
    }

    /// What the outbox holds is in `batch`, or else our waker is in the outbox.
    fn poll_take(&mut self, cx: &Context<'_>) -> Poll<Result<(), Disconnect>> {
        let taken = self.port.poll_take(self.pipe, cx, &mut self.batch, &mut self.commands);
        self.commands.clear();
        taken.map(|taken| match taken {
            Taken::Some => Ok(()),
            Taken::Finished => Err(Disconnect::Closed),
            Taken::Stop(why) => Err(why),
        })
    }
}

// ── Sending ─────────────────────────────────────────────────────────────────────────────────────

/// Sends what a dialled pipe holds until the link ends. Returns why it ended, and what it had not sent.
pub(super) async fn transmit(
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
) -> (Disconnect, Remains) {
    let mut station = match Station::open(wire, port, pipe, SocketKind::Dish, ends) {
        Ok(station) => station,
        Err(why) => return (why, Remains::default()),
    };
    let why = poll_fn(|cx| station.poll_transmit(cx)).await;
    (why, Remains { pipe: Some(pipe), was_ready: true, batch: station.batch })
}

impl Station {
    fn poll_transmit(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        loop {
            if self.batch.is_empty() {
                match self.poll_take(cx) {
                    Poll::Ready(Ok(())) => continue,
                    Poll::Ready(Err(why)) => return Poll::Ready(why),
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.gather();
            match self.wire.poll_send(cx, &self.gathered.datagrams) {
                Poll::Ready(Ok(sent)) => self.batch.advance(self.gathered.advance(sent)),
                // Nobody listened there a moment ago, which is nothing to a RADIO.
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {}
                Poll::Ready(Err(error)) => {
                    // It would most likely fail again, and hold up all that follow.
                    self.batch.advance(self.gathered.advance(1));
                    report_dropped(&*self.port, self.pipe, 1, Dropped::LinkLost);
                    return Poll::Ready(error.into());
                }
                Poll::Pending => {
                    self.batch.settle();
                    return match self.port.blocked(self.pipe, cx, &mut self.batch) {
                        Some(why) => Poll::Ready(why),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Makes datagrams of the messages in the batch, until they are many.
    fn gather(&mut self) {
        while !self.gathered.datagrams.is_full() {
            self.frames.clear();
            self.batch.copy_message(self.gathered.passed, &mut self.frames);
            if self.frames.is_empty() {
                break;
            }
            self.datagram.clear();
            radio::put_datagram(&mut self.datagram, &self.frames);
            self.gathered.push(&self.datagram, self.frames.len());
        }
    }
}

pub(super) fn report_dropped(port: &dyn Port, pipe: PipeId, messages: u64, reason: Dropped) {
    if messages > 0 {
        port.report(Event::Dropped { pipe, messages, reason });
    }
}

// ── Receiving ───────────────────────────────────────────────────────────────────────────────────

/// Receives at a bound address until it is aborted, or the socket closes.
pub(super) async fn receive(wire: Box<dyn Datagrams>, port: Arc<dyn Port>, endpoint: Endpoint) {
    let Some(pipe) = port.attach(&endpoint) else { return };
    let _attached = Attached { port: Arc::clone(&port), pipe };
    let ends = Ends { endpoint: endpoint.clone(), peer: endpoint.clone() };
    let Ok(station) = Station::open(wire, Arc::clone(&port), pipe, SocketKind::Radio, ends) else { return };
    let gate = Gate::new(Arc::clone(&port), pipe);
    let mut receiver = Receiver { station, gate, garbled: 0 };
    let mut retries = Retries::default();
    loop {
        let ended = poll_fn(|cx| receiver.poll_receive(cx, &mut retries)).await;
        let reason @ Disconnect::Io(_) = ended else { return };
        let retry_after = retries.next();
        port.report(Event::AcceptFailed { endpoint: endpoint.clone(), reason, retry_after });
        time::sleep(retry_after).await;
    }
}

/// The pipe of a bound address. Goes with its task, which may be dropped where it stands.
struct Attached {
    port: Arc<dyn Port>,
    pipe: PipeId,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.port.detach(self.pipe);
    }
}

/// What arrives at a bound address.
struct Receiver {
    station: Station,
    gate: Gate,
    /// Datagrams that were none of a RADIO's, and have not been reported.
    garbled: u64,
}

impl Receiver {
    /// Ready when the system reports a fault, or the socket closes.
    fn poll_receive(&mut self, cx: &mut Context<'_>, retries: &mut Retries) -> Poll<Disconnect> {
        while let Poll::Ready(taken) = self.station.poll_take(cx) {
            // A DISH has nothing to send, and what it says to all radios nobody hears.
            if let Err(why) = taken {
                return Poll::Ready(why);
            }
        }
        let received = with_room(|batch| self.poll_datagrams(cx, batch, retries));
        let garbled = std::mem::take(&mut self.garbled);
        report_dropped(&*self.station.port, self.station.pipe, garbled, Dropped::Malformed);
        received.map(Disconnect::from)
    }

    fn poll_datagrams(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut ReceiveBatch,
        retries: &mut Retries,
    ) -> Poll<io::Error> {
        self.gate.look(cx);
        let mut read = 0;
        while read < READ_BUDGET {
            match self.station.wire.poll_receive(cx, batch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Ready(Ok(())) => retries.reset(),
            }
            for (_, datagram) in batch.iter() {
                self.hear(datagram, cx);
                read += 1;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn hear(&mut self, datagram: &[u8], cx: &Context<'_>) {
        self.station.frames.clear();
        if datagram.len() as u64 <= self.station.port.options().max_message_bytes
            && radio::put_frames(&mut self.station.frames, datagram)
        {
            self.gate.deliver(&self.station.frames, cx);
        } else {
            self.garbled += 1;
        }
    }
}

/// The way into a lane: what finds no room there is dropped and counted.
pub(super) struct Gate {
    port: Arc<dyn Port>,
    pipe: PipeId,
    /// What the lane takes, as far as we know: it can only be more.
    room: usize,
    /// Messages find no room, of which the first has been reported.
    misses: bool,
    /// How many more did not.
    missed: u64,
}

impl Gate {
    pub(super) const fn new(port: Arc<dyn Port>, pipe: PipeId) -> Self {
        Self { port, pipe, room: 0, misses: false, missed: 0 }
    }

    /// Delivers the frames of a message.
    pub(super) fn deliver(&mut self, frames: &[u8], cx: &Context<'_>) {
        if self.room == 0 && !self.misses {
            self.ask(cx);
        }
        if self.room > 0 {
            self.room = self.port.deliver_copy(self.pipe, frames, 1);
        } else if self.misses {
            self.missed += 1;
        } else {
            self.misses = true;
            report_dropped(&*self.port, self.pipe, 1, Dropped::ReceiverFull);
        }
    }

    /// To be called at each `poll`: there may be room again.
    pub(super) fn look(&mut self, cx: &Context<'_>) {
        if self.misses {
            self.ask(cx);
        }
    }

    /// Asks the lane; without room, our waker stays there.
    fn ask(&mut self, cx: &Context<'_>) {
        if let Poll::Ready(room) = self.port.poll_room(self.pipe, cx) {
            self.room = room;
            self.misses = false;
            report_dropped(&*self.port, self.pipe, std::mem::take(&mut self.missed), Dropped::ReceiverFull);
        }
    }
}

/// What was not reported yet is, at the end.
impl Drop for Gate {
    fn drop(&mut self) {
        report_dropped(&*self.port, self.pipe, self.missed, Dropped::ReceiverFull);
    }
}
