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
    /// One was lent since the last sweep.
    used: bool,
}

impl Spares {
    /// An empty buffer of at least `capacity` bytes, and at most twice that.
    pub(super) fn lend(&mut self, capacity: usize) -> BytesMut {
        let fits = |spare: &BytesMut| (capacity..=capacity.saturating_mul(2)).contains(&spare.capacity());
        let Some(at) = self.idle.iter().rposition(fits) else { return BytesMut::with_capacity(capacity) };
        self.used = true;
        let spare = self.idle.remove(at);
        self.bytes -= spare.capacity();
        spare
    }

    /// Returns the buffer if enough are kept.
    pub(super) fn take_back(&mut self, mut bytes: BytesMut) -> Option<BytesMut> {
        if self.bytes + bytes.capacity() > KEPT {
            return Some(bytes);
        }
        bytes.clear();
        self.bytes += bytes.capacity();
        self.idle.push(bytes);
        None
    }

    /// Takes out what nobody used since the last sweep.
    pub(super) fn sweep(&mut self) -> Vec<BytesMut> {
        if std::mem::take(&mut self.used) {
            return Vec::new();
        }
        self.bytes = 0;
        std::mem::take(&mut self.idle)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_is_lent_again_empty_unless_it_is_too_small_or_more_than_twice_as_large() {
        let mut spares = Spares::default();
        let mut buffer = spares.lend(100_000);
        buffer.extend_from_slice(b"old");
        let place = buffer.as_ptr();
        assert!(spares.take_back(buffer).is_none());
        for other in [100_001, 49_999] {
            assert_ne!(spares.lend(other).as_ptr(), place);
        }
        let again = spares.lend(50_000);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, 100_000));
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let mut spares = Spares::default();
        assert!(spares.take_back(BytesMut::with_capacity(KEPT)).is_none());
        assert!(spares.take_back(BytesMut::with_capacity(1)).is_some());
        drop(spares.lend(KEPT));
        assert!(spares.take_back(BytesMut::with_capacity(1)).is_none());
    }

    #[test]
    fn a_sweep_takes_what_was_not_used_since_the_last() {
        let mut spares = Spares::default();
        spares.take_back(BytesMut::with_capacity(100_000));
        let buffer = spares.lend(100_000);
        spares.take_back(buffer);
        assert!(spares.sweep().is_empty() && !spares.is_empty());
        assert!(spares.sweep().len() == 1 && spares.is_empty());
    }
}
