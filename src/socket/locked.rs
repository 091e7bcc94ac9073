//! A locked half of a socket. Whatever a critical section owes others, wakers and events, collects in the half
//! and is let go when the lock has been released: nobody is woken into a lock that is still held.
//!
//! It lies in the half and not beside it, so that the hot path neither makes nor drops an empty one.

use std::ops::{Deref, DerefMut};
use std::task::Waker;

use crate::event::{Dropped, Event, Monitors};
use crate::pipe::PipeId;
use crate::sync::{Guard, Short, Wakes};

/// What a critical section leaves to be done after unlocking.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) wakes: Wakes,
    pub(super) events: Vec<Event>,
}

impl Effects {
    #[inline]
    fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.events.is_empty()
    }

    /// The one waker, if that is all: nearly always.
    #[inline]
    fn take_only(&mut self) -> Option<Waker> {
        if self.events.is_empty() { self.wakes.take_only() } else { None }
    }

    /// Takes over what another half owes, whose lock is released first.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.wakes.append(&mut other.wakes);
        self.events.append(&mut other.events);
    }

    pub(super) fn report_drops(&mut self, pipe: PipeId, messages: usize, reason: Dropped) {
        if messages > 0 {
            self.events.push(Event::Dropped { pipe, messages: messages as u64, reason });
        }
    }
}

/// Something with effects: a half of a socket.
pub(super) trait Owing {
    fn effects(&mut self) -> &mut Effects;
}

/// A half, locked until this is dropped.
#[derive(Debug)]
pub(super) struct Locked<'a, T: Owing> {
    /// Until it is dropped, there is one.
    half: Option<Guard<'a, T>>,
    monitors: &'a Monitors,
}

impl<'a, T: Owing> Locked<'a, T> {
    #[inline(always)]
    pub(super) fn new(half: &'a Short<T>, monitors: &'a Monitors) -> Self {
        Self { half: Some(half.lock()), monitors }
    }
}

impl<T: Owing> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        if let Some(half) = self.half.take() {
            leave(half, self.monitors);
        }
    }
}

/// Unlocks a half that was locked bare, and lets go of what is owed. For the hot path: the guard of a [`Locked`] lies in
/// memory, where it is read just after it was written in other pieces, which stalls, and the compiler calls its drop
/// glue. A bare guard that is merely dropped leaves what is owed to whoever locks next.
#[inline(always)]
pub(super) fn leave<T: Owing>(mut half: Guard<'_, T>, monitors: &Monitors) {
    if !half.effects().is_empty() {
        settle(half, monitors);
    }
}

/// Unlocks, and lets go of what is owed.
#[inline(never)]
fn settle<T: Owing>(mut half: Guard<'_, T>, monitors: &Monitors) {
    if let Some(only) = half.effects().take_only() {
        drop(half);
        return only.wake();
    }
    let mut effects = std::mem::take(half.effects());
    drop(half);
    effects.wakes.fire();
    effects.events.iter().for_each(|event| monitors.report(event));
}

const DROPPED: &str = "a lock is used before it is dropped";

impl<T: Owing> Deref for Locked<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        match &self.half {
            Some(half) => half,
            None => unreachable!("{DROPPED}"),
        }
    }
}

impl<T: Owing> DerefMut for Locked<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.half {
            Some(half) => half,
            None => unreachable!("{DROPPED}"),
        }
    }
}
