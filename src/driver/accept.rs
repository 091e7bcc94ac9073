//! A listener: accepts peers and gives each a task of its own.
//!
//! Upgrades and handshakes happen in the peer's task, each under the handshake time-out, so a slow peer never
//! delays the next. How many may be unfinished at once is bounded; silent peers cannot use the allowance up,
//! for the oldest of them makes way.
//!
//! Invariant: however a task ends, dropped in mid-flight too, its pipe goes with it.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time;
use zocket_transport::{CloseReason, Closer, Endpoint, Incoming, Link, Listener, Medium};

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
    let mut unfinished = Unfinished { peers: VecDeque::new(), limit: port.options().max_handshakes.max(1) };
    let mut retries = Retries::default();
    loop {
        match listener.accept().await {
            Ok(incoming) => {
                retries.reset();
                let finished = Arc::new(AtomicBool::new(false));
                let task = serve(Arc::clone(&port), endpoint.clone(), incoming, Arc::clone(&finished));
                let guard = tasks.clone();
                let task = tokio::spawn(async move {
                    task.await;
                    drop(guard);
                });
                unfinished.add(finished, task.abort_handle());
            }
            Err(error) => {
                let (reason, retry_after) = (Disconnect::from(error), retries.next());
                port.report(Event::AcceptFailed { endpoint: endpoint.clone(), reason, retry_after });
                time::sleep(retry_after).await;
            }
        }
    }
}

/// Peers in their handshake, oldest first.
struct Unfinished {
    peers: VecDeque<(Arc<AtomicBool>, AbortHandle)>,
    limit: usize,
}

impl Unfinished {
    fn add(&mut self, finished: Arc<AtomicBool>, task: AbortHandle) {
        let is_done = |(finished, task): &(Arc<AtomicBool>, AbortHandle)| {
            finished.load(Ordering::Relaxed) || task.is_finished()
        };
        while self.peers.front().is_some_and(is_done) {
            self.peers.pop_front();
        }
        self.peers.push_back((finished, task));
        if self.peers.len() > self.limit {
            self.peers.retain(|peer| !is_done(peer));
        }
        if self.peers.len() > self.limit
            && let Some((finished, oldest)) = self.peers.pop_front()
            // Unless it finishes just now: whoever sets this first has decided.
            && !finished.swap(true, Ordering::Relaxed)
        {
            oldest.abort();
        }
    }
}

/// A peer that is served. Ends with it when dropped, since a task that makes way is dropped where it stands.
struct Serving {
    port: Arc<dyn Port>,
    /// None until the transport has made a link of the peer.
    connection: Option<Driven>,
    closer: SharedCloser,
    ends: Ends,
    reason: Disconnect,
}

/// The closer of a link whose close is a message: the connection's, and ours if its task is dropped.
type SharedCloser = Arc<Mutex<Option<Closer>>>;

impl Serving {
    /// Keeps a hold on the link's closer.
    fn share_closer(&mut self, mut link: Link) -> Link {
        let Some(closer) = link.closer.take() else { return link };
        *lock(&self.closer) = Some(closer);
        let shared = Arc::clone(&self.closer);
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
        let closer = lock(&self.closer).take();
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

/// Serves one accepted peer to its end.
async fn serve(port: Arc<dyn Port>, endpoint: Endpoint, incoming: Incoming, finished: Arc<AtomicBool>) {
    let limit = port.options().handshake_timeout.unwrap_or(Duration::MAX);
    let peer = incoming.peer().unwrap_or(&endpoint).clone();
    let ends = Ends { endpoint, peer };
    let closer = SharedCloser::default();
    let mut serving = Serving { port, connection: None, closer, ends, reason: Disconnect::Crowded };
    let link = match time::timeout(limit, incoming).await.map_err(|_| Disconnect::timed_out(limit)) {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return serving.reason = error.into(),
        Err(late) => return serving.reason = late,
    };
    let link = serving.share_closer(link);
    serving.ends.peer = link.peer.clone();
    let Ends { endpoint, peer } = serving.ends.clone();
    serving.port.report(Event::Accepted { endpoint, peer });
    let connection = match Driven::new(link, Arc::clone(&serving.port), serving.ends.clone(), None) {
        Ok(connection) => serving.connection.insert(connection),
        Err(reason) => return serving.reason = reason,
    };
    connection.handshake().await;
    if finished.swap(true, Ordering::Relaxed) {
        return;
    }
    // From here on a task is only dropped with its runtime.
    serving.reason = Disconnect::Closed;
    serving.reason = connection.end().await;
}
