//! What a large transfer does to small messages of the same connection, over a line that loses packets.
//!
//! A DEALER sends 100 MB and, every so often, a small message, to a ROUTER behind a relay that loses 2 % of all packets
//! and takes 50 ms for a round trip. With one lane the small ones wait
//! behind what is under way; with two they must not.
//! Both sides are in this process, so that one clock tells how long a message took.
//!
//! There is no row for tcp: its packets do not pass a relay, and the kernel's own delays (`tc netem`) are not everywhere.

use std::time::{Duration, Instant};

use bad_network::{Relay, Weather};
use tokio::time::{MissedTickBehavior, interval, sleep};
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{Context, Dealer, HighWater, Message, Router};

use crate::Outcome;

const LATENCY: Duration = Duration::from_millis(25);
const ROUND_TRIP: Duration = Duration::from_millis(50);
const LOST_PERCENT: u32 = 2;

/// What p99 may be, in round trips, where small messages have a lane of their own.
const TARGET: f64 = 3.0;

/// 100 MB in pieces, so that on one lane the small messages get in between.
const PIECE: usize = 250_000;
const PIECES: usize = 400;

/// So many are sent, one each time.
const SMALL: usize = 500;
const EVERY: Duration = Duration::from_millis(20);

/// How long the last of them are waited for. What has not come by then counts with the time that it has taken so far.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures, prints, and says whether the target holds.
pub(crate) fn run() -> Outcome<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!(
        "| small messages beside 100 MB | p50 | p99 | p99 in round trips of {ROUND_TRIP:?} |\n|---|---|---|---|"
    );
    let mut last = f64::MAX;
    for lanes in [1, 2] {
        let mut waits = runtime.block_on(measure(lanes))?;
        let arrived = waits.len();
        waits.extend((arrived..SMALL).map(due_at_end));
        waits.sort();
        let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
        last = at(99).as_secs_f64() / ROUND_TRIP.as_secs_f64();
        let least = if arrived < SMALL { "at least " } else { "" };
        println!(
            "| quic, lanes: {lanes} ({arrived} of {SMALL} arrived) | {:.0?} | {least}{:.0?} | {least}{last:.1} |",
            at(50),
            at(99)
        );
    }
    let holds = last <= TARGET;
    let verdict = if holds { "pass" } else { "FAIL" };
    println!("\ntarget: with a lane of their own, p99 ≤ {TARGET} round trips: {last:.1}: {verdict}");
    Ok(holds)
}

/// How long each small message took.
async fn measure(lanes: u8) -> Outcome<Vec<Duration>> {
    let identity = Identity::generate()?;
    let trust = Trust::keys([identity.fingerprint()]);
    let context = Context::builder().transport(Quic::server(identity).trust(trust)).build()?;
    let router = Router::builder().context(&context).lanes(lanes).build();
    let at = router.bind("quic://127.0.0.1:0").await?;
    let line =
        Weather { seed: 1, lost: LOST_PERCENT, doubled: 0, held: 0, hold: Duration::ZERO, latency: LATENCY };
    let relay = Relay::new(&at, line).await;
    // What waits here waits in order: let it be little.
    let mark = HighWater::messages(1);
    let dealer = Dealer::builder().context(&context).lanes(lanes).send_high_water(mark).build();
    let to = relay.endpoint("quic");
    dealer.connect(&to)?;
    dealer.connected(&to).await?;

    let small_lane = lanes - 1;
    let begun = Instant::now();
    let transfer = async {
        for _ in 0..PIECES {
            dealer.lane(0).send(vec![0; PIECE]).await?;
        }
        Outcome::Ok(())
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
        ended = transfer => return Err(ended.err().unwrap_or_else(|| "the transfer ended too soon".into())),
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
