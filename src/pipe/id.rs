//! The name of a pipe, which is all that patterns know of it, and of its lanes.

use std::fmt;

/// Names one pipe of one socket: the queues between it and one peer.
///
/// A pipe made by `connect` outlives reconnections; one made by an accepted peer ends with its connection.
/// Ids are never used twice within a socket, so a stale one names nobody rather than somebody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId {
    slot: u32,
    generation: u32,
}

impl PipeId {
    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// Where the pipe lives in its socket's tables.
    pub(crate) const fn slot(self) -> usize {
        self.slot as usize
    }

    /// How many pipes had that place before.
    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    /// One of its lanes.
    pub(crate) const fn lane(self, number: u8) -> LaneId {
        LaneId { pipe: self, number }
    }
}

/// One lane of a pipe. Every pipe has number 0; only over transports that have lanes there may be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneId {
    pub(crate) pipe: PipeId,
    pub(crate) number: u8,
}

impl fmt::Debug for PipeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipe {}.{}", self.slot, self.generation)
    }
}
