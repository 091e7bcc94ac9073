//! Subscriptions coming and going: prefixes, repeats, unsubscribing, and what an XPUB is told about it.
//!
//! The rule of wire.md 4.2: a publisher keeps a *set* of prefixes for each peer. A subscriber may repeat a
//! subscription; the cancel it sends when its own last repeat is gone ends it. An XPUB hears of the first and the
//! last. That notice is also how the tests know that a subscription took effect.

use bytes::Bytes;
use interop::libzmq::{Context, Flags, Kind, Opt};
use zocket::{Sub, XPub, XSub};

use crate::content::{Frames, text};
use crate::ours::{Ours, frames, until_ready};
use crate::side::Side;
use crate::theirs::Theirs;
use crate::within::{blocking, within};

/// What the program of a subscriber does, one after the other.
#[derive(Debug, Clone, Copy)]
enum Act {
    Subscribe(&'static str),
    Unsubscribe(&'static str),
}
use Act::{Subscribe, Unsubscribe};

/// A program, what an XPUB hears of it, and which of `TOPICS` still arrive.
type Row = (&'static [Act], &'static [&'static str], &'static [&'static str]);

const TOPICS: [&str; 5] = ["", "A", "AB", "B", "end"];

/// Each program ends with a subscription to "end", whose notice says that all before it was heard.
const TABLE: [Row; 6] = [
    (&[Subscribe("A"), Subscribe("end")], &["+A", "+end"], &["A", "AB", "end"]),
    (&[Subscribe("A"), Unsubscribe("A"), Subscribe("end")], &["+A", "-A", "+end"], &["end"]),
    (
        &[Subscribe("A"), Subscribe("A"), Unsubscribe("A"), Subscribe("end")],
        &["+A", "+end"],
        &["A", "AB", "end"],
    ),
    (
        &[Subscribe("A"), Subscribe("A"), Unsubscribe("A"), Unsubscribe("A"), Subscribe("end")],
        &["+A", "-A", "+end"],
        &["end"],
    ),
    (
        &[Subscribe("A"), Subscribe("AB"), Unsubscribe("A"), Subscribe("end")],
        &["+A", "+AB", "-A", "+end"],
        &["AB", "end"],
    ),
    (
        &[Subscribe(""), Subscribe("end"), Unsubscribe("end"), Subscribe("end")],
        &["+", "+end", "-end", "+end"],
        &TOPICS,
    ),
];

/// An XPUB's message, readable.
fn notice(frames: &[Bytes]) -> String {
    let [frame] = frames else { panic!("a notice has one frame, not {frames:?}") };
    let sign = match frame[0] {
        0 => '-',
        1 => '+',
        other => panic!("a notice starts with 00 or 01, not {other:02x}"),
    };
    format!("{sign}{}", String::from_utf8_lossy(&frame[1..]))
}

/// The publishing side of a row: hears the notices, then publishes every topic.
async fn publish(xpub: &impl Side, row: Row) {
    let mut notices = Vec::new();
    for _ in row.1 {
        notices.push(notice(&xpub.recv().await));
    }
    assert_eq!(notices, row.1, "notices of {:?}", row.0);
    for topic in TOPICS {
        xpub.send(text([topic, "body"])).await;
    }
}

/// The rest of the subscribing side: what arrives, in order.
async fn gather(sub: &impl Side, row: Row) {
    let mut heard: Vec<Frames> = Vec::new();
    for _ in row.2 {
        heard.push(sub.recv().await);
    }
    let wanted: Vec<_> = row.2.iter().map(|topic| text([topic, "body"])).collect();
    assert_eq!(heard, wanted, "what arrives after {:?}", row.0);
}

fn act_in_libzmq(sub: &Theirs, act: Act) {
    match (sub.socket.kind(), act) {
        (Kind::Sub, Subscribe(topic)) => sub.socket.set_bytes(Opt::Subscribe, topic.as_bytes()).unwrap(),
        (Kind::Sub, Unsubscribe(topic)) => sub.socket.set_bytes(Opt::Unsubscribe, topic.as_bytes()).unwrap(),
        (_, Subscribe(topic)) => sub.socket.send(format!("\x01{topic}").as_bytes(), Flags::NONE).unwrap(),
        (_, Unsubscribe(topic)) => sub.socket.send(format!("\x00{topic}").as_bytes(), Flags::NONE).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zocket_xpub_keeps_a_set_of_prefixes_for_libzmq_subscribers() {
    for kind in [Kind::Sub, Kind::XSub] {
        for row in TABLE {
            let xpub = Ours::XPub(XPub::new());
            let at = xpub.bind("tcp://127.0.0.1:0").await;
            let runtime = tokio::runtime::Handle::current();
            let subscriber = blocking(move || {
                let sub = Theirs::plain(&Context::new(), kind);
                sub.socket.connect(&at).unwrap();
                sub.until_ready();
                row.0.iter().for_each(|act| act_in_libzmq(&sub, *act));
                runtime.block_on(gather(&sub, row));
            });
            tokio::join!(subscriber, publish(&xpub, row));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libzmq_xpub_keeps_a_set_of_prefixes_for_zocket_subscribers() {
    for row in TABLE {
        for kind in [Kind::Sub, Kind::XSub] {
            let xpub = Theirs::plain(&Context::new(), Kind::XPub);
            let at = xpub.socket.bind("tcp://127.0.0.1:0").unwrap();
            let runtime = tokio::runtime::Handle::current();
            let publisher = blocking(move || {
                runtime.block_on(publish(&xpub, row));
                xpub
            });
            let sub = match kind {
                Kind::Sub => Ours::Sub(Sub::new()),
                _ => Ours::XSub(XSub::new()),
            };
            // Connected first: what is taken back before there is a publisher need never be told.
            let mut monitor = sub.monitor();
            sub.connect(&at);
            until_ready(&mut monitor).await;
            for act in row.0 {
                match (&sub, act) {
                    (Ours::Sub(sub), Subscribe(topic)) => sub.subscribe(topic).unwrap(),
                    (Ours::Sub(sub), Unsubscribe(topic)) => sub.unsubscribe(topic).unwrap(),
                    (Ours::XSub(sub), Subscribe(topic)) => sub.subscribe(topic).unwrap(),
                    (Ours::XSub(sub), Unsubscribe(topic)) => sub.unsubscribe(topic).unwrap(),
                    _ => unreachable!("made above"),
                }
            }
            let (_xpub, ()) = tokio::join!(publisher, gather(&sub, row));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zocket_xpub_is_told_when_a_libzmq_subscriber_vanishes() {
    let xpub = XPub::new();
    let at = xpub.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let hear = async || notice(&frames(&within("a notice", xpub.recv()).await.unwrap()));
    let sub = Theirs::plain(&Context::new(), Kind::Sub);
    sub.socket.set_bytes(Opt::Subscribe, b"news").unwrap();
    sub.socket.connect(&at).unwrap();
    assert_eq!(hear().await, "+news");
    blocking(move || drop(sub)).await;
    assert_eq!(hear().await, "-news");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libzmq_xpub_is_told_when_a_zocket_subscriber_vanishes() {
    let xpub = Theirs::plain(&Context::new(), Kind::XPub);
    let at = xpub.socket.bind("tcp://127.0.0.1:0").unwrap();
    let sub = Sub::new();
    sub.subscribe("news").unwrap();
    sub.connect(&*at).unwrap();
    let xpub = blocking(move || {
        assert_eq!(notice(&xpub.hear()), "+news");
        xpub
    })
    .await;
    let _unsent = within("zocket to close", sub.close()).await;
    blocking(move || assert_eq!(notice(&xpub.hear()), "-news")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_xsub_sends_reaches_the_xpub_in_either_direction() {
    for (zocket, libzmq) in [(Kind::XSub, Kind::XPub), (Kind::XPub, Kind::XSub)] {
        let (ours, theirs) = (Ours::new(zocket, ""), Theirs::new(libzmq, ""));
        theirs.socket.connect(&ours.bind("tcp://127.0.0.1:0").await).unwrap();
        let runtime = tokio::runtime::Handle::current();
        let theirs = blocking(move || {
            theirs.until_ready();
            runtime.block_on(upstream(&theirs, libzmq));
            theirs
        });
        let (_theirs, ()) = tokio::join!(theirs, upstream(&ours, zocket));
    }
}

/// The XPUB hears the subscription to everything and publishes; the XSUB answers with what starts like no
/// subscription.
async fn upstream(side: &impl Side, kind: Kind) {
    if kind == Kind::XPub {
        assert_eq!(notice(&side.recv().await), "+");
        side.send(text(["down"])).await;
        assert_eq!(side.recv().await, text(["up", "more"]));
    } else {
        assert_eq!(side.recv().await, text(["down"]));
        side.send(text(["up", "more"])).await;
    }
}
