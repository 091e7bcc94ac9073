//! libzmq's side: a socket in a context of its own, whose every call ends at the deadline.
//!
//! One context each, so that dropping it means libzmq is really gone: port closed, threads ended.

use bytes::Bytes;
use interop::libzmq::{Context, Error, Event, EventKind, Flags, Kind, Opt, Ready, Socket};

use crate::content::Frames;
use crate::side::Side;
use crate::within::{DEADLINE_MS, TICK, until};

/// How long libzmq may hold unsent messages when it goes: long enough to deliver, short enough after a failure.
const LINGER_MS: i32 = 5_000;
/// Restarts need not be slow; libzmq's own default is 100.
const RECONNECT_MS: i32 = 20;

/// A libzmq socket.
#[derive(Debug)]
pub(crate) struct Theirs {
    pub(crate) socket: Socket,
}

impl Theirs {
    /// As [`Ours::new`](crate::ours::Ours::new): named if it can be, subscribed to everything if it subscribes.
    pub(crate) fn new(kind: Kind, id: &str) -> Self {
        let theirs = Self::plain(&Context::new(), kind);
        // A peer that comes back at once may find its id still taken (see `until_gone`), and would be mute for good.
        if matches!(kind, Kind::Router | Kind::Rep) {
            theirs.socket.set(Opt::RouterHandover, 1).unwrap();
        }
        match kind {
            Kind::Req | Kind::Dealer | Kind::Router if !id.is_empty() => {
                theirs.socket.set_bytes(Opt::RoutingId, id.as_bytes()).unwrap();
            }
            Kind::Sub => theirs.socket.set_bytes(Opt::Subscribe, b"").unwrap(),
            Kind::XSub => theirs.socket.send(b"\x01", Flags::NONE).unwrap(),
            _ => {}
        }
        theirs
    }

    /// A socket without a name or subscriptions.
    pub(crate) fn plain(context: &Context, kind: Kind) -> Self {
        let socket = context.socket(kind).unwrap();
        let options = [
            (Opt::SendTimeout, DEADLINE_MS),
            (Opt::ReceiveTimeout, DEADLINE_MS),
            (Opt::ReconnectInterval, RECONNECT_MS),
        ];
        for (option, value) in options {
            socket.set(option, value).unwrap();
        }
        // Subscribers keep libzmq's own limit of zero: subscriptions are nothing to wait for.
        if !matches!(kind, Kind::Sub | Kind::XSub) {
            socket.set(Opt::Linger, LINGER_MS).unwrap();
        }
        socket.watch().unwrap();
        Self { socket }
    }

    /// Sets an integer option, in the middle of a construction.
    pub(crate) fn with(self, option: Opt, value: i32) -> Self {
        self.socket.set(option, value).unwrap();
        self
    }

    /// Awaits an event, skipping others. The socket is served meanwhile, as it would be in a program that polls:
    /// libzmq takes in new peers and lets go of lost ones only then.
    pub(crate) fn until(&self, kind: EventKind) -> Event {
        until(format_args!("libzmq's {:?} to tell {kind:?}", self.socket.kind()), || {
            self.serve();
            self.socket.next_event(TICK).unwrap().filter(|event| event.kind == kind)
        })
    }

    /// Awaits a finished handshake: from here on the peer can be sent to.
    pub(crate) fn until_ready(&self) {
        self.until(EventKind::HandshakeSucceeded);
        self.serve();
    }

    /// Awaits the loss of the peer, until another one can come. libzmq lets go of it only after two exchanges with
    /// its I/O thread, which no event tells; a PAIR turns away whoever comes before that.
    pub(crate) fn until_gone(&self) {
        self.until(EventKind::Disconnected);
        if self.socket.kind() == Kind::Pair {
            self.socket.poll(Ready::IN, 20 * TICK).unwrap();
        }
    }

    /// Lets libzmq act on what its I/O thread reported. Sending does so only now and then.
    pub(crate) fn serve(&self) {
        self.socket.get(Opt::Events).unwrap();
    }

    /// Sends frames on this thread.
    pub(crate) fn tell<F: AsRef<[u8]>>(&self, frames: impl IntoIterator<Item = F>) {
        self.socket.send_multipart(frames).unwrap_or_else(|error| self.fail("send", error));
    }

    /// Receives on this thread.
    pub(crate) fn hear(&self) -> Frames {
        let frames = self.socket.recv_multipart().unwrap_or_else(|error| self.fail("receive", error));
        frames.into_iter().map(Bytes::from).collect()
    }

    fn fail(&self, action: &str, error: Error) -> ! {
        panic!("waited {DEADLINE_MS} ms for libzmq's {:?} to {action}: {error}", self.socket.kind())
    }
}

impl Side for Theirs {
    async fn send(&self, frames: Frames) {
        self.tell(frames);
    }

    async fn recv(&self) -> Frames {
        self.hear()
    }
}
