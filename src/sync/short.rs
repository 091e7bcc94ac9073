//! A lock for critical sections that are shorter than it takes to put a thread to sleep.
//!
//! Each message passes one lock on its way out and one on its way in, seldom contended. `std`'s takes two atomic
//! operations then, the second to learn whether somebody sleeps; here nobody needs to be woken, so unlocking is a plain
//! store.
//!
//! Who finds it taken looks for a while, since the holder is nearly always about to unlock. Then the holder's thread
//! probably does not run, and the waiter gives its core away, first to whoever wants it and then for a tenth of a
//! millisecond at a time: so a holder of whatever priority gets to run.
//!
//! A thread that unlocks and locks again at once, as one that publishes in a loop, would win nearly always against those who
//! look from other cores. So who has looked in vain for a while says so, and who comes to lock lets it go first.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use spin::mutex::{SpinMutex, SpinMutexGuard};

/// Never to be held over an await: it would be let go on another thread, or never. Clippy sees to that.
pub(crate) type Guard<'a, T> = SpinMutexGuard<'a, T>;

#[derive(Debug)]
pub(crate) struct Short<T> {
    lock: SpinMutex<T>,
    /// Somebody has looked for it in vain, and goes first.
    is_awaited: AtomicBool,
}

/// How often a waiter looks before it says so.
const PATIENCE: usize = 30;

/// How often it looks before it gives its core away: for some microseconds, or some tens where looking is slow.
const LOOKS: usize = 500;

/// How often it looks while another one goes first. That one's thread may not run.
const MANNERS: usize = LOOKS / 2;

impl<T> Short<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { lock: SpinMutex::new(value), is_awaited: AtomicBool::new(false) }
    }

    /// Locks. After a panic elsewhere too: every critical section leaves the data whole.
    #[inline(always)]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        if !self.is_awaited.load(Ordering::Relaxed)
            && let Some(guard) = self.lock.try_lock()
        {
            return guard;
        }
        self.wait()
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) -> Guard<'_, T> {
        const SLEEP: Duration = Duration::from_micros(50);
        self.wait_giving_way(|times| if times == 0 { thread::yield_now() } else { thread::sleep(SLEEP) })
    }

    /// Looks, and does as it is told in between. It tells how often it has done so.
    fn wait_giving_way(&self, mut give_way: impl FnMut(usize)) -> Guard<'_, T> {
        let mut times = 0;
        loop {
            if let Some(guard) = self.look() {
                return guard;
            }
            give_way(times);
            times += 1;
        }
    }

    /// Looks for a while.
    fn look(&self) -> Option<Guard<'_, T>> {
        let mut is_first = false;
        let mut guard = None;
        for look in 0..LOOKS {
            spin_loop();
            if look == PATIENCE {
                is_first = !self.is_awaited.swap(true, Ordering::Relaxed);
            }
            let may_go = is_first || look >= MANNERS || !self.is_awaited.load(Ordering::Relaxed);
            if may_go && !self.lock.is_locked() {
                guard = self.lock.try_lock();
            }
            if guard.is_some() {
                break;
            }
        }
        if is_first {
            self.is_awaited.store(false, Ordering::Relaxed);
        }
        guard
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn one_at_a_time_is_let_in() {
        const ROUNDS: usize = 20_000;
        let lock = Short::new((0, 0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let mut both = lock.lock();
                        assert_eq!(both.0, both.1);
                        both.0 += 1;
                        both.1 += 1;
                    }
                });
            }
        });
        assert_eq!(lock.lock().0, 4 * ROUNDS);
    }

    #[test]
    fn who_looks_in_vain_gives_its_core_away_and_then_sleeps_until_it_is_let_in() {
        let lock = Short::new(());
        let mut held = Some(lock.lock());
        let mut gave_way = Vec::new();
        let guard = lock.wait_giving_way(|times| {
            assert!(!lock.is_awaited.load(Ordering::Relaxed), "nobody lets one go first who does not look");
            gave_way.push(times);
            held.take_if(|_| times == 2);
        });
        assert_eq!(gave_way, [0, 1, 2]);
        drop(guard);
    }

    #[test]
    fn who_waits_goes_first_but_is_not_waited_for_if_it_does_not_come() {
        let lock = Short::new(0);
        lock.is_awaited.store(true, Ordering::Relaxed);
        *lock.look().expect("its thread does not run") += 1;
        assert!(lock.is_awaited.load(Ordering::Relaxed), "it still waits");

        lock.is_awaited.store(false, Ordering::Relaxed);
        let held = lock.lock();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| *lock.lock() += 1);
            while !lock.is_awaited.load(Ordering::Relaxed) {
                spin_loop();
            }
            drop(held);
            waiter.join().expect("it is let in");
        });
        assert_eq!((*lock.lock(), lock.is_awaited.load(Ordering::Relaxed)), (2, false));
    }

    #[test]
    fn a_panic_while_it_is_held_lets_the_next_one_in() {
        let lock = Short::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = lock.lock();
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.lock(), 1);
    }
}
