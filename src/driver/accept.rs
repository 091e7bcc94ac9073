//! A listener: accepts peers and gives each a task of its own.
//!
//! Upgrades and handshakes happen in the peer's task, under one time-out, so a slow peer never delays the
//! next. How many may be unfinished at once is bounded; silent peers cannot use the allowance up, for the
//! oldest of them makes way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time;
use zocket_transport::{Endpoint, Incoming, Listener, Wire};

use super::dial::report_end;
use super::stream::Connection;
use super::{Ends, Port};
use crate::error::Disconnect;
use crate::event::Event;
use crate::sync::TaskGuard;

/// The waits after a failed accept, doubling. When descriptors have run out, only other connections' ends give
/// some back, and asking at once again would spin.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// Accepts until it is aborted. Connections that were accepted live on.
pub(crate) async fn accept(port: Arc<dyn Port>, mut listener: Box<dyn Listener>, tasks: TaskGuard) {
    let endpoint = listener.endpoint().clone();
    let mut unfinished = Unfinished { peers: VecDeque::new(), limit: port.options().max_handshakes.max(1) };
    let mut retry_after = RETRY_FIRST;
    loop {
        match listener.accept().await {
            Ok(incoming) => {
                retry_after = RETRY_FIRST;
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
                let reason = Disconnect::from(error);
                port.report(Event::AcceptFailed { endpoint: endpoint.clone(), reason, retry_after });
                time::sleep(retry_after).await;
                retry_after = (retry_after * 2).min(RETRY_LONGEST);
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
            && let Some((_, oldest)) = self.peers.pop_front()
        {
            oldest.abort();
        }
    }
}

/// Reports a peer that was made way with: its task is dropped where it stands.
struct Crowded<'a> {
    port: &'a dyn Port,
    ends: Option<Ends>,
}

impl Drop for Crowded<'_> {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take() {
            report_end(self.port, None, false, ends, Disconnect::Crowded);
        }
    }
}

/// Serves one accepted peer to its end.
async fn serve(port: Arc<dyn Port>, endpoint: Endpoint, incoming: Incoming, finished: Arc<AtomicBool>) {
    let limit = port.options().handshake_timeout.unwrap_or(Duration::MAX);
    let ends = |peer| Ends { endpoint: endpoint.clone(), peer };
    let link = match time::timeout(limit, incoming).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => {
            return report_end(&*port, None, false, ends(endpoint.clone()), error.into());
        }
        Err(_) => {
            return report_end(&*port, None, false, ends(endpoint.clone()), Disconnect::timed_out(limit));
        }
    };
    let ends = ends(link.peer);
    port.report(Event::Accepted { endpoint: endpoint.clone(), peer: ends.peer.clone() });
    let Wire::Stream(wire) = link.wire else { return };
    let mut crowded = Crowded { port: &*port, ends: Some(ends.clone()) };
    let mut connection = Box::new(Connection::new(wire, Arc::clone(&port), ends.clone(), None));
    connection.handshake().await;
    finished.store(true, Ordering::Relaxed);
    crowded.ends = None;
    let reason = (&mut *connection).await;
    let remains = connection.take_remains();
    if let Some(pipe) = remains.pipe {
        port.lost(pipe, remains.batch);
        port.detach(pipe);
    }
    report_end(&*port, remains.pipe, remains.was_ready, ends, reason);
}
