//! The state of a socket of one kind: two locks, one over routing and outgoing queues, one over lanes.
//!
//! Whatever a critical section owes others, wakers and events, is collected and let go after unlocking.
//! [`super::port`] is the same state as drivers see it, [`super::control`] as bind and connect do.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{self, Poll};

use tokio::runtime::Handle;

use super::Composition;
use super::endpoints::Endpoints;
use super::outlets::{Effects, OutPipe, View};
use crate::context::Context;
use crate::event::Monitors;
use crate::message::Message;
use crate::options::SocketOptions;
use crate::pattern::lockstep::Answer;
use crate::pattern::{Delivery, Inbound, Lanes, Outbound, Routed};
use crate::pipe::{Closing, Lane, PipeId, Table};
use crate::sync::{Tasks, Ticket, WaitSet, Wakes, lock};
use crate::zmtp::Config;

/// A socket's state, shared by the handle and its drivers.
#[derive(Debug)]
pub(crate) struct Core<P: Composition> {
    outbound: Mutex<Out<P::Outbound>>,
    inbound: Mutex<In<P::Inbound>>,
    pub(super) endpoints: Endpoints,
    pub(super) options: SocketOptions,
    pub(super) config: Arc<Config>,
    pub(super) monitors: Monitors,
    pub(super) context: Context,
    /// Where drivers run: the runtime that was current when the socket was made, or else the context's.
    pub(super) runtime: OnceLock<Handle>,
    pub(super) tasks: Arc<Tasks>,
    pub(super) this: Weak<Self>,
}

/// What the outbound lock guards.
#[derive(Debug)]
pub(super) struct Out<O> {
    pub(super) pattern: O,
    pub(super) pipes: Table<OutPipe>,
    pub(super) senders: WaitSet,
    /// Those who wait for a handshake, or for its end.
    pub(super) linked: WaitSet,
    /// Connections in their handshake, to be told when the socket closes.
    pub(super) closers: WaitSet,
    pub(super) closing: Closing,
    /// Messages that were queued when their pipe ended with the socket.
    pub(super) unsent: usize,
    budget: Budget,
}

/// What the inbound lock guards.
#[derive(Debug)]
pub(super) struct In<I> {
    pub(super) pattern: I,
    pub(super) lanes: Table<Lane>,
    pub(super) receivers: WaitSet,
    pub(super) closed: bool,
    budget: Budget,
}

/// How much a task may send, or receive, without ever waiting before it lets others run: else a tight loop
/// would starve the very driver that serves it, and push the bytes under way out of the cache.
#[derive(Debug, Default)]
struct Budget {
    calls: u32,
    bytes: usize,
}

impl Budget {
    /// Half of the default mark, so that a driver works while its queue is neither full nor empty. Against a
    /// quarter, twice as many small messages share a system call: 64-byte messages gained about 15 %.
    const CALLS: u32 = 500;
    /// What fits a core's own cache beside everything else.
    const BYTES: usize = 512 * 1024;

    fn spend(&mut self, calls: usize, bytes: usize) {
        self.calls = self.calls.saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether it is time to yield, once.
    fn is_spent(&mut self) -> bool {
        let spent = self.calls >= Self::CALLS || self.bytes >= Self::BYTES;
        if spent {
            *self = Self::default();
        }
        spent
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Closed,
    Unroutable,
    /// For callers that do not wait.
    Full,
    NoPeer,
}

impl<P: Composition> Core<P> {
    pub(super) fn new(options: SocketOptions, context: Context) -> Arc<Self> {
        let (outbound, inbound) = P::compose(&options);
        let runtime = OnceLock::new();
        if let Ok(handle) = Handle::try_current() {
            runtime.get_or_init(|| handle);
        }
        Arc::new_cyclic(|this| Self {
            outbound: Mutex::new(Out {
                pattern: outbound,
                pipes: Table::default(),
                senders: WaitSet::default(),
                linked: WaitSet::default(),
                closers: WaitSet::default(),
                closing: Closing::Open,
                unsent: 0,
                budget: Budget::default(),
            }),
            inbound: Mutex::new(In {
                pattern: inbound,
                lanes: Table::default(),
                receivers: WaitSet::default(),
                closed: false,
                budget: Budget::default(),
            }),
            endpoints: Endpoints::default(),
            config: Arc::new(options.engine_config(P::KIND)),
            options,
            monitors: Monitors::default(),
            context,
            runtime,
            tasks: Arc::default(),
            this: this.clone(),
        })
    }

    pub(super) fn lock_out(&self) -> MutexGuard<'_, Out<P::Outbound>> {
        lock(&self.outbound)
    }

    pub(super) fn lock_in(&self) -> MutexGuard<'_, In<P::Inbound>> {
        lock(&self.inbound)
    }

    /// Wakes and reports, with no lock held.
    #[inline]
    pub(super) fn settle(&self, effects: &mut Effects) {
        effects.wakes.fire();
        if !effects.events.is_empty() {
            effects.events.iter().for_each(|event| self.monitors.report(event));
        }
    }

    /// Runs `work` on the outbound half, with the pipes as the pattern sees them.
    pub(super) fn with_outbound<R>(&self, work: impl FnOnce(&mut P::Outbound, &mut View<'_>) -> R) -> R {
        let mut effects = Effects::default();
        let mut out = self.lock_out();
        let (pattern, mut view) = out.split(&self.options, &mut effects);
        let result = work(pattern, &mut view);
        drop(out);
        self.settle(&mut effects);
        result
    }

    /// As [`with_outbound`](Self::with_outbound), unless the socket is closed.
    pub(super) fn with_open_outbound<R>(
        &self,
        work: impl FnOnce(&mut P::Outbound, &mut View<'_>) -> R,
    ) -> Option<R> {
        let mut effects = Effects::default();
        let mut out = self.lock_out();
        if out.closing != Closing::Open {
            return None;
        }
        let (pattern, mut view) = out.split(&self.options, &mut effects);
        let result = work(pattern, &mut view);
        drop(out);
        self.settle(&mut effects);
        Some(result)
    }

    /// Runs `work` on the inbound half.
    pub(super) fn with_inbound<R>(&self, work: impl FnOnce(&mut P::Inbound) -> R) -> R {
        work(&mut self.lock_in().pattern)
    }

    /// One attempt to send. `route` is the pattern's choice; unless it says `Sent`, the message is whole.
    #[inline]
    pub(super) fn attempt(
        &self,
        message: &mut Message,
        mut route: impl FnMut(&mut P::Outbound, &mut Message, &mut View<'_>) -> Routed,
    ) -> Result<(), Refusal> {
        let mut effects = Effects::default();
        let mut out = self.lock_out();
        if out.closing != Closing::Open {
            return Err(Refusal::Closed);
        }
        let (pattern, mut view) = out.split(&self.options, &mut effects);
        let mut routed = route(pattern, message, &mut view);
        if routed == Routed::Blocked {
            // A pipe that was full is offered to again at low water, so that waiting senders wake seldom. Who
            // does not wait is told of any room.
            view.with_room().into_iter().for_each(|pipe| pattern.resume(pipe));
            routed = route(pattern, message, &mut view);
        }
        drop(out);
        self.settle(&mut effects);
        routed.into_result()
    }

    /// As [`attempt`](Self::attempt), but a message that must wait leaves the task in line.
    #[inline]
    pub(super) fn poll_send(
        &self,
        cx: &task::Context<'_>,
        ticket: &mut Option<Ticket>,
        message: &mut Message,
        route: impl FnOnce(&mut P::Outbound, &mut Message, &mut View<'_>) -> Routed,
    ) -> Poll<Result<(), Refusal>> {
        let mut effects = Effects::default();
        let mut out = self.lock_out();
        if out.closing != Closing::Open {
            return Poll::Ready(Err(Refusal::Closed));
        }
        if out.budget.is_spent() {
            drop(out);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let bytes = message.byte_len();
        let (pattern, mut view) = out.split(&self.options, &mut effects);
        let routed = route(pattern, message, &mut view);
        match routed {
            Routed::Sent => out.budget.spend(1, bytes),
            Routed::Unroutable => {}
            Routed::Blocked | Routed::NoPeer => {
                out.budget = Budget::default();
                out.senders.wait(ticket, cx.waker());
                drop(out);
                self.settle(&mut effects);
                return Poll::Pending;
            }
        }
        if let Some(ticket) = ticket.take() {
            // Who waited may have left room behind: the next one in line tries its luck.
            out.senders.leave(ticket);
            effects.wakes.add(out.senders.first());
        }
        drop(out);
        self.settle(&mut effects);
        Poll::Ready(routed.into_result())
    }

    /// A sender goes away. If it had been woken, another one must try in its place.
    pub(super) fn leave_senders(&self, ticket: Ticket) {
        let mut out = self.lock_out();
        let next = if out.senders.leave(ticket) { None } else { out.senders.first() };
        drop(out);
        next.into_iter().for_each(task::Waker::wake);
    }

    /// Receives up to `max` messages into `sink`. Returns how many there were.
    pub(super) fn try_recv(&self, max: usize, sink: impl FnMut(Delivery)) -> Poll<usize> {
        let mut wakes = Wakes::default();
        let mut inn = self.lock_in();
        let (received, _) = inn.receive(max, sink, &mut wakes);
        let closed = inn.closed;
        drop(inn);
        wakes.fire();
        if received == 0 && !closed { Poll::Pending } else { Poll::Ready(received) }
    }

    /// As [`try_recv`](Self::try_recv), but leaves the task in line. Ready with 0: the socket is closed.
    #[inline]
    pub(super) fn poll_recv(
        &self,
        cx: &task::Context<'_>,
        ticket: &mut Option<Ticket>,
        max: usize,
        sink: impl FnMut(Delivery),
    ) -> Poll<usize> {
        let mut wakes = Wakes::default();
        let mut inn = self.lock_in();
        if inn.budget.is_spent() {
            drop(inn);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (received, bytes) = inn.receive(max, sink, &mut wakes);
        if received > 0 {
            inn.budget.spend(received, bytes);
            if let Some(ticket) = ticket.take() {
                // Who waited may have left messages behind: the next one in line looks.
                inn.receivers.leave(ticket);
                wakes.add(inn.receivers.first());
            }
        } else if !inn.closed {
            inn.budget = Budget::default();
            inn.receivers.wait(ticket, cx.waker());
            drop(inn);
            wakes.fire();
            return Poll::Pending;
        }
        drop(inn);
        wakes.fire();
        Poll::Ready(received)
    }

    /// A receiver goes away. If it had been woken, another one must look in its place.
    pub(super) fn leave_receivers(&self, ticket: Ticket) {
        let mut inn = self.lock_in();
        let next = if inn.receivers.leave(ticket) { None } else { inn.receivers.first() };
        drop(inn);
        next.into_iter().for_each(task::Waker::wake);
    }
}

impl Routed {
    const fn into_result(self) -> Result<(), Refusal> {
        match self {
            Self::Sent => Ok(()),
            Self::Blocked => Err(Refusal::Full),
            Self::NoPeer => Err(Refusal::NoPeer),
            Self::Unroutable => Err(Refusal::Unroutable),
        }
    }
}

impl<O: Outbound> Out<O> {
    /// The pattern, and the pipes as it sees them.
    #[inline]
    pub(super) fn split<'a>(
        &'a mut self,
        options: &SocketOptions,
        effects: &'a mut Effects,
    ) -> (&'a mut O, View<'a>) {
        let view = View {
            pipes: &mut self.pipes,
            effects,
            mark: options.send_high_water,
            conflate: options.conflate,
        };
        (&mut self.pattern, view)
    }
}

impl<I: Inbound> In<I> {
    /// Pops up to `max` messages in the pattern's order. Returns their number and size.
    #[inline]
    pub(super) fn receive(
        &mut self,
        max: usize,
        mut sink: impl FnMut(Delivery),
        wakes: &mut Wakes,
    ) -> (usize, usize) {
        let mut view = LanesView { lanes: &mut self.lanes, wakes, drained: Vec::new() };
        let (mut received, mut bytes) = (0, 0);
        while received < max {
            let Some(delivery) = self.pattern.next(&mut view) else { break };
            received += 1;
            bytes += delivery.message.byte_len();
            sink(delivery);
        }
        for pipe in view.drained {
            self.lanes.remove(pipe);
        }
        (received, bytes)
    }
}

impl In<Answer> {
    /// Drops what has arrived before a request.
    pub(super) fn drain(&mut self, wakes: &mut Wakes) {
        let mut view = LanesView { lanes: &mut self.lanes, wakes, drained: Vec::new() };
        self.pattern.drain(&mut view);
        for pipe in view.drained {
            self.lanes.remove(pipe);
        }
    }
}

/// The lanes of a socket for the length of one critical section.
struct LanesView<'a> {
    lanes: &'a mut Table<Lane>,
    wakes: &'a mut Wakes,
    /// Empty lanes whose pipe is gone.
    drained: Vec<PipeId>,
}

impl LanesView<'_> {
    /// Somebody waits for room, or for the lane's end.
    #[cold]
    fn taken(&mut self, from: PipeId) {
        let Some(lane) = self.lanes.get_mut(from) else { return };
        if lane.resumes() {
            self.wakes.add(lane.take_driver());
        }
        if lane.is_orphaned() && lane.messages() == 0 {
            self.drained.push(from);
        }
    }
}

impl Lanes for LanesView<'_> {
    fn front(&self, from: PipeId) -> Option<&[u8]> {
        self.lanes.get(from)?.front()
    }

    #[inline]
    fn pop(&mut self, from: PipeId) -> Option<Message> {
        let lane = self.lanes.get_mut(from)?;
        let message = lane.pop();
        if lane.is_watched() {
            self.taken(from);
        }
        message
    }

    fn skip(&mut self, from: PipeId) {
        if let Some(lane) = self.lanes.get_mut(from) {
            lane.skip();
        }
        self.taken(from);
    }
}
