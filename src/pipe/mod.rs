//! The data plane: the queues between a socket and its peers.
//!
//! Between `send` and the kernel, and between the kernel and `recv`, there is exactly one queue of chunks of
//! ZMTP frames: bytes cross threads, messages do not. `send` encodes into the last chunk of the peer's queue,
//! the connection's task moves whole chunks to and from the kernel, `recv` decodes one message from the front
//! chunk. Between in-process peers there is no connection: `send` encodes into the lane of the peer, or moves the
//! message there if it is a large one.
//!
//! Everything here is plain data: no task, no clock, and no lock but that of an [`Inbox`]. A socket has two locks, one
//! over its outgoing queues and routing, one over its lanes. The lock order is
//!
//! ```text
//! outbound of a subscriber → outbound of its in-process publisher → inbound of any socket → inbox
//! ```
//!
//! so that a `send` may hand a message to an in-process peer's lane, and a `subscribe` may reach an in-process
//! publisher. Besides, nothing but the lock of the [`crate::pool`] is taken under `inbound`, except by a REQ: it hands a
//! request to an in-process REP or ROUTER under its own, which nobody wants who holds theirs. Wakers run after
//! unlocking ([`crate::sync::Wakes`]).
//!
//! *Tried:* a lock per outgoing queue below the socket's routing lock. A `send` then takes two locks, and a
//! fan-out one per peer, to save the drivers a wait of some tens of nanoseconds once a batch.

mod batch;
mod bell;
mod chunk;
mod commands;
mod id;
mod inbox;
mod inlet;
mod lane;
mod mark;
mod outbox;
mod outboxes;
mod parcels;
mod queue;
mod table;

pub(crate) use batch::{Batch, SLICES};
pub(crate) use bell::Bell;
pub(crate) use chunk::Chunk;
pub(crate) use id::LaneId;
pub use id::PipeId;
pub(crate) use inbox::Inbox;
pub(crate) use inlet::Inlet;
pub(crate) use lane::Lane;
pub use mark::HighWater;
pub(crate) use outbox::{Closing, Outbox, Taken};
pub(crate) use outboxes::{Apart, Outboxes};
pub(crate) use parcels::weight;
pub(crate) use queue::{CHEAP, COPIED, ChunkQueue, UNCOPIED};
pub(crate) use table::Table;

/// How many bytes a task moves before it lets others run: what is under way then stays in a core's own cache, beside
/// everything else. Connections and sockets have the same, but for connections where much waits to be received, which read
/// less: when a connection read twice what a receiver takes in a turn, the lane filled up to its mark as long as the kernel
/// had more, and 32 KiB a message went a sixth slower over tcp. Twice as much for both lost up to a tenth at 256 KiB a
/// message; half as much loses a fourth at 1 and 4 KiB over tcp.
pub(crate) const TURN: usize = 256 * 1024;

/// What became of a message offered to one pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The pipe has it, or would take it.
    Taken,
    /// The pipe is at its high-water mark.
    Full,
    /// There is no such pipe any more.
    Gone,
}
