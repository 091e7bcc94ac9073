//! One look at what a burst has left, when it may be over.
//!
//! The connection that meets a new slab or a spare buffer of the pool looks, and hands that over if it ends before: the
//! pool itself is used under locks and from any thread, and has no task.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Sleep, sleep};

use crate::pool::{Pool, YOUNG};

/// A connection's part in it: mostly none.
#[derive(Debug)]
pub(super) struct Sweeper(Option<Pin<Box<Sleep>>>);

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
        while let Poll::Ready(()) = self.0.get_or_insert_with(|| Box::pin(sleep(YOUNG))).as_mut().poll(cx) {
            self.0 = None;
            pool.sweep();
            if !pool.take_unwatched() {
                break;
            }
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
