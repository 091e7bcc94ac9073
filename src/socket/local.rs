//! The lane of an in-process peer, as its sender sees it.

use std::sync::Arc;

use crate::driver::Port;
use crate::message::Outgoing;
use crate::pipe::{Inbox, Offer, PipeId};
use crate::sync::Wakes;
use crate::zmtp::Prefix;

#[derive(Debug)]
pub(super) struct Local {
    pub(super) port: Arc<dyn Port>,
    pub(super) pipe: PipeId,
    inbox: Arc<Inbox>,
    /// More receivers waited than were woken: the next message is announced whatever is there.
    is_awaited: bool,
}

impl Local {
    pub(super) fn new(port: Arc<dyn Port>, pipe: PipeId) -> Self {
        let inbox = port.inbox(pipe).unwrap_or_else(Inbox::gone);
        Self { port, pipe, inbox, is_awaited: false }
    }

    /// Whether it is this pipe of that peer.
    pub(super) fn is(&self, port: &dyn Port, pipe: PipeId) -> bool {
        self.pipe == pipe && std::ptr::addr_eq(Arc::as_ptr(&self.port), port)
    }

    /// Puts a message into the lane. Whoever is to be woken for it is added to `wakes`.
    #[inline]
    pub(super) fn offer(
        &mut self,
        prefix: Prefix<'_>,
        message: &mut Outgoing<'_>,
        wakes: &mut Wakes,
    ) -> Offer {
        loop {
            match self.inbox.push(prefix, message) {
                Ok(was_empty) => {
                    if was_empty || self.is_awaited {
                        self.is_awaited = self.port.announce(self.pipe, wakes);
                    }
                    return Offer::Taken;
                }
                Err(refusal) if self.stands(refusal) => return refusal,
                Err(_) => {}
            }
        }
    }

    /// Whether a message would be taken. If not, we are told at low water.
    pub(super) fn room(&self) -> Offer {
        let offer = self.inbox.offer();
        if self.stands(offer) { offer } else { Offer::Taken }
    }

    /// Unless there is room by now, which only the receiver knows for sure.
    fn stands(&self, offer: Offer) -> bool {
        offer != Offer::Full || self.port.starves(self.pipe)
    }
}
