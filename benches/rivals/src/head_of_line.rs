//! What a large transfer does to small messages of the same connection, over a line that loses packets.
//!
//! A DEALER sends 100 MB and, every so often, a small message, to a ROUTER behind a line that loses 2 % of all packets
//! and takes 50 ms for a round trip. With one lane, and over tcp, the small ones wait behind what is under way; with two
//! lanes they must not. Both sides are in this process, so that one clock tells how long a message took.

use std::time::{Duration, Instant};

use bad_network::{Relay, Weather};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, interval, sleep};
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{Context, Dealer, Endpoint, HighWater, Message, Router};

use crate::Outcome;

mod mirror;

const ROUND_TRIP: Duration = Duration::from_millis(50);

const LINE: Weather = Weather {
    seed: 1,
    lost: 2,
    doubled: 0,
    held: 0,
    hold: Duration::ZERO,
    latency: Duration::from_millis(25),
};

/// What p99 may be, in round trips, where small messages have a lane of their own.
const TARGET: f64 = 3.0;

/// A piece of the 100 MB, so that on one lane the small messages get in between. Where the line carries them all before
/// the last small message, more follow.
const PIECE: usize = 250_000;

/// So many are sent, one each time.
const SMALL: usize = 500;
const EVERY: Duration = Duration::from_millis(20);

/// How long the last of them are waited for. What has not come by then counts with the time that it has taken so far.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures, prints, and says whether the target holds.
pub(crate) fn run() -> Outcome<bool> {
    println!(
        "| small messages beside 100 MB | p50 | p99 | p99 in round trips of {ROUND_TRIP:?} |\n|---|---|---|---|"
    );
    match mirror::on_host_of_its_own(|| runtime()?.block_on(over_tcp())) {
        Ok(waits) => drop(print(&format!("tcp, {}", congestion_control()), waits)),
        Err(why) => println!("| tcp | – | – | not run: a host of its own cannot be made here: {why} |"),
    }
    let runtime = runtime()?;
    print("quic, one lane", runtime.block_on(over_quic(1))?);
    let trips = print("quic, two lanes", runtime.block_on(over_quic(2))?);
    let holds = trips <= TARGET;
    let verdict = if holds { "pass" } else { "FAIL" };
    println!("\ntarget: with a lane of their own, p99 ≤ {TARGET} round trips: {trips:.1}: {verdict}");
    Ok(holds)
}

/// How the kernel's TCP answers a lost packet: Cubic halves its pace, as QUIC does here, BBR hardly.
fn congestion_control() -> String {
    let known = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
    known.map_or_else(|_| "unknown".into(), |name| name.trim().into())
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Prints a row. Returns p99 in round trips.
fn print(name: &str, mut waits: Vec<Duration>) -> f64 {
    let arrived = waits.len();
    waits.extend((arrived..SMALL).map(due_at_end));
    waits.sort();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    let trips = at(99).as_secs_f64() / ROUND_TRIP.as_secs_f64();
    let least = if arrived < SMALL { "at least " } else { "" };
    println!(
        "| {name} ({arrived} of {SMALL} arrived) | {:.0?} | {least}{:.0?} | {least}{trips:.1} |",
        at(50),
        at(99)
    );
    trips
}

/// Through the mirror, for the relay takes only UDP.
async fn over_tcp() -> Outcome<Vec<Duration>> {
    let mirror = mirror::Mirror::new(LINE)?;
    let router = Router::new();
    let at = router.bind(&format!("tcp://{}:0", mirror::OURS)).await?;
    let to = mirror.image(&at)?;
    measure(&router, &dealer(&Context::default(), 1), &to, 0).await
}

async fn over_quic(lanes: u8) -> Outcome<Vec<Duration>> {
    let identity = Identity::generate()?;
    let trust = Trust::keys([identity.fingerprint()]);
    let context = Context::builder().transport(Quic::server(identity).trust(trust)).build()?;
    let router = Router::builder().context(&context).lanes(lanes).build();
    let at = router.bind("quic://127.0.0.1:0").await?;
    let relay = Relay::new(&at, LINE).await;
    measure(&router, &dealer(&context, lanes), &relay.endpoint("quic"), lanes - 1).await
}

fn dealer(context: &Context, lanes: u8) -> Dealer {
    // What waits here waits in order: let it be little.
    let mark = HighWater::messages(1);
    Dealer::builder().context(context).lanes(lanes).send_high_water(mark).build()
}

/// How long each small message took on its lane, beside a transfer on the first.
async fn measure(router: &Router, dealer: &Dealer, to: &Endpoint, small_lane: u8) -> Outcome<Vec<Duration>> {
    dealer.connect(to)?;
    dealer.connected(to).await?;

    let begun = Instant::now();
    let transfer = async {
        loop {
            if let Err(error) = dealer.lane(0).send(vec![0; PIECE]).await {
                return error;
            }
        }
    };
    let sending = async {
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for number in 0..SMALL {
            // When it was due, not when there was room for it.
            let due = clock.tick().await.into_std();
            let stamp = u64::try_from(due.saturating_duration_since(begun).as_nanos())?;
            dealer.lane(small_lane).send([stamp.to_be_bytes(), number.to_be_bytes()].concat()).await?;
        }
        Outcome::Ok(())
    };
    let mut waits = Vec::with_capacity(SMALL);
    let receiving = async {
        while waits.len() < SMALL {
            if let Some(stamp) = stamp_of(&router.recv().await?) {
                waits.push(begun.elapsed().saturating_sub(Duration::from_nanos(stamp)));
            }
        }
        Outcome::Ok(())
    };
    tokio::select! {
        error = transfer => return Err(error.into()),
        both = async { tokio::try_join!(sending, receiving) } => drop(both?),
        () = sleep(EVERY * u32::try_from(SMALL)? + PATIENCE) => {}
    }
    Ok(waits)
}

/// How long the message of that number has taken when the measurement ends.
fn due_at_end(number: usize) -> Duration {
    EVERY * u32::try_from(SMALL - number).unwrap_or(u32::MAX) + PATIENCE
}

/// When a message was due, if it is a small one.
fn stamp_of(message: &Message) -> Option<u64> {
    let (stamp, _) = message.last().split_first_chunk()?;
    (message.last().len() < PIECE).then_some(u64::from_be_bytes(*stamp))
}
