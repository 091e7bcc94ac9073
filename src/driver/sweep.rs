//! One look at what a burst has left, when it may be over.
//!
//! The connection that meets a new slab or a spare buffer of the pool looks, and hands that over if it ends before: the
//! pool itself is used under locks and from any thread, and has no task.

use std::task::Context;
use std::time::Instant as Time;

use super::alarm::{Alarm, now};
use crate::pool::{Pool, YOUNG};

/// A connection's part in it: mostly none.
#[derive(Debug)]
pub(super) struct Sweeper(Option<Box<Sweep>>);

#[derive(Debug)]
struct Sweep {
    due: Time,
    alarm: Alarm,
}

impl Sweeper {
    pub(super) fn new(pool: &Pool) -> Self {
        pool.join_sweepers();
        Self(None)
    }

    /// To be called at the end of each `poll`.
    #[inline]
    pub(super) fn poll(&mut self, pool: &Pool, cx: &mut Context<'_>) {
        if self.0.is_some() || pool.take_unwatched() {
            self.wait(pool, cx);
        }
    }

    #[cold]
    fn wait(&mut self, pool: &Pool, cx: &mut Context<'_>) {
        let begin = || Box::new(Sweep { due: now() + YOUNG, alarm: Alarm::default() });
        let Sweep { due, alarm } = &mut **self.0.get_or_insert_with(begin);
        while alarm.poll(Some(*due), cx).is_ready() {
            pool.sweep();
            if !pool.take_unwatched() {
                self.0 = None;
                return;
            }
            *due = now() + YOUNG;
        }
    }

    /// The connection ends.
    pub(super) fn hand_over(&mut self, pool: &Pool) {
        if self.0.take().is_some() {
            pool.sweep();
            pool.set_unwatched();
        }
        pool.leave_sweepers();
    }
}
