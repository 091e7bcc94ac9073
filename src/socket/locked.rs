//! A locked half of a socket. Whatever a critical section owes others, wakers and events, collects in the half
//! and is let go when the lock has been released: nobody is woken into a lock that is still held.
//!
//! It lies in the half and not beside it, so that the hot path neither makes nor drops an empty one.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use crate::event::{Dropped, Event, Monitors};
use crate::pipe::PipeId;
use crate::sync::{Wakes, lock};

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
    half: MutexGuard<'a, T>,
    /// Behind the lock: it is dropped after it.
    owed: Owed<'a>,
}

#[derive(Debug)]
struct Owed<'a> {
    effects: Option<Effects>,
    monitors: &'a Monitors,
}

impl<'a, T: Owing> Locked<'a, T> {
    #[inline]
    pub(super) fn new(half: &'a Mutex<T>, monitors: &'a Monitors) -> Self {
        Self { half: lock(half), owed: Owed { effects: None, monitors } }
    }

    /// Unlocks, and lets go of what is owed: what dropping a `Locked` does, for where fifty instructions count.
    #[inline(always)]
    pub(super) fn release(mut half: MutexGuard<'a, T>, monitors: &'a Monitors) {
        if !half.effects().is_empty() {
            Self::settle(half, monitors);
        }
    }

    #[cold]
    fn settle(half: MutexGuard<'a, T>, monitors: &'a Monitors) {
        drop(Self { half, owed: Owed { effects: None, monitors } });
    }
}

impl<T: Owing> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let effects = self.half.effects();
        if !effects.is_empty() {
            self.owed.effects = Some(std::mem::take(effects));
        }
    }
}

impl Drop for Owed<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut effects) = self.effects.take() {
            effects.wakes.fire();
            effects.events.iter().for_each(|event| self.monitors.report(event));
        }
    }
}

impl<T: Owing> Deref for Locked<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.half
    }
}

impl<T: Owing> DerefMut for Locked<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.half
    }
}
