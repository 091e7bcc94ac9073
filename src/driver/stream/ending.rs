//! How a connection ends: what is still read, what the peer is told, and what is left.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::Context;

use tokio::io::AsyncWrite;

use super::{Connection, Phase};
use crate::driver::Remains;
use crate::error::Disconnect;

impl Connection {
    pub(super) fn take_remains(&mut self) -> Remains {
        let batch = std::mem::take(&mut self.batch);
        // From here on nobody writes in our stead.
        let phase = std::mem::replace(&mut self.phase, Phase::Farewell);
        Remains { pipe: self.pipe, was_ready: phase != Phase::Handshake, batch }
    }

    /// Whether its end is a message to the peer, which comes behind everything else.
    pub(super) const fn closes_by_message(&self) -> bool {
        self.closer.is_some() || self.number > 0
    }

    /// What a wire that closes by itself calls a broken pipe: the peer hears no more, but what it said before is still
    /// to be read, up to its end.
    pub(super) fn unheard(&mut self, why: Disconnect, cx: &Context<'_>) -> Result<bool, Disconnect> {
        match &why {
            Disconnect::Io(error) if self.closes_by_message() && error.kind() == ErrorKind::BrokenPipe => {
                self.blocked(cx)
            }
            _ => Err(why),
        }
    }

    pub(super) fn leave_closing(&mut self) {
        if let Some(ticket) = self.closing.take() {
            self.port.leave_closing(ticket);
        }
    }

    /// Tells the peer why: closes with a reason, or else says what the engine has to say, if that goes at once.
    pub(super) fn last_words(&mut self, why: &Disconnect, cx: &mut Context<'_>) {
        if let (Some(reason), Some(closer)) = (why.told(), self.closer.take()) {
            closer.close(reason);
        } else if self.batch.is_empty() && self.owes() {
            let control = self.engine.control();
            drop(Pin::new(&mut self.wire).poll_write(cx, control));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave_closing();
        self.sweeper.hand_over(self.port.pool());
        if let (Some(pipe), 1..) = (self.pipe, self.number) {
            self.port.lane_lost(self.lane_of(pipe), std::mem::take(&mut self.batch));
        }
    }
}
