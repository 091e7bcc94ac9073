//! The futures of `send` and `recv`: they hold a place in line, and pass it on when they are dropped.

use std::future::poll_fn;

use super::core::Core;
use super::outlets::View;
use super::pace::Line;
use super::{Composition, Peer};
use crate::error::TrySendError;
use crate::message::{IntoMessage, Message, Outgoing};
use crate::pattern::{Origin, Routed};
use crate::pipe::UNCOPIED;
use crate::pool::CHUNK;
use crate::sync::Ticket;

/// A sender's place in line.
pub(super) struct Sending<'a, P: Composition> {
    pub(super) core: &'a Core<P>,
    pub(super) line: Line,
}

impl<P: Composition> Drop for Sending<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.line.ticket.take() {
            self.core.leave_senders(ticket);
        }
    }
}

/// A receiver's place in line.
pub(super) struct Receiving<'a, P: Composition> {
    pub(super) core: &'a Core<P>,
    pub(super) ticket: Option<Ticket>,
}

impl<P: Composition> Drop for Receiving<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.core.leave_receivers(ticket);
        }
    }
}

impl<P: Composition> Core<P> {
    /// Sends, or waits until it can. A message that was refused comes back.
    pub(super) async fn send(
        &self,
        message: impl IntoMessage,
        mut route: impl FnMut(&mut P::Outbound, &mut Outgoing<'_>, &mut View<'_>) -> Routed,
    ) -> Result<(), TrySendError> {
        if let Some(bytes) = encodable(&message)
            && self.send_now(&mut Outgoing::Bytes(bytes), &mut route)
        {
            return Ok(());
        }
        let mut message = self.make(message);
        let mut outgoing = Outgoing::Made(&mut message);
        if self.send_now(&mut outgoing, &mut route) {
            return Ok(());
        }
        let mut place = Sending { core: self, line: Line::default() };
        let sent = poll_fn(|cx| self.poll_send(cx, &mut place.line, &mut outgoing, &mut route)).await;
        sent.map_err(|refusal| refusal.of(message))
    }

    /// The message, its payload in a buffer of the context's if it is to be a copy of a large one.
    fn make(&self, message: impl IntoMessage) -> Message {
        match message.as_bytes().filter(|bytes| bytes.len() > CHUNK) {
            Some(bytes) => self.context.pool().copy(bytes).into(),
            None => message.into_message(),
        }
    }

    /// Sends if nothing is to be waited for. A message that was refused comes back.
    pub(super) fn try_send(
        &self,
        message: impl IntoMessage,
        mut route: impl FnMut(&mut P::Outbound, &mut Outgoing<'_>, &mut View<'_>) -> Routed,
    ) -> Result<(), TrySendError> {
        if let Some(bytes) = encodable(&message) {
            let sent = self.attempt(&mut Outgoing::Bytes(bytes), &mut route);
            return sent.map_err(|refusal| refusal.of(message.into_message()));
        }
        let mut message = self.make(message);
        let sent = self.attempt(&mut Outgoing::Made(&mut message), &mut route);
        sent.map_err(|refusal| refusal.of(message))
    }

    /// Moves the next message to `into`, or waits for it. `None`: the socket is closed.
    pub(super) async fn receive(&self, into: &mut Message) -> Option<Origin> {
        if let Some(origin) = self.recv_now(into) {
            return Some(origin);
        }
        let mut place = Receiving { core: self, ticket: None };
        poll_fn(|cx| self.poll_recv(cx, &mut place.ticket, into)).await
    }

    /// A snapshot of the pipes. The two directions are looked at one after the other.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let mut peers: Vec<_> = {
            let out = self.lock_out();
            let peer = |(pipe, state): (_, &super::outlets::OutPipe)| {
                let (send_queue, send_queue_bytes) = state.queued();
                Peer {
                    pipe,
                    endpoint: state.endpoint.clone(),
                    info: state.peer.as_ref().map(|(info, _)| info.clone()),
                    send_queue,
                    send_queue_bytes,
                    receive_queue: 0,
                    receive_queue_bytes: 0,
                    dropped: state.dropped.total,
                }
            };
            out.pipes.iter().map(peer).collect()
        };
        let inn = self.lock_in();
        for peer in &mut peers {
            if let Some(lane) = inn.lanes.get(peer.pipe) {
                (peer.receive_queue, peer.receive_queue_bytes) = lane.load();
            }
        }
        peers
    }
}

/// The bytes of a message that is better copied to the queue than made.
#[inline]
fn encodable(message: &impl IntoMessage) -> Option<&[u8]> {
    message.as_bytes().filter(|bytes| bytes.len() < UNCOPIED)
}
