//! Busy polling: a connection that has just moved bytes looks for more, for a bounded time, before it sleeps.
//!
//! The kernel's own busy polling does nothing on loopback and little behind an event loop, so the task wakes
//! itself. It runs by the machine's clock and not by the runtime's, which stands still in tests while a task is
//! awake: the bound must hold there too.

use std::time::{Duration, Instant};

/// Whether one connection keeps looking.
#[derive(Debug)]
pub(super) struct Lookout {
    /// Zero: never.
    time: Duration,
    moved: bool,
    until: Option<Instant>,
}

impl Lookout {
    pub(super) const fn new(time: Duration) -> Self {
        Self { time, moved: false, until: None }
    }

    /// Bytes came or went.
    pub(super) const fn moved(&mut self) {
        self.moved = true;
    }

    /// Whether to look again rather than sleep.
    pub(super) fn goes_on(&mut self) -> bool {
        !self.time.is_zero() && self.goes_on_at(Instant::now())
    }

    fn goes_on_at(&mut self, now: Instant) -> bool {
        if std::mem::take(&mut self.moved) {
            self.until = now.checked_add(self.time);
        }
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_ends_a_bounded_time_after_the_last_byte() {
        let (time, start) = (Duration::from_micros(50), Instant::now());
        let mut lookout = Lookout::new(time);
        assert!(!lookout.goes_on_at(start), "nothing has moved yet");
        lookout.moved();
        assert!(lookout.goes_on_at(start));
        assert!(lookout.goes_on_at(start + time / 2));
        lookout.moved();
        assert!(lookout.goes_on_at(start + time));
        assert!(!lookout.goes_on_at(start + time * 2));
    }

    #[test]
    fn without_a_time_a_connection_sleeps_at_once() {
        let mut lookout = Lookout::new(Duration::ZERO);
        lookout.moved();
        assert!(!lookout.goes_on());
    }
}
