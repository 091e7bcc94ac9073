//! Datagrams on their way to the kernel, and room for those that come from it: lent to whichever task is polled.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use zocket_transport::{Datagrams, ReceiveBatch, Route, SendBatch};

/// The most answers that wait while the kernel is full. Whoever misses one asks again.
const WAITING: usize = 1024;

/// Datagrams to be sent together, and what each of them is of a pipe's batch.
#[derive(Default)]
pub(super) struct Packets {
    datagrams: SendBatch,
    notes: VecDeque<Note>,
    /// The datagram that is being written.
    scratch: BytesMut,
}

struct Note {
    /// None if the socket is connected.
    to: Option<Route>,
    frames: usize,
}

/// What became of a datagram, or of several to one address that were sent.
pub(super) struct Gone {
    pub(super) to: Option<Route>,
    /// How much of the batch is in them.
    pub(super) frames: usize,
    pub(super) sent: io::Result<()>,
}

impl Packets {
    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.notes.len()
    }

    /// Whether it is time to send.
    pub(super) fn is_full(&self) -> bool {
        self.datagrams.is_full()
    }

    /// Whom they are for, who connected to us.
    pub(super) fn receivers(&self) -> impl Iterator<Item = Route> {
        self.notes.iter().filter_map(|note| note.to)
    }

    /// Adds what `write` writes, if it writes anything.
    pub(super) fn put<R>(&mut self, to: Option<Route>, write: impl FnOnce(&mut BytesMut) -> R) -> R {
        self.scratch.clear();
        let result = write(&mut self.scratch);
        if !self.scratch.is_empty() {
            self.datagrams.push(&self.scratch, to);
            self.notes.push_back(Note { to, frames: 0 });
        }
        result
    }

    /// As [`put`](Self::put), for what may as well get lost.
    pub(super) fn answer<R>(&mut self, to: Option<Route>, write: impl FnOnce(&mut BytesMut) -> R) -> R {
        if self.notes.len() < WAITING { self.put(to, write) } else { write(&mut BytesMut::new()) }
    }

    /// So many bytes of the pipe's batch are in the last datagram.
    pub(super) fn counts(&mut self, frames: usize) {
        if let Some(last) = self.notes.back_mut() {
            last.frames = frames;
        }
    }

    /// A peer has gone: of its batch nothing is in them any more.
    pub(super) fn forget(&mut self, to: Option<Route>) {
        self.notes.iter_mut().filter(|note| note.to == to).for_each(|note| note.frames = 0);
    }

    /// Sends all of them, in order, and tells what became of them. Pending: the kernel is full, and the rest stays. An
    /// error is about an earlier datagram that nobody wanted, or of a connected socket that there is no way; the rest
    /// stays too.
    pub(super) fn poll_flush(
        &mut self,
        wire: &dyn Datagrams,
        cx: &mut Context<'_>,
        mut gone: impl FnMut(Gone),
    ) -> Poll<io::Result<()>> {
        while !self.notes.is_empty() {
            match ready!(wire.poll_send(cx, &self.datagrams)) {
                Ok(count) => {
                    self.datagrams.advance(count);
                    let mut notes = self.notes.drain(..count.min(self.notes.len())).peekable();
                    while let Some(Note { to, mut frames }) = notes.next() {
                        while let Some(same) = notes.next_if(|next| next.to == to) {
                            frames += same.frames;
                        }
                        gone(Gone { to, frames, sent: Ok(()) });
                    }
                }
                Err(error) if is_nobody_there(&error) => return Poll::Ready(Err(error)),
                // Whatever follows would fail too, where all goes one way.
                Err(error)
                    if (is_no_way(&error) || is_astray(&error))
                        && self.notes.front().is_some_and(|note| note.to.is_none()) =>
                {
                    return Poll::Ready(Err(error));
                }
                Err(error) => {
                    self.datagrams.advance(1);
                    if let Some(Note { to, frames }) = self.notes.pop_front() {
                        gone(Gone { to, frames, sent: Err(error) });
                    }
                }
            }
        }
        self.datagrams.clear();
        Poll::Ready(Ok(()))
    }
}

/// About a datagram that was sent before, says the system: nobody listened where it arrived.
pub(super) fn is_nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

/// There is no way now, and there may be one again.
pub(super) fn is_no_way(error: &io::Error) -> bool {
    use ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), HostUnreachable | NetworkDown | NetworkUnreachable)
}

/// The address that a socket sends from is not this machine's any more: only a new one finds a way.
fn is_astray(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable
}

/// Datagrams that could not be sent stay here until the next `poll`.
pub(super) type Rest = Option<Packets>;

/// Runs `work` with datagrams to be sent, those that are left from the last time among them, and room for what arrives.
/// Each thread has one of each: a thousand idle links have none.
pub(super) fn lend<R>(rest: &mut Rest, work: impl FnOnce(&mut Packets, &mut ReceiveBatch) -> R) -> R {
    thread_local! {
        static SPARE: Cell<(Packets, Option<ReceiveBatch>)> = Cell::default();
    }
    let (spare, room) = SPARE.take();
    let mut room = room.unwrap_or_default();
    let (mut packets, mut spare) = match rest.take() {
        Some(packets) => (packets, Some(spare)),
        None => (spare, None),
    };
    let result = work(&mut packets, &mut room);
    if packets.is_empty() {
        spare = Some(packets);
    } else {
        *rest = Some(packets);
    }
    SPARE.set((spare.unwrap_or_default(), Some(room)));
    result
}
