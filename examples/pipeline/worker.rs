//! Counts the words of one piece after the other, until the ventilator has gone.

use zocket::{Endpoint, Event, LinkOptions, Monitor, Pull, Push, Reconnect};

use crate::Fault;
use crate::report::{Report, number};
use crate::text::{self, Counts};
use crate::ventilator::QUEUE;

/// The piece at which a worker that is to die does so.
const LAST: u32 = 3;

pub(crate) async fn run(from: &Endpoint, to: &Endpoint, dies: bool) -> Result<(), Fault> {
    let mut link = LinkOptions::default();
    link.receive_buffer = Some(16 << 10);
    // Both are there before us. When one goes, it goes for good.
    let work = Pull::builder().receive_high_water(QUEUE).link(link).reconnect(Reconnect::never()).build();
    let results = Push::builder().send_high_water(QUEUE).reconnect(Reconnect::never()).build();
    let (mut ventilator, mut sink) = (work.monitor(), results.monitor());
    work.connect(from)?;
    results.connect(to)?;

    let finish = async {
        gone(&mut ventilator).await;
        // A closed socket still gives out what has arrived, and then `recv` ends with an error.
        work.close().await;
    };
    tokio::select! {
        ((), counted) = async { tokio::join!(finish, count(&work, &results, dies)) } => counted?,
        () = gone(&mut sink) => return Err("the sink has gone".into()),
    }
    match results.close().await.messages {
        0 => Ok(()),
        unsent => Err(format!("{unsent} counts did not reach the sink").into()),
    }
}

async fn count(work: &Pull, results: &Push, dies: bool) -> Result<(), Fault> {
    let mut seen = 0;
    while let Ok(piece) = work.recv().await {
        seen += 1;
        if dies && seen == LAST {
            std::process::abort();
        }
        let mut counts = Counts::new();
        text::count(str::from_utf8(piece.last())?, &mut counts);
        results.send(Report::Counted(number(piece.first())?, counts)).await?;
    }
    Ok(())
}

/// Waits until the one peer of a socket has gone, or cannot be reached.
async fn gone(events: &mut Monitor) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::Disconnected { .. } | Event::GaveUp { .. }) {
            return;
        }
    }
}
