//! What happens to a socket's connections, as a stream that never holds them up.
//!
//! Each [`Monitor`] has a ring of its own. Whoever reports only pushes to it; a ring that is full counts what
//! it misses, and the monitor says so with [`Event::Lagged`] where the gap is.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use zocket_transport::Endpoint;

use crate::error::Disconnect;
use crate::message::Frame;
use crate::pipe::PipeId;
use crate::sync::{Wakes, lock};
use crate::zmtp::PeerInfo;

/// How many events a monitor that is not read keeps: enough for a few hundred peers that come back at once.
const RING: usize = 1024;

/// Something that happened to a connection or a listener.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A listener is open, at the resolved endpoint.
    Listening {
        /// Where.
        endpoint: Endpoint,
    },
    /// A listener is closed: `unbind` or `close`.
    Unbound {
        /// Where it was.
        endpoint: Endpoint,
    },
    /// A listener could not accept, as when descriptors run out. It tries again.
    AcceptFailed {
        /// The listener.
        endpoint: Endpoint,
        /// What the system said.
        reason: Disconnect,
        /// When it tries again.
        retry_after: Duration,
    },
    /// A peer reached a listener. Its handshake begins.
    Accepted {
        /// The listener.
        endpoint: Endpoint,
        /// The peer's address.
        peer: Endpoint,
    },
    /// A connection was made. Its handshake begins.
    Connected {
        /// What was connected to.
        endpoint: Endpoint,
        /// The peer's address, with its name resolved.
        peer: Endpoint,
    },
    /// A handshake failed. That connection ended.
    HandshakeFailed {
        /// The endpoint of this socket that it belongs to.
        endpoint: Endpoint,
        /// The peer's address.
        peer: Endpoint,
        /// Which rule was broken, or what else happened.
        reason: Disconnect,
    },
    /// A handshake finished: messages flow.
    Ready {
        /// The pipe to that peer.
        pipe: PipeId,
        /// The endpoint of this socket that it belongs to.
        endpoint: Endpoint,
        /// The peer's address.
        peer: Endpoint,
        /// What the peer says of itself.
        info: PeerInfo,
    },
    /// The peer's routing id belongs to another peer. It stays connected, unread, until that one leaves.
    Muted {
        /// The pipe to that peer.
        pipe: PipeId,
        /// The id both claim.
        routing_id: Frame,
    },
    /// A peer over quic is at another address than before: its router has forgotten it, or it has moved to another
    /// network. The connection goes on. Told when something of the peer's is read on the first lane after that: if it is
    /// else silent, its answer to the next heartbeat. The address is where its packets come from, and not yet proven.
    PathChanged {
        /// The pipe to that peer.
        pipe: PipeId,
        /// The endpoint of this socket that it belongs to.
        endpoint: Endpoint,
        /// Where the peer was.
        before: Endpoint,
        /// Where it is now. Later events of this connection name it so.
        peer: Endpoint,
    },
    /// A connection that was ready ended.
    Disconnected {
        /// The pipe it served.
        pipe: PipeId,
        /// The endpoint of this socket that it belongs to.
        endpoint: Endpoint,
        /// The peer's address.
        peer: Endpoint,
        /// Why.
        reason: Disconnect,
    },
    /// A connection could not be made, or ended, and is tried again.
    Retrying {
        /// Whom we try to reach.
        endpoint: Endpoint,
        /// Why the last attempt or connection ended.
        reason: Disconnect,
        /// When the next attempt starts.
        after: Duration,
    },
    /// A connection is given up for good, as [`Reconnect`](crate::Reconnect) asks.
    GaveUp {
        /// Whom we tried to reach.
        endpoint: Endpoint,
        /// Why the last attempt failed.
        reason: Disconnect,
    },
    /// Messages were dropped. Reported when the first is dropped, and for the rest when the pipe moves again.
    Dropped {
        /// The pipe they were in, or on their way to.
        pipe: PipeId,
        /// How many since the last report.
        messages: u64,
        /// Why.
        reason: Dropped,
    },
    /// The monitor was not read in time and missed this many events, here.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// Why messages were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// The peer's send queue was at its high-water mark (PUB, XPUB, XSUB, RADIO, ROUTER without `mandatory`).
    QueueFull,
    /// The connection ended, and the pipe does not keep messages for the next one.
    LinkLost,
    /// The socket closed, and linger was over.
    Linger,
    /// They arrived as datagrams while the receive queue was at its high-water mark.
    ReceiverFull,
    /// They are datagrams that no peer should send: cut short, too long, or larger than this socket takes.
    Malformed,
    /// They came to a multicast group from a PUB that has no place beside the 256 that are followed.
    Crowded,
    /// They were sent as datagrams and did not arrive here, or so late that nobody waited for them any more. Each is told
    /// once, about a second after it was missed: as this or as [`Late`](Self::Late).
    Lost,
    /// As datagrams they arrived here after later ones.
    Late,
    /// Over udp: with the envelope that a request or reply gets they did not fit into a datagram.
    TooLarge,
    /// They could not be sent as datagrams. At the receiver they are [`Lost`](Self::Lost).
    NotSent,
}

/// The events of one socket, from the moment it was made: a [`Stream`] that ends when the socket is closed.
///
/// It never holds a connection up. It keeps the last 1024 events; when it is read too slowly it says how many
/// it missed.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Event, Pull};
///
/// let pull = Pull::new();
/// let mut events = pull.monitor();
/// pull.bind("tcp://127.0.0.1:0").await?;
/// assert!(matches!(events.next().await, Some(Event::Listening { .. })));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Monitor {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
}

impl Monitor {
    /// The next event; `None` once the socket is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut ring = lock(&self.ring);
        if let Some(event) = ring.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if ring.missed > 0 {
            return Poll::Ready(Some(Event::Lagged { missed: std::mem::take(&mut ring.missed) }));
        }
        if ring.ended {
            return Poll::Ready(None);
        }
        ring.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Stream for Monitor {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

/// The monitors of one socket.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    rings: Mutex<Vec<Arc<Mutex<Ring>>>>,
}

impl Monitors {
    pub(crate) fn add(&self) -> Monitor {
        let ring = Arc::default();
        lock(&self.rings).push(Arc::clone(&ring));
        Monitor { ring }
    }

    /// Tells every monitor that is still there. Leaf locks only: may be called under any other.
    pub(crate) fn report(&self, event: &Event) {
        self.each(|ring| {
            // What comes after a gap is missed with it, until the monitor has seen the gap.
            if ring.events.len() < RING && ring.missed == 0 {
                ring.events.push_back(event.clone());
            } else {
                ring.missed += 1;
            }
        });
    }

    pub(crate) fn end(&self) {
        self.each(|ring| ring.ended = true);
    }

    fn each(&self, mut change: impl FnMut(&mut Ring)) {
        let mut wakes = Wakes::default();
        lock(&self.rings).retain(|ring| {
            let is_watched = Arc::strong_count(ring) > 1;
            if is_watched {
                let mut ring = lock(ring);
                change(&mut ring);
                wakes.add(ring.waker.take());
            }
            is_watched
        });
        wakes.fire();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_monitor_is_told_how_many_events_it_missed() {
        let monitors = Monitors::default();
        let mut monitor = monitors.add();
        let endpoint: Endpoint = "tcp://127.0.0.1:1".parse().unwrap();
        for _ in 0..RING + 5 {
            monitors.report(&Event::Listening { endpoint: endpoint.clone() });
        }
        for _ in 0..RING {
            assert!(matches!(monitor.next().await, Some(Event::Listening { .. })));
        }
        assert!(matches!(monitor.next().await, Some(Event::Lagged { missed: 5 })));
        monitors.report(&Event::Unbound { endpoint });
        monitors.end();
        assert!(matches!(monitor.next().await, Some(Event::Unbound { .. })));
        assert!(monitor.next().await.is_none());
    }
}
