//! Messages in packets of their own, where both peers want that: one task beside the lanes of the link.
//!
//! What is small enough to be sent so waits in a queue of its own, as on a lane, and so what is received. Invariant:
//! packets are always read, for nothing can stop the peer. What comes in no order is dropped, as is what finds no room;
//! each message that is missed is counted once, also the last: how many there were is said on the stream.

use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant as Time};

use bytes::{Bytes, BytesMut};
use zocket_transport::Packets;

use super::lanes::{Lane, Source};
use crate::driver::Port;
use crate::driver::alarm::{Alarm, now};
use crate::driver::datagrams::{Gate, READ_BUDGET, report_dropped, report_missed};
use crate::error::Disconnect;
use crate::event::Dropped;
use crate::pipe::{Batch, LaneId, Taken};
use crate::zmtp::datagram::ledger::{Arrival, Ledger};
use crate::zmtp::{Command, Config, packet};

/// After so long without a message the peer is told how many there were: seldom enough to cost nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// The packets of one link.
pub(super) struct PacketLane {
    packets: Box<dyn Packets>,
    port: Arc<dyn Port>,
    config: Arc<Config>,
    lane: LaneId,
    source: Source,
    batch: Batch,
    scratch: BytesMut,
    /// The packet that waits to be sent, and how much of the batch is in it.
    leaving: Option<(Bytes, usize)>,
    /// The number of the last packet that was made.
    last: u64,
    /// When the peer is told of it, unless there is another before.
    tell: Option<Time>,
    /// How many the peer says it has sent.
    told: u64,
    /// What has arrived, and what has not.
    ledger: Ledger,
    alarm: Alarm,
    gate: Gate,
    /// Packets without a message, or with one that is against the rules.
    garbled: u64,
    /// All that had arrived was read when we last looked.
    is_dry: bool,
    /// Nothing more will.
    is_over: bool,
}

impl PacketLane {
    pub(super) fn new(packets: Box<dyn Packets>, port: Arc<dyn Port>, lane: LaneId) -> Self {
        Self {
            packets,
            source: Source::new(Arc::clone(&port), lane),
            config: port.engine_config(),
            lane,
            batch: Batch::default(),
            scratch: BytesMut::new(),
            leaving: None,
            last: 0,
            tell: None,
            told: 0,
            ledger: Ledger::after(0),
            alarm: Alarm::default(),
            gate: Gate::new(Arc::clone(&port), lane),
            port,
            garbled: 0,
            is_dry: false,
            is_over: false,
        }
    }

    // ── Sending ─────────────────────────────────────────────────────────────────────────────────

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        loop {
            if self.leaving.is_none() && self.batch.is_empty() {
                match ready!(self.source.poll_take(cx, &mut self.batch)) {
                    Taken::Some | Taken::All => {}
                    Taken::Finished => {
                        ready!(self.packets.poll_flush(cx));
                        self.tell_last();
                        return Poll::Ready(Disconnect::Closed);
                    }
                    Taken::Stop(why) => return Poll::Ready(why),
                }
            }
            let (packet, frames) = self.leaving.get_or_insert_with(|| {
                self.last += 1;
                next_packet(&mut self.scratch, self.last, &self.batch)
            });
            let sent = self.packets.poll_send(cx, packet);
            let frames = *frames;
            match sent {
                Poll::Pending => {
                    self.batch.settle();
                    let why = self.port.blocked(self.lane, cx, &mut self.batch);
                    return why.map_or(Poll::Pending, Poll::Ready);
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::InvalidInput => {
                    report_dropped(&*self.port, self.lane.pipe, 1, Dropped::NotSent);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
            }
            self.leaving = None;
            self.batch.advance(frames);
            self.tell = now().checked_add(PAUSE);
        }
    }

    /// Tells the number of the last packet: nothing has come behind it by which it could be missed.
    fn tell_last(&mut self) {
        if self.tell.take().is_some() {
            self.port.say(self.lane.pipe, Command::Sent(self.last));
        }
    }

    // ── Receiving ───────────────────────────────────────────────────────────────────────────────

    /// Ready when the link has broken.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        self.is_dry = false;
        self.gate.look(cx);
        for _ in 0..READ_BUDGET {
            match self.packets.poll_receive(cx) {
                Poll::Ready(Ok(Some(packet))) => self.arrived(&packet, cx),
                Poll::Ready(Ok(None)) => {
                    // The first lane may still hear how many there were, and ends this one then.
                    (self.is_dry, self.is_over) = (true, true);
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
                Poll::Pending => {
                    self.is_dry = true;
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn arrived(&mut self, packet: &[u8], cx: &Context<'_>) {
        let Some((number, frames)) = packet::parse(packet, &self.config) else {
            self.garbled += 1;
            return;
        };
        match (self.ledger.arrived(number, now()), frames) {
            (Arrival::Next, Some(frames)) => self.gate.deliver(frames, cx),
            (Arrival::Old, _) => {}
            (Arrival::Next, None) | (Arrival::Absurd, _) => self.garbled += 1,
        }
    }

    /// Tells what is missed and what was sent, when it is time to.
    fn drive_timer(&mut self, cx: &mut Context<'_>) {
        loop {
            let missed = self.ledger.handle_timeout(now());
            report_missed(&*self.port, self.lane.pipe, missed);
            if self.tell.is_some_and(|at| at <= now()) {
                self.tell_last();
            }
            let due = [self.ledger.poll_timeout(), self.tell].into_iter().flatten().min();
            if self.alarm.poll(due, cx).is_pending() {
                return;
            }
        }
    }
}

impl Lane for PacketLane {
    fn told(&mut self, sent: u64) {
        if sent > self.told {
            self.told = sent;
            let possible = self.ledger.told(sent, now());
            self.garbled += u64::from(!possible);
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        match self.poll_send(cx) {
            // It has closed, and what it sent before is still to be read.
            Poll::Ready(Disconnect::Io(error)) if error.kind() == ErrorKind::BrokenPipe => {}
            Poll::Ready(why) => return Poll::Ready(why),
            Poll::Pending => {}
        }
        let received = self.poll_receive(cx);
        report_dropped(&*self.port, self.lane.pipe, std::mem::take(&mut self.garbled), Dropped::Malformed);
        self.drive_timer(cx);
        received
    }

    /// What is missing may still come, for a while.
    fn is_dry(&self) -> bool {
        self.is_dry && (self.is_over || self.ledger.poll_timeout().is_none())
    }
}

/// The next message of the batch as a packet, and its size there.
fn next_packet(scratch: &mut BytesMut, number: u64, batch: &Batch) -> (Bytes, usize) {
    /// So many packets share an allocation, about, while any of them waits to be sent.
    const SHARED: usize = 16;
    if scratch.capacity() < packet::MAX_PACKET {
        scratch.reserve(SHARED * packet::MAX_PACKET);
    }
    packet::put_head(scratch, number);
    batch.copy_message(0, scratch);
    let frames = scratch.len() - packet::HEAD;
    (scratch.split().freeze(), frames)
}

/// What was not told yet is, at the end.
impl Drop for PacketLane {
    fn drop(&mut self) {
        let missed = self.ledger.finish();
        report_missed(&*self.port, self.lane.pipe, missed);
        self.port.lane_lost(self.lane, std::mem::take(&mut self.batch));
    }
}
