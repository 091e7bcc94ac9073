//! One connection over a byte stream: tcp, ipc, and whatever else carries ordered bytes.
//!
//! A future polled by hand, so that reading, writing, heartbeats and the handshake share one engine without
//! extra tasks. It resolves to the reason why the connection ended; whoever owns it takes the batch that was under
//! way out of it.

mod ending;
mod lanes;
mod latest;
mod packets;
mod prompt;

use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use zocket_transport::{Closer, Oneways, Packets, PeerProof, Stream, Streams, Tracker};

pub(crate) use self::lanes::Lanes;
pub(crate) use self::prompt::Driven;
use self::prompt::Wakers;
use super::alarm::{Alarm, now};
use super::lookout::Lookout;
use super::scratch::{self, READ};
use super::sweep::Sweeper;
use super::{Ends, Port};
use crate::error::Disconnect;
use crate::event::Event;
use crate::pipe::{Batch, Bell, CHEAP, COPIED, LaneId, PipeId, SLICES, TURN, Taken, UNCOPIED};
use crate::sync::Ticket;
use crate::zmtp::{self, Command, Engine, PeerInfo, SocketKind};

/// A connection: a wire, the engine that speaks over it, and the pipe it serves; or a further lane of one.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Box<dyn Stream>,
    /// Of a wire whose end is a message to the peer.
    closer: Option<Closer>,
    proof: Option<PeerProof>,
    /// Of a link whose peer may move.
    tracker: Option<Tracker>,
    /// Of a link that can have more lanes, until they are there.
    streams: Option<Box<dyn Streams>>,
    /// Of a link that carries packets, as above.
    packets: Option<Box<dyn Packets>>,
    /// Of a link that has streams of one direction, as above.
    oneways: Option<Box<dyn Oneways>>,
    lanes: Lanes,
    engine: Engine,
    port: Arc<dyn Port>,
    ends: Ends,
    /// Dialled connections have one from the start, accepted ones get it with the handshake.
    pipe: Option<PipeId>,
    /// Its lane. The first is the connection itself.
    number: u8,
    phase: Phase,
    input: BytesMut,
    /// The start of a message whose end has not arrived.
    held: Vec<Bytes>,
    /// Its last small runs, by copy: a run for each frame would cost many times the frame.
    held_tail: BytesMut,
    /// All that had arrived was read when we last looked.
    is_dry: bool,
    /// What the lane takes, as far as we know: it can only be more.
    room: usize,
    /// Bytes of a message, on the average of the last run.
    average: usize,
    batch: Batch,
    commands: Vec<Command>,
    /// Rings when the outbox has something for us.
    bell: Bell,
    /// The outbox was empty when we last looked, and has our waker.
    asleep: bool,
    /// One end sends a message at a time.
    is_prompt: bool,
    /// If so: what is left in the outbox and at the wire in place of our task's waker.
    prompt: Option<Box<Wakers>>,
    /// Whether who is woken by the wire may read from it there and then.
    wakes_unlocked: bool,
    this: Weak<Mutex<Self>>,
    alarm: Alarm,
    lookout: Lookout,
    sweeper: Sweeper,
    closing: Option<Ticket>,
    ended: Option<Disconnect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    Traffic,
    /// Everything is written and our half is to be shut down.
    Shutdown,
    /// Our half is shut down; what still arrives is read and dropped, for closing with unread bytes would
    /// reset the connection and destroy what the peer has not read.
    Farewell,
}

impl Connection {
    fn new(
        wire: Box<dyn Stream>,
        port: Arc<dyn Port>,
        ends: Ends,
        pipe: Option<PipeId>,
        this: Weak<Mutex<Self>>,
        engine: Engine,
    ) -> Self {
        let lookout = Lookout::new(port.options().busy_poll);
        let sweeper = Sweeper::new(port.pool());
        Self {
            wire,
            closer: None,
            proof: None,
            tracker: None,
            streams: None,
            packets: None,
            oneways: None,
            lanes: Lanes::default(),
            engine,
            port,
            ends,
            pipe,
            number: 0,
            phase: Phase::Handshake,
            input: BytesMut::new(),
            held: Vec::new(),
            held_tail: BytesMut::new(),
            is_dry: false,
            room: 0,
            average: 0,
            batch: Batch::default(),
            commands: Vec::new(),
            bell: Bell::default(),
            asleep: false,
            is_prompt: false,
            prompt: None,
            wakes_unlocked: false,
            this,
            alarm: Alarm::default(),
            lookout,
            sweeper,
            closing: None,
            ended: None,
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(why) = self.drive(cx) {
            self.last_words(&why, cx);
            self.ended = Some(why);
        } else if self.phase == Phase::Handshake {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        if let Some(why) = &self.ended {
            return Poll::Ready(why.clone());
        }
        match self.drive(cx) {
            Ok(()) => {
                self.sweeper.poll(self.port.pool(), cx);
                if self.lookout.goes_on(self.missing()) {
                    // Wakes us when the event loop has looked at the sockets, not dozens of turns before.
                    _ = pin!(tokio::task::yield_now()).poll(cx);
                }
                Poll::Pending
            }
            Err(why) => {
                self.last_words(&why, cx);
                // It stays, so that nobody writes in our stead any more.
                self.ended = Some(why.clone());
                Poll::Ready(why)
            }
        }
    }

    const fn lane_of(&self, pipe: PipeId) -> LaneId {
        pipe.lane(self.number)
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        loop {
            let phase = self.phase;
            let blocked = self.drive_write(cx).or_else(|why| self.unheard(why, cx))?;
            let more = self.drive_read(cx)?;
            // After reading: what has arrived proves life, however late we look.
            self.drive_timer(cx)?;
            if more {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            // That may have made something to write: a PING or PONG, a step of the handshake, or, at its end,
            // what has been queued.
            if blocked || (self.phase == phase && !self.owes()) {
                return Ok(());
            }
        }
    }

    fn drive_timer(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        while self.alarm.poll(self.engine.poll_timeout(), cx).is_ready() {
            self.engine.handle_timeout(now())?;
        }
        Ok(())
    }

    const fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Shutdown | Phase::Farewell)
    }

    /// Whether the engine has something to write. Behind the end of our half nothing can be written.
    fn owes(&self) -> bool {
        !self.is_leaving() && self.engine.owes()
    }

    /// Writes until nothing is left to write (false) or the kernel is full (true).
    fn drive_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        loop {
            if self.batch.is_empty() && self.owes() {
                let control = self.engine.control();
                match Pin::new(&mut self.wire).poll_write(cx, control) {
                    Poll::Pending => return self.blocked(cx),
                    Poll::Ready(Ok(0)) => return Err(Disconnect::PeerClosed),
                    Poll::Ready(written) => control.advance(written?),
                }
                if control.is_empty() {
                    // Nearly always the handshake's, and nothing follows for long.
                    *control = BytesMut::new();
                }
                continue;
            }
            if !self.batch.is_empty() {
                if self.write_batch(cx)?.is_pending() {
                    return self.blocked(cx);
                }
                continue;
            }
            if self.poll_work(cx)?.is_pending() {
                return Ok(false);
            }
        }
    }

    /// Finds something to write, or leaves the waker where it will be found.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Disconnect> {
        let Some(pipe) = self.pipe else {
            let closing = self.port.poll_closing(cx, &mut self.closing);
            return if closing.is_ready() { Err(Disconnect::Closed) } else { Ok(Poll::Pending) };
        };
        match self.phase {
            Phase::Handshake => {
                let stop = self.port.poll_stop(pipe, cx);
                if stop.is_ready() { Err(Disconnect::Closed) } else { Ok(Poll::Pending) }
            }
            Phase::Traffic => {
                let lane = self.lane_of(pipe);
                if self.asleep && !self.bell.has_rung() {
                    if self.batch.has_freed() {
                        self.port.settle(lane, &mut self.batch);
                    }
                    return Ok(Poll::Pending);
                }
                self.renew_prompt(cx.waker());
                let waker = self.prompt.as_ref().map_or_else(|| cx.waker(), |prompt| &prompt.write);
                let cx = &Context::from_waker(waker);
                let taken = self.port.poll_take(lane, cx, &mut self.batch, &mut self.commands);
                self.asleep = matches!(taken, Poll::Pending | Poll::Ready(Taken::All));
                match taken {
                    Poll::Pending => return Ok(Poll::Pending),
                    Poll::Ready(Taken::Some | Taken::All) => {
                        if !self.commands.is_empty() {
                            self.commands.drain(..).for_each(|command| self.engine.send_command(&command));
                        }
                    }
                    Poll::Ready(Taken::Finished) => {
                        self.phase = Phase::Shutdown;
                        // What still arrives is not looked at, so it proves no life.
                        self.engine.set_reading(false, now());
                    }
                    Poll::Ready(Taken::Stop(why)) => return Err(why),
                }
                Ok(Poll::Ready(()))
            }
            Phase::Shutdown if Pin::new(&mut self.wire).poll_shutdown(cx)?.is_ready() => {
                self.phase = Phase::Farewell;
                // Where closing is a message, the peer has everything by now.
                if self.closes_by_message() { Err(Disconnect::Closed) } else { Ok(Poll::Ready(())) }
            }
            Phase::Shutdown | Phase::Farewell => {
                match self.port.poll_take(self.lane_of(pipe), cx, &mut self.batch, &mut self.commands) {
                    Poll::Ready(Taken::Stop(why)) => Err(why),
                    Poll::Ready(Taken::Some | Taken::All | Taken::Finished) | Poll::Pending => {
                        Ok(Poll::Pending)
                    }
                }
            }
        }
    }

    fn write_batch(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Disconnect> {
        let wire = Pin::new(&mut self.wire);
        let written = if let Some(only) = self.batch.only_slice() {
            wire.poll_write(cx, only)
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.batch.slices(&mut slices);
            wire.poll_write_vectored(cx, &slices[..filled])
        };
        match written {
            Poll::Ready(Ok(0)) => Err(Disconnect::PeerClosed),
            Poll::Ready(written) => {
                self.batch.advance(written?);
                self.lookout.wrote();
                Ok(Poll::Ready(()))
            }
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// The kernel is full. What it has taken of a half-written chunk makes room for senders.
    fn blocked(&mut self, cx: &Context<'_>) -> Result<bool, Disconnect> {
        self.batch.settle();
        let lane = self.pipe.map(|pipe| self.lane_of(pipe));
        match lane.and_then(|lane| self.port.blocked(lane, cx, &mut self.batch)) {
            Some(why) => Err(why),
            None => Ok(true),
        }
    }

    /// Reads for a turn. Whether there may be more: the kernel is not empty, nor the lane full.
    fn drive_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        let turn = self.turn();
        let mut budget = turn;
        let more = self.read(&mut budget, cx)?;
        if budget < turn {
            self.track_peer();
        }
        Ok(more)
    }

    /// How much is read in a turn: less where much has been read that nobody has received, as when many connections take
    /// turns, so that it is received while it is in the cache. On one thread 4 KiB a message reach 64 subscribers 1.5 times
    /// as fast so, and 1 KiB eight of them 1.3 times.
    fn turn(&self) -> usize {
        if self.average < UNCOPIED && self.port.pool().is_crowded() { TURN / 4 } else { TURN }
    }

    /// As [`drive_read`](Self::drive_read), up to a budget of bytes. Leaves the waker of `cx` at the wire.
    fn read_with(&mut self, budget: &mut usize, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        self.is_dry = false;
        while self.is_clear() || self.digest(cx)? {
            if *budget == 0 {
                return Ok(true);
            }
            let limit = scratch::prepare(&mut self.input, self.engine.wants()).min(self.appetite());
            let read = {
                let mut target = (&mut self.input).limit(limit);
                pin!(self.wire.read_buf(&mut target)).poll(cx)
            };
            match read {
                Poll::Pending => {
                    self.is_dry = true;
                    scratch::give_back(&mut self.input);
                    return Ok(false);
                }
                Poll::Ready(Ok(0)) => return Err(Disconnect::PeerClosed),
                Poll::Ready(read) => {
                    let read = read?;
                    *budget = budget.saturating_sub(read);
                    self.lookout.read(read);
                }
            }
        }
        // A peer whose lane is full may stay like this for long.
        scratch::give_back(&mut self.input);
        Ok(false)
    }

    /// Tells of a peer that has moved. Nobody else does, so it is asked when something new was read: once a turn, and
    /// never of a wire whose peers stay where they are.
    fn track_peer(&mut self) {
        let (Some(tracker), Some(pipe)) = (&mut self.tracker, self.pipe) else { return };
        let Some(peer) = tracker.moved() else { return };
        let before = std::mem::replace(&mut self.ends.peer, peer.clone());
        self.port.report(Event::PathChanged { pipe, endpoint: self.ends.endpoint.clone(), before, peer });
    }

    /// The most that is worth reading now. In a burst of small messages that is no more than the lane takes: the rest
    /// would wait here in a read buffer for each of them, and may as well wait in the kernel.
    fn appetite(&self) -> usize {
        /// So little may stay.
        const LEAST: usize = 512;
        /// With what stays of the last read, the next fits into a chunk.
        const MOST: usize = READ / 2;
        if self.average > CHEAP || !self.port.pool().is_crowded() {
            return usize::MAX;
        }
        let room = self.room.saturating_mul(self.average).saturating_sub(self.input.len());
        room.clamp(LEAST, MOST).max(self.missing())
    }

    /// How many bytes are to come before the next frame is whole, if that is known to be many.
    fn missing(&self) -> usize {
        self.engine.wants().saturating_sub(self.input.len())
    }

    /// Whether all that has been read is worked off, and the lane has room for more.
    fn is_clear(&self) -> bool {
        self.room > 0 && self.phase == Phase::Traffic && self.input.is_empty()
    }

    /// Works off what has been read. False: the lane is full, and what is left must wait.
    fn digest(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        if self.is_leaving() {
            self.input.clear();
            return Ok(true);
        }
        loop {
            if self.is_clear() {
                return Ok(true);
            }
            if let (0, Phase::Traffic, Some(pipe)) = (self.room, self.phase, self.pipe)
                && let Poll::Ready(room) = self.port.poll_room(self.lane_of(pipe), cx)
            {
                self.room = room;
                self.engine.set_reading(true, now());
            }
            let room = u32::try_from(self.room).unwrap_or(u32::MAX);
            match self.engine.poll(&mut self.input, room, now)? {
                Some(zmtp::Event::Traffic { bytes, messages }) => self.deliver(bytes, messages),
                Some(zmtp::Event::Command(Command::Sent(packets))) => self.lanes.told(packets),
                Some(zmtp::Event::Command(command)) => {
                    if let Some(pipe) = self.pipe {
                        self.port.command(pipe, command);
                    }
                }
                Some(zmtp::Event::Ready(info)) => self.begin_traffic(info)?,
                None if self.phase == Phase::Traffic && self.room == 0 => {
                    self.engine.set_reading(false, now());
                    return Ok(false);
                }
                None => return Ok(true),
            }
        }
    }

    fn deliver(&mut self, bytes: usize, messages: u32) {
        let Some(lane) = self.pipe.map(|pipe| self.lane_of(pipe)) else { return };
        let messages = messages as usize;
        self.average = bytes / messages.max(1);
        if messages == 0 && bytes <= COPIED {
            self.held_tail.extend_from_slice(&self.input[..bytes]);
            self.input.advance(bytes);
            return;
        }
        if !self.held_tail.is_empty() {
            self.held.push(self.held_tail.split().freeze());
        }
        if messages == 0 {
            self.held.push(self.input.split_to(bytes).freeze());
        } else if bytes <= COPIED && self.held.is_empty() {
            self.room = self.port.deliver_copy(lane, &self.input[..bytes], messages);
            self.input.advance(bytes);
        } else {
            let last = self.input.split_to(bytes).freeze();
            self.room = self.port.deliver(lane, &mut self.held, last, messages);
        }
    }

    fn begin_traffic(&mut self, info: PeerInfo) -> Result<(), Disconnect> {
        let dialled = self.pipe.is_some();
        let (lanes, apart) = self.agree(&info);
        let pipe = match self.pipe {
            Some(pipe) => pipe,
            None => self.port.attach(&self.ends.endpoint, lanes, apart).ok_or(Disconnect::Closed)?,
        };
        // Also without either: what an earlier link left in their queues is for this one's first lane.
        if dialled && (self.streams.is_some() || self.port.options().link.lanes.count() > 1) {
            self.port.open_lanes(pipe, lanes, apart);
        }
        self.pipe = Some(pipe);
        self.is_prompt = [Some(self.port.engine_config().kind), info.kind()].contains(&Some(SocketKind::Req));
        self.bell = self.port.drive(pipe.lane(0), self.is_prompt);
        self.leave_closing();
        let info = info.with_proof(self.proof.take());
        let greeting = self.port.identify(pipe, &info, &self.ends)?;
        greeting.iter().for_each(|command| self.engine.send_command(command));
        self.phase = Phase::Traffic;
        let (endpoint, peer) = (self.ends.endpoint.clone(), self.ends.peer.clone());
        self.port.report(Event::Ready { pipe, endpoint, peer, info });
        self.start_lanes(pipe, lanes, dialled);
        Ok(())
    }
}
