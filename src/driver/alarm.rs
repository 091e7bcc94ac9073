//! The clock of tasks that are polled by hand.
//!
//! A timer that is armed costs a runtime half a microsecond whenever it waits: it looks at its clock before and after,
//! and has the kernel arm a timer too. A connection always has one, for its heartbeat, many seconds away. So timers that
//! are far away are another runtime's, whose one thread does nothing but wait for them; and so are those of senders, who
//! may be of no runtime, or of one without a clock.

use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant as Time};
use std::{process, thread};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, Sleep, sleep_until};

/// So near a deadline is the task's own runtime's: the other one would have to wake its thread.
const NEAR: Duration = Duration::from_millis(200);

/// Tokio's time, which tests can stop.
pub(crate) fn now() -> Time {
    Instant::now().into_std()
}

/// A timer of a task, or of a sender.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at the deadline. It wakes the task then, and perhaps before: while deadlines only move away, an armed timer
    /// is left alone, and the clock is not asked. Without a deadline there is no timer.
    pub(super) fn poll(&mut self, deadline: Option<Time>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline.map(Instant::from_std) else {
            self.0 = None;
            return Poll::Pending;
        };
        if self.0.as_ref().is_some_and(|timer| timer.deadline() <= deadline && !timer.is_elapsed()) {
            return Poll::Pending;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        self.arm(deadline, if left > NEAR { far_runtime() } else { None }, cx)
    }

    /// Whether it wakes the task at the deadline or before, as when it was last polled.
    pub(super) fn is_armed_for(&self, deadline: Option<Time>) -> bool {
        let wakes_by =
            |deadline| self.0.as_ref().is_some_and(|timer| timer.deadline().into_std() <= deadline);
        deadline.is_none_or(wakes_by)
    }

    /// Has the task woken at the deadline, however near, by no runtime of its own: it may have none. False: nobody can.
    pub(crate) fn wakes_at(&mut self, deadline: Time, cx: &mut Context<'_>) -> bool {
        let far = far_runtime();
        far.is_some() && self.arm(Instant::from_std(deadline), far, cx).is_pending()
    }

    #[cold]
    fn arm(&mut self, deadline: Instant, far: Option<&Handle>, cx: &mut Context<'_>) -> Poll<()> {
        let _entered = far.map(Handle::enter);
        // Not `reset`: the one before may be of the other runtime.
        let sleep = sleep_until(deadline);
        let timer = match &mut self.0 {
            Some(timer) => {
                timer.set(sleep);
                timer
            }
            none => none.insert(Box::pin(sleep)),
        };
        // Whatever is left of tokio's budget: without any it would not keep the waker, and is not asked again.
        pin!(tokio::task::unconstrained(timer.as_mut())).poll(cx)
    }
}

/// The runtime of timers that are far away. `None`: there can be no further thread; or this is a fork, which has but the
/// one that forked; or the task's clock is not the system's, for a test has stopped it. (If it does so later, what is
/// armed goes by the system's.)
fn far_runtime() -> Option<&'static Handle> {
    static FAR: OnceLock<Option<(u32, Handle)>> = OnceLock::new();
    let before = Time::now();
    if now() < before || now() > Time::now() {
        return None;
    }
    let start = || {
        // It is never dropped: that would panic here, inside another one.
        let runtime: &Runtime =
            Box::leak(Box::new(Builder::new_current_thread().enable_time().build().ok()?));
        let wait = || runtime.block_on(pending::<()>());
        thread::Builder::new().name("zocket-timers".into()).spawn(wait).ok()?;
        Some((process::id(), runtime.handle().clone()))
    };
    let (process, handle) = FAR.get_or_init(start).as_ref()?;
    (*process == process::id()).then_some(handle)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

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

    #[test]
    fn a_far_alarm_rings_without_a_timer_of_its_tasks_runtime() {
        let timeless = Builder::new_current_thread().build().unwrap();
        let (deadline, mut alarm) = (now() + 6 * NEAR, Alarm::default());
        timeless.block_on(poll_fn(|cx| alarm.poll(Some(deadline), cx)));
        assert!(now() >= deadline);
    }

    #[tokio::test]
    async fn by_the_systems_clock_too_an_alarm_rings_at_the_last_deadline() {
        let (far, mut alarm) = (now() + 100 * NEAR, Alarm::default());
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(Some(far), cx))).await.is_pending());
        let near = now() + NEAR / 2;
        timeout(50 * NEAR, poll_fn(|cx| alarm.poll(Some(near), cx))).await.expect("it rings");
        assert!(now() >= near);
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(Some(far), cx))).await.is_pending());
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
