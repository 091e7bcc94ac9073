//! Waiting and waking: the one list of waiting tasks, and the wake-ups that leave a critical section.
//!
//! Nothing is woken while a lock of a socket is held: what a critical section owes others is collected in a [`Wakes`] and
//! fired after unlocking, so a woken task never runs into the lock that its waker still holds. What each message passes is
//! a [`Short`] lock, all else a `std::sync::Mutex`. (A connection's is held for a whole `poll`; who else wants it only
//! tries.)

mod short;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

pub(crate) use self::short::{Guard, Short};

/// Locks, going on after a panic elsewhere: every critical section leaves the data whole.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in a [`WaitSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// Tasks that wait for the same thing, first come, first woken.
///
/// A woken task has left the set. If it then goes away without using what it was woken for, it must wake the
/// next one: [`leave`](Self::leave) says whether it was still waiting.
#[derive(Debug, Default)]
pub(crate) struct WaitSet {
    next: u64,
    waiting: VecDeque<(u64, Waker)>,
}

impl WaitSet {
    /// Joins the set; with a ticket, takes its old place again.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) {
        let Some(Ticket(id)) = *ticket else {
            self.next += 1;
            self.waiting.push_back((self.next, waker.clone()));
            *ticket = Some(Ticket(self.next));
            return;
        };
        // Who was woken in vain keeps its place in line.
        match self.waiting.binary_search_by_key(&id, |(other, _)| *other) {
            Ok(place) => self.waiting[place].1.clone_from(waker),
            Err(place) => self.waiting.insert(place, (id, waker.clone())),
        }
    }

    /// Gives a place up. True: it was still waiting; false: it had been woken.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> bool {
        match self.waiting.binary_search_by_key(&ticket.0, |(id, _)| *id) {
            Ok(place) => self.waiting.remove(place).is_some(),
            Err(_) => false,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the task that waits longest.
    pub(crate) fn first(&mut self) -> Option<Waker> {
        self.waiting.pop_front().map(|(_, waker)| waker)
    }

    /// Takes all of them.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = Waker> {
        self.waiting.drain(..).map(|(_, waker)| waker)
    }
}

/// What a critical section owes others, to be fired once its lock is released.
///
/// Nearly always empty or of one waker, so neither case allocates.
#[derive(Debug, Default)]
#[must_use = "whoever waits would wait for ever"]
pub(crate) struct Wakes {
    first: Option<Waker>,
    /// Others come only after a first.
    more: Vec<Waker>,
}

impl Wakes {
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.first.is_none() => self.first = Some(waker),
            Some(waker) => self.more.push(waker),
            None => {}
        }
    }

    pub(crate) fn add_all(&mut self, wakers: impl Iterator<Item = Waker>) {
        wakers.for_each(|waker| self.add(Some(waker)));
    }

    /// Takes over all of another's.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if other.is_empty() {
            return;
        }
        self.add_all(other.first.take().into_iter().chain(other.more.drain(..)));
    }

    /// The only one, if there is one only.
    #[inline]
    pub(crate) fn take_only(&mut self) -> Option<Waker> {
        if self.more.is_empty() { self.first.take() } else { None }
    }

    pub(crate) fn fire(&mut self) {
        if let Some(waker) = self.first.take() {
            waker.wake();
            if !self.more.is_empty() {
                self.more.drain(..).for_each(Waker::wake);
            }
        }
    }
}

/// Counts tasks, so that somebody can wait for the last of them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    state: Mutex<(usize, WaitSet)>,
}

impl Tasks {
    /// Resolves when no task is left.
    pub(crate) async fn done(&self) {
        /// A place in line, given up with the future.
        struct Place<'a>(&'a Tasks, Option<Ticket>);
        impl Drop for Place<'_> {
            fn drop(&mut self) {
                if let Some(ticket) = self.1 {
                    lock(&self.0.state).1.leave(ticket);
                }
            }
        }
        let mut place = Place(self, None);
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            if state.0 == 0 {
                return Poll::Ready(());
            }
            state.1.wait(&mut place.1, cx.waker());
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.state).0 == 0
    }

    fn change(&self, add: isize) {
        let mut wakes = Wakes::default();
        let mut state = lock(&self.state);
        state.0 = state.0.saturating_add_signed(add);
        if state.0 == 0 {
            wakes.add_all(state.1.all());
        }
        drop(state);
        wakes.fire();
    }
}

/// Held by a running task, on behalf of its socket and its context.
#[derive(Debug)]
pub(crate) struct TaskGuard(Arc<Tasks>, Arc<Tasks>);

impl TaskGuard {
    pub(crate) fn new(socket: &Arc<Tasks>, context: &Arc<Tasks>) -> Self {
        socket.change(1);
        context.change(1);
        Self(Arc::clone(socket), Arc::clone(context))
    }
}

impl Clone for TaskGuard {
    fn clone(&self) -> Self {
        Self::new(&self.0, &self.1)
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.change(-1);
        self.1.change(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_is_first_and_a_place_is_not_taken_twice() {
        let mut set = WaitSet::default();
        let (mut a, mut b) = (None, None);
        set.wait(&mut a, Waker::noop());
        set.wait(&mut b, Waker::noop());
        set.wait(&mut a, Waker::noop());
        assert!(set.first().is_some());
        assert!(!set.leave(a.unwrap()), "a had been woken");
        assert!(set.leave(b.unwrap()), "b still waited");
        assert!(set.first().is_none());
    }
}
