//! The core as its drivers and in-process peers see it.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use zocket_transport::Endpoint;

use super::Composition;
use super::core::Core;
use super::inproc;
use super::local::Local;
use super::outlets::{OutPipe, Outlet};
use crate::driver::{Ends, Linked, Port};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::message::{Message, Outgoing};
use crate::options::SocketOptions;
use crate::pattern::{Inbound, Outbound, Outlets, Welcome};
use crate::pipe::{
    Apart, Batch, Bell, Chunk, Closing, HighWater, Inbox, Lane, LaneId, Outboxes, PipeId, Taken,
};
use crate::pool::Pool;
use crate::sync::{Ticket, Wakes};
use crate::zmtp::{Command, Config, PeerInfo, Prefix};

impl<P: Composition> Port for Core<P> {
    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn pool(&self) -> &Pool {
        self.context.pool()
    }

    fn engine_config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn info(&self) -> PeerInfo {
        PeerInfo::in_process(P::KIND, self.options.routing_id.clone())
    }

    fn report(&self, event: Event) {
        if let Event::GaveUp { endpoint, reason } = &event {
            self.endpoints.gave_up(endpoint, reason.clone());
        }
        self.monitors.report(&event);
    }

    fn attach(&self, endpoint: &Endpoint, lanes: u8, apart: Apart) -> Option<PipeId> {
        self.attach_wire(endpoint, false, lanes, apart)
    }

    fn open_lanes(&self, pipe: PipeId, lanes: u8, apart: Apart) {
        let mut out = self.lock_out();
        if let Some(Outlet::Wire(outboxes)) = out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) {
            outboxes.agree(lanes, apart);
        }
        if let Some(inlet) = self.lock_in().lanes.get_mut(pipe) {
            inlet.agree(apart.queues(lanes));
        }
    }

    fn identify(&self, pipe: PipeId, info: &PeerInfo, ends: &Ends) -> Result<Vec<Command>, Disconnect> {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        match out.pipes.get(pipe).map(|pipe| &pipe.outlet) {
            // It only lingers: nothing is routed to it any more.
            Some(Outlet::Wire(outboxes)) if !outboxes.is_open() && out.closing == Closing::Open => {
                return Ok(Vec::new());
            }
            Some(Outlet::Wire(_) | Outlet::Local(_)) if out.closing != Closing::Now => {}
            _ => return Err(Disconnect::Closed),
        }
        let (pattern, mut view) = out.split(&self.options);
        let welcome = pattern.identify(pipe, info, &mut view);
        let greeting = pattern.greet();
        let mut evicted = None;
        let (name, muted) = match welcome {
            Welcome::Accept { name } => (name, false),
            Welcome::Replace { name, evicted: old } => {
                evicted = view.evict(old);
                (Some(name), false)
            }
            Welcome::Mute => (None, true),
            Welcome::Refuse => return Err(Disconnect::Refused),
        };
        if let Some(state) = out.pipes.get_mut(pipe) {
            state.peer = Some((info.clone(), ends.clone()));
        }
        if self.options.probe && !muted {
            let (_, mut view) = out.split(&self.options);
            view.offer(pipe, Prefix::NONE, &mut Outgoing::Bytes(&[]));
        }
        out.wake_sender();
        out.effects.wakes.add_all(out.linked.all());
        if muted {
            out.effects.events.push(Event::Muted { pipe, routing_id: info.routing_id().clone() });
        }
        let mut inn = self.lock_in();
        if let Some(inlet) = inn.lanes.get_mut(pipe) {
            inlet.set_muted(muted);
        }
        if !muted {
            inn.pattern.identify(pipe, name.as_ref());
            // An in-process peer's first messages may be there already; without a name nobody could read them.
            out.effects.wakes.add_all(inn.receivers.all());
        }
        drop(inn);
        // An in-process peer hears the greeting before anybody else can reach the pattern; a wire's driver
        // sends it before it takes what is queued from now on.
        let greeting = Self::greet_local(out, pipe, greeting);
        drop(locked);
        if let Some(evicted) = evicted {
            self.give_up_evicted(evicted);
        }
        Ok(greeting)
    }

    fn drive(&self, lane: LaneId, prompt: bool) -> Bell {
        match self.lock_out().pipes.get_mut(lane.pipe).map(|pipe| &mut pipe.outlet) {
            Some(Outlet::Wire(outboxes)) => outboxes.drive(lane.number, prompt),
            _ => Bell::default(),
        }
    }

    fn poll_take(
        &self,
        LaneId { pipe, number }: LaneId,
        cx: &Context<'_>,
        batch: &mut Batch,
        commands: &mut Vec<Command>,
    ) -> Poll<Taken> {
        let mut half = self.enter_out();
        let out = &mut *half;
        let Some(Outlet::Wire(outboxes)) = out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) else {
            return Poll::Ready(Taken::Stop(Disconnect::Closed));
        };
        let taken = outboxes.poll_take(number, cx, batch, commands);
        if outboxes.resumes(number) {
            out.resume(pipe);
        }
        self.leave(half);
        taken
    }

    fn take_only(&self, lane: LaneId, cx: &Context<'_>, chunk: &mut Chunk, limit: usize) -> bool {
        let LaneId { pipe, number } = lane;
        let mut half = self.enter_out();
        let out = &mut *half;
        let Some(Outlet::Wire(outboxes)) = out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) else {
            return false;
        };
        let taken = outboxes.take_only(number, cx, chunk, limit);
        if taken && outboxes.resumes(number) {
            out.resume(pipe);
        }
        self.leave(half);
        taken
    }

    fn settle(&self, LaneId { pipe, number }: LaneId, batch: &mut Batch) {
        let mut half = self.enter_out();
        let out = &mut *half;
        if let Some(Outlet::Wire(outboxes)) = out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) {
            outboxes.settle(number, batch);
            if outboxes.resumes(number) {
                out.resume(pipe);
            }
        }
        self.leave(half);
    }

    fn blocked(&self, lane: LaneId, cx: &Context<'_>, batch: &mut Batch) -> Option<Disconnect> {
        let LaneId { pipe, number } = lane;
        let mut out = self.lock_out();
        let mut why = Some(Disconnect::Closed);
        if let Some(Outlet::Wire(outboxes)) = out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) {
            why = outboxes.blocked(number, cx, batch);
            if outboxes.resumes(number) {
                out.resume(pipe);
            }
        }
        why
    }

    fn poll_room(&self, lane: LaneId, cx: &Context<'_>) -> Poll<usize> {
        if !P::RECEIVES {
            return Poll::Ready(usize::MAX);
        }
        let mut inn = self.lock_in();
        let lane = inn.lanes.get_mut(lane.pipe).and_then(|inlet| inlet.at(lane.number));
        lane.map_or(Poll::Ready(usize::MAX), |lane| lane.poll_room(cx))
    }

    fn deliver(&self, lane: LaneId, held: &mut Vec<Bytes>, last: Bytes, messages: usize) -> usize {
        self.deliver_with(lane, |lane| lane.append(held, last, messages))
    }

    fn deliver_copy(&self, lane: LaneId, run: &[u8], messages: usize) -> usize {
        self.deliver_with(lane, |lane| lane.append_copy(run, messages))
    }

    fn wants(&self, topic: &[u8]) -> bool {
        self.with_outbound(|pattern| pattern.wants(topic))
    }

    fn command(&self, pipe: PipeId, command: Command) {
        let mut out = self.lock_out();
        let frees = matches!(command, Command::Cancel(_) | Command::Leave(_));
        let notice = out.pattern.command(pipe, command);
        if frees {
            // Who waits for room at this peer need not, if it does not want the message any more.
            out.wake_sender();
        }
        self.notify(pipe, notice, &mut out.effects);
    }

    fn lane_lost(&self, lane: LaneId, batch: Batch) {
        self.rouse(lane.pipe, |outboxes| outboxes.lane_lost(lane.number, batch));
    }

    fn say(&self, pipe: PipeId, command: Command) {
        self.rouse(pipe, |outboxes| outboxes.first().command(command));
    }

    fn give_up(&self, pipe: PipeId, why: Disconnect) {
        self.rouse(pipe, |outboxes| outboxes.first().give_up(why));
    }

    fn lost(&self, pipe: PipeId, batch: Batch) {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        let keep = !self.options.immediate && !P::ONE_SESSION;
        let mut reason = Dropped::LinkLost;
        let mut dropped = 0;
        if let Some(state) = out.pipes.get_mut(pipe) {
            state.peer = None;
            if let Outlet::Wire(outboxes) = &mut state.outlet {
                dropped = outboxes.lost(batch, keep || !state.dialled);
                if outboxes.any_resumes() {
                    out.resume(pipe);
                }
            }
        }
        if out.closing != Closing::Open {
            out.unsent += dropped;
            reason = Dropped::Linger;
        }
        let notices = out.pattern.lost(pipe);
        // As for `command`: what the peer wanted is forgotten.
        out.wake_sender();
        self.notify(pipe, notices, &mut out.effects);
        let mut inn = self.lock_in();
        let waiting = inn.lanes.get_mut(pipe).map_or(0, |inlet| {
            inlet.end_session();
            inlet.messages()
        });
        inn.pattern.lost(pipe, waiting);
        // A request that waits for its reply must hear of it.
        out.effects.wakes.add_all(inn.receivers.all());
        drop(inn);
        self.unmute(out);
        out.effects.report_drops(pipe, dropped, reason);
    }

    fn detach(&self, pipe: PipeId) {
        self.end(pipe, Disconnect::Closed);
    }

    fn poll_stop(&self, pipe: PipeId, cx: &Context<'_>) -> Poll<()> {
        match self.lock_out().pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) {
            Some(Outlet::Wire(outboxes)) => outboxes.poll_stop(cx),
            _ => Poll::Ready(()),
        }
    }

    fn poll_closing(&self, cx: &Context<'_>, ticket: &mut Option<Ticket>) -> Poll<()> {
        let mut out = self.lock_out();
        if out.closing != Closing::Open {
            return Poll::Ready(());
        }
        out.closers.wait(ticket, cx.waker());
        Poll::Pending
    }

    fn leave_closing(&self, ticket: Ticket) {
        self.lock_out().closers.leave(ticket);
    }

    fn inbox(&self, pipe: PipeId) -> Option<Arc<Inbox>> {
        self.lock_in().lanes.get_mut(pipe)?.first().inbox().map(Arc::clone)
    }

    fn announce(&self, pipe: PipeId, wakes: &mut Wakes) -> bool {
        let mut half = self.enter_in();
        let inn = &mut *half;
        // What an orphan holds was announced when it became one.
        if let Some(inlet) = inn.lanes.get_mut(pipe).filter(|inlet| !inlet.is_orphaned()) {
            if P::RECEIVES {
                inn.pattern.ready(pipe);
                if !inn.receivers.is_empty() {
                    wakes.add(inn.receivers.first());
                }
            } else {
                while inlet.pop(&mut Message::new()) {}
            }
        }
        let is_awaited = !inn.receivers.is_empty();
        self.leave(half);
        is_awaited
    }

    fn starves(&self, pipe: PipeId) -> bool {
        self.lock_in().lanes.get_mut(pipe).is_some_and(|inlet| !inlet.first().has_room())
    }

    fn resume(&self, pipe: PipeId) {
        self.lock_out().resume(pipe);
    }

    fn attach_local(
        &self,
        endpoint: &Endpoint,
        peer: Arc<dyn Port>,
        peer_pipe: PipeId,
        capacity: HighWater,
    ) -> Option<PipeId> {
        let resumer = resumer(Arc::clone(&peer), peer_pipe);
        let conflate = self.options.conflate || peer.options().conflate;
        let lane = Lane::in_process(self.options.receive_high_water.plus(capacity), conflate, resumer);
        self.attach_with(endpoint, lane, Outlet::Local(Local::new(peer, peer_pipe)), false)
    }

    fn link_local(
        &self,
        pipe: PipeId,
        peer: Arc<dyn Port>,
        peer_pipe: PipeId,
        capacity: HighWater,
    ) -> Linked {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        if let Some(lane) = self.lock_in().lanes.get_mut(pipe) {
            let resumer = resumer(Arc::clone(&peer), peer_pipe);
            let conflate = self.options.conflate || peer.options().conflate;
            lane.first().link(self.options.receive_high_water.plus(capacity), conflate, resumer);
        }
        let linked = match out.pipes.get_mut(pipe) {
            Some(state) => state.link(Local::new(peer, peer_pipe), &mut out.effects.wakes),
            None => true,
        };
        out.resume(pipe);
        let is_open = out.closing == Closing::Open;
        drop(locked);
        match (linked, is_open) {
            (false, _) => Linked::Refused,
            (true, true) => Linked::Open,
            (true, false) => Linked::Closing,
        }
    }

    fn unlink_local(&self, pipe: PipeId, peer: &dyn Port, from: PipeId) {
        let (name, ends) = {
            let mut locked = self.lock_out();
            let out = &mut *locked;
            let is_open = out.closing == Closing::Open;
            // It may have another peer by now, or none yet.
            let is_linked =
                |state: &&mut OutPipe| matches!(&state.outlet, Outlet::Local(local) if local.is(peer, from));
            let Some(state) = out.pipes.get_mut(pipe).filter(is_linked) else { return };
            let ends = state.peer.as_ref().map(|(_, ends)| ends.clone());
            let name = if state.dialled && is_open { self.wait_for_name(state) } else { None };
            if name.is_some() {
                // What was for this peer must not go to the next one.
                let notices = out.pattern.lost(pipe);
                self.notify(pipe, notices, &mut out.effects);
                // Who has sent meanwhile was told that the pipe is full.
                out.resume(pipe);
            }
            (name, ends)
        };
        let Some(name) = name else { return self.end(pipe, Disconnect::PeerClosed) };
        self.lost(pipe, Batch::default());
        if let Some(Ends { endpoint, peer }) = ends {
            self.report(Event::Disconnected { pipe, endpoint, peer, reason: Disconnect::PeerClosed });
        }
        if let Some(port) = self.this.upgrade() {
            inproc::seek(&(port as Arc<dyn Port>), &self.context, pipe, &name);
        }
    }
}

impl<P: Composition> Core<P> {
    /// Does something to a wire pipe's queues, and wakes the driver that is to hear of it.
    fn rouse(&self, pipe: PipeId, act: impl FnOnce(&mut Outboxes) -> Option<Waker>) {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        if let Some(Outlet::Wire(outboxes)) = out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) {
            out.effects.wakes.add(act(outboxes));
        }
    }
}

/// Tells an in-process sender that there is room again.
struct Resumer {
    port: std::sync::Weak<dyn Port>,
    pipe: PipeId,
}

impl Wake for Resumer {
    fn wake(self: Arc<Self>) {
        if let Some(port) = self.port.upgrade() {
            port.resume(self.pipe);
        }
    }
}

fn resumer(port: Arc<dyn Port>, pipe: PipeId) -> Waker {
    Arc::new(Resumer { port: Arc::downgrade(&port), pipe }).into()
}
