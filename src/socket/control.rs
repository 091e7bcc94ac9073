//! Bind, connect, and their ends: what happens once per connection rather than once per message.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time;
use zocket_transport::{Endpoint, EndpointError, Medium, Purpose, Transport};

use super::core::Core;
use super::largest::Largest;
use super::outlets::{Outlet, Waiting};
use super::{Composition, inproc};
use crate::driver::{Port, accept, dial};
use crate::error::{BindError, ConnectError, DetachError};
use crate::event::Event;
use crate::options::LINGER;
use crate::pattern::Outbound;
use crate::pipe::{Apart, Closing, Lane, PipeId};
use crate::sync::{TaskGuard, Ticket};
use crate::zmtp::{PeerInfo, SocketKind, datagram, radio};

impl<P: Composition> Core<P> {
    fn port(self: &Arc<Self>) -> Arc<dyn Port> {
        Arc::clone(self) as Arc<dyn Port>
    }

    fn handle(&self) -> io::Result<Handle> {
        if let Some(handle) = self.runtime.get() {
            return Ok(handle.clone());
        }
        let own = self.context.own_runtime()?;
        Ok(self.runtime.get_or_init(|| own).clone())
    }

    fn is_closed(&self) -> bool {
        self.lock_out().closing != Closing::Open
    }

    pub(super) async fn bind(self: &Arc<Self>, at: Endpoint) -> Result<Endpoint, BindError> {
        let transport = self.context.transport(&at, Purpose::Bind)?;
        if self.is_closed() {
            return Err(BindError::Closed);
        }
        let failed = |error: io::Error| BindError::Io { endpoint: at.clone(), source: Arc::new(error) };
        let Some(transport) = transport else {
            let port = self.port();
            let waiting = self
                .context
                .hub()
                .bind(at.address(), Arc::downgrade(&port))
                .map_err(|_| failed(io::ErrorKind::AddrInUse.into()))?;
            self.endpoints.add_bound(at.clone(), None);
            if self.is_closed() {
                self.close_listeners();
                return Err(BindError::Closed);
            }
            self.report(Event::Listening { endpoint: at.clone() });
            inproc::welcome(&port, &self.context, waiting, &at);
            return Ok(at);
        };
        let largest = Self::check_medium(&*transport, &at, Purpose::Bind)?;
        let medium = transport.medium(&at);
        let handle = self.handle().map_err(failed)?;
        // The descriptor must belong to the runtime that will poll it, whoever calls us.
        let binding = transport.bind(&at, &self.options.link);
        let guard = TaskGuard::new(&self.tasks, self.context.tasks());
        let (listener, guard) = match handle.spawn(async move { (binding.await, guard) }).await {
            Ok((listener, guard)) => (listener.map_err(failed)?, guard),
            Err(gone) => return Err(failed(io::Error::other(gone))),
        };
        let endpoint = listener.endpoint().clone();
        self.limit(largest);
        let accepting = accept::accept(self.port(), listener, medium, guard.clone());
        let task = handle.spawn(async move {
            accepting.await;
            // Last, also when aborted: who waits for the tasks finds the address free.
            drop(guard);
        });
        self.endpoints.add_bound(endpoint.clone(), Some(task));
        if self.is_closed() {
            self.close_listeners();
            return Err(BindError::Closed);
        }
        self.report(Event::Listening { endpoint: endpoint.clone() });
        Ok(endpoint)
    }

    pub(super) async fn unbind(&self, at: &Endpoint) -> Result<(), DetachError> {
        let bound = self.endpoints.remove_bound(at).ok_or_else(|| DetachError::Unknown(at.clone()))?;
        match bound.task {
            None => drop(self.context.hub().unbind(at.address())),
            Some(task) => {
                task.abort();
                // Only when the task is gone is the address free.
                drop(task.await);
            }
        }
        self.report(Event::Unbound { endpoint: bound.endpoint });
        Ok(())
    }

    /// Starts connecting. `name` is run on the pipe before anything else can happen to it.
    pub(super) fn connect(
        self: &Arc<Self>,
        to: Endpoint,
        name: impl FnOnce(&mut P::Outbound, PipeId) -> Result<(), ConnectError>,
    ) -> Result<(), ConnectError> {
        let transport = self.context.transport(&to, Purpose::Connect)?;
        if self.is_repeated(&to) {
            return Ok(());
        }
        let Some(transport) = transport else {
            let lane = Lane::in_process(
                self.options.receive_high_water,
                self.options.conflate,
                std::task::Waker::noop().clone(),
            );
            let guard = TaskGuard::new(&self.tasks, self.context.tasks());
            let outlet = Outlet::Waiting(Waiting::new(guard));
            let pipe = self.attach_with(&to, lane, outlet, true).ok_or(ConnectError::Closed)?;
            self.name(pipe, name)?;
            self.endpoints.add_dialled(to.clone(), pipe);
            inproc::seek(&self.port(), &self.context, pipe, &to);
            return Ok(());
        };
        let largest = Self::check_medium(&*transport, &to, Purpose::Connect)?;
        let failed = |error: io::Error| ConnectError::GaveUp { endpoint: to.clone(), reason: error.into() };
        let handle = self.handle().map_err(failed)?;
        let several = transport.medium(&to) == Medium::Streams;
        let lanes = if several { self.options.link.lanes.count() } else { 1 };
        let pipe = self.attach_wire(&to, true, lanes, Apart::Nothing).ok_or(ConnectError::Closed)?;
        self.name(pipe, name)?;
        self.limit(largest);
        self.endpoints.add_dialled(to.clone(), pipe);
        let guard = TaskGuard::new(&self.tasks, self.context.tasks());
        let dialling = dial::dial(self.port(), pipe, to, transport);
        handle.spawn(async move {
            dialling.await;
            drop(guard);
        });
        Ok(())
    }

    fn name(
        &self,
        pipe: PipeId,
        name: impl FnOnce(&mut P::Outbound, PipeId) -> Result<(), ConnectError>,
    ) -> Result<(), ConnectError> {
        let named = name(&mut self.lock_out().pattern, pipe);
        if named.is_err() {
            self.detach(pipe);
        }
        named
    }

    /// From now on nothing larger is sent.
    fn limit(&self, largest: Largest) {
        let mut out = self.lock_out();
        out.largest = out.largest.and(largest);
    }

    /// Says whether this kind uses what an endpoint's transport carries, in this direction, and what that asks of its
    /// messages.
    fn check_medium(
        transport: &dyn Transport,
        endpoint: &Endpoint,
        purpose: Purpose,
    ) -> Result<Largest, EndpointError> {
        let medium = transport.medium(endpoint);
        if matches!(medium, Medium::Stream | Medium::Streams) {
            return Ok(Largest::ANY);
        }
        let framed = Ok(Largest::frames(datagram::MAX_BYTES));
        let largest = match (P::KIND, purpose) {
            (SocketKind::Dish, Purpose::Bind) => Ok(Largest::ANY),
            (SocketKind::Radio, Purpose::Connect) => Ok(Largest::payload(radio::MAX_BYTES)),
            (SocketKind::Radio, Purpose::Bind) => Err("over datagrams a RADIO connects"),
            (SocketKind::Dish, Purpose::Connect) => Err("over datagrams a DISH binds"),
            _ if medium == Medium::Datagrams => framed,
            (SocketKind::Pub | SocketKind::XPub, Purpose::Connect) => framed,
            // What an XSUB sends does not go there.
            (SocketKind::Sub | SocketKind::XSub, Purpose::Bind) => Ok(Largest::ANY),
            (SocketKind::Pub | SocketKind::XPub, Purpose::Bind) => {
                Err("a publisher connects to a multicast group")
            }
            (SocketKind::Sub | SocketKind::XSub, Purpose::Connect) => {
                Err("a subscriber binds a multicast group")
            }
            _ => Err("only publishers and subscribers, RADIO and DISH use multicast groups"),
        };
        largest.map_err(|reason| EndpointError::address(endpoint, endpoint.address(), reason))
    }

    /// Whether this is a second connection to an endpoint, which these kinds do not make (libzmq): it would
    /// double each message, or each subscription.
    fn is_repeated(&self, to: &Endpoint) -> bool {
        matches!(P::KIND, SocketKind::Dealer | SocketKind::Sub | SocketKind::Pub | SocketKind::Req)
            && self.endpoints.dialled(to).is_some_and(|dialled| !dialled.has_given_up())
    }

    /// Resolves when the connection to an endpoint has finished its handshake.
    pub(super) async fn connected(&self, to: &Endpoint) -> Result<PeerInfo, ConnectError> {
        let mut place = Linked { core: self, ticket: None };
        std::future::poll_fn(|cx| {
            let Some(dialled) = self.endpoints.dialled(to) else {
                return Poll::Ready(Err(ConnectError::Unknown(to.clone())));
            };
            let mut out = self.lock_out();
            match out.pipes.get(dialled.pipe).map(|pipe| &pipe.peer) {
                Some(Some((info, _))) => return Poll::Ready(Ok(info.clone())),
                Some(None) if out.closing == Closing::Open => {}
                _ => {
                    drop(out);
                    let gave_up =
                        self.endpoints.dialled(to).and_then(super::endpoints::Dialled::into_gave_up);
                    return Poll::Ready(Err(match gave_up {
                        Some(reason) => ConnectError::GaveUp { endpoint: to.clone(), reason },
                        None => ConnectError::Closed,
                    }));
                }
            }
            out.linked.wait(&mut place.ticket, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Stops using a connection. What is queued for it is still sent, for as long as linger allows.
    pub(super) async fn disconnect(self: &Arc<Self>, from: &Endpoint) -> Result<(), DetachError> {
        let dialled =
            self.endpoints.remove_dialled(from).ok_or_else(|| DetachError::Unknown(from.clone()))?;
        let pipe = dialled.pipe;
        if self.begin_disconnect(pipe) {
            let core = Arc::clone(self);
            let ending = async move {
                if time::timeout(core.linger(), core.gone(pipe)).await.is_err() {
                    core.stop_pipe(pipe);
                }
            };
            match self.handle() {
                Ok(handle) => drop(handle.spawn(ending)),
                Err(_) => self.stop_pipe(pipe),
            }
            self.gone(pipe).await;
        } else {
            self.detach(pipe);
        }
        Ok(())
    }

    /// Routes nothing to the pipe from now on; a driver goes on until its queue is empty. False: there is none.
    fn begin_disconnect(&self, pipe: PipeId) -> bool {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        let notices = out.pattern.detach(pipe);
        self.notify(pipe, notices, &mut out.effects);
        let is_wire = match out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) {
            Some(Outlet::Wire(outboxes)) => {
                let closing = if self.linger().is_zero() { Closing::Now } else { Closing::Draining };
                out.effects.wakes.add_all(outboxes.close(closing));
                true
            }
            _ => false,
        };
        drop(locked);
        is_wire
    }

    /// Resolves when a pipe has been detached.
    async fn gone(&self, pipe: PipeId) {
        let mut place = Linked { core: self, ticket: None };
        std::future::poll_fn(|cx| {
            let mut out = self.lock_out();
            if out.pipes.get(pipe).is_none() {
                return Poll::Ready(());
            }
            out.linked.wait(&mut place.ticket, cx.waker());
            Poll::Pending
        })
        .await;
    }

    fn stop_pipe(&self, pipe: PipeId) {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        if let Some(Outlet::Wire(outboxes)) = out.pipes.get_mut(pipe).map(|pipe| &mut pipe.outlet) {
            out.effects.wakes.add_all(outboxes.close(Closing::Now));
        }
    }

    /// How long unsent messages outlive the socket. Subscribers have none worth waiting for.
    pub(super) fn linger(&self) -> Duration {
        let none = matches!(P::KIND, SocketKind::Sub | SocketKind::XSub | SocketKind::Dish);
        self.options.linger.unwrap_or(if none { Duration::ZERO } else { LINGER })
    }

    /// Closes the socket to its user at once, and to its peers when everything is sent or linger is over.
    /// Returns the task that sees to it, if there is anything to wait for.
    pub(super) fn begin_close(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        // Names are freed first: an in-process peer that finds us closing does not find us again.
        self.close_listeners();
        let linger = self.linger();
        let closing = if linger.is_zero() { Closing::Now } else { Closing::Draining };
        let mut locked = self.lock_out();
        let out = &mut *locked;
        if out.closing != Closing::Open {
            return None;
        }
        out.closing = closing;
        let mut ending = Vec::new();
        for (pipe, state) in out.pipes.iter_mut() {
            match &mut state.outlet {
                Outlet::Wire(outboxes) => out.effects.wakes.add_all(outboxes.close(closing)),
                Outlet::Waiting(waiting) if !waiting.messages.is_empty() && closing == Closing::Draining => {}
                Outlet::Local(_) | Outlet::Waiting(_) => ending.push(pipe),
            }
        }
        out.effects.wakes.add_all(out.senders.all());
        out.effects.wakes.add_all(out.linked.all());
        out.effects.wakes.add_all(out.closers.all());
        drop(locked);
        let mut locked = self.lock_in();
        let inn = &mut *locked;
        inn.closed = true;
        inn.effects.wakes.add_all(inn.receivers.all());
        drop(locked);
        ending.into_iter().for_each(|pipe| self.detach(pipe));
        // Again, for a bind that was under way.
        self.close_listeners();
        if self.tasks.is_idle() {
            self.monitors.end();
            return None;
        }
        let core = Arc::clone(self);
        let ending = async move {
            if time::timeout(linger, core.tasks.done()).await.is_err() {
                core.stop_all();
                core.tasks.done().await;
            }
            core.monitors.end();
        };
        match self.handle() {
            Ok(handle) => Some(handle.spawn(ending)),
            Err(_) => {
                self.stop_all();
                None
            }
        }
    }

    /// Linger is over: every pipe ends, with what it holds.
    fn stop_all(&self) {
        let mut locked = self.lock_out();
        let out = &mut *locked;
        out.closing = Closing::Now;
        let mut ending = Vec::new();
        for (pipe, state) in out.pipes.iter_mut() {
            match &mut state.outlet {
                Outlet::Wire(outboxes) => out.effects.wakes.add_all(outboxes.close(Closing::Now)),
                Outlet::Local(_) | Outlet::Waiting(_) => ending.push(pipe),
            }
        }
        drop(locked);
        ending.into_iter().for_each(|pipe| self.detach(pipe));
    }

    fn close_listeners(&self) {
        for bound in self.endpoints.take_bound() {
            match bound.task {
                Some(task) => task.abort(),
                None => drop(self.context.hub().unbind(bound.endpoint.address())),
            }
            self.report(Event::Unbound { endpoint: bound.endpoint });
        }
    }

    /// Closes and waits. Returns how many messages were not sent.
    pub(super) async fn close(self: &Arc<Self>) -> usize {
        if let Some(ending) = self.begin_close()
            && ending.await.is_err()
        {
            // The runtime is gone, and with it whoever could deliver anything.
            self.stop_all();
        }
        self.tasks.done().await;
        self.monitors.end();
        let out = self.lock_out();
        let stranded: usize = out.pipes.iter().map(|(_, pipe)| pipe.queued().0).sum();
        out.unsent + stranded
    }

    /// The in-process peer left: the pipe waits for the next one of that name. Returns the name.
    pub(super) fn wait_for_name(&self, state: &mut super::outlets::OutPipe) -> Option<Endpoint> {
        state.outlet = Outlet::Waiting(Waiting::new(TaskGuard::new(&self.tasks, self.context.tasks())));
        Some(state.endpoint.clone())
    }
}

/// A place among those who wait for a handshake or a pipe's end, given up with the future that holds it.
struct Linked<'a, P: Composition> {
    core: &'a Core<P>,
    ticket: Option<Ticket>,
}

impl<P: Composition> Drop for Linked<'_, P> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.core.lock_out().linked.leave(ticket);
        }
    }
}
