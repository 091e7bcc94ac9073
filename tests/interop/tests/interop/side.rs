//! One side of a conversation, and the two scripts that a pair of sides plays.
//!
//! The asker sends; the answerer checks what it hears and, where the pattern has a way back, sends the very same
//! frames back for the asker to check. Which frames the pattern itself adds (routing ids, the empty delimiter) is
//! in one table here, so a script is the same for zocket and libzmq and for every pair of kinds.

use bytes::Bytes;
use interop::libzmq::Kind;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::content::{Frames, assert_same};
use crate::within::{TICK, within};

/// A socket that can play. libzmq's side blocks inside and never yields, on a thread of its own.
pub(crate) trait Side {
    async fn send(&self, frames: Frames);
    async fn recv(&self) -> Frames;

    /// Sends and waits for the answer.
    async fn ask(&self, frames: Frames) -> Frames {
        self.send(frames).await;
        self.recv().await
    }

    /// Receives, lets `check` look, and sends the same frames back.
    async fn answer(&self, check: impl FnOnce(&[Bytes])) {
        let frames = self.recv().await;
        check(&frames);
        self.send(frames).await;
    }
}

/// The part a side plays. Its name is its routing id, where its kind has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Asker,
    Answerer,
}

impl Role {
    pub(crate) const BOTH: [Self; 2] = [Self::Asker, Self::Answerer];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Asker => Self::Answerer,
            Self::Answerer => Self::Asker,
        }
    }

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Asker => "asker",
            Self::Answerer => "answerer",
        }
    }
}

/// Two kinds that talk, the one that starts first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairing {
    pub(crate) asker: Kind,
    pub(crate) answerer: Kind,
}

impl Pairing {
    /// Every pair of kinds that libzmq and zocket both have; PAIR, DEALER and ROUTER also meet their own kind.
    pub(crate) const ALL: [Self; 10] = [
        Self::new(Kind::Push, Kind::Pull),
        Self::new(Kind::Pub, Kind::Sub),
        Self::new(Kind::XPub, Kind::XSub),
        Self::new(Kind::Req, Kind::Rep),
        Self::new(Kind::Dealer, Kind::Router),
        Self::new(Kind::Req, Kind::Router),
        Self::new(Kind::Dealer, Kind::Rep),
        Self::new(Kind::Dealer, Kind::Dealer),
        Self::new(Kind::Router, Kind::Router),
        Self::new(Kind::Pair, Kind::Pair),
    ];

    pub(crate) const fn new(asker: Kind, answerer: Kind) -> Self {
        Self { asker, answerer }
    }

    pub(crate) fn kind(self, role: Role) -> Kind {
        match role {
            Role::Asker => self.asker,
            Role::Answerer => self.answerer,
        }
    }

    fn publishes(self) -> bool {
        matches!(self.asker, Kind::Pub | Kind::XPub)
    }

    fn one_way(self) -> bool {
        self.publishes() || self.asker == Kind::Push
    }

    /// The frames the asking program must put in front.
    fn asked(self, message: &[Bytes]) -> Frames {
        let lead = match (self.asker, self.answerer) {
            (Kind::Router, _) => Some(Bytes::from(Role::Answerer.id())),
            (Kind::Dealer, Kind::Rep) => Some(Bytes::new()),
            _ => None,
        };
        lead.into_iter().chain(message.iter().cloned()).collect()
    }

    /// The frames the answering program finds in front.
    fn heard(self, message: &[Bytes]) -> Frames {
        let id = (self.answerer == Kind::Router).then(|| Bytes::from(Role::Asker.id()));
        let delimiter = (self.asker == Kind::Req && self.answerer == Kind::Router).then(Bytes::new);
        id.into_iter().chain(delimiter).chain(message.iter().cloned()).collect()
    }
}

/// Whether the subscriber has heard the publisher: nothing else tells that a subscription took effect.
#[derive(Debug, Default)]
pub(crate) struct Heard(Notify);

/// Published until heard.
pub(crate) const CALL: &[u8] = b"can you hear me?";

/// Plays `role` through all messages.
pub(crate) async fn play(side: &impl Side, role: Role, pairing: Pairing, messages: &[Frames], heard: &Heard) {
    match role {
        Role::Asker => ask_all(side, pairing, messages, heard).await,
        Role::Answerer => answer_all(side, pairing, messages, heard).await,
    }
}

async fn ask_all(side: &impl Side, pairing: Pairing, messages: &[Frames], heard: &Heard) {
    if pairing.publishes() {
        within(format_args!("the subscriber of {pairing:?} to hear anything"), async {
            while timeout(TICK, heard.0.notified()).await.is_err() {
                side.send(vec![Bytes::from_static(CALL)]).await;
            }
        })
        .await;
    }
    for (number, message) in messages.iter().enumerate() {
        let question = pairing.asked(message);
        if pairing.one_way() {
            side.send(question).await;
        } else {
            let answer = side.ask(question.clone()).await;
            assert_same(&answer, &question, &format!("answer {number} of {pairing:?}"));
        }
    }
}

async fn answer_all(side: &impl Side, pairing: Pairing, messages: &[Frames], heard: &Heard) {
    let mut called = pairing.publishes().then_some(async || {
        loop {
            let frames = side.recv().await;
            heard.0.notify_one();
            if frames != [CALL] {
                return frames;
            }
        }
    });
    for (number, message) in messages.iter().enumerate() {
        let wanted = pairing.heard(message);
        let check = |got: &[Bytes]| assert_same(got, &wanted, &format!("message {number} of {pairing:?}"));
        match called.take() {
            Some(first) => check(&first().await),
            None if pairing.one_way() => check(&side.recv().await),
            None => side.answer(check).await,
        }
    }
}
