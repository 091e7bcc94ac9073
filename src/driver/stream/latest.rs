//! A conflating socket's messages where the transport has streams of one direction: each goes on one of its own, which is
//! cut off when something newer takes its place. So what is stale need not be sent to its end.
//!
//! Invariant: of two in a row at most one is cut off, so however fast they are made, the peer gets some, and the last.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use zocket_transport::{BoxFuture, Oneway, Oneways};

use super::lanes::Lane;
use super::now;
use crate::driver::{Port, scratch};
use crate::error::{Disconnect, ProtocolError};
use crate::pipe::{Batch, Bell, LaneId, SLICES, Taken};
use crate::zmtp::{Command, Config, Engine, Event, packet};

/// How much one `poll` reads before it lets others run.
const READ_BUDGET: usize = 512 * 1024;

/// A stream of the peer's.
struct Incoming {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    engine: Engine,
    /// Not known before the head is there.
    number: Option<u64>,
    input: BytesMut,
    /// The start of the message.
    held: Vec<Bytes>,
}

/// Where a message is taken to.
enum Place {
    Batch,
    Newer,
}

/// The streams of one direction of one link.
pub(super) struct LatestLane {
    oneways: Box<dyn Oneways>,
    port: Arc<dyn Port>,
    config: Arc<Config>,
    lane: LaneId,
    bell: Bell,
    /// The outbox was empty when we last looked, and has our waker.
    asleep: bool,
    /// There are none: they go on the first lane.
    commands: Vec<Command>,
    /// The message that is being written, and the stream that it is written to.
    batch: Batch,
    stream: Option<Box<dyn Oneway>>,
    /// What is still to be written before it.
    head: BytesMut,
    /// What will take its place.
    newer: Batch,
    /// The one before it was cut off, so it will not be.
    spared: bool,
    last: u64,
    /// Streams that were written to their end, until the peer has them.
    arriving: Vec<BoxFuture<'static, ()>>,
    incoming: Vec<Incoming>,
    /// The number of the last message that was delivered.
    delivered: u64,
    /// What the lane takes, as far as we know: it can only be more.
    room: usize,
    /// All that had arrived was read when we last looked.
    is_dry: bool,
}

impl LatestLane {
    pub(super) fn new(oneways: Box<dyn Oneways>, port: Arc<dyn Port>, lane: LaneId) -> Self {
        Self {
            oneways,
            bell: port.drive(lane),
            config: port.engine_config(),
            port,
            lane,
            asleep: false,
            commands: Vec::new(),
            batch: Batch::default(),
            stream: None,
            head: BytesMut::new(),
            newer: Batch::default(),
            spared: false,
            last: 0,
            arriving: Vec::new(),
            incoming: Vec::new(),
            delivered: 0,
            room: 0,
            is_dry: false,
        }
    }

    // ── Sending ─────────────────────────────────────────────────────────────────────────────────

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        loop {
            if self.batch.is_empty() {
                match ready!(self.poll_take(Place::Batch, cx)) {
                    Taken::Some => {}
                    Taken::Finished => return self.poll_arrived(cx).map(|()| Disconnect::Closed),
                    Taken::Stop(why) => return Poll::Ready(why),
                }
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) => {
                    self.spared = false;
                    // Whoever looks next hands back what was written.
                    self.asleep = false;
                }
                Poll::Ready(Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
                    return Poll::Ready(error.into());
                }
                stopped => {
                    // The peer wants no more of it, or nothing at all: then it is for the next link.
                    self.spared &= stopped.is_pending();
                    if let Err(why) = ready!(self.poll_newer(cx)) {
                        return Poll::Ready(why);
                    }
                }
            }
        }
    }

    fn poll_take(&mut self, to: Place, cx: &Context<'_>) -> Poll<Taken> {
        if self.asleep && !self.bell.has_rung() {
            return Poll::Pending;
        }
        let batch = match to {
            Place::Batch => &mut self.batch,
            Place::Newer => &mut self.newer,
        };
        let taken = self.port.poll_take(self.lane, cx, batch, &mut self.commands);
        self.asleep = taken.is_pending();
        taken
    }

    /// Writes the message to its end, on a stream of its own.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = ready!(self.oneways.poll_open(cx))?;
                self.last += 1;
                self.head.clear();
                packet::put_head(&mut self.head, self.last);
                none.insert(stream)
            }
        };
        while !self.head.is_empty() {
            let written = ready!(Pin::new(&mut **stream).poll_write(cx, &self.head))?;
            self.head.advance(written);
        }
        while !self.batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.batch.slices(&mut slices);
            let written = ready!(Pin::new(&mut **stream).poll_write_vectored(cx, &slices[..filled]))?;
            self.batch.advance(written);
        }
        ready!(Pin::new(&mut **stream).poll_shutdown(cx))?;
        let mut arriving = stream.arrived();
        self.stream = None;
        self.arriving.retain_mut(|arriving| arriving.as_mut().poll(cx).is_pending());
        if arriving.as_mut().poll(cx).is_pending() {
            self.arriving.push(arriving);
        }
        Poll::Ready(Ok(()))
    }

    /// The network takes no more for now, or the peer. Ready: something newer has taken the message's place.
    fn poll_newer(&mut self, cx: &Context<'_>) -> Poll<Result<(), Disconnect>> {
        let is_spared = self.spared && self.stream.is_some();
        let taken = if is_spared { Poll::Pending } else { self.poll_take(Place::Newer, cx) };
        let old = match taken {
            Poll::Ready(Taken::Stop(why)) => return Poll::Ready(Err(why)),
            Poll::Ready(Taken::Some) => {
                // It is cut off here, if anything of it was on its way.
                self.spared |= self.stream.take().is_some();
                self.batch.abandon();
                Some(std::mem::replace(&mut self.batch, std::mem::take(&mut self.newer)))
            }
            // Nothing newer comes any more, so this one is sent.
            Poll::Ready(Taken::Finished) | Poll::Pending => None,
        };
        let is_replaced = old.is_some();
        let why = self.port.blocked(self.lane, cx, &mut old.unwrap_or_default());
        match why {
            Some(why) => Poll::Ready(Err(why)),
            None if is_replaced => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.arriving.retain_mut(|arriving| arriving.as_mut().poll(cx).is_pending());
        if self.arriving.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    // ── Receiving ───────────────────────────────────────────────────────────────────────────────

    /// Ready without an error: the peer has closed, and everything it sent has been read.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Disconnect>> {
        let mut budget = READ_BUDGET;
        self.is_dry = false;
        loop {
            let is_over = self.poll_accept(cx)?;
            if is_over && self.incoming.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.room == 0 {
                // What is not read holds the peer up, who may then have something newer.
                self.room = ready!(self.port.poll_room(self.lane, cx));
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.read(&mut budget, cx)? {
                self.is_dry = true;
                return Poll::Pending;
            }
        }
    }

    /// Takes the streams that have come. Says whether no more will.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        // The transport lets only a few be open, and one that ended counts until it was accepted.
        while let Poll::Ready(stream) = self.oneways.poll_accept(cx)? {
            let Some(stream) = stream else { return Ok(true) };
            let engine = Engine::for_lane(Arc::clone(&self.config));
            let (input, held) = (BytesMut::new(), Vec::new());
            self.incoming.push(Incoming { stream, engine, number: None, input, held });
        }
        Ok(false)
    }

    /// Reads what has come, the newest first. Says whether a stream has ended, or its message is here, or there may be more.
    fn read(&mut self, budget: &mut usize, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        for index in (0..self.incoming.len()).rev() {
            let Some(incoming) = self.incoming.get_mut(index) else { continue };
            match incoming.poll_message(budget, cx)? {
                Poll::Pending if *budget == 0 => return Ok(true),
                Poll::Pending => {}
                Poll::Ready(last) => {
                    let mut incoming = self.incoming.remove(index);
                    let number = incoming.number.unwrap_or_default();
                    if let Some(last) = last.filter(|_| number > self.delivered) {
                        self.delivered = number;
                        self.room = self.port.deliver(self.lane, &mut incoming.held, last, 1);
                        self.incoming.retain(|older| older.number.is_none_or(|it| it > number));
                    }
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Lane for LatestLane {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        if let Poll::Ready(why) = self.poll_send(cx) {
            return Poll::Ready(why);
        }
        self.poll_receive(cx).map(|ended| ended.err().unwrap_or(Disconnect::PeerClosed))
    }

    fn is_dry(&self) -> bool {
        self.is_dry
    }
}

impl Incoming {
    /// Reads on. Ready with the last run of frames: the message is whole. Ready without: it will not be.
    fn poll_message(
        &mut self,
        budget: &mut usize,
        cx: &mut Context<'_>,
    ) -> Result<Poll<Option<Bytes>>, Disconnect> {
        loop {
            if let Some(last) = self.digest()? {
                return Ok(Poll::Ready(Some(last)));
            }
            if *budget == 0 {
                return Ok(Poll::Pending);
            }
            let limit = scratch::prepare(&mut self.input, self.engine.wants());
            let read = {
                let mut target = (&mut self.input).limit(limit);
                pin!(self.stream.read_buf(&mut target)).poll(cx)
            };
            match read {
                Poll::Pending => {
                    scratch::give_back(&mut self.input);
                    return Ok(Poll::Pending);
                }
                // Cut off, in one way or the other.
                Poll::Ready(Ok(0)) => return Ok(Poll::Ready(None)),
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Poll::Ready(None));
                }
                Poll::Ready(read) => *budget = budget.saturating_sub(read?),
            }
        }
    }

    /// Works off what has been read. Returns the last run of frames if the message is whole.
    fn digest(&mut self) -> Result<Option<Bytes>, Disconnect> {
        if self.number.is_none() {
            let Some((number, _)) = packet::split_head(&self.input) else { return Ok(None) };
            self.number = Some(number);
            self.input.advance(packet::HEAD);
        }
        while let Some(event) = self.engine.poll(&mut self.input, 1, now)? {
            let Event::Traffic { bytes, messages } = event else {
                return Err(ProtocolError::CommandOnLane.into());
            };
            let run = self.input.split_to(bytes).freeze();
            if messages > 0 {
                return Ok(Some(run));
            }
            self.held.push(run);
        }
        Ok(None)
    }
}

/// What was not written whole goes back to the queue.
impl Drop for LatestLane {
    fn drop(&mut self) {
        self.port.lane_lost(self.lane, std::mem::take(&mut self.batch));
    }
}
