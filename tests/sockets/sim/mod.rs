//! Whole sockets over a simulated network ([`net`]), in virtual time: hours pass in milliseconds, and each run follows
//! from one number.
//!
//! A seed draws the topology, the sizes, the queue marks, latency, buffers, cut links, slow readers and calls that are
//! given up; the scenario then checks what is promised whatever happens. A failure prints its seed, and
//! `ZOCKET_SEED=n` runs that one alone; `ZOCKET_SEEDS=n` runs so many.

mod net;
mod pipeline;
mod publish;
mod requests;
mod routing;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;
use tokio::time::timeout;
use zocket::{Context, HighWater, Message, Reconnect};

use self::net::{Net, Weather};

/// In virtual time: only what hangs takes so long.
const HOUR: Duration = Duration::from_secs(3600);

/// Few enough for every test run; `ZOCKET_SEEDS` asks for more.
const SEEDS: u64 = 100;

/// What a scenario draws from, and where its sockets live.
struct World {
    random: fastrand::Rng,
    net: Net,
    context: Context,
}

impl World {
    fn new(seed: u64) -> Self {
        // The library's own dice: jitter.
        fastrand::seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let net = Net::new(random.u64(..), Weather::draw(&mut random));
        let context = Context::builder().transport(net.clone()).build().unwrap();
        Self { random, net, context }
    }

    fn mark(&mut self) -> HighWater {
        HighWater::messages(1 << self.random.u32(..9))
    }

    fn is_calm(&self) -> bool {
        self.net.cuts() == 0
    }
}

fn reconnect() -> Reconnect {
    Reconnect::within(Duration::from_millis(10), Duration::from_secs(1))
}

/// Some message that says who sent it and as which, in one to four frames, of which each byte can be told.
fn message(who: usize, number: usize) -> Message {
    let mut random = fastrand::Rng::with_seed((who * 1_000_000 + number) as u64);
    let mut message = Message::from(format!("{who} {number}"));
    for _ in 0..random.usize(..4) {
        let len = if random.u8(..20) == 0 { random.usize(..30_000) } else { random.usize(..300) };
        message.push_back(vec![random.u8(..); len]);
    }
    message
}

/// Who sent it and as which; it must be whole.
fn read(received: &Message) -> (usize, usize) {
    let label = String::from_utf8(received.first().to_vec()).unwrap();
    let (who, number) = label.split_once(' ').unwrap();
    let (who, number) = (who.parse().unwrap(), number.parse().unwrap());
    assert!(*received == message(who, number), "{label} was cut, or glued to another");
    (who, number)
}

/// Runs a scenario for each seed, on a runtime of its own.
fn for_each_seed<F: Future<Output = ()>>(scenario: impl Fn(World) -> F) {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds = match number("ZOCKET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ZOCKET_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let run = AssertUnwindSafe(|| {
            runtime.block_on(async {
                let world = World::new(seed);
                let context = world.context.clone();
                timeout(HOUR, scenario(world)).await.expect("something hangs");
                timeout(HOUR, context.shutdown()).await.expect("a connection never ends");
                for _ in 0..100 {
                    yield_now().await;
                }
                assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "tasks are left");
            });
        });
        if let Err(panic) = catch_unwind(run) {
            eprintln!("this was ZOCKET_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
