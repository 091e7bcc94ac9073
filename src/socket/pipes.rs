//! The life of a pipe in its socket: attached, resumed, restarted, ended.
//!
//! Each step changes both halves under their locks, outbound first, so that no message falls in between.

use std::sync::Arc;
use std::task::Waker;

use zocket_transport::Endpoint;

use super::Composition;
use super::core::{Core, Out};
use super::local::Local;
use super::locked::Effects;
use super::outlets::{Drops, Evicted, OutPipe, Outlet};
use crate::context::Waiter;
use crate::driver::{Ends, Port};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::message::Message;
use crate::pattern::{Inbound, Outbound};
use crate::pipe::{Apart, Closing, Inlet, Lane, LaneId, Outbox, Outboxes, PipeId};
use crate::zmtp::Command;

impl<P: Composition> Core<P> {
    /// A pipe to a wire peer, with which there may be so many lanes, and something apart.
    pub(super) fn attach_wire(
        &self,
        endpoint: &Endpoint,
        dialled: bool,
        lanes: u8,
        apart: Apart,
    ) -> Option<PipeId> {
        let pool = self.context.pool();
        let lane = Lane::for_wire(self.options.receive_high_water, self.options.conflate, pool);
        let outbox = Outbox::new(self.options.send_high_water, self.options.conflate, pool);
        let mut inlet = Inlet::from(lane);
        inlet.agree(apart.queues(lanes));
        let mut outboxes = Outboxes::new(outbox, lanes);
        if apart != Apart::Nothing {
            outboxes.agree(lanes, apart);
        }
        self.attach_with(endpoint, inlet, Outlet::Wire(outboxes), dialled)
    }

    pub(super) fn attach_with(
        &self,
        endpoint: &Endpoint,
        inlet: impl Into<Inlet>,
        outlet: Outlet,
        dialled: bool,
    ) -> Option<PipeId> {
        let mut out = self.lock_out();
        if out.closing != Closing::Open {
            return None;
        }
        let mut inn = self.lock_in();
        let pipe = inn.lanes.insert(inlet.into());
        inn.pattern.attach(pipe);
        drop(inn);
        let endpoint = endpoint.clone();
        out.pipes
            .insert_at(pipe, OutPipe { outlet, endpoint, peer: None, dialled, dropped: Drops::default() });
        out.pattern.attach(pipe);
        out.wake_sender();
        Some(pipe)
    }

    /// The pipe is gone. `reason` is for the events of in-process pipes; wires' drivers report for themselves.
    pub(super) fn end(&self, pipe: PipeId, reason: Disconnect) {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        let Some(mut gone) = out.pipes.vacate(pipe) else { return };
        let notices = out.pattern.detach(pipe);
        self.notify(pipe, notices, &mut out.effects);
        out.effects.events.extend(gone.dropped.end_episode(pipe));
        let (queued, _) = gone.queued();
        let why = if out.closing == Closing::Open {
            Dropped::LinkLost
        } else {
            out.unsent += queued;
            Dropped::Linger
        };
        out.effects.report_drops(pipe, queued, why);
        out.effects.wakes.add_all(out.senders.all());
        out.effects.wakes.add_all(out.linked.all());
        let mut half = self.lock_in();
        let inn = &mut *half;
        if let Some(inlet) = inn.lanes.get_mut(pipe) {
            inlet.orphan();
            if P::RECEIVES && !inlet.is_empty() {
                // An in-process sender may be about to say so, and would not be heard.
                inn.pattern.ready(pipe);
            } else {
                inn.lanes.remove(pipe);
            }
        }
        inn.pattern.detach(pipe);
        out.effects.wakes.add_all(inn.receivers.all());
        drop(half);
        self.unmute(out);
        drop(locked);
        if let Outlet::Waiting(_) = gone.outlet {
            self.forget_waiting(pipe, &gone.endpoint);
        }
        if let Outlet::Local(Local { port, pipe: answer, .. }) = gone.outlet {
            if let Some((_, Ends { endpoint, peer })) = gone.peer {
                self.report(Event::Disconnected { pipe, endpoint, peer, reason });
            }
            port.unlink_local(answer, self, pipe);
        }
    }

    pub(super) fn deliver_with(&self, lane: LaneId, append: impl FnOnce(&mut Lane) -> bool) -> usize {
        if !P::RECEIVES {
            return usize::MAX;
        }
        let mut inn = self.enter_in();
        let LaneId { pipe, number } = lane;
        let Some(lane) = inn.lanes.get_mut(pipe).and_then(|inlet| inlet.at(number)) else {
            return usize::MAX;
        };
        let was_empty = append(lane);
        let room = lane.room();
        if was_empty {
            inn.pattern.ready(pipe);
        }
        let receiver = inn.receivers.first();
        self.leave(inn);
        receiver.into_iter().for_each(Waker::wake);
        room
    }

    /// Queues subscription notices for the application, in the order in which they became true.
    pub(super) fn notify(
        &self,
        pipe: PipeId,
        notices: impl IntoIterator<Item = Message>,
        effects: &mut Effects,
    ) {
        let mut notices = notices.into_iter().peekable();
        if notices.peek().is_none() {
            return;
        }
        let mut inn = self.lock_in();
        notices.for_each(|notice| inn.pattern.notice(pipe, notice));
        effects.wakes.add(inn.receivers.first());
    }

    /// An in-process pipe lost its name to another. Whoever connected gives up: it would only come back and take
    /// the name again, at once and for ever.
    pub(super) fn give_up_evicted(&self, evicted: Evicted) {
        let Evicted { old, dialled, endpoint, port, pipe } = evicted;
        let event = Event::GaveUp { endpoint, reason: Disconnect::HandedOver };
        if dialled {
            self.report(event);
            self.end(old, Disconnect::HandedOver);
        } else {
            port.report(event);
            port.detach(pipe);
        }
    }

    /// No binder may find this pipe waiting any more.
    fn forget_waiting(&self, pipe: PipeId, endpoint: &Endpoint) {
        let is_ours = |(port, waiting): &Waiter| {
            *waiting == pipe && std::ptr::addr_eq(port.as_ptr(), self.this.as_ptr())
        };
        drop(self.context.hub().forget(endpoint.address(), is_ours));
    }

    /// Gives a peer a fresh connection, so that nothing of this one can be taken for part of the next.
    pub(super) fn restart(&self, pipe: PipeId, why: Disconnect) {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        let Some(state) = out.pipes.get_mut(pipe) else { return };
        let dialled = state.dialled;
        let local = match &mut state.outlet {
            Outlet::Wire(outboxes) => {
                out.effects.wakes.add(outboxes.first().stop(why));
                None
            }
            Outlet::Local(local) => Some((Arc::clone(&local.port), local.pipe)),
            Outlet::Waiting(_) => None,
        };
        drop(locked);
        match local {
            // The end of the binder's pipe makes the connecter seek it anew.
            Some((binder, answer)) if dialled => binder.detach(answer),
            Some(_) => self.detach(pipe),
            None => {}
        }
    }

    /// Lets pipes in whose name has become free.
    pub(super) fn unmute(&self, out: &mut Out<P::Outbound>) {
        while let Some((pipe, name)) = out.pattern.unmute() {
            let mut inn = self.lock_in();
            inn.pattern.identify(pipe, Some(&name));
            out.effects.wakes.add_all(inn.receivers.all());
            if let Some(inlet) = inn.lanes.get_mut(pipe) {
                inlet.set_muted(false);
                out.effects.wakes.add_all(inlet.take_drivers());
            }
        }
    }

    /// Tells an in-process peer the greeting. Returns what is left to tell over a wire.
    pub(super) fn greet_local(
        out: &mut Out<P::Outbound>,
        pipe: PipeId,
        greeting: Vec<Command>,
    ) -> Vec<Command> {
        match out.pipes.get(pipe).map(|pipe| &pipe.outlet) {
            Some(Outlet::Local(Local { port, pipe, .. })) => {
                greeting.into_iter().for_each(|command| port.command(*pipe, command));
                Vec::new()
            }
            _ => greeting,
        }
    }
}

impl<O: Outbound> Out<O> {
    /// There is room somewhere: somebody who waits may try.
    pub(super) fn wake_sender(&mut self) {
        if self.pattern.any_pipe() {
            self.effects.wakes.add(self.senders.first());
        } else {
            self.effects.wakes.add_all(self.senders.all());
        }
    }

    /// The pipe has room again: its pattern may use it, and somebody who waited may try.
    pub(super) fn resume(&mut self, pipe: PipeId) {
        self.pattern.resume(pipe);
        self.pace.renew();
        self.wake_sender();
        if let Some(state) = self.pipes.get_mut(pipe) {
            self.effects.events.extend(state.dropped.end_episode(pipe));
        }
    }
}
