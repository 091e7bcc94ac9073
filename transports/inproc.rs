//! `inproc://`: how sockets of one process find each other by name.
//!
//! A name is bound, or awaited by those who connected before, or neither; never both. All a [`Hub`] does is
//! to swap what binders offer against what connecters leave, so it needs to know of neither queues nor
//! messages. Invariant: a connecter either gets the binder or is waiting, decided under one lock, so that none
//! falls between a `connect` and a `bind` that run at once. Semantics: libzmq's inproc(7).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names, and who bound or awaits them.
///
/// `B` is what a binder offers (a handle by which to reach it), `C` what a waiting connecter leaves (by which
/// the binder will reach it). All methods lock the hub for a moment; no value is dropped meanwhile.
///
/// A hub keeps what it was given until `unbind` or `forget`. Sockets that may be dropped without either should
/// leave weak references.
///
/// # Examples
///
/// ```
/// use zocket_transport::inproc::Hub;
///
/// let hub = Hub::<&str, &str>::new();
/// assert_eq!(hub.connect("jobs", || "early"), None);
/// assert_eq!(hub.bind("jobs", "binder")?, ["early"]);
/// assert_eq!(hub.connect("jobs", || "late"), Some("binder"));
/// assert!(hub.bind("jobs", "another").is_err());
/// assert_eq!(hub.unbind("jobs"), Some("binder"));
/// # Ok::<(), zocket_transport::inproc::NameTaken>(())
/// ```
pub struct Hub<B, C> {
    names: Mutex<HashMap<String, Name<B, C>>>,
}

enum Name<B, C> {
    Bound(B),
    /// Never empty, in the order they came.
    Awaited(Vec<C>),
}

impl<B: Clone, C> Hub<B, C> {
    /// A hub without names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a name. Returns those who connected to it before, in their order; they wait no longer, and it is
    /// the binder's business to link to them.
    ///
    /// # Errors
    ///
    /// The name is bound.
    pub fn bind(&self, name: &str, offer: B) -> Result<Vec<C>, NameTaken> {
        let mut names = self.lock();
        match names.get_mut(name) {
            Some(Name::Bound(_)) => {
                // Unlock before `offer` is dropped, which may run code of the caller's.
                drop(names);
                Err(NameTaken { name: name.into() })
            }
            Some(awaited) => match std::mem::replace(awaited, Name::Bound(offer)) {
                Name::Awaited(waiting) => Ok(waiting),
                Name::Bound(_) => Ok(Vec::new()),
            },
            None => {
                names.insert(name.into(), Name::Bound(offer));
                Ok(Vec::new())
            }
        }
    }

    /// Looks a name up. If it is bound, returns what the binder offers, and `waiting` is not called. If not,
    /// stores what `waiting` returns until the name is bound.
    ///
    /// `waiting` runs under the hub's lock and must not call the hub.
    pub fn connect(&self, name: &str, waiting: impl FnOnce() -> C) -> Option<B> {
        let mut names = self.lock();
        match names.get_mut(name) {
            Some(Name::Bound(offer)) => return Some(offer.clone()),
            Some(Name::Awaited(others)) => others.push(waiting()),
            None => {
                let first = vec![waiting()];
                names.insert(name.into(), Name::Awaited(first));
            }
        }
        None
    }

    /// Frees a name and returns what its binder offered; `None` if it was not bound. Links that exist are not
    /// touched; whoever connects from now on waits for the next binder.
    ///
    /// For the one whose [`bind`](Self::bind) succeeded, once: a later call might free another's name.
    pub fn unbind(&self, name: &str) -> Option<B> {
        let mut names = self.lock();
        if !matches!(names.get(name), Some(Name::Bound(_))) {
            return None;
        }
        match names.remove(name) {
            Some(Name::Bound(offer)) => Some(offer),
            _ => None,
        }
    }

    /// Takes back waiting connecters of a name: those for which `gone` says so. Returns them; what is missing
    /// in the answer has met a binder already.
    ///
    /// `gone` runs under the hub's lock and must not call the hub.
    pub fn forget(&self, name: &str, gone: impl FnMut(&C) -> bool) -> Vec<C> {
        let mut gone = gone;
        let mut names = self.lock();
        let Entry::Occupied(mut entry) = names.entry(name.into()) else { return Vec::new() };
        let Name::Awaited(waiting) = entry.get_mut() else { return Vec::new() };
        let left = waiting.extract_if(.., |connecter| gone(connecter)).collect();
        if waiting.is_empty() {
            entry.remove();
        }
        left
    }

    /// A panic in a caller's closure leaves the map in order, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Name<B, C>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B, C> Default for Hub<B, C> {
    fn default() -> Self {
        Self { names: Mutex::default() }
    }
}

impl<B, C> fmt::Debug for Hub<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        // Never waits: somebody may print a hub from within a closure that runs under its lock.
        if let Ok(names) = self.names.try_lock() {
            for (name, state) in &*names {
                match state {
                    Name::Bound(_) => map.entry(name, &"bound"),
                    Name::Awaited(waiting) => map.entry(name, &format_args!("awaited by {}", waiting.len())),
                };
            }
        }
        map.finish()
    }
}

/// The in-process name is bound by another socket of the same hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("in-process name {name:?} is bound already")]
#[non_exhaustive]
pub struct NameTaken {
    /// The name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn those_who_came_before_are_given_to_the_binder_in_order() {
        let hub = Hub::<&str, u32>::new();
        for number in 0..3 {
            assert_eq!(hub.connect("a", || number), None);
        }
        assert_eq!(hub.connect("b", || 9), None);
        assert_eq!(hub.bind("a", "binder").unwrap(), [0, 1, 2]);
        assert_eq!(hub.connect("a", || unreachable!("it is bound")), Some("binder"));
    }

    #[test]
    fn a_second_binder_is_refused_until_the_first_leaves() {
        let hub = Hub::<&str, ()>::new();
        hub.bind("a", "first").unwrap();
        assert_eq!(hub.bind("a", "second").unwrap_err().name, "a");
        assert_eq!(hub.unbind("a"), Some("first"));
        assert_eq!(hub.unbind("a"), None);
        assert!(hub.bind("a", "second").unwrap().is_empty());
    }

    #[test]
    fn unbind_does_not_touch_those_who_wait() {
        let hub = Hub::<(), u32>::new();
        assert_eq!(hub.connect("a", || 1), None);
        assert_eq!(hub.unbind("a"), None);
        assert_eq!(hub.bind("a", ()).unwrap(), [1]);
    }

    #[test]
    fn who_stops_waiting_meets_no_binder() {
        let hub = Hub::<(), u32>::new();
        for number in 0..4 {
            hub.connect("a", || number);
        }
        assert_eq!(hub.forget("a", |number| number % 2 == 0), [0, 2]);
        assert!(hub.forget("b", |_| true).is_empty());
        assert_eq!(hub.bind("a", ()).unwrap(), [1, 3]);
        assert!(hub.forget("a", |_| true).is_empty());
        assert_eq!(hub.unbind("a"), Some(()));
    }

    #[test]
    fn a_name_nobody_uses_takes_no_room() {
        let hub = Hub::<(), u32>::new();
        hub.connect("a", || 1);
        hub.forget("a", |_| true);
        hub.bind("b", ()).unwrap();
        hub.unbind("b");
        assert!(hub.lock().is_empty());
    }

    #[test]
    fn nothing_is_dropped_under_the_lock() {
        struct CallsBack(Arc<Hub<(), Self>>);
        impl Drop for CallsBack {
            fn drop(&mut self) {
                self.0.unbind("other");
            }
        }
        let hub = Arc::new(Hub::<(), CallsBack>::new());
        hub.connect("a", || CallsBack(Arc::clone(&hub)));
        assert_eq!(hub.forget("a", |_| true).len(), 1);
    }

    #[test]
    fn nobody_falls_between_connect_and_bind() {
        for _ in 0..200 {
            let hub = Hub::<(), u32>::new();
            let met = thread::scope(|scope| {
                let connecters: Vec<_> = (0..2)
                    .map(|n| {
                        scope.spawn({
                            let hub = &hub;
                            move || hub.connect("a", || n).is_some()
                        })
                    })
                    .collect();
                let waited = hub.bind("a", ()).unwrap().len();
                let found = connecters.into_iter().filter_map(|c| c.join().unwrap().then_some(())).count();
                waited + found
            });
            assert_eq!(met, 2);
        }
    }
}
