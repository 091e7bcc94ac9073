//! The lane of an in-process peer, as its sender sees it.

use std::sync::Arc;

use crate::driver::Port;
use crate::message::{Frame, Outgoing};
use crate::pipe::{Inbox, Offer, PipeId};
use crate::sync::Wakes;

#[derive(Debug)]
pub(super) struct Local {
    pub(super) port: Arc<dyn Port>,
    pub(super) pipe: PipeId,
    inbox: Arc<Inbox>,
}

impl Local {
    pub(super) fn new(port: Arc<dyn Port>, pipe: PipeId) -> Self {
        let inbox = port.inbox(pipe).unwrap_or_else(Inbox::gone);
        Self { port, pipe, inbox }
    }

    /// Puts a message into the lane. Whoever is to be woken for it is added to `wakes`.
    #[inline]
    pub(super) fn offer(&self, prefix: &[Frame], message: &mut Outgoing<'_>, wakes: &mut Wakes) -> Offer {
        loop {
            match self.inbox.push(prefix, message) {
                Ok(true) => {
                    self.port.announce(self.pipe, wakes);
                    return Offer::Taken;
                }
                Ok(false) => return Offer::Taken,
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
