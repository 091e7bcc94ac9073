//! A large transfer and small messages over one quic connection: on one lane the small ones wait behind it, on two they
//! do not.
//!
//! ```text
//! cargo run --release --example lanes
//! ```

use std::error::Error;
use std::pin::pin;
use std::time::{Duration, Instant};

use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{Context, Dealer, Endpoint, HighWater, Message, Router};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const BULK: u8 = 0;
const URGENT: u8 = 1;

/// 400 MB, in messages of a megabyte.
const PIECE: usize = 1_000_000;
const PIECES: usize = 400;

/// Answers what is urgent and counts the rest.
async fn serve(router: Router) -> Outcome {
    loop {
        let message: Message = router.recv().await?;
        if message.last().len() < PIECE {
            router.lane(URGENT).send(message).await?;
        }
    }
}

async fn transfer(dealer: &Dealer) -> Outcome<Duration> {
    let begun = Instant::now();
    for _ in 0..PIECES {
        dealer.lane(BULK).send(vec![7; PIECE]).await?;
    }
    Ok(begun.elapsed())
}

/// Asks until `end` is reached. Returns how long each answer took, the shortest first.
async fn ask(
    dealer: &Dealer,
    end: impl Future<Output = Outcome<Duration>>,
) -> Outcome<(Duration, Vec<Duration>)> {
    let (mut waits, mut end) = (Vec::new(), pin!(end));
    loop {
        let asked = Instant::now();
        let asking = async {
            dealer.lane(URGENT).send("question").await?;
            dealer.recv().await?;
            Outcome::Ok(())
        };
        tokio::select! {
            ended = &mut end => {
                waits.sort();
                return Ok((ended?, waits));
            }
            answered = asking => answered?,
        }
        waits.push(asked.elapsed());
    }
}

async fn measure(context: &Context, lanes: u8) -> Outcome {
    let router = Router::builder().context(context).lanes(lanes).build();
    let at: Endpoint = router.bind("quic://127.0.0.1:0").await?;
    tokio::spawn(serve(router));
    // A short queue for each lane: what waits here waits in order.
    let dealer =
        Dealer::builder().context(context).lanes(lanes).send_high_water(HighWater::messages(8)).build();
    dealer.connect(&at)?;
    dealer.connected(&at).await?;

    let (transferred, waits) = ask(&dealer, transfer(&dealer)).await?;
    let at = |percent: usize| waits.get(percent * waits.len() / 100).copied().unwrap_or_default();
    println!(
        "{lanes} lane(s): {} answers beside a transfer of {} MB, half within {:.1?}, nearly all within {:.1?} \
         (the transfer took {transferred:.1?})",
        waits.len(),
        PIECES * PIECE / 1_000_000,
        at(50),
        at(99),
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let identity = Identity::generate()?;
    let trust = Trust::keys([identity.fingerprint()]);
    let context = Context::builder().transport(Quic::server(identity).trust(trust)).build()?;
    for lanes in [1, 2] {
        measure(&context, lanes).await?;
    }
    Ok(())
}
