//! Whose turn it is at a bound address: peers that were woken, in the order in which they were, and those whose time
//! has come. A task with a thousand idle peers looks at none of them.
//!
//! Peers go by their address. One that has gone may still be named; a turn for nobody, or for the next peer of that
//! address, does no harm.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::time::Instant as Time;

use zocket_transport::Route;

use crate::sync::lock;

/// The peers that want a turn.
#[derive(Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Summons>>,
    /// None once it has been woken, until it is polled.
    task: Option<Waker>,
}

/// A peer's place among them: it has one at most. Waking it asks for a turn.
pub(super) struct Summons {
    turns: Weak<Turns>,
    pub(super) from: Route,
    is_waiting: AtomicBool,
}

impl Turns {
    /// The task is polled: who comes from now on wakes it.
    pub(super) fn attend(&self, task: &Waker) {
        let mut state = lock(&self.0);
        match &mut state.task {
            Some(known) => known.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    /// Takes the peer that waits longest.
    pub(super) fn next(&self) -> Option<Arc<Summons>> {
        let next = lock(&self.0).waiting.pop_front()?;
        // From here on it may come again. Whoever found it waiting is seen with all it did before.
        next.is_waiting.swap(false, Ordering::AcqRel);
        Some(next)
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).waiting.is_empty()
    }

    /// Wakes the task, if it has not been woken.
    pub(super) fn wake(&self) {
        let task = lock(&self.0).task.take();
        task.into_iter().for_each(Waker::wake);
    }
}

impl Summons {
    pub(super) fn new(turns: &Arc<Turns>, from: Route) -> Arc<Self> {
        Arc::new(Self { turns: Arc::downgrade(turns), from, is_waiting: AtomicBool::new(false) })
    }

    /// Asks for a turn, from within the task.
    pub(super) fn enlist(self: &Arc<Self>) {
        if !self.is_waiting.swap(true, Ordering::AcqRel)
            && let Some(turns) = self.turns.upgrade()
        {
            lock(&turns.0).waiting.push_back(Arc::clone(self));
        }
    }
}

impl Wake for Summons {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.enlist();
        if let Some(turns) = self.turns.upgrade() {
            turns.wake();
        }
    }
}

/// When which peers have a turn, whoever wakes them or not: one time for each.
#[derive(Default)]
pub(super) struct Deadlines(BTreeSet<(Time, Route)>);

impl Deadlines {
    pub(super) fn change(&mut self, from: Route, before: Option<Time>, after: Option<Time>) {
        if before != after {
            if let Some(time) = before {
                self.0.remove(&(time, from));
            }
            self.0.extend(after.map(|time| (time, from)));
        }
    }

    pub(super) fn first(&self) -> Option<Time> {
        self.0.first().map(|(time, _)| *time)
    }

    /// Takes a peer whose time has come.
    pub(super) fn next(&mut self, now: Time) -> Option<Route> {
        let &(time, from) = self.0.first()?;
        if time > now {
            return None;
        }
        self.0.pop_first();
        Some(from)
    }
}
