//! Buffers of large messages, kept for the next ones.
//!
//! Copying a message of 1 MiB to a fresh buffer costs up to 120 page faults, whenever the allocator has given the last
//! one back to the kernel, as it does with a heap whose end is free. Kept, it is five; in slow spells of the machine
//! that gave half the throughput again.

use bytes::BytesMut;

/// The most that is kept, in bytes: what a busy connection has under way in messages of 1 MiB.
const KEPT: usize = 8 * 1024 * 1024;

/// Idle buffers, the last used at the end.
#[derive(Debug, Default)]
pub(super) struct Spares {
    idle: Vec<BytesMut>,
    /// The capacities of those together.
    bytes: usize,
    /// So many were not used since the last sweep.
    unused: usize,
    /// Somebody is going to sweep.
    is_watched: bool,
    /// How many could.
    sweepers: usize,
}

impl Spares {
    /// An empty buffer of at least `capacity` bytes, and at most twice that.
    pub(super) fn lend(&mut self, capacity: usize) -> BytesMut {
        let fits = |spare: &BytesMut| (capacity..=capacity.saturating_mul(2)).contains(&spare.capacity());
        let Some(at) = self.idle.iter().rposition(fits) else { return BytesMut::with_capacity(capacity) };
        self.unused = self.unused.min(at);
        let spare = self.idle.remove(at);
        self.bytes -= spare.capacity();
        spare
    }

    /// Keeps a buffer, unless enough are kept or nobody could sweep. Returns whether somebody has to, from now on.
    pub(super) fn take_back(&mut self, mut bytes: BytesMut) -> Result<bool, BytesMut> {
        if self.sweepers == 0 || self.bytes + bytes.capacity() > KEPT {
            return Err(bytes);
        }
        bytes.clear();
        self.bytes += bytes.capacity();
        self.idle.push(bytes);
        Ok(!std::mem::replace(&mut self.is_watched, true))
    }

    /// Takes out what nobody used since the last sweep. Whether anything is left to sweep is said beside.
    pub(super) fn sweep(&mut self) -> (Vec<BytesMut>, bool) {
        let swept: Vec<_> = self.idle.drain(..self.unused).collect();
        self.bytes -= swept.iter().map(BytesMut::capacity).sum::<usize>();
        self.unused = self.idle.len();
        self.is_watched = !self.idle.is_empty();
        (swept, self.is_watched)
    }

    pub(super) const fn join(&mut self) {
        self.sweepers += 1;
    }

    /// One that could sweep goes away. Takes out everything if it was the last.
    pub(super) fn leave(&mut self) -> Vec<BytesMut> {
        self.sweepers -= 1;
        if self.sweepers > 0 {
            return Vec::new();
        }
        (self.bytes, self.unused, self.is_watched) = (0, 0, false);
        std::mem::take(&mut self.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spares() -> Spares {
        let mut spares = Spares::default();
        spares.join();
        spares
    }

    #[test]
    fn a_spare_is_lent_again_empty_unless_it_is_too_small_or_more_than_twice_as_large() {
        let mut spares = spares();
        let mut buffer = spares.lend(100_000);
        buffer.extend_from_slice(b"old");
        let place = buffer.as_ptr();
        assert_eq!(spares.take_back(buffer), Ok(true));
        for other in [100_001, 49_999] {
            assert_ne!(spares.lend(other).as_ptr(), place);
        }
        let again = spares.lend(50_000);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, 100_000));
    }

    #[test]
    fn no_more_is_kept_than_the_limit_and_nothing_that_nobody_sweeps() {
        let mut spares = spares();
        assert_eq!(spares.take_back(BytesMut::with_capacity(KEPT)), Ok(true));
        assert!(spares.take_back(BytesMut::with_capacity(1)).is_err());
        drop(spares.lend(KEPT));
        assert_eq!(spares.take_back(BytesMut::with_capacity(1)), Ok(false), "who was told still watches");
        assert_eq!(spares.leave().len(), 1);
        assert!(spares.take_back(BytesMut::with_capacity(1)).is_err());
    }

    #[test]
    fn a_sweep_takes_what_was_not_used_since_the_last() {
        let mut spares = spares();
        for _ in 0..3 {
            spares.take_back(BytesMut::with_capacity(100_000)).unwrap();
        }
        assert_eq!(spares.sweep(), (Vec::new(), true));
        let used = spares.lend(100_000);
        spares.take_back(used).unwrap();
        let (swept, is_watched) = spares.sweep();
        assert_eq!((swept.len(), spares.idle.len(), is_watched), (2, 1, true));
        let (swept, is_watched) = spares.sweep();
        assert_eq!((swept.len(), spares.bytes, is_watched), (1, 0, false));
    }
}
