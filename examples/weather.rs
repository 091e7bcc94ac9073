//! PUB and SUB: a station tells everybody, and each listener hears what it subscribed to.
//!
//! ```text
//! cargo run --example weather
//! ```
//!
//! The station never waits for anybody, and what is sent before a subscription has arrived is not heard. So
//! listeners come and go without the station's knowing, as with a radio.

use std::error::Error;
use std::time::Duration;

use tokio::time::sleep;
use zocket::{Endpoint, Pub, Sub};

type Fault = Box<dyn Error + Send + Sync>;

const CITIES: [(&str, f64); 4] = [("lima", 19.0), ("oslo", 6.0), ("oslofjord", 4.0), ("quito", 14.0)];

/// Reports the temperature of every city, an hour each millisecond, for ever.
async fn report(station: Pub) -> Result<(), Fault> {
    for hour in 0_u32.. {
        for (city, mean) in CITIES {
            let swing = (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin();
            station.send([city.to_owned(), format!("{:.1}", mean + 5.0 * swing)]).await?;
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Listens for a day to what a prefix of the first frame selects. Returns what it heard.
async fn listen(name: &str, prefix: &str, to: &Endpoint) -> Result<Vec<(String, f64)>, Fault> {
    let sub = Sub::new();
    sub.subscribe(prefix)?;
    sub.connect(to)?;
    let mut heard = Vec::new();
    for _ in 0..24 {
        let report = sub.recv().await?;
        let city = String::from_utf8_lossy(report.first()).into_owned();
        heard.push((city, str::from_utf8(report.last())?.parse()?));
    }
    let warmest = heard.iter().map(|(_, degrees)| *degrees).fold(f64::MIN, f64::max);
    let mut cities: Vec<_> = heard.iter().map(|(city, _)| city.as_str()).collect();
    cities.sort_unstable();
    cities.dedup();
    println!("{name} subscribed to {prefix:?}, heard of {}, {warmest} °C at the warmest", cities.join(", "));
    Ok(heard)
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let station = Pub::new();
    let at = station.bind("tcp://127.0.0.1:0").await?;
    println!("on the air at {at}");
    tokio::spawn(report(station));

    let (ada, bob, cy) =
        tokio::try_join!(listen("Ada", "lima", &at), listen("Bob", "oslo", &at), listen("Cy", "", &at))?;
    assert!(ada.iter().all(|(city, degrees)| city == "lima" && (14.0..=24.0).contains(degrees)));
    // A prefix is bytes and no word: to hear of the town alone, Bob would need topics that end in a space, say.
    assert!(bob.iter().any(|(city, _)| city == "oslofjord"));
    assert!(CITIES.iter().all(|(city, _)| cy.iter().any(|(heard, _)| heard == city)));
    Ok(())
}
