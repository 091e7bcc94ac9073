//! The lanes of a socket, as its pattern sees them.

use crate::message::Message;
use crate::pattern::Lanes;
use crate::pipe::{Inlet, PipeId, Table};
use crate::sync::Wakes;
use crate::zmtp::Envelope;

/// The lanes of a socket for the length of one critical section.
pub(super) struct LanesView<'a> {
    pub(super) lanes: &'a mut Table<Inlet>,
    pub(super) wakes: &'a mut Wakes,
}

impl LanesView<'_> {
    /// Somebody waited for room that is there now, or for the end of a lane whose pipe is gone.
    #[cold]
    fn settle(&mut self, from: PipeId) {
        let Some(inlet) = self.lanes.get_mut(from) else { return };
        self.wakes.add_all(inlet.take_resumed());
        if inlet.is_orphaned() && inlet.is_empty() {
            self.lanes.remove(from);
        }
    }
}

impl Lanes for LanesView<'_> {
    #[inline(always)]
    fn pop(&mut self, from: PipeId, into: &mut Message) -> bool {
        let Some(inlet) = self.lanes.get_mut(from) else { return false };
        let popped = inlet.pop(into);
        if popped && inlet.is_due() {
            self.settle(from);
        }
        popped
    }

    fn strip(&mut self, from: PipeId, envelope: Envelope) -> Option<bool> {
        self.lanes.get_mut(from)?.strip(envelope)
    }

    fn is_drained(&mut self, from: PipeId) -> bool {
        self.lanes.get(from).is_some_and(Inlet::is_drained)
    }

    fn open(&mut self, from: PipeId) -> Option<Envelope> {
        self.lanes.get_mut(from)?.open()
    }
}
