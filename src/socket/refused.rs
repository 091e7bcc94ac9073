//! Why a message was not taken.

use crate::error::{TooLarge, TrySendError};
use crate::message::Message;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Closed,
    Unroutable,
    /// For callers that do not wait.
    Full,
    NoPeer,
    /// For the datagrams it would go in.
    TooLarge {
        limit: u32,
    },
}

impl Refusal {
    /// The error that says so, with the message on its way back.
    ///
    /// Each of its variants is one pointer and nothing beside it, so that a result is two words, which return in
    /// registers. One with the limit beside the pointer was put together in memory, byte by byte, and read from there as
    /// a whole, which stalled every `send` that succeeded: a twelfth of the time of 64 bytes.
    pub(super) fn of(self, message: Message) -> TrySendError {
        match self {
            Self::Closed => TrySendError::Closed(Box::new(message)),
            Self::Unroutable => TrySendError::Unroutable(Box::new(message)),
            Self::Full => TrySendError::Full(Box::new(message)),
            Self::NoPeer => TrySendError::NoPeer(Box::new(message)),
            Self::TooLarge { limit } => TrySendError::TooLarge(Box::new(TooLarge { message, limit })),
        }
    }
}
