//! Back-pressure end to end: a reader that does not read makes the writer wait; once it reads, everything is there.
//!
//! The writer's queue, both kernel buffers and the reader's queue hold far less than what is sent. That the writer
//! waits shows as progress that stops; nothing announces it, so progress is awaited until there is none for a while.

use std::time::Duration;

use bytes::Bytes;
use interop::libzmq::{Context, Kind, Opt};
use tokio::sync::watch;
use tokio::time::timeout;
use zocket::{HighWater, Pull, Push};

use crate::content::{assert_same, body};
use crate::ours::{frames, message};
use crate::theirs::Theirs;
use crate::within::{blocking, within};

/// 64 MiB: more than ten times what loopback TCP buffers at most.
const MESSAGES: usize = 4_000;
const HIGH_WATER: usize = 10;
const STILL: Duration = Duration::from_millis(300);

/// Two frames, numbered by content.
fn numbered(number: usize) -> Vec<Bytes> {
    vec![Bytes::from(number.to_string()), body(16_384, number)]
}

fn assert_numbered(got: &[Bytes], number: usize) {
    assert_same(got, &numbered(number), &format!("message {number}"));
}

/// Waits until `sent` has not moved for a while, and checks that it stopped short of the end.
async fn assert_stalls(mut sent: watch::Receiver<usize>) {
    within("the writer to stall", async {
        sent.wait_for(|sent| *sent > 0).await.unwrap();
        while let Ok(Ok(())) = timeout(STILL, sent.changed()).await {}
    })
    .await;
    assert!(*sent.borrow() < MESSAGES, "the writer never waited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_libzmq_pull_that_does_not_read_makes_zocket_wait_and_loses_nothing() {
    let pull = Theirs::plain(&Context::new(), Kind::Pull).with(Opt::ReceiveHighWater, 10);
    let at = pull.socket.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::builder().send_high_water(HighWater::messages(HIGH_WATER)).build();
    push.connect(&*at).unwrap();

    let (sent, progress) = watch::channel(0);
    let writing = async {
        for number in 0..MESSAGES {
            let full = within("room for a message", push.send(message(numbered(number))));
            full.await.unwrap();
            sent.send_modify(|sent| *sent += 1);
        }
    };
    let reading = async {
        assert_stalls(progress).await;
        blocking(move || (0..MESSAGES).for_each(|number| assert_numbered(&pull.hear(), number))).await;
    };
    tokio::join!(writing, reading);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zocket_pull_that_does_not_read_makes_libzmq_wait_and_loses_nothing() {
    let pull = Pull::builder().receive_high_water(HighWater::messages(HIGH_WATER)).build();
    let at = pull.bind("tcp://127.0.0.1:0").await.unwrap().to_string();

    let (sent, progress) = watch::channel(0);
    let writing = blocking(move || {
        let push = Theirs::plain(&Context::new(), Kind::Push).with(Opt::SendHighWater, 10);
        push.socket.connect(&at).unwrap();
        for number in 0..MESSAGES {
            push.tell(numbered(number));
            sent.send_modify(|sent| *sent += 1);
        }
        push
    });
    let reading = async {
        assert_stalls(progress).await;
        for number in 0..MESSAGES {
            let got = within("a message that waited", pull.recv()).await.unwrap();
            assert_numbered(&frames(&got), number);
        }
    };
    let (push, ()) = tokio::join!(writing, reading);
    blocking(move || drop(push)).await;
}
