//! Pattern × transport × size through the public API, both ends in one process.
//!
//! `cargo bench --bench patterns`; `-- push_pull/tcp` for some. One-way patterns count messages at the receiver;
//! the others time a round trip. Both ends are tasks of one two-worker runtime, so the figures are for comparing
//! zocket with itself; beside other libraries see `benches/rivals`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use tokio::runtime::Runtime;
use zocket::{
    Dealer, Message, Pair, Pattern, Pull, Push, Receives, Rep, Req, Router, Sends, Socket, Sub, XPub,
};

const TRANSPORTS: [&str; 3] = ["inproc", "tcp", "ipc"];
const SIZES: [usize; 3] = [16, 1024, 65_536];

/// Binds one socket and connects the other.
async fn join(transport: &str, bound: &Socket<impl Pattern>, connecting: &Socket<impl Pattern>) {
    // An echo keeps its name for as long as its task runs.
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    let wanted = match transport {
        "tcp" => "tcp://127.0.0.1:0".to_owned(),
        "ipc" => "ipc://*".to_owned(),
        _ => format!("inproc://bench-{}", NAMES.fetch_add(1, Ordering::Relaxed)),
    };
    let at = bound.bind(wanted.as_str()).await.expect("a loopback address can be had");
    connecting.connect(&at).expect("an endpoint that was bound is well-formed");
}

/// Sends `count` messages, each a copy of the payload. Returns the time until the last has been received.
async fn stream<S: Sends, R: Receives>(
    ends: Arc<(Socket<S>, Socket<R>)>,
    payload: Arc<[u8]>,
    count: u64,
) -> Duration {
    let start = Instant::now();
    let receiving = Arc::clone(&ends);
    let received = tokio::spawn(async move {
        for _ in 0..count {
            receiving.1.recv().await.expect("the socket is open");
        }
    });
    tokio::spawn(async move {
        for _ in 0..count {
            ends.0.send(&payload[..]).await.expect("the socket is open");
        }
    });
    received.await.expect("every message arrives");
    start.elapsed()
}

/// Measures one one-way pattern on every transport and size.
fn one_way<S: Sends, R: Receives>(
    c: &mut Criterion,
    runtime: &Runtime,
    pattern: &str,
    connected: impl AsyncFn(&str) -> (Socket<S>, Socket<R>),
) {
    for transport in TRANSPORTS {
        let mut group = c.benchmark_group(format!("{pattern}/{transport}"));
        group.throughput(Throughput::Elements(1));
        for size in SIZES {
            let ends = Arc::new(runtime.block_on(connected(transport)));
            let payload = Arc::<[u8]>::from(vec![7; size]);
            group.bench_function(size.to_string(), |b| {
                b.iter_custom(|count| {
                    let run = stream(Arc::clone(&ends), Arc::clone(&payload), count);
                    runtime.block_on(runtime.spawn(run)).expect("no task panics")
                });
            });
        }
    }
}

async fn push_pull(transport: &str) -> (Push, Pull) {
    let ends = (Push::new(), Pull::new());
    join(transport, &ends.1, &ends.0).await;
    ends
}

async fn pair(transport: &str) -> (Pair, Pair) {
    let ends = (Pair::new(), Pair::new());
    join(transport, &ends.1, &ends.0).await;
    ends
}

/// Nothing is dropped, for it is the receiver that counts.
async fn pub_sub(transport: &str) -> (XPub, Sub) {
    let ends = (XPub::builder().no_drop(true).build(), Sub::new());
    ends.1.subscribe("").expect("the socket is open");
    join(transport, &ends.0, &ends.1).await;
    ends.0.recv().await.expect("the subscription arrives");
    ends
}

/// The asking side of a round trip.
trait Asks: Send + Sync + 'static {
    fn ask(&self, payload: &[u8]) -> impl Future<Output = Message> + Send;
}

impl Asks for Req {
    async fn ask(&self, payload: &[u8]) -> Message {
        self.request(payload).await.expect("the echo answers")
    }
}

impl Asks for Dealer {
    async fn ask(&self, payload: &[u8]) -> Message {
        self.send(payload).await.expect("the socket is open");
        self.recv().await.expect("the echo answers")
    }
}

/// Measures one pattern's round trips on every transport and size.
fn round_trip<A: Asks>(
    c: &mut Criterion,
    runtime: &Runtime,
    pattern: &str,
    connected: impl AsyncFn(&str) -> A,
) {
    for transport in TRANSPORTS {
        let mut group = c.benchmark_group(format!("{pattern}/{transport}"));
        let asker = Arc::new(runtime.block_on(connected(transport)));
        for size in SIZES {
            let payload = Arc::<[u8]>::from(vec![7; size]);
            group.bench_function(size.to_string(), |b| {
                b.iter_custom(|count| {
                    let (asker, payload) = (Arc::clone(&asker), Arc::clone(&payload));
                    let trips = async move {
                        let start = Instant::now();
                        for _ in 0..count {
                            black_box(asker.ask(&payload).await);
                        }
                        start.elapsed()
                    };
                    runtime.block_on(runtime.spawn(trips)).expect("no task panics")
                });
            });
        }
    }
}

async fn req_rep(transport: &str) -> Req {
    let (req, rep) = (Req::new(), Rep::new());
    join(transport, &rep, &req).await;
    tokio::spawn(async move {
        while let Ok(mut request) = rep.recv().await {
            let echo = request.take_message();
            request.reply(echo).await.ok();
        }
    });
    req
}

async fn dealer_router(transport: &str) -> Dealer {
    let (dealer, router) = (Dealer::new(), Router::new());
    join(transport, &router, &dealer).await;
    tokio::spawn(async move {
        // What came with a name goes back to that name.
        while let Ok(message) = router.recv().await {
            router.send(message).await.ok();
        }
    });
    dealer
}

fn main() {
    let mut c = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime = Runtime::new().expect("the system has threads");
    one_way(&mut c, &runtime, "push_pull", push_pull);
    one_way(&mut c, &runtime, "pub_sub", pub_sub);
    one_way(&mut c, &runtime, "pair", pair);
    round_trip(&mut c, &runtime, "req_rep", req_rep);
    round_trip(&mut c, &runtime, "dealer_router", dealer_router);
    c.final_summary();
}
