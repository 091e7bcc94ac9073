//! The tasks, and what else polls I/O: nothing outside this layer does.
//!
//! A task exists only for a descriptor: one per connection ([`stream`], [`datagrams`] or [`links`], under [`dial`] or [`accept`])
//! and one per listener. Drivers are compiled once and not once per socket type: they see a socket as a [`Port`].
//!
//! A driver is a future polled by hand. One `poll` writes until the outbox is empty or the kernel full, reads
//! until the kernel is empty or the lane full, and leaves its waker wherever it stopped.

pub(crate) mod accept;
mod alarm;
mod backoff;
mod datagrams;
pub(crate) mod dial;
mod links;
mod lookout;
mod packets;
mod scratch;
mod stream;
mod sweep;

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use zocket_transport::Endpoint;

pub(crate) use self::alarm::{Alarm, now};
use crate::error::Disconnect;
use crate::event::Event;
use crate::options::SocketOptions;
use crate::pipe::{Apart, Batch, Bell, Chunk, HighWater, Inbox, LaneId, PipeId, Taken};
use crate::pool::Pool;
use crate::sync::{Ticket, Wakes};
use crate::zmtp::{Command, Config, PeerInfo};

/// Who is at the two ends of a link, for events.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// The endpoint of the socket that the link belongs to: what was bound or connected to.
    pub(crate) endpoint: Endpoint,
    /// The peer's own address.
    pub(crate) peer: Endpoint,
}

/// What is left of a connection that ended.
#[derive(Default)]
pub(crate) struct Remains {
    pub(crate) pipe: Option<PipeId>,
    pub(crate) was_ready: bool,
    pub(crate) batch: Batch,
}

/// How tying a waiting pipe to an in-process peer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    /// They are each other's peers.
    Open,
    /// They are, but the socket is closing, and what it had to say is said.
    Closing,
    /// The peer has gone meanwhile; the pipe waits as before.
    Refused,
}

/// A socket as its drivers and its in-process peers see it. Every method locks briefly and returns.
pub(crate) trait Port: Debug + Send + Sync + 'static {
    fn options(&self) -> &SocketOptions;

    /// The buffers of its queues.
    fn pool(&self) -> &Pool;

    /// What the protocol engine of each connection needs to know.
    fn engine_config(&self) -> Arc<Config>;

    /// What an in-process peer is told in place of a handshake.
    fn info(&self) -> PeerInfo;

    fn report(&self, event: Event);

    /// A pipe for a wire peer with so many lanes; `None` once the socket closes. What goes `apart` has a queue of its own and a
    /// driver, as if it were the next lane.
    fn attach(&self, endpoint: &Endpoint, lanes: u8, apart: Apart) -> Option<PipeId>;

    /// A handshake finished. Returns the commands that the peer must hear first, taken together with the
    /// state they come from: later ones will be queued.
    fn identify(&self, pipe: PipeId, info: &PeerInfo, ends: &Ends) -> Result<Vec<Command>, Disconnect>;

    /// A dialled pipe gets a link that has so many lanes, and perhaps something apart.
    fn open_lanes(&self, pipe: PipeId, lanes: u8, apart: Apart);

    /// A lane's driver begins. Its bell rings when [`poll_take`](Self::poll_take) has something after its waker was kept.
    /// A `prompt` one's is kept with the last of what is queued.
    fn drive(&self, lane: LaneId, prompt: bool) -> Bell;

    /// What to write next; hands back what `batch` freed. Without anything, the waker is kept.
    fn poll_take(
        &self,
        lane: LaneId,
        cx: &Context<'_>,
        batch: &mut Batch,
        commands: &mut Vec<Command>,
    ) -> Poll<Taken>;

    /// Takes the only chunk that is queued in exchange for an empty one, if it is one run of no more than `limit` bytes, and
    /// keeps the waker. For a prompt driver without a batch, which writes it at once; of what it cannot write, it makes one.
    fn take_only(&self, lane: LaneId, cx: &Context<'_>, chunk: &mut Chunk, limit: usize) -> bool;

    /// Takes what `batch` freed off the gauge, which else waits for the next [`poll_take`](Self::poll_take).
    fn settle(&self, lane: LaneId, batch: &mut Batch);

    /// The kernel is full: takes what `batch` freed off the gauge. Says why the link must be given up, if it
    /// must; else the waker is kept for that.
    fn blocked(&self, lane: LaneId, cx: &Context<'_>, batch: &mut Batch) -> Option<Disconnect>;

    /// How many messages the lane takes. Without room, the waker is kept.
    fn poll_room(&self, lane: LaneId, cx: &Context<'_>) -> Poll<usize>;

    /// Appends runs of whole frames to the lane. Returns the room that is left.
    fn deliver(&self, lane: LaneId, held: &mut Vec<Bytes>, last: Bytes, messages: usize) -> usize;

    /// As [`deliver`](Self::deliver), by copy.
    fn deliver_copy(&self, lane: LaneId, run: &[u8], messages: usize) -> usize;

    /// Whether anybody wants messages whose first frame is this, of those that nobody has filtered.
    fn wants(&self, topic: &[u8]) -> bool;

    /// The peer subscribed or cancelled, joined or left.
    fn command(&self, pipe: PipeId, command: Command);

    /// The driver of a lane beside the first is gone; `batch` is what it had not finished.
    fn lane_lost(&self, lane: LaneId, batch: Batch);

    /// The first lane has this to say to the peer.
    fn say(&self, pipe: PipeId, command: Command);

    /// The link must end, for a reason that its first lane does not see.
    fn give_up(&self, pipe: PipeId, why: Disconnect);

    /// The link is gone and the pipe stays; `batch` is what the link had not finished.
    fn lost(&self, pipe: PipeId, batch: Batch);

    /// The pipe is gone.
    fn detach(&self, pipe: PipeId);

    /// Ready when a pipe without a link must not get another one. Else the waker is kept.
    fn poll_stop(&self, pipe: PipeId, cx: &Context<'_>) -> Poll<()>;

    /// Ready when the socket closes. For connections that have no pipe yet.
    fn poll_closing(&self, cx: &Context<'_>, ticket: &mut Option<Ticket>) -> Poll<()>;

    /// Gives a place from [`poll_closing`](Self::poll_closing) up.
    fn leave_closing(&self, ticket: Ticket);

    /// Where an in-process peer puts messages for a pipe.
    fn inbox(&self, pipe: PipeId) -> Option<Arc<Inbox>>;

    /// Something came into a pipe's inbox. Whoever is to be woken for it is added to `wakes`. Says whether others wait too.
    fn announce(&self, pipe: PipeId, wakes: &mut Wakes) -> bool;

    /// Whether a pipe's lane is full. If so, its sender is told at low water.
    fn starves(&self, pipe: PipeId) -> bool;

    /// A pipe for an in-process peer that answers to `peer_pipe` of `peer`. `capacity` is what the peer's own
    /// queue would have held.
    fn attach_local(
        &self,
        endpoint: &Endpoint,
        peer: Arc<dyn Port>,
        peer_pipe: PipeId,
        capacity: HighWater,
    ) -> Option<PipeId>;

    /// Ties a waiting pipe to an in-process peer and hands over what has queued up.
    fn link_local(&self, pipe: PipeId, peer: Arc<dyn Port>, peer_pipe: PipeId, capacity: HighWater)
    -> Linked;

    /// The in-process peer is gone, or its pipe `from`. A connected pipe waits for the next one of that name.
    fn unlink_local(&self, pipe: PipeId, peer: &dyn Port, from: PipeId);

    /// The pipe has room again after it refused a message.
    fn resume(&self, pipe: PipeId);
}
