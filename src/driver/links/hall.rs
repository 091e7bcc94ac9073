//! A bound address of datagrams, and all its peers.
//!
//! Invariant: however its task ends, dropped in mid-flight too, the pipes of the peers go with it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant as Time;

use tokio::task::unconstrained;
use zocket_transport::{CloseReason, Datagrams, Endpoint, ReceiveBatch, Route};

use super::peer::Peer;
use super::turns::{Deadlines, Summons, Turns};
use super::{Alarm, READ_BUDGET, ROUNDS, now};
use crate::driver::accept::Retries;
use crate::driver::dial::report_end;
use crate::driver::packets::{Packets, Rest, is_nobody_there, lend};
use crate::driver::{Ends, Port, Remains};
use crate::error::Disconnect;
use crate::event::Event;
use crate::pipe::Apart;
use crate::sync::lock;
use crate::zmtp::datagram::hello::{Call, Doorkeeper, put_refuse};
use crate::zmtp::datagram::put_unknown;

/// How many packets are written, and how many peers have their turn, until what arrived is read.
const WRITE_BUDGET: usize = 128;

/// A bound address and its peers, of whom no two have the same route: an address may call two of ours.
pub(in crate::driver) struct Hall {
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    endpoint: Endpoint,
    doorkeeper: Doorkeeper<Route>,
    /// Nobody is let in any more.
    is_shut: bool,
    peers: HashMap<Route, Guest>,
    turns: Arc<Turns>,
    /// Whose turn it was while the kernel was full.
    held: HashMap<Route, Arc<Summons>>,
    deadlines: Deadlines,
    alarm: Alarm,
    rest: Rest,
    retries: Retries,
    /// The system reported a fault: when reading goes on.
    paused: Option<Time>,
}

struct Guest {
    peer: Peer,
    summons: Arc<Summons>,
    waker: Waker,
    /// Its place among the deadlines.
    due: Option<Time>,
}

/// A hall, until its task ends it or nobody is in it behind a shut door.
type Shared = Arc<Mutex<Option<Hall>>>;

/// Held while newcomers are let in. Dropped, it frees the address, unless peers are there: then the last of them does.
pub(in crate::driver) struct Open(Shared);

impl Drop for Open {
    fn drop(&mut self) {
        let mut place = lock(&self.0);
        let Some(hall) = place.as_mut() else { return };
        hall.is_shut = true;
        let turns = Arc::clone(&hall.turns);
        let empty = if hall.peers.is_empty() { place.take() } else { None };
        drop(place);
        drop(empty);
        turns.wake();
    }
}

/// The task's own hold on its hall.
struct Serving(Shared);

impl Drop for Serving {
    fn drop(&mut self) {
        let hall = lock(&self.0).take();
        drop(hall);
    }
}

impl Hall {
    /// Opens a hall. The future serves it until the door is shut and the last peer gone.
    pub(in crate::driver) fn open(
        wire: Box<dyn Datagrams>,
        port: Arc<dyn Port>,
        endpoint: Endpoint,
    ) -> (Open, impl Future<Output = ()> + Send) {
        let hall = Self {
            wire,
            doorkeeper: Doorkeeper::new(port.engine_config(), now()),
            port,
            endpoint,
            is_shut: false,
            peers: HashMap::new(),
            turns: Arc::default(),
            held: HashMap::new(),
            deadlines: Deadlines::default(),
            alarm: Alarm::default(),
            rest: None,
            retries: Retries::default(),
            paused: None,
        };
        let shared = Arc::new(Mutex::new(Some(hall)));
        let serving = Serving(Arc::clone(&shared));
        // Under budgets of our own: tokio's is spent by what is written, and then nothing could be read.
        let serve = unconstrained(poll_fn(move |cx| match &mut *lock(&serving.0) {
            Some(hall) => hall.poll(cx),
            None => Poll::Ready(()),
        }));
        (Open(shared), serve)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.turns.attend(cx.waker());
        let mut rest = self.rest.take();
        let served = lend(&mut rest, |packets, room| self.serve(packets, room, cx));
        self.rest = rest;
        served
    }

    fn serve(&mut self, packets: &mut Packets, room: &mut ReceiveBatch, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let now = now();
            self.ring(packets, now);
            let is_free = self.write(packets, cx, now);
            let is_spent = self.read(packets, room, cx, now).is_ready();
            if self.is_shut && self.peers.is_empty() {
                // The last goodbyes, if the kernel takes them at once.
                let _ = self.flush(packets, cx);
                return Poll::Ready(());
            }
            let is_idle = packets.is_empty() && self.turns.is_empty();
            let next = self.deadlines.first().into_iter().chain(self.paused).min();
            if !is_spent && (is_idle || !is_free) && self.alarm.poll(next, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks at the clock.
    fn ring(&mut self, packets: &mut Packets, now: Time) {
        while let Some(from) = self.deadlines.next(now) {
            let Some(guest) = self.peers.get_mut(&from) else { continue };
            guest.due = None;
            match guest.peer.tick(now) {
                Ok(()) => {
                    guest.summons.enlist();
                    guest.schedule(&mut self.deadlines);
                }
                Err(why) => self.end(from, &why, packets, now),
            }
        }
    }

    // ── Writing ─────────────────────────────────────────────────────────────────────────────────

    /// Lets peers write, one after the other. False: the kernel is full.
    fn write(&mut self, packets: &mut Packets, cx: &mut Context<'_>, now: Time) -> bool {
        if self.flush(packets, cx).is_pending() {
            return self.blocked(packets, now);
        }
        self.held.drain().for_each(|(_, summons)| summons.enlist());
        let mut budget = WRITE_BUDGET;
        while budget > 0
            && let Some(summons) = self.turns.next()
        {
            let before = packets.len();
            self.turn(&summons, packets, now);
            let written = packets.len() - before;
            budget = budget.saturating_sub(written.max(1));
            // Who has written nothing may wait for what it wrote before.
            let is_time = written == 0 || packets.is_full() || self.turns.is_empty();
            if is_time && self.flush(packets, cx).is_pending() {
                return self.blocked(packets, now);
            }
        }
        true
    }

    fn turn(&mut self, summons: &Arc<Summons>, packets: &mut Packets, now: Time) {
        let from = summons.from;
        let Some(guest) = self.peers.get_mut(&from) else { return };
        let written = guest.peer.write(packets, &Context::from_waker(&guest.waker), now);
        match written {
            Ok(more) => {
                if more {
                    guest.summons.enlist();
                }
                guest.schedule(&mut self.deadlines);
            }
            Err(why) => self.end(from, &why, packets, now),
        }
    }

    fn flush(&mut self, packets: &mut Packets, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..WRITE_BUDGET {
            let peers = &mut self.peers;
            let flushed = packets.poll_flush(&*self.wire, cx, |gone| {
                if let Some(guest) = gone.to.and_then(|to| peers.get_mut(&to)) {
                    guest.peer.gone(&gone);
                }
            });
            match flushed {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                // About an earlier packet, to whoever is not there any more.
                Poll::Ready(Err(_)) => {}
            }
        }
        Poll::Ready(())
    }

    /// The kernel is full: those whose packets wait may have to be given up.
    fn blocked(&mut self, packets: &mut Packets, now: Time) -> bool {
        let mut waiting: Vec<_> = packets.receivers().collect();
        waiting.dedup();
        // Nor does anybody else get a turn, who may have been told to end.
        let turns: Vec<_> = std::iter::from_fn(|| self.turns.next()).collect();
        waiting.extend(turns.iter().map(|summons| summons.from));
        for to in waiting {
            let Some(guest) = self.peers.get_mut(&to) else { continue };
            if let Err(why) = guest.peer.blocked(&Context::from_waker(&guest.waker)) {
                self.end(to, &why, packets, now);
            }
        }
        self.held.extend(turns.into_iter().map(|summons| (summons.from, summons)));
        false
    }

    // ── Reading ─────────────────────────────────────────────────────────────────────────────────

    /// Reads what arrived. Ready: there may be more.
    fn read(
        &mut self,
        packets: &mut Packets,
        room: &mut ReceiveBatch,
        cx: &mut Context<'_>,
        now: Time,
    ) -> Poll<()> {
        if self.paused.is_some_and(|until| until > now) {
            return Poll::Pending;
        }
        self.paused = None;
        let mut read = 0;
        while read < READ_BUDGET {
            match self.wire.poll_receive(cx, room) {
                Poll::Ready(Ok(())) => {
                    self.retries.reset();
                    for (from, packet) in room.iter() {
                        self.hear(packet, from, packets, now);
                        read += 1;
                    }
                }
                // Whoever it was is silent.
                Poll::Ready(Err(error)) if is_nobody_there(&error) => read += 1,
                Poll::Ready(Err(error)) => {
                    let retry_after = self.retries.next();
                    self.paused = now.checked_add(retry_after);
                    let (endpoint, reason) = (self.endpoint.clone(), error.into());
                    self.port.report(Event::AcceptFailed { endpoint, reason, retry_after });
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn hear(&mut self, packet: &[u8], from: Route, packets: &mut Packets, now: Time) {
        if from.peer.port() == 0 {
            // Nobody is there: a system refuses to send to it, and with it what else is sent together.
            return;
        }
        let doorkeeper = &self.doorkeeper;
        let known = self.peers.get_mut(&from);
        let call = if self.is_shut && known.is_none() {
            None
        } else {
            packets.answer(Some(from), |out| doorkeeper.handle(packet, from, out, now))
        };
        let Some(guest) = known else {
            return match call {
                Some(call) => self.admit(&call, from, packets, now),
                None => packets.answer(Some(from), |out| put_unknown(out, packet)),
            };
        };
        match call {
            Some(call) if guest.peer.link.id() == call.id => guest.peer.link.accept(),
            Some(_) if self.is_shut => {}
            Some(call) => {
                self.end(from, &Disconnect::PeerClosed, packets, now);
                return self.admit(&call, from, packets, now);
            }
            None => {
                if let Err(why) = guest.peer.hear(packet, &Context::from_waker(&guest.waker), now) {
                    return self.end(from, &why, packets, now);
                }
            }
        }
        if guest.peer.link.is_owing() {
            guest.summons.enlist();
        }
        guest.schedule(&mut self.deadlines);
    }

    /// Makes a peer of somebody who called and is where it says.
    fn admit(&mut self, call: &Call<'_>, from: Route, packets: &mut Packets, now: Time) {
        let endpoint = self.endpoint.clone();
        let name = SocketAddr::new(from.peer.ip().to_canonical(), from.peer.port()).to_string();
        let peer = Endpoint::new(endpoint.scheme(), name).unwrap_or_else(|_| endpoint.clone());
        self.port.report(Event::Accepted { endpoint: endpoint.clone(), peer: peer.clone() });
        let ends = Ends { endpoint, peer };
        match self.welcome(call, from, ends.clone(), now) {
            Ok(peer) => {
                let summons = Summons::new(&self.turns, from);
                let waker = Waker::from(Arc::clone(&summons));
                summons.enlist();
                self.peers.insert(from, Guest { peer, summons, waker, due: None });
            }
            Err(why) => {
                let told = why.told().unwrap_or(CloseReason::TryLater);
                packets.answer(Some(from), |out| put_refuse(out, call, told));
                // A late copy must not be let in, for its caller has gone.
                self.doorkeeper.ended(from, call.id, now);
                report_end(&*self.port, None, false, ends, why);
            }
        }
    }

    fn welcome(&self, call: &Call<'_>, from: Route, ends: Ends, now: Time) -> Result<Peer, Disconnect> {
        if self.peers.len() >= self.port.options().max_udp_peers {
            return Err(Disconnect::Crowded);
        }
        let (info, link) = self.doorkeeper.admit(call, now)?;
        let pipe = self.port.attach(&self.endpoint, 1, Apart::Nothing).ok_or(Disconnect::Closed)?;
        Peer::open(link, info, Arc::clone(&self.port), pipe, ends, Some(from))
            .inspect_err(|_| self.port.detach(pipe))
    }

    // ── The end ─────────────────────────────────────────────────────────────────────────────────

    /// The pipe of an accepted peer goes with its link.
    fn end(&mut self, from: Route, why: &Disconnect, packets: &mut Packets, now: Time) {
        let Some(guest) = self.peers.remove(&from) else { return };
        self.deadlines.change(from, guest.due, None);
        self.doorkeeper.ended(from, guest.peer.link.id(), now);
        let (ends, Remains { pipe, batch, .. }) = guest.peer.leave(packets, why);
        if let Some(pipe) = pipe {
            self.port.lost(pipe, batch);
            self.port.detach(pipe);
        }
        report_end(&*self.port, pipe, true, ends, why.clone());
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        let mut unsent = Packets::default();
        let left: Vec<_> = self.peers.keys().copied().collect();
        left.into_iter().for_each(|from| self.end(from, &Disconnect::Closed, &mut unsent, now()));
    }
}

impl Guest {
    fn schedule(&mut self, deadlines: &mut Deadlines) {
        let due = self.peer.link.poll_timeout();
        deadlines.change(self.summons.from, self.due, due);
        self.due = due;
    }
}
