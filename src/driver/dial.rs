//! A dialled connection: connect, drive, back off, again, for as long as the pipe lives.
//!
//! The pipe, with what is queued in it, outlives every link.

use std::sync::Arc;
use std::task::Poll;

use tokio::time;
use zocket_transport::{Endpoint, Link, Medium, Transport, Wire};

use super::backoff::Backoff;
use super::stream::Driven;
use super::{Ends, Port, datagrams, links};
use crate::error::Disconnect;
use crate::event::Event;
use crate::options::Stops;
use crate::pipe::PipeId;
use crate::zmtp::SocketKind;

/// Keeps `pipe` connected to `endpoint` until it is told to stop, then detaches it.
pub(crate) async fn dial(
    port: Arc<dyn Port>,
    pipe: PipeId,
    endpoint: Endpoint,
    transport: Arc<dyn Transport>,
) {
    let config = port.options().reconnect;
    let mut backoff = Backoff::new(config);
    // Links on which nobody was met.
    let mut failed = 0_usize;
    loop {
        let connecting = transport.connect_after(failed, &endpoint, &port.options().link);
        let reason = match unless_stopped(&*port, pipe, connecting).await {
            None => break,
            Some(Err(error)) => Disconnect::from(error),
            Some(Ok(link)) => {
                let medium = transport.medium(&endpoint);
                let (reason, was_ready) = serve(&port, pipe, &endpoint, link, medium).await;
                if was_ready {
                    backoff.reset();
                } else {
                    failed = failed.wrapping_add(1);
                }
                reason
            }
        };
        if unless_stopped(&*port, pipe, async {}).await.is_none() {
            break;
        }
        let gives_up = match config.stops {
            Stops::Never => false,
            Stops::OnRefusal => reason.is_refusal(),
            Stops::Always => true,
        };
        if gives_up {
            port.report(Event::GaveUp { endpoint, reason });
            break;
        }
        let after = backoff.wait(reason.is_refusal(), fastrand::f64());
        port.report(Event::Retrying { endpoint: endpoint.clone(), reason, after });
        if unless_stopped(&*port, pipe, time::sleep(after)).await.is_none() {
            break;
        }
    }
    port.detach(pipe);
}

/// Drives one link to its end. Returns why it ended, and whether its handshake had finished.
async fn serve(
    port: &Arc<dyn Port>,
    pipe: PipeId,
    endpoint: &Endpoint,
    link: Link,
    medium: Medium,
) -> (Disconnect, bool) {
    let ends = Ends { endpoint: endpoint.clone(), peer: link.peer.clone() };
    port.report(Event::Connected { endpoint: ends.endpoint.clone(), peer: ends.peer.clone() });
    let (reason, remains) = if let Wire::Datagrams(wire) = link.wire {
        let (port, ends) = (Arc::clone(port), ends.clone());
        if port.engine_config().kind == SocketKind::Radio || medium == Medium::Multicast {
            datagrams::transmit(wire, port, pipe, ends).await
        } else {
            links::call(wire, port, pipe, ends).await
        }
    } else {
        match Driven::new(link, Arc::clone(port), ends.clone(), Some(pipe)) {
            Ok(connection) => (connection.end().await, connection.take_remains()),
            Err(reason) => return (reason, false),
        }
    };
    port.lost(pipe, remains.batch);
    report_end(&**port, Some(pipe), remains.was_ready, ends, reason.clone());
    (reason, remains.was_ready)
}

/// Says how a connection ended: as a failed handshake, or as a lost peer.
pub(super) fn report_end(
    port: &dyn Port,
    pipe: Option<PipeId>,
    was_ready: bool,
    ends: Ends,
    reason: Disconnect,
) {
    let Ends { endpoint, peer } = ends;
    port.report(match pipe {
        Some(pipe) if was_ready => Event::Disconnected { pipe, endpoint, peer, reason },
        _ => Event::HandshakeFailed { endpoint, peer, reason },
    });
}

/// Runs `work` unless the pipe is told to stop first.
async fn unless_stopped<F: Future>(port: &dyn Port, pipe: PipeId, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        if port.poll_stop(pipe, cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}
