//! XSUB and XPUB: one known place between publishers and subscribers, so that neither need to know the other.
//!
//! ```text
//! publishers (XPUB) ──> XSUB forwarder XPUB ──> subscribers (SUB)
//!                   <── subscriptions ───────
//!
//! cargo run --example forwarder
//! ```
//!
//! Subscriptions go upstream as messages, byte 1 and the prefix, so publishers send nothing that nobody wants.

use std::error::Error;

use tokio::sync::oneshot;
use zocket::{Endpoint, Sub, XPub, XSub};

type Fault = Box<dyn Error + Send + Sync>;

async fn forward(upstream: XSub, downstream: XPub) -> Result<(), Fault> {
    loop {
        tokio::select! {
            news = upstream.recv() => downstream.send(news?).await?,
            subscription = downstream.recv() => upstream.send(subscription?).await?,
        }
    }
}

/// Publishes once somebody wants it: a line for each of the topics asked for, until it is told to stop.
async fn publish(name: &str, at: Endpoint, mut stop: oneshot::Receiver<()>) -> Result<Vec<String>, Fault> {
    let publisher = XPub::new();
    publisher.connect(&at)?;
    let mut wanted = Vec::new();
    loop {
        let notice = tokio::select! {
            notice = publisher.recv() => notice?,
            _ = &mut stop => return Ok(wanted),
        };
        if let Some((1, topic)) = notice.first().split_first() {
            let topic = String::from_utf8_lossy(topic).into_owned();
            println!("{name}: somebody wants {topic}");
            publisher.send([topic.clone(), format!("{topic} from {name}")]).await?;
            wanted.push(topic);
        }
    }
}

/// Waits until both publishers have been heard on a topic.
async fn subscribe(name: &str, topic: &str, at: &Endpoint) -> Result<(), Fault> {
    let sub = Sub::new();
    sub.subscribe(topic)?;
    sub.connect(at)?;
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let news = sub.recv().await?;
        assert_eq!(news.first(), topic);
        println!("    {name} reads: {}", String::from_utf8_lossy(news.last()));
        heard.push(news.last().clone());
    }
    heard.sort_by(|a, b| a.cmp(b));
    assert!(heard[0].ends_with(b"Gazette") && heard[1].ends_with(b"Herald"));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let (upstream, downstream) = (XSub::new(), XPub::new());
    let above = upstream.bind("tcp://127.0.0.1:0").await?;
    let below = downstream.bind("tcp://127.0.0.1:0").await?;
    tokio::spawn(forward(upstream, downstream));

    let (stops, ended): (Vec<_>, Vec<_>) = ["Gazette", "Herald"]
        .map(|name| {
            let (stop, stopped) = oneshot::channel();
            (stop, tokio::spawn(publish(name, above.clone(), stopped)))
        })
        .into_iter()
        .unzip();
    tokio::try_join!(subscribe("Ada", "chess", &below), subscribe("Bob", "tides", &below))?;

    drop(stops);
    for publisher in ended {
        let mut wanted = publisher.await??;
        wanted.sort();
        assert_eq!(wanted, ["chess", "tides"]);
    }
    println!("each topic was published where it was wanted, and nowhere else");
    Ok(())
}
