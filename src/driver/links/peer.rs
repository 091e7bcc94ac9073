//! A link over datagrams and the pipe it serves.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant as Time;

use zocket_transport::Route;

use crate::driver::datagrams::{Gate, report_dropped, report_missed};
use crate::driver::packets::{Gone, Packets};
use crate::driver::{Ends, Port, Remains};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::pipe::{Batch, Bell, PipeId, Taken};
use crate::zmtp::PeerInfo;
use crate::zmtp::datagram::{Heard, Link};

/// How many packets a peer may write until others have their turn, and what arrived is read.
const SHARE: usize = 32;

pub(super) struct Peer {
    pub(super) link: Link,
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
    /// None if the socket is connected.
    to: Option<Route>,
    gate: Gate,
    batch: Batch,
    /// So much of the batch is in packets that the kernel has not got.
    gathered: usize,
    /// Rings when the outbox has something for us.
    bell: Bell,
    /// The outbox was empty when we last looked, and has our waker.
    asleep: bool,
}

/// What a peer has for the next packet.
enum Found {
    Packet,
    /// What is gathered must be sent first.
    Gathered,
    /// Nothing, and our waker is where it will be found.
    Nothing,
}

impl Peer {
    /// Makes the pipe ready for who was met.
    pub(super) fn open(
        mut link: Link,
        info: PeerInfo,
        port: Arc<dyn Port>,
        pipe: PipeId,
        ends: Ends,
        to: Option<Route>,
    ) -> Result<Self, Disconnect> {
        let greeting = port.identify(pipe, &info, &ends)?;
        greeting.iter().for_each(|command| link.send_command(command));
        let (endpoint, peer) = (ends.endpoint.clone(), ends.peer.clone());
        port.report(Event::Ready { pipe, endpoint, peer, info });
        Ok(Self {
            link,
            gate: Gate::new(Arc::clone(&port), pipe.lane(0)),
            bell: port.drive(pipe.lane(0), false),
            port,
            pipe,
            ends,
            to,
            batch: Batch::default(),
            gathered: 0,
            asleep: false,
        })
    }

    /// Looks at the clock.
    pub(super) fn tick(&mut self, now: Time) -> Result<(), Disconnect> {
        let missed = self.link.handle_timeout(now)?;
        report_missed(&*self.port, self.pipe, missed);
        Ok(())
    }

    /// Adds packets until nothing is left to say, the peer has had its share, or it is time to send. Says whether there
    /// may be more to say once they are sent.
    pub(super) fn write(
        &mut self,
        packets: &mut Packets,
        cx: &Context<'_>,
        now: Time,
    ) -> Result<bool, Disconnect> {
        self.gate.look(cx);
        for _ in 0..SHARE {
            if packets.is_full() {
                return Ok(true);
            }
            match self.find_packet(packets, cx, now)? {
                Found::Packet => {}
                Found::Gathered => return Ok(true),
                Found::Nothing => return Ok(false),
            }
        }
        Ok(true)
    }

    fn find_packet(
        &mut self,
        packets: &mut Packets,
        cx: &Context<'_>,
        now: Time,
    ) -> Result<Found, Disconnect> {
        loop {
            if packets.put(self.to, |out| self.link.poll_packet(out, now)) {
                return Ok(Found::Packet);
            }
            let (batch, ahead) = (&self.batch, self.gathered);
            let put =
                packets.put(self.to, |out| self.link.put_message(out, |out| batch.copy_message(ahead, out)));
            match put {
                Ok(0) | Err(_) if self.gathered > 0 => return Ok(Found::Gathered),
                Ok(0) => {}
                Ok(frames) => {
                    packets.counts(frames);
                    self.gathered += frames;
                    return Ok(Found::Packet);
                }
                Err(frames) => {
                    self.batch.advance(frames);
                    report_dropped(&*self.port, self.pipe, 1, Dropped::TooLarge);
                    continue;
                }
            }
            if self.asleep && !self.bell.has_rung() {
                return Ok(Found::Nothing);
            }
            let mut commands = Vec::new();
            let taken = self.port.poll_take(self.pipe.lane(0), cx, &mut self.batch, &mut commands);
            self.asleep = taken.is_pending();
            match taken {
                Poll::Pending => return Ok(Found::Nothing),
                Poll::Ready(Taken::Some | Taken::All) => {
                    commands.iter().for_each(|command| self.link.send_command(command));
                }
                Poll::Ready(Taken::Finished) => return Err(Disconnect::Closed),
                Poll::Ready(Taken::Stop(why)) => return Err(why),
            }
        }
    }

    /// The kernel has got packets of ours, or said what is wrong with one.
    pub(super) fn gone(&mut self, gone: &Gone) {
        self.batch.advance(gone.frames);
        self.gathered -= gone.frames;
        let dropped = u64::from(gone.sent.is_err() && gone.frames > 0);
        report_dropped(&*self.port, self.pipe, dropped, Dropped::NotSent);
    }

    /// The kernel is full, or there is no way. Why the link must be given up, if it must; else our waker is kept for that.
    pub(super) fn blocked(&mut self, cx: &Context<'_>) -> Result<(), Disconnect> {
        // What arrives has nothing to do with that.
        self.gate.look(cx);
        self.batch.settle();
        self.port.blocked(self.pipe.lane(0), cx, &mut self.batch).map_or(Ok(()), Err)
    }

    pub(super) fn hear(&mut self, packet: &[u8], cx: &Context<'_>, now: Time) -> Result<(), Disconnect> {
        match self.link.handle(packet, now)? {
            Heard::Nothing => {}
            Heard::Message(frames) => self.gate.deliver(frames, cx),
            Heard::Commands(commands) => {
                commands.into_iter().for_each(|command| self.port.command(self.pipe, command));
            }
            Heard::Bye => return Err(Disconnect::PeerClosed),
        }
        Ok(())
    }

    /// Says goodbye, unless the peer has, and what has not been told. Returns what is left.
    pub(super) fn leave(mut self, packets: &mut Packets, why: &Disconnect) -> (Ends, Remains) {
        packets.forget(self.to);
        if !matches!(why, Disconnect::PeerClosed) {
            packets.answer(self.to, |out| self.link.put_bye(out));
        }
        let missed = self.link.finish();
        report_missed(&*self.port, self.pipe, missed);
        (self.ends, Remains { pipe: Some(self.pipe), was_ready: true, batch: self.batch })
    }
}
