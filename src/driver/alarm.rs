//! The clock of tasks that are polled by hand.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant as Time;

use tokio::time::{Instant, Sleep, sleep_until};

/// Tokio's time, which tests can stop.
pub(super) fn now() -> Time {
    Instant::now().into_std()
}

/// A task's only timer.
#[derive(Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at the deadline.
    pub(super) fn poll(&mut self, deadline: Option<Time>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline.map(Instant::from_std) else { return Poll::Pending };
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}
