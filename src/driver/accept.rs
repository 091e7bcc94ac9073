//! A listener: accepts peers and gives each a task of its own.
//!
//! Upgrades and handshakes happen in the peer's task, each under the handshake time-out, so a slow peer never
//! delays the next. How many may be unfinished at once is bounded: further ones wait in the listener's backlog. Silent
//! peers do not hold it up for good, for the oldest of them makes way, but not before it had a fair time: when the next
//! one in line was let in at once, half of 2 000 clients that came together were turned away, and came again. The price:
//! while all are silent, a listener takes four times its allowance in a second and no more.
//!
//! Invariant: however a task ends, dropped in mid-flight too, its pipe goes with it.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{self, Instant};
use zocket_transport::{BoxFuture, CloseReason, Closer, Endpoint, Incoming, Link, Listener, Medium};

use super::dial::report_end;
use super::stream::Driven;
use super::{Ends, Port, datagrams, links};
use crate::error::Disconnect;
use crate::event::Event;
use crate::sync::{TaskGuard, lock};
use crate::zmtp::SocketKind;

/// The waits after a failed accept, doubling. When descriptors have run out, only other connections' ends give
/// some back, and asking at once again would spin.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// How long a peer may take for its handshake while another one waits for its place: many round trips, and twice what
/// a thousand handshakes at once cost us.
const FAIR: Duration = Duration::from_millis(250);

/// How long to wait before a listener is tried again.
pub(super) struct Retries(Duration);

impl Default for Retries {
    fn default() -> Self {
        Self(RETRY_FIRST)
    }
}

impl Retries {
    /// It works.
    pub(super) const fn reset(&mut self) {
        self.0 = RETRY_FIRST;
    }

    pub(super) fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(RETRY_LONGEST);
        wait
    }
}

/// Accepts until it is aborted. Connections that were accepted live on.
pub(crate) async fn accept(
    port: Arc<dyn Port>,
    mut listener: Box<dyn Listener>,
    medium: Medium,
    tasks: TaskGuard,
) {
    let endpoint = listener.endpoint().clone();
    if let Some(wire) = listener.datagrams() {
        if port.engine_config().kind == SocketKind::Dish || medium == Medium::Multicast {
            return datagrams::receive(wire, port, endpoint).await;
        }
        // Its peers live on, as those of other listeners do.
        let (open, serve) = links::Hall::open(wire, port, endpoint);
        let guard = tasks.clone();
        tokio::spawn(async move {
            serve.await;
            drop(guard);
        });
        pending::<()>().await;
        return drop(open);
    }
    let mut unfinished = Unfinished::new(port.options().max_handshakes);
    let mut retries = Retries::default();
    loop {
        match listener.accept().await {
            Ok(incoming) => {
                retries.reset();
                let place = unfinished.place().await;
                let finished = Arc::new(AtomicBool::new(false));
                let serving = Serving::new(Arc::clone(&port), endpoint.clone(), &incoming, tasks.clone());
                let beginning = Box::pin(serving.begin(incoming, Arc::clone(&finished), place));
                unfinished.add(finished, tokio::spawn(serve(beginning)).abort_handle());
            }
            Err(error) => {
                let (reason, retry_after) = (Disconnect::from(error), retries.next());
                port.report(Event::AcceptFailed { endpoint: endpoint.clone(), reason, retry_after });
                time::sleep(retry_after).await;
            }
        }
    }
}

/// Serves one accepted peer to its end. What it needs until it is known stands apart, and what it is then stands here
/// once: a thousand peers would each keep the room for it.
async fn serve(beginning: BoxFuture<'static, Option<Serving>>) {
    if let Some(serving) = &mut beginning.await {
        serving.end().await;
    }
}

/// Peers in their handshake.
struct Unfinished {
    /// A permit for each that may be there.
    places: Arc<Semaphore>,
    limit: usize,
    /// Oldest first. Those behind it may have finished.
    peers: VecDeque<Beginner>,
}

struct Beginner {
    since: Instant,
    finished: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Beginner {
    fn is_done(&self) -> bool {
        self.finished.load(Ordering::Relaxed) || self.task.is_finished()
    }
}

impl Unfinished {
    fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(limit)), limit, peers: VecDeque::new() }
    }

    /// A place for the next peer: a free one, or that of the oldest when it has had its fair time.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        let mut place = pin!(Arc::clone(&self.places).acquire_owned());
        while let Some(due) = self.oldest_due() {
            if let Ok(place) = time::timeout_at(due, place.as_mut()).await {
                return place.ok();
            }
            // It may have finished just now, and the next oldest not have had its time.
            if self.oldest_due().is_some_and(|due| due <= Instant::now()) {
                self.evict_oldest();
                break;
            }
        }
        place.await.ok()
    }

    /// When the oldest that has not finished has had its fair time.
    fn oldest_due(&mut self) -> Option<Instant> {
        while self.peers.front().is_some_and(Beginner::is_done) {
            self.peers.pop_front();
        }
        self.peers.front().map(|oldest| oldest.since + FAIR)
    }

    fn evict_oldest(&mut self) {
        if let Some(oldest) = self.peers.pop_front()
            // Unless it finishes just now: whoever sets this first has decided.
            && !oldest.finished.swap(true, Ordering::Relaxed)
        {
            oldest.task.abort();
        }
    }

    fn add(&mut self, finished: Arc<AtomicBool>, task: AbortHandle) {
        self.peers.push_back(Beginner { since: Instant::now(), finished, task });
        if self.peers.len() > 2 * self.limit {
            self.peers.retain(|peer| !peer.is_done());
        }
    }
}

/// A peer that is served. Ends with it when dropped, since a task that makes way is dropped where it stands.
struct Serving {
    port: Arc<dyn Port>,
    /// None until the transport has made a link of the peer.
    connection: Option<Driven>,
    closer: Option<SharedCloser>,
    ends: Ends,
    reason: Disconnect,
    _guard: TaskGuard,
}

/// The closer of a link whose close is a message: the connection's, and ours if its task is dropped.
type SharedCloser = Arc<Mutex<Option<Closer>>>;

impl Serving {
    fn new(port: Arc<dyn Port>, endpoint: Endpoint, incoming: &Incoming, guard: TaskGuard) -> Self {
        let peer = incoming.peer().unwrap_or(&endpoint).clone();
        let ends = Ends { endpoint, peer };
        Self { port, connection: None, closer: None, ends, reason: Disconnect::Crowded, _guard: guard }
    }

    /// Serves the peer to the end of its handshake, and keeps its place so long. `None`: that was its own end, or it has
    /// made way.
    async fn begin(
        mut self,
        incoming: Incoming,
        finished: Arc<AtomicBool>,
        _place: Option<OwnedSemaphorePermit>,
    ) -> Option<Self> {
        if let Err(reason) = self.open(incoming).await {
            self.reason = reason;
            return None;
        }
        if finished.swap(true, Ordering::Relaxed) {
            return None;
        }
        // From here on a task is only dropped with its runtime.
        self.reason = Disconnect::Closed;
        Some(self)
    }

    async fn open(&mut self, incoming: Incoming) -> Result<(), Disconnect> {
        let limit = self.port.options().handshake_timeout.unwrap_or(Duration::MAX);
        let link = time::timeout(limit, incoming).await.map_err(|_| Disconnect::timed_out(limit))??;
        let link = self.share_closer(link);
        self.ends.peer = link.peer.clone();
        let Ends { endpoint, peer } = self.ends.clone();
        self.port.report(Event::Accepted { endpoint, peer });
        let connection = Driven::new(link, Arc::clone(&self.port), self.ends.clone(), None)?;
        self.connection.insert(connection).handshake().await;
        Ok(())
    }

    /// Serves the peer to its end.
    async fn end(&mut self) {
        if let Some(connection) = &self.connection {
            self.reason = connection.end().await;
        }
    }

    /// Keeps a hold on the link's closer.
    fn share_closer(&mut self, mut link: Link) -> Link {
        let Some(closer) = link.closer.take() else { return link };
        let shared = Arc::new(Mutex::new(Some(closer)));
        self.closer = Some(Arc::clone(&shared));
        link.with_closer(Closer::new(move |why| {
            let closer = lock(&shared).take();
            if let Some(closer) = closer {
                closer.close(why);
            }
        }))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let remains = self.connection.as_ref().map(Driven::take_remains).unwrap_or_default();
        let closer = self.closer.take().and_then(|shared| lock(&shared).take());
        if !remains.was_ready
            && let Some(closer) = closer
        {
            // At once: nothing was said that is worth being delivered first.
            closer.close(self.reason.told().unwrap_or(CloseReason::TryLater));
        }
        if let Some(pipe) = remains.pipe {
            self.port.lost(pipe, remains.batch);
            self.port.detach(pipe);
        }
        let ends = self.connection.as_ref().map_or_else(|| self.ends.clone(), Driven::ends);
        report_end(&*self.port, remains.pipe, remains.was_ready, ends, self.reason.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::stream::Connection;
    use crate::pipe::{Inlet, Outboxes};

    /// How large that is which a function makes.
    const fn size_of_made<A, T>(_: &impl Fn(A) -> T) -> usize {
        size_of::<T>()
    }

    #[test]
    fn an_idle_peer_keeps_little() {
        let task = size_of_made(&serve);
        // With what tokio adds it fills three units of 128 bytes, by which tokio aligns tasks.
        assert!(task <= 256, "{task} bytes of an accepted peer's task");
        let kept = size_of::<Mutex<Connection>>() + size_of::<Inlet>() + size_of::<Outboxes>();
        assert!(kept <= 1312, "{kept} bytes of its connection and queues");
    }
}
