//! Events: watch a connection wait for its peer, lose it, and find it again, with nothing lost.
//!
//! ```text
//! cargo run --example monitor
//! ```
//!
//! `connect` returns at once and never fails because of the peer. What happens to connections is told by a
//! stream of events, which no connection ever waits for.

use std::error::Error;
use std::time::{Duration, Instant};

use zocket::{BindError, Endpoint, Event, Monitor, Pull, Push, Reconnect};

/// Shows events up to the first that `wanted` accepts.
async fn watch(
    events: &mut Monitor,
    since: Instant,
    wanted: impl Fn(&Event) -> bool,
) -> Result<(), Box<dyn Error>> {
    loop {
        let event = events.next().await.ok_or("the socket is closed")?;
        let what = match &event {
            Event::Connected { .. } => "connected, shaking hands".into(),
            Event::Ready { info, .. } => format!("ready: the peer is a {:?}", info.kind()),
            Event::Disconnected { reason, .. } => format!("lost: {reason}"),
            Event::Retrying { reason, after, .. } => {
                format!("next attempt in {} ms, for: {reason}", after.as_millis())
            }
            other => format!("{other:?}"),
        };
        println!("{:>6} ms  {what}", since.elapsed().as_millis());
        if wanted(&event) {
            return Ok(());
        }
    }
}

async fn server(at: &Endpoint) -> Result<Pull, BindError> {
    let pull = Pull::new();
    pull.bind(at).await?;
    Ok(pull)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Finds a free port, and leaves it to nobody.
    let first = Pull::new();
    let at = first.bind("tcp://127.0.0.1:0").await?;
    first.close().await;

    let push = Push::builder()
        .reconnect(Reconnect::within(Duration::from_millis(20), Duration::from_millis(200)))
        .build();
    let (mut events, start) = (push.monitor(), Instant::now());
    push.connect(&at)?;
    push.send("sent before anybody was there").await?;
    watch(&mut events, start, |event| matches!(event, Event::Retrying { .. })).await?;

    let pull = server(&at).await?;
    watch(&mut events, start, |event| matches!(event, Event::Ready { .. })).await?;
    assert_eq!(pull.recv().await?, "sent before anybody was there");

    println!("           the server goes away");
    pull.close().await;
    watch(&mut events, start, |event| matches!(event, Event::Disconnected { .. })).await?;
    push.send("sent while it was away").await?;

    let pull = server(&at).await?;
    println!("           and is back");
    watch(&mut events, start, |event| matches!(event, Event::Ready { .. })).await?;
    assert_eq!(pull.recv().await?, "sent while it was away");
    println!("both messages arrived");
    Ok(())
}
