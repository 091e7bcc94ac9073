//! A hundred peers at once on one socket, in both directions: nobody is left out, nothing is mixed up.
//!
//! libzmq's hundred live in one context and are served in turn by one thread; zocket's hundred are a task each.

use std::sync::Arc;

use bytes::Bytes;
use interop::libzmq::{Context, Kind, Opt};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zocket::{Dealer, Pub, Pull, Push, Router, Sub};

use crate::content::{Frames, text};
use crate::ours::{frames, message};
use crate::side::CALL;
use crate::theirs::Theirs;
use crate::within::{TICK, blocking, within};

const PEERS: usize = 100;
const MESSAGES: usize = 10;

/// The n-th message of a peer.
fn numbered(peer: usize, number: usize) -> Frames {
    text([&format!("peer {peer}"), &number.to_string()])
}

/// A hundred libzmq sockets of a kind, connected to `at`, named by their number where they can be.
fn libzmq_crowd(kind: Kind, at: &str) -> Vec<Theirs> {
    let context = Context::new();
    let connect = |peer: usize| {
        let theirs = Theirs::plain(&context, kind);
        match kind {
            Kind::Dealer => {
                theirs.socket.set_bytes(Opt::RoutingId, format!("peer {peer}").as_bytes()).unwrap()
            }
            Kind::Sub => theirs.socket.set_bytes(Opt::Subscribe, b"").unwrap(),
            _ => {}
        }
        theirs.socket.connect(at).unwrap();
        theirs
    };
    (0..PEERS).map(connect).collect()
}

/// Ticks off messages of many peers, which come in order for each peer and in any order between them.
struct Tally([usize; PEERS]);

impl Tally {
    fn new() -> Self {
        Self([0; PEERS])
    }

    fn count(&mut self, got: &[Bytes]) {
        let name = std::str::from_utf8(&got[0]).unwrap();
        let peer: usize = name.strip_prefix("peer ").unwrap().parse().unwrap();
        assert_eq!(got, numbered(peer, self.0[peer]), "the next message of peer {peer}");
        self.0[peer] += 1;
    }

    fn assert_complete(&self) {
        assert_eq!(self.0, [MESSAGES; PEERS]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zocket_pull_hears_every_one_of_a_hundred_libzmq_pushers() {
    let pull = Pull::new();
    let at = pull.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let pushing = blocking(move || {
        let crowd = libzmq_crowd(Kind::Push, &at);
        for number in 0..MESSAGES {
            crowd.iter().enumerate().for_each(|(peer, push)| push.tell(numbered(peer, number)));
        }
        crowd
    });
    let pulling = async {
        let mut tally = Tally::new();
        for _ in 0..PEERS * MESSAGES {
            tally.count(&frames(&within("a message of the crowd", pull.recv()).await.unwrap()));
        }
        tally.assert_complete();
    };
    let (crowd, ()) = tokio::join!(pushing, pulling);
    blocking(move || drop(crowd)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zocket_router_answers_each_of_a_hundred_libzmq_dealers() {
    let router = Router::new();
    let at = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let asking = blocking(move || {
        let crowd = libzmq_crowd(Kind::Dealer, &at);
        for number in 0..MESSAGES {
            crowd.iter().enumerate().for_each(|(peer, dealer)| dealer.tell(numbered(peer, number)));
        }
        for number in 0..MESSAGES {
            for (peer, dealer) in crowd.iter().enumerate() {
                assert_eq!(dealer.hear(), numbered(peer, number));
            }
        }
    });
    let answering = async {
        for _ in 0..PEERS * MESSAGES {
            let question = within("a question of the crowd", router.recv()).await.unwrap();
            assert_eq!(question[0], question[1], "the routing id is the peer's name");
            within("an answer to leave", router.send(question)).await.unwrap();
        }
    };
    tokio::join!(asking, answering);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zocket_pub_reaches_each_of_a_hundred_libzmq_subscribers() {
    let publisher = Pub::new();
    let at = publisher.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let everybody = Arc::new(Notify::new());
    let heard = everybody.clone();
    let listening = blocking(move || {
        let crowd = libzmq_crowd(Kind::Sub, &at);
        crowd.iter().for_each(|sub| assert_eq!(sub.hear(), [CALL]));
        heard.notify_one();
        for sub in &crowd {
            let mut next = std::iter::repeat_with(|| sub.hear()).filter(|frames| *frames != [CALL]);
            for number in 0..MESSAGES {
                assert_eq!(next.next().unwrap(), numbered(0, number));
            }
        }
    });
    let publishing = async {
        within("everybody to hear the call", async {
            while timeout(TICK, everybody.notified()).await.is_err() {
                publisher.send(CALL).await.unwrap();
            }
        })
        .await;
        for number in 0..MESSAGES {
            publisher.send(message(numbered(0, number))).await.unwrap();
        }
    };
    tokio::join!(listening, publishing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_libzmq_pull_hears_every_one_of_a_hundred_zocket_pushers() {
    let pull = Theirs::plain(&Context::new(), Kind::Pull);
    let at = pull.socket.bind("tcp://127.0.0.1:0").unwrap();
    let mut crowd = JoinSet::new();
    for peer in 0..PEERS {
        let at = at.clone();
        crowd.spawn(async move {
            let push = Push::new();
            push.connect(&*at).unwrap();
            for number in 0..MESSAGES {
                within("a message to leave", push.send(message(numbered(peer, number)))).await.unwrap();
            }
            push
        });
    }
    blocking(move || {
        let mut tally = Tally::new();
        (0..PEERS * MESSAGES).for_each(|_| tally.count(&pull.hear()));
        tally.assert_complete();
    })
    .await;
    drop(crowd.join_all().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_libzmq_router_answers_each_of_a_hundred_zocket_dealers() {
    let router = Theirs::plain(&Context::new(), Kind::Router);
    let at = router.socket.bind("tcp://127.0.0.1:0").unwrap();
    let mut crowd = JoinSet::new();
    for peer in 0..PEERS {
        let at = at.clone();
        crowd.spawn(async move {
            let dealer = Dealer::builder().routing_id(&*format!("peer {peer}")).build();
            dealer.connect(&*at).unwrap();
            for number in 0..MESSAGES {
                let question = message(numbered(peer, number));
                within("a question to leave", dealer.send(question.clone())).await.unwrap();
                assert_eq!(within("an answer", dealer.recv()).await.unwrap(), question);
            }
        });
    }
    let router = blocking(move || {
        for _ in 0..PEERS * MESSAGES {
            let question = router.hear();
            assert_eq!(question[0], question[1], "the routing id is the peer's name");
            router.tell(question);
        }
        router
    });
    let (_router, _) = tokio::join!(router, crowd.join_all());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_libzmq_publisher_reaches_each_of_a_hundred_zocket_subscribers() {
    // An XPUB that reports every subscription, so that it knows when all are there.
    let publisher = Theirs::plain(&Context::new(), Kind::XPub).with(Opt::XPubVerbose, 1);
    let at = publisher.socket.bind("tcp://127.0.0.1:0").unwrap();
    let mut crowd = JoinSet::new();
    for _ in 0..PEERS {
        let at = at.clone();
        crowd.spawn(async move {
            let sub = Sub::new();
            sub.subscribe("").unwrap();
            sub.connect(&*at).unwrap();
            for number in 0..MESSAGES {
                let got = within("a publication", sub.recv()).await.unwrap();
                assert_eq!(frames(&got), numbered(0, number));
            }
        });
    }
    let publisher = blocking(move || {
        (0..PEERS).for_each(|_| assert_eq!(publisher.hear(), [&b"\x01"[..]]));
        (0..MESSAGES).for_each(|number| publisher.tell(numbered(0, number)));
        publisher
    });
    let (_publisher, _) = tokio::join!(publisher, crowd.join_all());
}
