//! How large a message may be, where it goes in datagrams: what `send` takes must fit.

use super::refused::Refusal;
use crate::message::Outgoing;
use crate::zmtp::frame::header_len;

/// The largest message that all it may be sent over can carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Largest {
    /// All frames together.
    bytes: usize,
    /// Whether the headers of the frames count.
    framed: bool,
}

impl Largest {
    pub(super) const ANY: Self = Self { bytes: usize::MAX, framed: false };

    #[inline]
    pub(super) const fn is_any(self) -> bool {
        self.bytes == usize::MAX
    }

    /// So many bytes of payload.
    pub(super) const fn payload(bytes: usize) -> Self {
        Self { bytes, framed: false }
    }

    /// So many bytes of frames, with their headers.
    pub(super) const fn frames(bytes: usize) -> Self {
        Self { bytes, framed: true }
    }

    /// Both must carry it. Those of one socket differ in nothing but whether there is a limit.
    pub(super) fn and(self, other: Self) -> Self {
        if other.bytes < self.bytes { other } else { self }
    }

    #[cold]
    pub(super) fn check(self, message: &Outgoing<'_>) -> Result<(), Refusal> {
        let mut bytes = message.byte_len();
        if self.framed {
            message.each_frame(|frame, _| bytes += header_len(frame.len()));
        }
        if bytes <= self.bytes {
            return Ok(());
        }
        Err(Refusal::TooLarge { limit: u32::try_from(self.bytes).unwrap_or(u32::MAX) })
    }
}
