//! Links over datagrams: one task for each dialled peer, and one for each bound address, which serves all its peers.
//!
//! [`zmtp::datagram`](crate::zmtp::datagram) says what goes over them. What arrives is always read, for a descriptor
//! cannot stop one peer; without room in the lane it is dropped and counted.
//!
//! Invariant: however a task ends, dropped in mid-flight too, the pipes of its accepted peers go with it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant as Time;

use bytes::BytesMut;
use tokio::time::{Instant, Sleep, sleep_until};
use zocket_transport::{CloseReason, Datagrams, Endpoint, ReceiveBatch, SendBatch};

use super::datagrams::{Gate, READ_BUDGET, report_dropped, with_room};
use super::dial::report_end;
use super::{Ends, Port, Remains};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::pipe::{Batch, Bell, PipeId, Taken};
use crate::sync::lock;
use crate::zmtp::datagram::hello::{Answer, Call, Caller, Doorkeeper, put_refuse};
use crate::zmtp::datagram::{Heard, Link, put_unknown};
use crate::zmtp::{Command, PeerInfo};

/// Sends one datagram.
fn poll_send(
    wire: &dyn Datagrams,
    cx: &mut Context<'_>,
    datagram: &[u8],
    to: Option<SocketAddr>,
) -> Poll<std::io::Result<()>> {
    let mut batch = SendBatch::new();
    batch.push(datagram, to);
    wire.poll_send(cx, &batch).map_ok(drop)
}

fn now() -> Time {
    Instant::now().into_std()
}

/// A task's only timer.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at the deadline.
    fn poll(&mut self, deadline: Option<Time>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline.map(Instant::from_std) else { return Poll::Pending };
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

// ── A peer ──────────────────────────────────────────────────────────────────────────────────────

/// A link, and the pipe it serves.
struct Peer {
    link: Link,
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
    /// None if the socket is connected.
    to: Option<SocketAddr>,
    gate: Gate,
    batch: Batch,
    commands: Vec<Command>,
    /// Rings when the outbox has something for us.
    bell: Bell,
    /// The outbox was empty when we last looked, and has our waker.
    asleep: bool,
    frames: BytesMut,
    /// What the kernel has not taken yet, and how much of the batch that is.
    packet: BytesMut,
    under_way: usize,
}

impl Peer {
    /// Makes the pipe ready for who was met.
    fn open(
        mut link: Link,
        info: PeerInfo,
        port: Arc<dyn Port>,
        pipe: PipeId,
        ends: Ends,
        to: Option<SocketAddr>,
    ) -> Result<Self, Disconnect> {
        let greeting = port.identify(pipe, &info, &ends)?;
        greeting.iter().for_each(|command| link.send_command(command));
        let (endpoint, peer) = (ends.endpoint.clone(), ends.peer.clone());
        port.report(Event::Ready { pipe, endpoint, peer, info });
        Ok(Self {
            link,
            gate: Gate::new(Arc::clone(&port), pipe),
            bell: port.bell(pipe),
            port,
            pipe,
            ends,
            to,
            batch: Batch::default(),
            commands: Vec::new(),
            asleep: false,
            frames: BytesMut::new(),
            packet: BytesMut::new(),
            under_way: 0,
        })
    }

    /// Looks at the clock, and writes until nothing is left to write or the kernel is full.
    fn turn(&mut self, wire: &dyn Datagrams, cx: &mut Context<'_>, now: Time) -> Result<(), Disconnect> {
        self.link.handle_timeout(now)?;
        self.gate.look(cx);
        loop {
            if self.packet.is_empty() && !self.find_packet(cx, now)? {
                return Ok(());
            }
            match poll_send(wire, cx, &self.packet, self.to) {
                Poll::Ready(sent) => {
                    let refused =
                        sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
                    // Whatever else the system says, it would most likely say again.
                    if !refused {
                        self.batch.advance(self.under_way);
                        let lost = u64::from(sent.is_err() && self.under_way > 0);
                        report_dropped(&*self.port, self.pipe, lost, Dropped::LinkLost);
                    }
                    self.packet.clear();
                    self.under_way = 0;
                    sent?;
                }
                Poll::Pending => {
                    self.batch.settle();
                    return self.port.blocked(self.pipe, cx, &mut self.batch).map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Makes the next packet. False: there is none, and our waker is where it will be found.
    fn find_packet(&mut self, cx: &Context<'_>, now: Time) -> Result<bool, Disconnect> {
        loop {
            if self.link.poll_packet(&mut self.packet, now) {
                return Ok(true);
            }
            if !self.batch.is_empty() {
                self.frames.clear();
                self.batch.copy_message(0, &mut self.frames);
                if self.link.put_message(&mut self.packet, &self.frames) {
                    self.under_way = self.frames.len();
                    return Ok(true);
                }
                self.batch.advance(self.frames.len());
                report_dropped(&*self.port, self.pipe, 1, Dropped::TooLarge);
                continue;
            }
            if self.asleep && !self.bell.has_rung() {
                return Ok(false);
            }
            let taken = self.port.poll_take(self.pipe, cx, &mut self.batch, &mut self.commands);
            self.asleep = taken.is_pending();
            match taken {
                Poll::Pending => return Ok(false),
                Poll::Ready(Taken::Some) => {
                    self.commands.drain(..).for_each(|command| self.link.send_command(&command));
                }
                Poll::Ready(Taken::Finished) => return Err(Disconnect::Closed),
                Poll::Ready(Taken::Stop(why)) => return Err(why),
            }
        }
    }

    fn hear(&mut self, packet: &[u8], cx: &Context<'_>) -> Result<(), Disconnect> {
        let heard = self.link.handle(packet);
        report_dropped(&*self.port, self.pipe, self.link.take_missed(), Dropped::Lost);
        match heard? {
            Heard::Nothing => {}
            Heard::Message(frames) => self.gate.deliver(frames, cx),
            Heard::Commands(commands) => {
                commands.into_iter().for_each(|command| self.port.command(self.pipe, command));
            }
            Heard::Bye => return Err(Disconnect::PeerClosed),
        }
        Ok(())
    }

    /// Tells the peer, if the kernel takes it at once, unless the peer has told us.
    fn farewell(&mut self, wire: &dyn Datagrams, cx: &mut Context<'_>, why: &Disconnect) {
        if !matches!(why, Disconnect::PeerClosed) {
            self.packet.clear();
            self.link.put_bye(&mut self.packet);
            drop(poll_send(wire, cx, &self.packet, self.to));
        }
    }
}

// ── Dialled ─────────────────────────────────────────────────────────────────────────────────────

/// A connected socket.
struct Line {
    wire: Box<dyn Datagrams>,
    alarm: Alarm,
}

/// Drives a dialled link to its end. Returns why it ended, and what is left.
pub(super) async fn call(
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
) -> (Disconnect, Remains) {
    let mut line = Line { wire, alarm: Alarm::default() };
    let mut caller = Caller::new(port.engine_config(), fastrand::u64(..), now());
    let answered = poll_fn(|cx| line.poll_call(&mut caller, &*port, pipe, cx)).await;
    let opened = answered.and_then(|(info, link)| Peer::open(link, info, port, pipe, ends, None));
    let mut peer = match opened {
        Ok(peer) => peer,
        Err(why) => return (why, Remains::default()),
    };
    let why = poll_fn(|cx| line.poll_talk(&mut peer, cx)).await;
    (why, Remains { pipe: Some(pipe), was_ready: true, batch: peer.batch })
}

impl Line {
    fn poll_call(
        &mut self,
        caller: &mut Caller,
        port: &dyn Port,
        pipe: PipeId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(PeerInfo, Link), Disconnect>> {
        if port.poll_stop(pipe, cx).is_ready() {
            return Poll::Ready(Err(Disconnect::Closed));
        }
        let mut packet = BytesMut::new();
        loop {
            caller.handle_timeout(now()).map_err(Disconnect::from)?;
            if caller.poll_packet(&mut packet, now()) {
                // If the kernel is full, another one follows.
                if let Poll::Ready(sent) = poll_send(&*self.wire, cx, &packet, None) {
                    sent.map_err(Disconnect::from)?;
                }
                packet.clear();
            }
            match with_room(|batch| self.poll_answer(caller, batch, cx)) {
                Poll::Ready(Ok(Some(Answer::Accepted(met)))) => return Poll::Ready(Ok(*met)),
                Poll::Ready(Ok(Some(Answer::Refused(why)))) => {
                    return Poll::Ready(Err(Disconnect::PeerRefused(why)));
                }
                Poll::Ready(Ok(None)) => continue,
                Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
                Poll::Pending => {}
            }
            if self.alarm.poll(caller.poll_timeout(), cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What follows the first answer in its batch is lost, as it may be on its way.
    fn poll_answer(
        &self,
        caller: &mut Caller,
        batch: &mut ReceiveBatch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Answer>, Disconnect>> {
        ready!(self.wire.poll_receive(cx, batch)).map_err(Disconnect::from)?;
        for (_, packet) in batch.iter() {
            if let Some(answer) = caller.handle(packet, now()).map_err(Disconnect::from)? {
                return Poll::Ready(Ok(Some(answer)));
            }
        }
        Poll::Ready(Ok(None))
    }

    fn poll_talk(&mut self, peer: &mut Peer, cx: &mut Context<'_>) -> Poll<Disconnect> {
        match with_room(|batch| self.talk(peer, batch, cx)) {
            Ok(()) => Poll::Pending,
            Err(why) => {
                peer.farewell(&*self.wire, cx, &why);
                Poll::Ready(why)
            }
        }
    }

    fn talk(
        &mut self,
        peer: &mut Peer,
        batch: &mut ReceiveBatch,
        cx: &mut Context<'_>,
    ) -> Result<(), Disconnect> {
        let mut read = 0;
        loop {
            peer.turn(&*self.wire, cx, now())?;
            match self.wire.poll_receive(cx, batch) {
                Poll::Ready(received) => {
                    received?;
                    for (_, packet) in batch.iter() {
                        peer.hear(packet, cx)?;
                        read += 1;
                    }
                    if read >= READ_BUDGET {
                        cx.waker().wake_by_ref();
                        return Ok(());
                    }
                }
                Poll::Pending if self.alarm.poll(peer.link.poll_timeout(), cx).is_pending() => return Ok(()),
                Poll::Pending => {}
            }
        }
    }
}

// ── Bound ───────────────────────────────────────────────────────────────────────────────────────

/// Whether a bound address takes newcomers: as long as its [`Open`] is there.
#[derive(Default)]
struct Door {
    shut: bool,
    task: Option<Waker>,
}

/// Held while newcomers are taken.
pub(super) struct Open(Arc<Mutex<Door>>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut door = lock(&self.0);
        door.shut = true;
        let task = door.task.take();
        drop(door);
        task.into_iter().for_each(Waker::wake);
    }
}

/// A bound address and its peers, of whom no two have the same address.
pub(super) struct Hall {
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    endpoint: Endpoint,
    doorkeeper: Doorkeeper,
    door: Arc<Mutex<Door>>,
    peers: HashMap<SocketAddr, Peer>,
    alarm: Alarm,
}

impl Hall {
    pub(super) fn new(wire: Box<dyn Datagrams>, port: Arc<dyn Port>, endpoint: Endpoint) -> (Self, Open) {
        let door = Arc::default();
        let open = Open(Arc::clone(&door));
        let hall = Self {
            wire,
            doorkeeper: Doorkeeper::new(port.engine_config(), now()),
            port,
            endpoint,
            door,
            peers: HashMap::new(),
            alarm: Alarm::default(),
        };
        (hall, open)
    }

    /// Serves until the door is shut and the last peer gone.
    pub(super) async fn serve(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        with_room(|batch| self.poll_with(batch, cx))
    }

    fn poll_with(&mut self, batch: &mut ReceiveBatch, cx: &mut Context<'_>) -> Poll<()> {
        let is_shut = {
            let mut door = lock(&self.door);
            door.task = Some(cx.waker().clone());
            door.shut
        };
        loop {
            self.turn(cx);
            if is_shut && self.peers.is_empty() {
                return Poll::Ready(());
            }
            let mut read = 0;
            while read < READ_BUDGET {
                match self.wire.poll_receive(cx, batch) {
                    Poll::Ready(Ok(())) => {
                        for (from, packet) in batch.iter() {
                            self.hear(packet, from, is_shut, cx);
                            read += 1;
                        }
                    }
                    // About a datagram that was sent; whoever it was for is silent.
                    Poll::Ready(Err(_)) => read += 1,
                    Poll::Pending if read == 0 => {
                        let deadline = self.peers.values().filter_map(|peer| peer.link.poll_timeout()).min();
                        if self.alarm.poll(deadline, cx).is_pending() {
                            return Poll::Pending;
                        }
                        break;
                    }
                    Poll::Pending => break,
                }
            }
            if read >= READ_BUDGET {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Lets every peer write.
    fn turn(&mut self, cx: &mut Context<'_>) {
        let now = now();
        let mut ended = Vec::new();
        for (from, peer) in &mut self.peers {
            if let Err(why) = peer.turn(&*self.wire, cx, now) {
                ended.push((*from, why));
            }
        }
        ended.into_iter().for_each(|(from, why)| self.end(from, &why, cx));
    }

    fn hear(&mut self, packet: &[u8], from: SocketAddr, is_shut: bool, cx: &mut Context<'_>) {
        let mut answer = BytesMut::new();
        let call = self.doorkeeper.handle(packet, from, &mut answer, now());
        match (call, self.peers.get_mut(&from)) {
            (Some(call), Some(peer)) if peer.link.is(call.id) => peer.link.accept(),
            (Some(_), _) if is_shut => {}
            (Some(call), known) => {
                if known.is_some() {
                    self.end(from, &Disconnect::PeerClosed, cx);
                }
                self.admit(&call, from, &mut answer);
            }
            (None, Some(peer)) => {
                if let Err(why) = peer.hear(packet, cx) {
                    self.end(from, &why, cx);
                }
            }
            (None, None) if answer.is_empty() => put_unknown(&mut answer, packet),
            (None, None) => {}
        }
        if !answer.is_empty() && !is_shut {
            // Whoever misses it asks again.
            drop(poll_send(&*self.wire, cx, &answer, Some(from)));
        }
    }

    /// Makes a peer of somebody who called and is where it says.
    fn admit(&mut self, call: &Call<'_>, from: SocketAddr, answer: &mut BytesMut) {
        let endpoint = self.endpoint.clone();
        let peer = Endpoint::new(endpoint.scheme(), from.to_string()).unwrap_or_else(|_| endpoint.clone());
        self.port.report(Event::Accepted { endpoint: endpoint.clone(), peer: peer.clone() });
        let ends = Ends { endpoint, peer };
        let admitted = self.doorkeeper.admit(call, now()).map_err(Disconnect::from);
        let admitted = admitted.and_then(|(info, link)| {
            let pipe = self.port.attach(&self.endpoint).ok_or(Disconnect::Closed)?;
            Peer::open(link, info, Arc::clone(&self.port), pipe, ends.clone(), Some(from))
                .inspect_err(|_| self.port.detach(pipe))
        });
        match admitted {
            Ok(peer) => drop(self.peers.insert(from, peer)),
            Err(why) => {
                put_refuse(answer, call, why.told().unwrap_or(CloseReason::TryLater));
                report_end(&*self.port, None, false, ends, why);
            }
        }
    }

    fn end(&mut self, from: SocketAddr, why: &Disconnect, cx: &mut Context<'_>) {
        if let Some(mut peer) = self.peers.remove(&from) {
            peer.farewell(&*self.wire, cx, why);
            peer.detach(why.clone());
        }
    }
}

impl Peer {
    /// The pipe of an accepted peer goes with its link.
    fn detach(self, why: Disconnect) {
        let Self { port, pipe, batch, ends, .. } = self;
        port.lost(pipe, batch);
        port.detach(pipe);
        report_end(&*port, Some(pipe), true, ends, why);
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.peers.drain().for_each(|(_, peer)| peer.detach(Disconnect::Closed));
    }
}
