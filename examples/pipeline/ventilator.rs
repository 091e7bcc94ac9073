//! Hands out the pieces of all files, each to the next worker that has room.
//!
//! Queues and kernel buffers are kept small: work waits here, not with a worker that may die with it. The end of
//! the connection tells workers that this is all; `close` lets them have everything first.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use zocket::{Endpoint, Event, Frame, HighWater, LinkOptions, Monitor, Push, Reconnect};

use crate::Fault;
use crate::report::Report;
use crate::text;

/// How many pieces wait for one worker, here and again there: enough to keep it busy.
pub(crate) const QUEUE: HighWater = HighWater::messages(32);

/// How long workers may take to come. Who comes later still gets its share of what is left.
const GATHERING: Duration = Duration::from_secs(5);

pub(crate) async fn run(folder: &Path, bind: &str, workers: usize, sink: &Endpoint) -> Result<(), Fault> {
    let mut link = LinkOptions::default();
    link.send_buffer = Some(16 << 10);
    let work = Push::builder().send_high_water(QUEUE).link(link).build();
    let mut events = work.monitor();
    let at = work.bind(bind).await?;

    let reports = Push::builder().reconnect(Reconnect::never()).build();
    reports.connect(sink)?;
    reports.send(Report::Bound(at)).await?;

    // Without this, the first to come would get most of a small folder.
    let mut crowd = Crowd::default();
    drop(timeout(GATHERING, crowd.until(&mut events, |crowd| crowd.came == workers)).await);
    let pieces = tokio::select! {
        pieces = hand_out(folder, &work) => pieces?,
        () = crowd.until(&mut events, |crowd| crowd.present == 0) => return Err("no worker is left".into()),
    };
    reports.send(Report::Sent(pieces)).await?;
    work.close().await;
    reports.close().await;
    Ok(())
}

async fn hand_out(folder: &Path, work: &Push) -> Result<u64, Fault> {
    let mut number = 0_u64;
    // The sink reads the files too, and says which cannot be read.
    for text in text::files(folder).filter_map(|(_, text)| text.ok()) {
        for piece in text::pieces(&text) {
            work.send([Frame::from(&number.to_be_bytes()), piece.into()]).await?;
            number += 1;
        }
    }
    Ok(number)
}

/// The workers that came, and those that are still there.
#[derive(Debug, Default)]
struct Crowd {
    came: usize,
    present: usize,
}

impl Crowd {
    async fn until(&mut self, events: &mut Monitor, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            match events.next().await {
                Some(Event::Ready { .. }) => {
                    self.came += 1;
                    self.present += 1;
                }
                Some(Event::Disconnected { .. }) => self.present -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}
