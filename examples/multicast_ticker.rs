//! RADIO and DISH over multicast: a ticker tells a whole network at once, and each listener counts what it missed.
//!
//! ```text
//! cargo run --example multicast_ticker
//! cargo run --example multicast_ticker -- 'udp://eth0;239.192.0.7:5555'   # over a real network
//! ```
//!
//! Nobody answers a datagram, so a listener that is too slow cannot hold the ticker up: it misses quotes. They carry
//! numbers, by which it knows how many, wherever they were lost.

use std::error::Error;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use zocket::{Dish, Endpoint, HighWater, Radio};

type Fault = Box<dyn Error + Send + Sync>;

const QUOTES: u64 = 2_000;

/// Quotes a price each half millisecond.
async fn tick(to: Endpoint) -> Result<(), Fault> {
    let radio = Radio::new();
    radio.connect(&to)?;
    radio.connected(&to).await?;
    for number in 1..=QUOTES {
        let price = 1.0 + (number % 97) as f64 / 1000.0;
        radio.send("EUR/USD", format!("{number} {price:.3}")).await?;
        sleep(Duration::from_micros(500)).await;
    }
    // The last one says that it is over; a few times, for it may be lost as well.
    for _ in 0..20 {
        radio.send("EUR/USD", format!("{} closed", QUOTES + 1)).await?;
        sleep(Duration::from_millis(20)).await;
    }
    radio.close().await;
    Ok(())
}

/// Listens, and takes so long over each quote. Returns how many were heard and how many missed.
async fn listen(name: &str, dish: Dish, pause: Option<Duration>) -> Result<(u64, u64), Fault> {
    let (mut last, mut heard, mut missed) = (0, 0, 0);
    while last <= QUOTES {
        let (_, quote) = timeout(Duration::from_secs(10), dish.recv()).await??;
        let text = quote.to_text();
        let (number, price) = text.split_once(' ').ok_or("a quote is a number and a price")?;
        let number: u64 = number.parse()?;
        if number <= last {
            continue; // overtaken, or doubled
        }
        missed += number - last - 1;
        heard += u64::from(number <= QUOTES);
        if number.is_multiple_of(500) || number > QUOTES {
            println!("{name:>5}: quote {number:>4} {price:>6}   heard {heard:>4}   missed {missed:>4}");
        }
        last = number;
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
    Ok((heard, missed))
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let group = std::env::args().nth(1).unwrap_or_else(|| "udp://127.0.0.1;239.192.0.7:*".into());
    let quick = Dish::new();
    let slow = Dish::builder().receive_high_water(HighWater::messages(10)).build();
    let at = quick.bind(&*group).await?;
    slow.bind(&at).await?; // any number of sockets may bind a group
    println!("on the air at {at}");
    for dish in [&quick, &slow] {
        dish.join("EUR/USD")?;
    }
    let ticker = tokio::spawn(tick(at));
    let (quick, slow) =
        tokio::try_join!(listen("quick", quick, None), listen("slow", slow, Some(Duration::from_millis(5))))?;
    ticker.await??;
    for (heard, missed) in [quick, slow] {
        assert_eq!(heard + missed, QUOTES, "what was not heard was counted");
    }
    println!("every quote was heard or counted");
    Ok(())
}
