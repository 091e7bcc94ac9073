//! Looking for more before a connection sleeps: what it costs to wake its thread can be more than the looking.
//!
//! With busy polling, for a bounded time after the last byte. Without, while much of a frame is to come, and comes
//! fast: the sender of 1 MiB would wake this thread six times, at about 30 µs each. Over loopback both sides together
//! spent no more time so, and 256 KiB gained a sixth to a fourth, 1 MiB a tenth.
//!
//! The kernel's own busy polling does nothing on loopback and little behind an event loop, so the task wakes
//! itself. It runs by the machine's clock and not by the runtime's, which stands still in tests while a task is
//! awake: the bound must hold there too.

use std::time::{Duration, Instant};

/// With so many bytes of a frame missing, more are about to come.
const LARGE: usize = 64 * 1024;

/// How long a connection then looks without being asked to: about what it costs to wake its thread.
const STREAMING: Duration = Duration::from_micros(30);

/// So much must have come since the last look for another 30 µs. What comes in smaller pieces is slower than waking.
const FAST: usize = 16 * 1024;

/// The longest look. A clock cannot tell any longer time from now.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Whether one connection keeps looking.
#[derive(Debug)]
pub(super) struct Lookout {
    /// How long, when nothing is known to come. Zero: not at all.
    time: Duration,
    wrote: bool,
    read: usize,
    until: Option<Instant>,
}

impl Lookout {
    pub(super) fn new(time: Duration) -> Self {
        let time = time.min(LONGEST);
        Self { time, wrote: false, read: 0, until: None }
    }

    /// Whether it looks for whatever may come.
    pub(super) const fn is_on(&self) -> bool {
        !self.time.is_zero()
    }

    pub(super) const fn wrote(&mut self) {
        self.wrote = true;
    }

    pub(super) const fn read(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(bytes);
    }

    /// Whether to look again rather than sleep, with so many bytes of a frame `missing`.
    #[inline]
    pub(super) fn goes_on(&mut self, missing: usize) -> bool {
        let (wrote, read) = (std::mem::take(&mut self.wrote), std::mem::take(&mut self.read));
        let time = match () {
            () if self.is_on() && (wrote || read > 0) => self.time,
            () if missing >= LARGE && read >= FAST => STREAMING,
            () if self.is_on() || missing >= LARGE => Duration::ZERO,
            () => return false,
        };
        self.goes_on_at(Instant::now(), time)
    }

    /// With `time` from now on, or as long as was said before.
    fn goes_on_at(&mut self, now: Instant, time: Duration) -> bool {
        if !time.is_zero() {
            self.until = now.checked_add(time);
        }
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(50);

    #[test]
    fn looking_ends_a_bounded_time_after_the_last_byte() {
        let start = Instant::now();
        let mut lookout = Lookout::new(TIME);
        assert!(!lookout.goes_on_at(start, Duration::ZERO), "nothing has moved yet");
        assert!(lookout.goes_on_at(start, TIME));
        assert!(lookout.goes_on_at(start + TIME / 2, Duration::ZERO));
        assert!(lookout.goes_on_at(start + TIME / 2, TIME));
        assert!(lookout.goes_on_at(start + TIME, Duration::ZERO));
        assert!(!lookout.goes_on_at(start + TIME * 2, Duration::ZERO));
    }

    #[test]
    fn one_that_is_on_looks_after_whatever_moved() {
        for moved in [Lookout::wrote, |lookout: &mut Lookout| lookout.read(1)] {
            for time in [Duration::from_secs(3600), Duration::MAX] {
                let mut lookout = Lookout::new(time);
                assert!(!lookout.goes_on(0));
                moved(&mut lookout);
                assert!(lookout.goes_on(0) && lookout.goes_on(0), "{time:?}");
            }
        }
    }

    #[test]
    fn one_that_is_off_looks_only_while_much_of_a_frame_comes_fast() {
        for (read, missing, looks) in
            [(FAST, LARGE, true), (FAST - 1, LARGE, false), (FAST, LARGE - 1, false), (0, LARGE, false)]
        {
            let mut lookout = Lookout::new(Duration::ZERO);
            lookout.wrote();
            lookout.read(read);
            lookout.goes_on(missing);
            assert_eq!(lookout.until.is_some(), looks, "{read} read, {missing} missing");
        }
    }
}
