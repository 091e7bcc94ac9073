//! Leaving in good order: what was sent before a close or a disconnect still arrives on the other side.
//!
//! An unread PING or READY turns a careless close into a reset that destroys what is under way, and a listener
//! that goes must not take its accepted peers along.

use interop::libzmq::{Context, EventKind, Kind};
use zocket::{Pull, Push};

use crate::content::{assert_same, body};
use crate::ours::{Ours, frames, message, until_gone, until_ready};
use crate::side::Side;
use crate::theirs::Theirs;
use crate::within::{blocking, within};

/// Enough to fill the kernel's buffers, so that much is still queued when the sender goes.
const MESSAGES: usize = 900;
const BODY: usize = 20_000;

/// Reads everything on libzmq's side, and then the farewell.
fn read_all(pull: &Theirs) {
    for number in 0..MESSAGES {
        assert_same(&pull.hear(), &[body(BODY, number)], &format!("message {number}"));
    }
    pull.until(EventKind::Disconnected);
}

async fn fill(push: &Push) {
    for number in 0..MESSAGES {
        within("room for a message", push.send(message(vec![body(BODY, number)]))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_zocket_sent_arrives_when_it_closes() {
    let pull = Theirs::plain(&Context::new(), Kind::Pull);
    let at = pull.socket.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::new();
    push.connect(&*at).unwrap();
    fill(&push).await;
    let reading = blocking(move || read_all(&pull));
    let (unsent, ()) = tokio::join!(within("zocket to close", push.close()), reading);
    assert_eq!(unsent.messages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_zocket_sent_arrives_when_it_disconnects() {
    let pull = Theirs::plain(&Context::new(), Kind::Pull);
    let at = pull.socket.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::new();
    push.connect(&*at).unwrap();
    fill(&push).await;
    let reading = blocking(move || read_all(&pull));
    let (left, ()) = tokio::join!(within("zocket to disconnect", push.disconnect(&*at)), reading);
    left.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_libzmq_sent_arrives_when_it_closes() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let at = pull.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let writing = blocking(move || {
        let push = Theirs::plain(&Context::new(), Kind::Push);
        push.socket.connect(&at).unwrap();
        (0..MESSAGES).for_each(|number| push.tell([body(BODY, number)]));
        drop(push);
    });
    let reading = async {
        for number in 0..MESSAGES {
            let got = within("a message of a libzmq that left", pull.recv()).await.unwrap();
            assert_same(&frames(&got), &[body(BODY, number)], &format!("message {number}"));
        }
        until_gone(&mut monitor).await;
    };
    tokio::join!(writing, reading);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unbound_zocket_keeps_the_libzmq_peers_it_accepted() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let at = pull.bind("tcp://127.0.0.1:0").await.unwrap();
    let push = Theirs::plain(&Context::new(), Kind::Push);
    push.socket.connect(at.as_str()).unwrap();
    until_ready(&mut monitor).await;
    within("zocket to unbind", pull.unbind(&at)).await.unwrap();
    let push = blocking(move || {
        push.tell(["still here"]);
        push
    })
    .await;
    assert_eq!(within("a message after unbind", pull.recv()).await.unwrap(), "still here");

    // The port is free: libzmq can have it, and the old connection does not mind.
    let libzmq = Theirs::plain(&Context::new(), Kind::Pull);
    libzmq.socket.bind(at.as_str()).unwrap();
    blocking(move || push.tell(["and still"])).await;
    assert_eq!(Ours::Pull(pull).recv().await, ["and still"]);
}
