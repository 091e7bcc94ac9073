//! Heartbeats: libzmq's PINGs are answered, so a connection that carries nothing else stays up.
//!
//! Real time, short values: libzmq asks every 100 ms and gives up after 400 ms without an answer; four times that
//! with no disconnect says that zocket answered. The bytes of PING and PONG are in `mock/traffic.rs`.

use std::time::{Duration, Instant};

use interop::libzmq::{Context, Event, EventKind, Kind, Opt};
use zocket::{Dealer, Heartbeat};

use crate::content::text;
use crate::ours::{Ours, until_gone, until_ready};
use crate::side::Side;
use crate::stage::{Over, Place, Who};
use crate::theirs::Theirs;
use crate::within::{TICK, blocking};

const INTERVAL_MS: i32 = 100;
const TIMEOUT_MS: i32 = 400;
const WATCHED: Duration = Duration::from_millis(4 * 400);

/// Panics if libzmq loses its connection while it is watched.
fn assert_stays_up(theirs: &Theirs) {
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        let lost = theirs.socket.next_event(TICK).unwrap();
        let lost = lost.filter(|event: &Event| event.kind == EventKind::Disconnected);
        assert_eq!(lost, None, "after {:?} of {:?}", start.elapsed(), theirs.socket.kind());
    }
}

async fn stays_up(zocket: Kind, libzmq: Kind, binds: Who, over: Over) {
    let place = Place::new(over);
    let ours = Ours::new(zocket, "zocket");
    let theirs = Theirs::new(libzmq, "libzmq")
        .with(Opt::HeartbeatInterval, INTERVAL_MS)
        .with(Opt::HeartbeatTimeout, TIMEOUT_MS)
        .with(Opt::HeartbeatTtl, TIMEOUT_MS);
    match binds {
        Who::Zocket => theirs.socket.connect(&ours.bind(&place.address).await).unwrap(),
        Who::Libzmq => ours.connect(&theirs.socket.bind(&place.address).unwrap()),
    }
    let theirs = blocking(move || {
        theirs.until_ready();
        assert_stays_up(&theirs);
        theirs.tell(["still here"]);
        theirs
    })
    .await;
    assert_eq!(ours.recv().await, text(["still here"]));
    ours.close().await;
    blocking(move || drop(theirs)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_that_libzmq_heartbeats_stays_up() {
    tokio::join!(
        stays_up(Kind::Pull, Kind::Push, Who::Zocket, Over::Tcp),
        stays_up(Kind::Pull, Kind::Push, Who::Libzmq, Over::Ipc),
        stays_up(Kind::Dealer, Kind::Dealer, Who::Libzmq, Over::Tcp),
        stays_up(Kind::Pair, Kind::Pair, Who::Zocket, Over::Ipc),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_that_zocket_heartbeats_stays_up() {
    let heartbeat = Heartbeat::every(Duration::from_millis(100))
        .timeout(Duration::from_millis(400))
        .time_to_live(Duration::from_millis(400));
    let dealer = Dealer::builder().heartbeat(heartbeat).build();
    let mut monitor = dealer.monitor();
    let at = dealer.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Theirs::plain(&Context::new(), Kind::Dealer);
    theirs.socket.connect(&at).unwrap();
    until_ready(&mut monitor).await;
    let lost = tokio::time::timeout(WATCHED, until_gone(&mut monitor)).await;
    assert!(lost.is_err(), "zocket lost a libzmq that answers its PINGs");
    blocking(move || {
        assert_stays_up(&theirs);
        theirs.tell(["still here"]);
        theirs
    })
    .await;
    assert_eq!(Ours::Dealer(dealer).recv().await, text(["still here"]));
}
