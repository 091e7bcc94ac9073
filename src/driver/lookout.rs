//! Busy polling: a connection that has just moved bytes looks for more, for a bounded time, before it sleeps.
//!
//! The kernel's own busy polling does nothing on loopback and little behind an event loop, so the task wakes
//! itself. It runs by the machine's clock and not by the runtime's, which stands still in tests while a task is
//! awake: the bound must hold there too.

use std::time::{Duration, Instant};

/// With so many bytes of a frame missing, more are about to come.
const LARGE: usize = 64 * 1024;

/// How long a connection then looks without being asked to: about what it costs to wake its thread, which the sender
/// of a frame of 1 MiB would pay six times. Together both sides spent no more time, and 256 KiB gained a sixth to a
/// fourth, 1 MiB a tenth.
const STREAMING: Duration = Duration::from_micros(30);

/// Whether one connection keeps looking.
#[derive(Debug)]
pub(super) struct Lookout {
    /// How long, when nothing is known to come. Zero: not at all.
    time: Duration,
    moved: bool,
    until: Option<Instant>,
}

impl Lookout {
    pub(super) const fn new(time: Duration) -> Self {
        Self { time, moved: false, until: None }
    }

    /// Whether it looks for whatever may come.
    pub(super) const fn is_on(&self) -> bool {
        !self.time.is_zero()
    }

    /// Bytes came or went.
    pub(super) const fn moved(&mut self) {
        self.moved = true;
    }

    /// Whether to look again rather than sleep, with so many bytes of a frame `missing`.
    #[inline]
    pub(super) fn goes_on(&mut self, missing: usize) -> bool {
        let time = if missing < LARGE { self.time } else { self.time.max(STREAMING) };
        !time.is_zero() && self.goes_on_at(Instant::now(), time)
    }

    fn goes_on_at(&mut self, now: Instant, time: Duration) -> bool {
        if std::mem::take(&mut self.moved) {
            self.until = now.checked_add(time);
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
        assert!(!lookout.goes_on_at(start, time), "nothing has moved yet");
        lookout.moved();
        assert!(lookout.goes_on_at(start, time));
        assert!(lookout.goes_on_at(start + time / 2, time));
        lookout.moved();
        assert!(lookout.goes_on_at(start + time, time));
        assert!(!lookout.goes_on_at(start + time * 2, time));
    }

    #[test]
    fn without_a_time_a_connection_sleeps_at_once_unless_much_of_a_frame_is_to_come() {
        let mut lookout = Lookout::new(Duration::ZERO);
        lookout.moved();
        assert!(!lookout.goes_on(LARGE - 1));
        assert!(lookout.goes_on(LARGE));
    }
}
