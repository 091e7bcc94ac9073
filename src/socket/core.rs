//! The state of a socket of one kind: two locks, one over routing and outgoing queues, one over lanes.
//!
//! [`super::port`] is the same state as drivers see it, [`super::control`] as bind and connect do.

use std::sync::{Arc, OnceLock, Weak};
use std::task::{self, Poll};

use tokio::runtime::Handle;

use super::Composition;
use super::endpoints::Endpoints;
use super::inlets::LanesView;
use super::largest::Largest;
use super::locked::{self, Effects, Locked, Owing};
use super::outlets::{OutPipe, View};
use super::pace::{Line, Pace};
use super::refused::Refusal;
use crate::context::Context;
use crate::event::Monitors;
use crate::message::{Message, Outgoing};
use crate::options::SocketOptions;
use crate::pattern::lockstep::Answer;
use crate::pattern::{Inbound, Origin, Outbound, Routed};
use crate::pipe::{Closing, Inlet, TURN, Table, UNCOPIED};
use crate::sync::{Guard, Short, Tasks, Ticket, WaitSet};
use crate::zmtp::Config;

/// A socket's state, shared by the handle and its drivers.
#[derive(Debug)]
pub(crate) struct Core<P: Composition> {
    outbound: Short<Out<P::Outbound>>,
    inbound: Short<In<P::Inbound>>,
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
    pub(super) largest: Largest,
    /// Messages that were queued when their pipe ended with the socket.
    pub(super) unsent: usize,
    budget: Budget,
    pub(super) pace: Pace,
    pub(super) effects: Effects,
}

/// What the inbound lock guards.
#[derive(Debug)]
pub(super) struct In<I> {
    pub(super) pattern: I,
    pub(super) lanes: Table<Inlet>,
    pub(super) receivers: WaitSet,
    pub(super) closed: bool,
    budget: Budget,
    pub(super) effects: Effects,
}

/// How much a task may send, or receive, without ever waiting before it lets others run: else a tight loop
/// would starve the very driver that serves it, and push the bytes under way out of the cache.
#[derive(Debug)]
struct Budget {
    spent: usize,
    /// What a message counts for at least.
    least: usize,
}

impl Budget {
    /// With one peer, 512 messages: half of the default mark, for a driver to work while its queue is neither
    /// full nor empty. Against a quarter, twice as many small messages share a system call: 64-byte messages
    /// gained about 15 %.
    const LEAST: usize = 512;
    /// With more peers there are more queues to fill, up to this many times as much: a ROUTER with 64 busy peers
    /// then writes its replies by the sixteen rather than by the five. Beyond, other tasks would wait too long.
    const PEERS: usize = 4;

    /// What is sent in memory of its own counts for four times its bytes, since such memory is seldom that which was
    /// just read: with 64 KiB of it under way, 32 KiB a message went 1.35 times as fast over tcp and ipc. Chunks are
    /// lent again at once; 64 KiB a turn lost a fourth of what 1 and 4 KiB a message do over tcp.
    const COLD: usize = 4;

    const fn new() -> Self {
        Self { spent: 0, least: Self::LEAST }
    }

    #[inline]
    const fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(if bytes < self.least { self.least } else { bytes });
    }

    #[inline]
    const fn spend_on_sending(&mut self, bytes: usize) {
        self.spend(if bytes < UNCOPIED { bytes } else { bytes.saturating_mul(Self::COLD) });
    }

    /// Whether it is time to yield.
    #[inline]
    const fn is_spent(&self) -> bool {
        self.spent >= TURN
    }

    fn renew(&mut self, peers: usize) {
        *self = Self { spent: 0, least: Self::LEAST / peers.clamp(1, Self::PEERS) };
    }
}

impl<P: Composition> Core<P> {
    pub(super) fn new(options: SocketOptions, context: Context) -> Arc<Self> {
        let (outbound, inbound) = P::compose(&options);
        let runtime = OnceLock::new();
        if let Ok(handle) = Handle::try_current() {
            runtime.get_or_init(|| handle);
        }
        Arc::new_cyclic(|this| Self {
            outbound: Short::new(Out {
                pattern: outbound,
                pipes: Table::default(),
                senders: WaitSet::default(),
                linked: WaitSet::default(),
                closers: WaitSet::default(),
                closing: Closing::Open,
                largest: Largest::ANY,
                unsent: 0,
                budget: Budget::new(),
                pace: Pace::default(),
                effects: Effects::default(),
            }),
            inbound: Short::new(In {
                pattern: inbound,
                lanes: Table::default(),
                receivers: WaitSet::default(),
                closed: false,
                budget: Budget::new(),
                effects: Effects::default(),
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

    #[inline]
    pub(super) fn lock_out(&self) -> Locked<'_, Out<P::Outbound>> {
        Locked::new(&self.outbound, &self.monitors)
    }

    #[inline]
    pub(super) fn lock_in(&self) -> Locked<'_, In<P::Inbound>> {
        Locked::new(&self.inbound, &self.monitors)
    }

    /// As [`lock_out`](Self::lock_out), for the hot path. To be given to [`leave`](Self::leave).
    #[inline(always)]
    pub(super) fn enter_out(&self) -> Guard<'_, Out<P::Outbound>> {
        self.outbound.lock()
    }

    /// As [`lock_in`](Self::lock_in), for the hot path. To be given to [`leave`](Self::leave).
    #[inline(always)]
    pub(super) fn enter_in(&self) -> Guard<'_, In<P::Inbound>> {
        self.inbound.lock()
    }

    /// Unlocks a half, and lets go of what it owes.
    #[inline(always)]
    pub(super) fn leave<T: Owing>(&self, half: Guard<'_, T>) {
        locked::leave(half, &self.monitors);
    }

    /// Runs `work` on the outbound half, with the pipes as the pattern sees them, unless the socket is closed.
    pub(super) fn with_open_outbound<R>(
        &self,
        work: impl FnOnce(&mut P::Outbound, &mut View<'_>) -> R,
    ) -> Option<R> {
        let mut out = self.lock_out();
        if out.closing != Closing::Open {
            return None;
        }
        let (pattern, mut view) = out.split(&self.options);
        Some(work(pattern, &mut view))
    }

    /// Runs `work` on the outbound half.
    pub(super) fn with_outbound<R>(&self, work: impl FnOnce(&mut P::Outbound) -> R) -> R {
        work(&mut self.lock_out().pattern)
    }

    /// Runs `work` on the inbound half.
    pub(super) fn with_inbound<R>(&self, work: impl FnOnce(&mut P::Inbound) -> R) -> R {
        work(&mut self.lock_in().pattern)
    }

    /// One attempt to send. `route` is the pattern's choice; unless it says `Sent`, the message is whole.
    #[inline]
    pub(super) fn attempt(
        &self,
        message: &mut Outgoing<'_>,
        mut route: impl FnMut(&mut P::Outbound, &mut Outgoing<'_>, &mut View<'_>) -> Routed,
    ) -> Result<(), Refusal> {
        let mut half = self.enter_out();
        let out = &mut *half;
        if out.closing != Closing::Open {
            return Err(Refusal::Closed);
        }
        out.check_size(message)?;
        let (pattern, mut view) = out.split(&self.options);
        view.measure(message);
        let mut routed = route(pattern, message, &mut view);
        if routed == Routed::Blocked {
            // A pipe that was full is offered to again at low water, so that waiting senders wake seldom. Who
            // does not wait is told of any room.
            view.with_room().into_iter().for_each(|pipe| pattern.resume(pipe));
            routed = route(pattern, message, &mut view);
        }
        self.leave(half);
        routed.into_result()
    }

    /// Sends what needs neither to wait nor to yield: nearly every message, and without a future. False: it is
    /// for [`poll_send`](Self::poll_send), and whole.
    #[inline(always)]
    pub(super) fn send_now(
        &self,
        message: &mut Outgoing<'_>,
        route: impl FnOnce(&mut P::Outbound, &mut Outgoing<'_>, &mut View<'_>) -> Routed,
    ) -> bool {
        let mut half = self.enter_out();
        let out = &mut *half;
        if out.closing != Closing::Open || out.budget.is_spent() {
            return false;
        }
        let bytes = message.byte_len();
        if out.check_size(message).is_err() {
            return false;
        }
        let (pattern, mut view) = out.split(&self.options);
        view.measure(message);
        let sent = route(pattern, message, &mut view) == Routed::Sent;
        if sent {
            out.budget.spend_on_sending(bytes);
        }
        self.leave(half);
        sent
    }

    /// As [`attempt`](Self::attempt), but a message that must wait leaves the task in line.
    pub(super) fn poll_send(
        &self,
        cx: &mut task::Context<'_>,
        line: &mut Line,
        message: &mut Outgoing<'_>,
        route: impl FnOnce(&mut P::Outbound, &mut Outgoing<'_>, &mut View<'_>) -> Routed,
    ) -> Poll<Result<(), Refusal>> {
        let mut out = self.lock_out();
        if out.closing != Closing::Open {
            return Poll::Ready(Err(Refusal::Closed));
        }
        if out.budget.is_spent() {
            self.end_turn(out, line, cx);
            return Poll::Pending;
        }
        let bytes = message.byte_len();
        if let Err(refusal) = out.check_size(message) {
            return Poll::Ready(Err(refusal));
        }
        let (pattern, mut view) = out.split(&self.options);
        view.measure(message);
        let routed = route(pattern, message, &mut view);
        match routed {
            Routed::Sent => out.budget.spend_on_sending(bytes),
            Routed::Unroutable => {}
            Routed::Blocked | Routed::NoPeer => {
                out.renew_budget();
                out.senders.wait(&mut line.ticket, cx.waker());
                return Poll::Pending;
            }
        }
        if let Some(ticket) = line.ticket.take() {
            // Who waited may have left room behind: the next one in line tries its luck.
            out.senders.leave(ticket);
            let next = out.senders.first();
            out.effects.wakes.add(next);
        }
        Poll::Ready(routed.into_result())
    }

    /// A sender goes away. If it had been woken, another one must try in its place.
    pub(super) fn leave_senders(&self, ticket: Ticket) {
        let mut out = self.lock_out();
        if !out.senders.leave(ticket) {
            let next = out.senders.first();
            out.effects.wakes.add(next);
        }
    }

    /// Receives what has arrived, whatever the budget. Ready with `None`: the socket is closed.
    pub(super) fn try_recv(&self, into: &mut Message) -> Poll<Option<Origin>> {
        let mut inn = self.enter_in();
        let origin = inn.next(into);
        let is_over = origin.is_some() || inn.closed;
        self.leave(inn);
        if is_over { Poll::Ready(origin) } else { Poll::Pending }
    }

    /// Receives what needs neither to wait nor to yield. `None`: it is for [`poll_recv`](Self::poll_recv). Without it, a
    /// future that may have to wait cost a tenth of 64 bytes between threads in process.
    #[inline(always)]
    pub(super) fn recv_now(&self, into: &mut Message) -> Option<Origin> {
        let mut half = self.enter_in();
        let inn = &mut *half;
        let origin = if inn.budget.is_spent() { None } else { inn.next(into) };
        self.leave(half);
        origin
    }

    /// Receives the next message, or leaves the task in line. Ready with `None`: the socket is closed.
    pub(super) fn poll_recv(
        &self,
        cx: &task::Context<'_>,
        ticket: &mut Option<Ticket>,
        into: &mut Message,
    ) -> Poll<Option<Origin>> {
        let mut half = self.enter_in();
        let inn = &mut *half;
        let has_had_its_turn = inn.budget.is_spent();
        let origin = if has_had_its_turn { None } else { inn.next(into) };
        if origin.is_some() || (inn.closed && !has_had_its_turn) {
            inn.leave_line(ticket);
            self.leave(half);
            return Poll::Ready(origin);
        }
        inn.renew_budget();
        if !has_had_its_turn {
            inn.receivers.wait(ticket, cx.waker());
        }
        self.leave(half);
        if has_had_its_turn {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Appends up to `max` messages that have arrived.
    pub(super) fn recv_more(&self, into: &mut Vec<Message>, max: usize) {
        let mut inn = self.lock_in();
        for _ in 0..max {
            let mut message = Message::new();
            if inn.next(&mut message).is_none() {
                break;
            }
            into.push(message);
        }
    }

    /// A receiver goes away. If it had been woken, another one must look in its place.
    pub(super) fn leave_receivers(&self, ticket: Ticket) {
        let mut inn = self.lock_in();
        if !inn.receivers.leave(ticket) {
            let next = inn.receivers.first();
            inn.effects.wakes.add(next);
        }
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

impl<O> Owing for Out<O> {
    #[inline]
    fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }
}

impl<I> Owing for In<I> {
    #[inline]
    fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }
}

impl<O: Outbound> Out<O> {
    pub(super) fn renew_budget(&mut self) {
        self.budget.renew(self.pipes.len());
    }

    /// Whether a message can be sent to all it may be for.
    #[inline]
    fn check_size(&self, message: &Outgoing<'_>) -> Result<(), Refusal> {
        if self.largest.is_any() { Ok(()) } else { self.largest.check(message) }
    }

    /// The pattern, and the pipes as it sees them.
    #[inline]
    pub(super) fn split(&mut self, options: &SocketOptions) -> (&mut O, View<'_>) {
        let view = View {
            pipes: &mut self.pipes,
            effects: &mut self.effects,
            mark: options.send_high_water,
            conflate: options.conflate,
            lanes: options.link.lanes.count(),
            lane: 0,
            datagrams: options.datagrams,
            fits: false,
        };
        (&mut self.pattern, view)
    }
}

impl<I: Inbound> In<I> {
    fn renew_budget(&mut self) {
        self.budget.renew(self.lanes.len());
    }

    /// Who waited has what it waited for. It may have left something behind: the next one in line looks.
    #[inline]
    pub(super) fn leave_line(&mut self, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            self.receivers.leave(ticket);
            self.effects.wakes.add(self.receivers.first());
        }
    }

    /// Moves the next message, in the pattern's order, to `into`.
    #[inline(always)]
    pub(super) fn next(&mut self, into: &mut Message) -> Option<Origin> {
        let mut view = LanesView { lanes: &mut self.lanes, wakes: &mut self.effects.wakes };
        let origin = self.pattern.next(&mut view, into)?;
        self.budget.spend(into.byte_len());
        Some(origin)
    }
}

impl In<Answer> {
    /// Drops what has arrived before a request.
    pub(super) fn drain(&mut self) {
        self.pattern.drain(&mut LanesView { lanes: &mut self.lanes, wakes: &mut self.effects.wakes });
    }
}
