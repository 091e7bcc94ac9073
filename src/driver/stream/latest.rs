//! A conflating socket's messages where the transport has streams of one direction: each goes on one of its own, which is
//! cut off when something newer takes its place. So what is stale need not be sent to its end.
//!
//! Invariant: of two in a row at most one is cut off, so however fast they are made, the peer gets some, and the last. What
//! has arrived is always read, and the newest of it alone waits for room: so no stream stalls, and nor do the others.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use zocket_transport::{BoxFuture, Oneway, Oneways};

use super::lanes::{Lane, Source};
use super::now;
use crate::driver::{Port, scratch};
use crate::error::{Disconnect, ProtocolError};
use crate::pipe::{Batch, LaneId, SLICES, TURN, Taken};
use crate::zmtp::{Config, Engine, Event, packet};

/// How many streams that we have ended may be on their way to the peer. It may allow more than we want to remember.
const ON_THEIR_WAY: usize = 128;

/// What the unfinished messages of a peer may hold together: twice the largest that may come, for honest peers have no more
/// than two large ones under way, the one that is being written and the one before; and this for the small ones.
const UNFINISHED: u64 = 1 << 20;

/// A stream of the peer's.
struct Incoming {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    engine: Engine,
    /// Not known before the head is there.
    number: Option<u64>,
    input: BytesMut,
    /// The start of the message.
    held: Vec<Bytes>,
    /// How many bytes have been read.
    taken: u64,
}

/// The streams of one direction of one link.
pub(super) struct LatestLane {
    oneways: Box<dyn Oneways>,
    port: Arc<dyn Port>,
    config: Arc<Config>,
    lane: LaneId,
    source: Source,
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
    /// The number of the last message that arrived.
    arrived: u64,
    /// That message, while there is no room for it.
    waiting: Option<(Vec<Bytes>, Bytes)>,
    /// What the lane takes, as far as we know: it can only be more.
    room: usize,
    /// All that had arrived was read when we last looked.
    is_dry: bool,
}

impl LatestLane {
    pub(super) fn new(mut oneways: Box<dyn Oneways>, port: Arc<dyn Port>, lane: LaneId) -> Self {
        oneways.welcome();
        Self {
            oneways,
            source: Source::new(Arc::clone(&port), lane),
            config: port.engine_config(),
            port,
            lane,
            batch: Batch::default(),
            stream: None,
            head: BytesMut::new(),
            newer: Batch::default(),
            spared: false,
            last: 0,
            arriving: Vec::new(),
            incoming: Vec::new(),
            arrived: 0,
            waiting: None,
            room: 0,
            is_dry: false,
        }
    }

    // ── Sending ─────────────────────────────────────────────────────────────────────────────────

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        loop {
            if self.batch.is_empty() {
                match ready!(self.source.poll_take(cx, &mut self.batch)) {
                    Taken::Some | Taken::All => {}
                    Taken::Finished => return self.poll_arrived(cx).map(|()| Disconnect::Closed),
                    Taken::Stop(why) => return Poll::Ready(why),
                }
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) => {
                    self.spared = false;
                    self.source.look_again();
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
                    // The peer wants no more of it.
                    self.stream = None;
                    self.batch.abandon();
                    self.spared = false;
                    self.source.look_again();
                }
                Poll::Ready(Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
                    return Poll::Ready(error.into());
                }
                stopped => {
                    // If it is the peer that has closed, this is for the next link.
                    self.spared &= stopped.is_pending();
                    if let Err(why) = ready!(self.poll_newer(cx)) {
                        return Poll::Ready(why);
                    }
                }
            }
        }
    }

    /// Writes the message to its end, on a stream of its own.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stream.is_none() && self.arriving.len() >= ON_THEIR_WAY {
            self.look_for_arrived(cx);
            if self.arriving.len() >= ON_THEIR_WAY {
                return Poll::Pending;
            }
        }
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
            self.head.advance(some(written)?);
        }
        while !self.batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.batch.slices(&mut slices);
            let written = ready!(Pin::new(&mut **stream).poll_write_vectored(cx, &slices[..filled]))?;
            self.batch.advance(some(written)?);
        }
        ready!(Pin::new(&mut **stream).poll_shutdown(cx))?;
        self.arriving.push(stream.arrived());
        self.stream = None;
        Poll::Ready(Ok(()))
    }

    /// The network takes no more for now, or the peer. Ready: something newer has taken the message's place.
    fn poll_newer(&mut self, cx: &Context<'_>) -> Poll<Result<(), Disconnect>> {
        let is_spared = self.spared && self.stream.is_some();
        let taken = if is_spared { Poll::Pending } else { self.source.poll_take(cx, &mut self.newer) };
        let old = match taken {
            Poll::Ready(Taken::Stop(why)) => return Poll::Ready(Err(why)),
            Poll::Ready(Taken::Some | Taken::All) => {
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

    fn look_for_arrived(&mut self, cx: &mut Context<'_>) {
        self.arriving.retain_mut(|arriving| arriving.as_mut().poll(cx).is_pending());
    }

    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.look_for_arrived(cx);
        if self.arriving.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    // ── Receiving ───────────────────────────────────────────────────────────────────────────────

    /// Ready without an error: the peer has closed, and everything it sent has been read.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Disconnect>> {
        let mut budget = TURN;
        self.is_dry = false;
        loop {
            self.hand_over(cx);
            let is_over = self.poll_accept(cx)?;
            if is_over && self.incoming.is_empty() && self.waiting.is_none() {
                return Poll::Ready(Ok(()));
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let is_more = self.read(&mut budget, cx)?;
            self.forget_stale();
            if !is_more {
                self.is_dry = self.waiting.is_none();
                return Poll::Pending;
            }
        }
    }

    /// Delivers the newest message, if there is room for it.
    fn hand_over(&mut self, cx: &Context<'_>) {
        let Some((mut held, last)) = self.waiting.take() else { return };
        if self.room == 0 {
            let Poll::Ready(room) = self.port.poll_room(self.lane, cx) else {
                self.waiting = Some((held, last));
                return;
            };
            self.room = room;
        }
        self.room = self.port.deliver(self.lane, &mut held, last, 1);
    }

    /// Holds no more than honest peers need.
    fn forget_stale(&mut self) {
        let limit = self.config.max_message_bytes.saturating_mul(2).saturating_add(UNFINISHED);
        let held = |incoming: &Vec<Incoming>| incoming.iter().map(|it| it.taken).sum::<u64>();
        while self.incoming.len() > 1 && held(&self.incoming) > limit {
            // The oldest; its peer hears that nothing more of it is wanted.
            self.incoming.remove(0);
        }
    }

    /// Takes the streams that have come. Says whether no more will.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        // The transport lets only a few be open, and one that ended counts until it was accepted.
        while let Poll::Ready(stream) = self.oneways.poll_accept(cx)? {
            let Some(stream) = stream else { return Ok(true) };
            let engine = Engine::for_lane(Arc::clone(&self.config));
            let (input, held) = (BytesMut::new(), Vec::new());
            self.incoming.push(Incoming { stream, engine, number: None, input, held, taken: 0 });
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
                    let incoming = self.incoming.remove(index);
                    let number = incoming.number.unwrap_or_default();
                    if let Some(last) = last.filter(|_| number > self.arrived) {
                        self.arrived = number;
                        self.waiting = Some((incoming.held, last));
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
                Poll::Ready(read) => {
                    let read = read?;
                    self.taken = self.taken.saturating_add(read as u64);
                    *budget = budget.saturating_sub(read);
                }
            }
        }
    }

    /// Works off what has been read. Returns the last run of frames if the message is whole.
    fn digest(&mut self) -> Result<Option<Bytes>, Disconnect> {
        if self.number.is_none() {
            if self.input.len() < packet::HEAD {
                return Ok(None);
            }
            let Some((number, _)) = packet::split_head(&self.input) else {
                return Err(ProtocolError::BadOneway.into());
            };
            self.number = Some(number);
            self.input.advance(packet::HEAD);
        }
        while let Some(event) = self.engine.poll(&mut self.input, 1, now)? {
            let Event::Traffic { bytes, messages } = event else {
                return Err(ProtocolError::CommandOnLane.into());
            };
            let run = self.input.split_to(bytes).freeze();
            if messages > 0 {
                return if self.input.is_empty() {
                    Ok(Some(run))
                } else {
                    Err(ProtocolError::BadOneway.into())
                };
            }
            self.held.push(run);
        }
        Ok(None)
    }
}

/// Writing gets somewhere, or fails.
fn some(written: usize) -> io::Result<usize> {
    if written == 0 { Err(ErrorKind::WriteZero.into()) } else { Ok(written) }
}

/// What was not written whole goes back to the queue.
impl Drop for LatestLane {
    fn drop(&mut self) {
        self.port.lane_lost(self.lane, std::mem::take(&mut self.batch));
    }
}
