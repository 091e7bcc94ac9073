//! The clock of tasks that are polled by hand.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant as Time;

use tokio::time::{Instant, Sleep, sleep_until};

/// Tokio's time, which tests can stop.
pub(super) fn now() -> Time {
    Instant::now().into_std()
}

/// A task's only timer.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at the deadline. It wakes the task then, and perhaps before: while deadlines only move away, an armed timer
    /// is left alone, and the clock is not asked. Without a deadline there is no timer, for every armed one costs the
    /// runtime half a microsecond whenever it waits.
    pub(super) fn poll(&mut self, deadline: Option<Time>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline.map(Instant::from_std) else {
            self.0 = None;
            return Poll::Pending;
        };
        if self.0.as_ref().is_some_and(|timer| timer.deadline() <= deadline && !timer.is_elapsed()) {
            return Poll::Pending;
        }
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().reset(deadline);
        // Whatever is left of tokio's budget: without any it would not keep the waker, and is not asked again.
        pin!(tokio::task::unconstrained(timer.as_mut())).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::task::coop::consume_budget;
    use tokio::time::{sleep, timeout};

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_is_set_without_budget_wakes_its_task_all_the_same() {
        let (start, mut alarm, mut is_set) = (Instant::now(), Alarm::default(), false);
        let due = poll_fn(|cx| {
            while !is_set && pin!(consume_budget()).poll(cx).is_ready() {}
            is_set = true;
            alarm.poll(Some((start + SOON).into_std()), cx)
        });
        timeout(2 * SOON, due).await.expect("woken at the deadline");
        assert_eq!(start.elapsed(), SOON);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_at_the_last_deadline_that_it_was_given_earlier_or_later() {
        for change in [SOON / 5, 3 * SOON] {
            let (start, mut alarm) = (Instant::now(), Alarm::default());
            let mut later = pin!(sleep(SOON / 10));
            let due = poll_fn(|cx| {
                let deadline = if later.as_mut().poll(cx).is_ready() { change } else { SOON };
                alarm.poll(Some((start + deadline).into_std()), cx)
            });
            due.await;
            assert_eq!(start.elapsed(), change);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_deadline_there_is_no_timer() {
        let mut alarm = Alarm::default();
        let due = Some((Instant::now() + SOON).into_std());
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(due, cx))).await.is_pending());
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(None, cx))).await.is_pending());
        assert!(alarm.0.is_none());
    }
}
