//! In-process peers: two sockets of one context that share queues.
//!
//! No task and no system call: `send` puts the message into the peer's lane. What a handshake settles on a
//! wire, socket types, routing ids and subscriptions, is exchanged here by calls.

use std::sync::Arc;

use zocket_transport::Endpoint;

use crate::context::{Context, Waiter};
use crate::driver::{Ends, Linked, Port};
use crate::error::Disconnect;
use crate::event::Event;
use crate::pipe::PipeId;
use crate::zmtp::{ProtocolError, SocketKind, may_talk};

/// Ties a waiting pipe to whoever has bound the name, now or later.
pub(super) fn seek(port: &Arc<dyn Port>, context: &Context, pipe: PipeId, endpoint: &Endpoint) {
    // A binder frees its name before it closes: one found closing is not found again.
    while let Some(binder) = context.hub().connect(endpoint.address(), || (Arc::downgrade(port), pipe)) {
        if binder.upgrade().is_some_and(|binder| link(port, pipe, &binder, endpoint)) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Ties those who waited for a name to the socket that binds it.
pub(super) fn welcome(binder: &Arc<dyn Port>, context: &Context, waiting: Vec<Waiter>, endpoint: &Endpoint) {
    for (port, pipe) in waiting {
        if let Some(port) = port.upgrade()
            && !link(&port, pipe, binder, endpoint)
        {
            seek(&port, context, pipe, endpoint);
        }
    }
}

/// Makes a pipe of the connecter and a new pipe of the binder each other's peers. False: the binder is closing.
fn link(connecter: &Arc<dyn Port>, pipe: PipeId, binder: &Arc<dyn Port>, endpoint: &Endpoint) -> bool {
    let ends = Ends { endpoint: endpoint.clone(), peer: endpoint.clone() };
    let (ours, theirs) = (connecter.info(), binder.info());
    if let (Some(ours), Some(theirs)) = (ours.kind(), theirs.kind())
        && !may_talk(ours, theirs)
    {
        give_up(&**connecter, pipe, ends, ProtocolError::KindMismatch { ours, theirs }.into());
        return true;
    }
    let capacity = connecter.options().send_high_water;
    let Some(answer) = binder.attach_local(endpoint, Arc::clone(connecter), pipe, capacity) else {
        return false;
    };
    // Normally the binder knows the connecter before any message of it arrives. A publisher that connects must
    // know its subscriber first: it is told the subscriptions, or groups, as soon as that hears of it.
    let publishes = ours.kind().is_some_and(SocketKind::takes_commands);
    let know_connecter = || binder.identify(answer, &ours, &ends).inspect_err(|_| binder.detach(answer));
    if !publishes && let Err(reason) = know_connecter() {
        if matches!(reason, Disconnect::Closed) {
            // The binder is closing.
            return false;
        }
        give_up(&**connecter, pipe, ends.clone(), reason);
        return true;
    }
    let linked = connecter.link_local(pipe, Arc::clone(binder), answer, binder.options().send_high_water);
    if linked == Linked::Refused {
        binder.detach(answer);
        return false;
    }
    let known = connecter.identify(pipe, &theirs, &ends);
    match known.and_then(|_| if publishes { know_connecter() } else { Ok(Vec::new()) }) {
        Ok(_) => {}
        // It has been disconnected, or unlinked again, meanwhile.
        Err(Disconnect::Closed) => {
            binder.detach(answer);
            return true;
        }
        Err(reason) => {
            give_up(&**connecter, pipe, ends, reason);
            return true;
        }
    }
    // While the two were being tied, nobody told the binder of room in the connecter's lane.
    binder.resume(answer);
    let (endpoint, peer) = (ends.endpoint, ends.peer);
    binder.report(Event::Ready { pipe: answer, endpoint: endpoint.clone(), peer: peer.clone(), info: ours });
    connecter.report(Event::Ready { pipe, endpoint, peer, info: theirs });
    if linked == Linked::Closing {
        // It lingered for this.
        connecter.detach(pipe);
    }
    true
}

/// The two will never talk.
fn give_up(connecter: &dyn Port, pipe: PipeId, ends: Ends, reason: Disconnect) {
    let Ends { endpoint, peer } = ends;
    connecter.report(Event::HandshakeFailed { endpoint: endpoint.clone(), peer, reason: reason.clone() });
    connecter.report(Event::GaveUp { endpoint, reason });
    connecter.detach(pipe);
}
