//! zocket's side: any kind of socket behind one type, so that tests can be tables of kinds.

use bytes::Bytes;
use interop::libzmq::Kind;
use zocket::{
    Dealer, Event, Frame, Message, Monitor, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub,
};

use crate::content::Frames;
use crate::side::Side;
use crate::within::within;

/// A zocket socket of a kind that libzmq has too.
#[derive(Debug)]
pub(crate) enum Ours {
    Dealer(Dealer),
    Pair(Pair),
    Pub(Pub),
    Pull(Pull),
    Push(Push),
    Rep(Rep),
    Req(Req),
    Router(Router),
    Sub(Sub),
    XPub(XPub),
    XSub(XSub),
}

/// What every kind can do is written once.
macro_rules! each {
    ($ours:expr, $socket:ident => $action:expr) => {
        match $ours {
            Ours::Dealer($socket) => $action,
            Ours::Pair($socket) => $action,
            Ours::Pub($socket) => $action,
            Ours::Pull($socket) => $action,
            Ours::Push($socket) => $action,
            Ours::Rep($socket) => $action,
            Ours::Req($socket) => $action,
            Ours::Router($socket) => $action,
            Ours::Sub($socket) => $action,
            Ours::XPub($socket) => $action,
            Ours::XSub($socket) => $action,
        }
    };
}

impl Ours {
    /// A socket of this kind, named `id` if it can have a routing id, subscribed to everything if it subscribes.
    pub(crate) fn new(kind: Kind, id: &str) -> Self {
        match kind {
            Kind::Dealer if id.is_empty() => Self::Dealer(Dealer::new()),
            Kind::Dealer => Self::Dealer(Dealer::builder().routing_id(id).build()),
            Kind::Pair => Self::Pair(Pair::new()),
            Kind::Pub => Self::Pub(Pub::new()),
            Kind::Pull => Self::Pull(Pull::new()),
            Kind::Push => Self::Push(Push::new()),
            Kind::Rep => Self::Rep(Rep::new()),
            Kind::Req if id.is_empty() => Self::Req(Req::new()),
            Kind::Req => Self::Req(Req::builder().routing_id(id).build()),
            Kind::Router if id.is_empty() => Self::Router(Router::new()),
            Kind::Router => Self::Router(Router::builder().routing_id(id).build()),
            Kind::Sub => {
                let sub = Sub::new();
                sub.subscribe("").unwrap();
                Self::Sub(sub)
            }
            Kind::XPub => Self::XPub(XPub::new()),
            Kind::XSub => {
                let xsub = XSub::new();
                xsub.subscribe("").unwrap();
                Self::XSub(xsub)
            }
            Kind::Stream => unreachable!("no test has a STREAM"),
        }
    }

    /// Binds and says where, in a form libzmq takes.
    pub(crate) async fn bind(&self, at: &str) -> String {
        within(format_args!("zocket to bind {at}"), async {
            each!(self, socket => socket.bind(at).await.unwrap())
        })
        .await
        .to_string()
    }

    pub(crate) fn connect(&self, to: &str) {
        each!(self, socket => socket.connect(to).unwrap());
    }

    pub(crate) fn monitor(&self) -> Monitor {
        each!(self, socket => socket.monitor())
    }

    pub(crate) async fn close(self) {
        within("zocket to close", async { each!(self, socket => { let _unsent = socket.close().await; }) })
            .await;
    }
}

impl Side for Ours {
    async fn send(&self, frames: Frames) {
        let message = message(frames);
        within(format_args!("{self:?} to send"), async {
            match self {
                Self::Dealer(socket) => socket.send(message).await.unwrap(),
                Self::Pair(socket) => socket.send(message).await.unwrap(),
                Self::Pub(socket) => socket.send(message).await.unwrap(),
                Self::Push(socket) => socket.send(message).await.unwrap(),
                Self::Router(socket) => socket.send(message).await.unwrap(),
                Self::XPub(socket) => socket.send(message).await.unwrap(),
                Self::XSub(socket) => socket.send(message).await.unwrap(),
                _ => unreachable!("{self:?} does not send"),
            }
        })
        .await;
    }

    async fn recv(&self) -> Frames {
        let message = within(format_args!("{self:?} to receive"), async {
            match self {
                Self::Dealer(socket) => socket.recv().await.unwrap(),
                Self::Pair(socket) => socket.recv().await.unwrap(),
                Self::Pull(socket) => socket.recv().await.unwrap(),
                Self::Router(socket) => socket.recv().await.unwrap(),
                Self::Sub(socket) => socket.recv().await.unwrap(),
                Self::XPub(socket) => socket.recv().await.unwrap(),
                Self::XSub(socket) => socket.recv().await.unwrap(),
                _ => unreachable!("{self:?} does not receive"),
            }
        })
        .await;
        frames(&message)
    }

    async fn ask(&self, question: Frames) -> Frames {
        let Self::Req(req) = self else {
            self.send(question).await;
            return self.recv().await;
        };
        let reply = within("a reply to zocket's request", req.request(message(question))).await;
        frames(&reply.unwrap())
    }

    async fn answer(&self, check: impl FnOnce(&[Bytes])) {
        let Self::Rep(rep) = self else {
            let question = self.recv().await;
            check(&question);
            return self.send(question).await;
        };
        let request = within("a request to zocket", rep.recv()).await.unwrap();
        let question = request.message().clone();
        check(&frames(&question));
        within("zocket's reply to leave", request.reply(question)).await.unwrap();
    }
}

/// Frames as zocket sends them.
pub(crate) fn message(frames: Frames) -> Message {
    frames.into_iter().map(Frame::from).collect::<Vec<_>>().into()
}

/// Frames as the tests compare them.
pub(crate) fn frames(message: &Message) -> Frames {
    message.frames().iter().map(|frame| frame.clone().into_bytes()).collect()
}

/// Awaits an event that `wanted` picks; the others are skipped.
pub(crate) async fn until(
    monitor: &mut Monitor,
    what: &str,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Event {
    within(format_args!("zocket's monitor to tell {what}"), async {
        loop {
            let event = monitor.next().await.expect("the socket is open");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

/// Awaits a finished handshake: from here on the peer can be sent to.
pub(crate) async fn until_ready(monitor: &mut Monitor) {
    until(monitor, "a finished handshake", |event| matches!(event, Event::Ready { .. })).await;
}

/// Awaits the loss of a connection.
pub(crate) async fn until_gone(monitor: &mut Monitor) {
    until(monitor, "a lost connection", |event| matches!(event, Event::Disconnected { .. })).await;
}
