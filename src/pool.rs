//! Buffers for chunks, lent by a context to whichever of its queues is in traffic.
//!
//! A buffer goes back when its chunk is done with, so an idle peer owns none, after traffic too, and what is
//! under way stays in the same few pages: fresh ones cost a page fault each 4 KiB. The lock is taken twice a
//! chunk and nothing is taken under it.
//!
//! Buffers are cut from slabs. An allocator's heap can be given back to the kernel from its end only, and after a
//! burst some small thing always stands there; a slab is so large that every allocator maps it by itself, and so
//! unmaps it when the last of its buffers is back. Of one that was just mapped only what is written to is memory.
//! Buffers of large messages are none of that, see [`spares`].
//!
//! *Tried:* four spare buffers a queue. As fast, but 2 000 peers that had each sent a burst held 77 MiB. Buffers
//! from the heap: 117 MiB stayed resident after the burst, though nothing used them.

mod spares;

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use self::spares::Spares;
use crate::sync::lock;

/// How large a chunk of small messages grows: one write of this size costs the kernel's entry once for about a
/// thousand of them. Sizes from 16 to 256 KiB made no clear difference.
pub(crate) const CHUNK: usize = 64 * 1024;

/// The next smaller size, for a queue that holds little.
pub(crate) const SMALL_CHUNK: usize = 4 * 1024;

/// Up to this size a buffer is from the heap, and a queue may keep it.
pub(crate) const TINY_CHUNK: usize = 512;

/// Above 32 MiB, which is where glibc stops to learn that blocks of a size are worth keeping.
const SLAB: usize = 33 * 1024 * 1024;

/// An idle slab is kept if no more than so many of its buffers were ever used: 2 MiB, about what both cores of a
/// busy pair have under way.
const KEPT: usize = 32;

/// An idle slab of which more was used is kept while it is younger than this. Traffic that comes in waves then has
/// a slab anew ten times a second: at most 4 ms of page faults, and half a millisecond for the waves of one pair.
pub(crate) const YOUNG: Duration = Duration::from_millis(100);

/// With so many received runs held in place, further ones are copied.
const PINNED: usize = 8;

/// A context's buffers. Clones are the same pool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    shelves: Mutex<Shelves>,
    /// Received runs that hold a read buffer in its place.
    pinned: AtomicUsize,
    /// There is a slab that nobody is going to look at when it is no longer young, or a spare buffer.
    unwatched: AtomicBool,
}

#[derive(Debug, Default)]
struct Shelves {
    small: Shelf<SMALL_CHUNK>,
    large: Shelf<CHUNK>,
    spares: Spares,
}

/// A buffer, which goes back to its slab when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: BytesMut,
    home: Option<(Pool, Home)>,
}

#[derive(Debug, Clone, Copy)]
enum Home {
    Small(u32),
    Large(u32),
    /// Of a large message.
    Spare,
    /// No buffer of ours: the sign of a pinned one.
    Pin,
}

impl Pool {
    /// An empty buffer of at least `capacity` bytes.
    pub(crate) fn lend(&self, capacity: usize) -> Buffer {
        let mut shelves = lock(&self.0.shelves);
        let is_tiny = capacity <= TINY_CHUNK;
        let (bytes, home) = if is_tiny && !shelves.large.has_spare() {
            return Buffer::of_its_own(capacity);
        } else if capacity > CHUNK {
            (shelves.spares.lend(capacity), Home::Spare)
        } else if capacity <= SMALL_CHUNK && !shelves.large.has_spare() {
            let (bytes, slab) = shelves.small.lend(&self.0.unwatched);
            (bytes, Home::Small(slab))
        } else {
            let (bytes, slab) = shelves.large.lend(&self.0.unwatched);
            (bytes, Home::Large(slab))
        };
        drop(shelves);
        Buffer { bytes, home: Some((self.clone(), home)) }
    }

    /// A copy of a payload that is larger than a chunk.
    pub(crate) fn copy(&self, bytes: &[u8]) -> Bytes {
        let mut copy = self.lend(bytes.len());
        copy.extend_from_slice(bytes);
        Bytes::from_owner(copy)
    }

    /// Counts a received run that stays in its read buffer, until what is returned is dropped.
    pub(crate) fn pin(&self) -> Buffer {
        self.0.pinned.fetch_add(1, Ordering::Relaxed);
        Buffer { bytes: BytesMut::new(), home: Some((self.clone(), Home::Pin)) }
    }

    /// Whether somebody must [`sweep`](Self::sweep) after [`YOUNG`]: spare buffers, or a new slab, for then whoever
    /// brings its last buffer back gives it up, but that may have happened by then. Says so once.
    #[inline]
    pub(crate) fn take_unwatched(&self) -> bool {
        self.0.unwatched.load(Ordering::Relaxed) && self.0.unwatched.swap(false, Ordering::Relaxed)
    }

    /// Whether somebody is to [`take_unwatched`](Self::take_unwatched).
    pub(crate) fn is_unwatched(&self) -> bool {
        self.0.unwatched.load(Ordering::Relaxed)
    }

    /// Whoever was to sweep cannot.
    pub(crate) fn set_unwatched(&self) {
        self.0.unwatched.store(true, Ordering::Relaxed);
    }

    /// Somebody comes who sweeps when asked to.
    pub(crate) fn join_sweepers(&self) {
        lock(&self.0.shelves).spares.join();
    }

    /// And goes.
    pub(crate) fn leave_sweepers(&self) {
        let left = lock(&self.0.shelves).spares.leave();
        drop(left);
    }

    /// Gives up what a burst has left.
    pub(crate) fn sweep(&self) {
        let mut shelves = lock(&self.0.shelves);
        let slabs = (shelves.small.sweep(), shelves.large.sweep());
        let (spares, again) = shelves.spares.sweep();
        drop(shelves);
        if again {
            self.set_unwatched();
        }
        drop((slabs, spares));
    }

    /// Whether so many read buffers are held that small messages are better copied: those are from the heap.
    pub(crate) fn is_crowded(&self) -> bool {
        self.0.pinned.load(Ordering::Relaxed) >= PINNED
    }
}

impl Buffer {
    /// Whether a queue may keep it.
    #[inline]
    pub(crate) fn is_tiny(&self) -> bool {
        self.home.is_none() && self.bytes.capacity() == TINY_CHUNK
    }

    /// Its memory, to be kept, if a queue may.
    pub(crate) fn into_tiny(mut self) -> Option<BytesMut> {
        self.is_tiny().then(|| std::mem::take(&mut self.bytes))
    }

    /// One that belongs to no pool.
    pub(crate) fn of_its_own(capacity: usize) -> Self {
        Self { bytes: BytesMut::with_capacity(capacity), home: None }
    }
}

/// One that was kept.
impl From<BytesMut> for Buffer {
    fn from(bytes: BytesMut) -> Self {
        Self { bytes, home: None }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some((pool, home)) = &self.home else { return };
        let bytes = std::mem::take(&mut self.bytes);
        let shelves = || lock(&pool.0.shelves);
        // What is returned has an end that the lock need not wait for.
        drop(match home {
            Home::Small(slab) => shelves().small.take_back(*slab, bytes),
            Home::Large(slab) => shelves().large.take_back(*slab, bytes),
            Home::Spare => {
                let kept = shelves().spares.take_back(bytes);
                if let Ok(true) = kept {
                    pool.set_unwatched();
                }
                None
            }
            Home::Pin => {
                pool.0.pinned.fetch_sub(1, Ordering::Relaxed);
                None
            }
        });
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Deref for Buffer {
    type Target = BytesMut;

    #[inline]
    fn deref(&self) -> &BytesMut {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }
}

/// Slabs of buffers of one size. The first with room lends, so that the others become idle.
#[derive(Debug, Default)]
struct Shelf<const SIZE: usize> {
    slabs: Vec<Option<Slab>>,
}

#[derive(Debug)]
struct Slab {
    /// Its start, of which no buffer has been cut.
    uncut: BytesMut,
    idle: Vec<BytesMut>,
    lent: usize,
    born: Instant,
}

impl<const SIZE: usize> Shelf<SIZE> {
    fn lend(&mut self, unwatched: &AtomicBool) -> (BytesMut, u32) {
        let has_room = |slab: &Slab| !slab.idle.is_empty() || slab.uncut.capacity() >= SIZE;
        let at =
            self.slabs.iter().position(|slab| slab.as_ref().is_some_and(has_room)).unwrap_or_else(|| {
                let place = self.slabs.iter().position(Option::is_none);
                place.unwrap_or_else(|| {
                    self.slabs.push(None);
                    self.slabs.len() - 1
                })
            });
        let slab = self.slabs[at].get_or_insert_with(|| {
            unwatched.store(true, Ordering::Relaxed);
            Slab::new()
        });
        slab.lent += 1;
        let bytes = slab.idle.pop().unwrap_or_else(|| slab.uncut.split_off(slab.uncut.capacity() - SIZE));
        (bytes, u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// Returns the buffer's slab if that is not worth keeping.
    fn take_back(&mut self, slab: u32, mut bytes: BytesMut) -> Option<Slab> {
        bytes.clear();
        let place = self.slabs.get_mut(slab as usize)?;
        let slab = place.as_mut()?;
        slab.idle.push(bytes);
        slab.lent -= 1;
        if slab.is_idle() && slab.born.elapsed() >= YOUNG { place.take() } else { None }
    }

    /// Takes out the slabs that nothing uses, whatever their age.
    fn sweep(&mut self) -> Vec<Slab> {
        self.slabs.iter_mut().filter_map(|place| place.take_if(|slab| slab.is_idle())).collect()
    }

    /// Whether a buffer that has been written to is idle, though there is no burst.
    fn has_spare(&self) -> bool {
        matches!(self.slabs.first(), Some(Some(slab)) if slab.lent < KEPT && !slab.idle.is_empty())
    }
}

impl Slab {
    fn new() -> Self {
        let uncut = BytesMut::with_capacity(SLAB);
        Self { uncut, idle: Vec::new(), lent: 0, born: Instant::now() }
    }

    /// Nothing of it is in use, and more was than is worth keeping.
    fn is_idle(&self) -> bool {
        self.lent == 0 && self.idle.len() > KEPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slabs(pool: &Pool) -> usize {
        let shelves = lock(&pool.0.shelves);
        shelves.small.slabs.iter().flatten().count() + shelves.large.slabs.iter().flatten().count()
    }

    #[test]
    fn a_buffer_comes_back_empty_and_is_lent_again() {
        for size in [SMALL_CHUNK, CHUNK] {
            let pool = Pool::default();
            let mut buffer = pool.lend(size);
            buffer.extend_from_slice(b"old");
            let place = buffer.as_ptr();
            drop(buffer);
            let again = pool.lend(size);
            assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, size));
        }
    }

    #[test]
    fn buffers_hold_what_was_asked_for_and_no_two_share_a_byte() {
        let pool = Pool::default();
        let sizes =
            [1, TINY_CHUNK, TINY_CHUNK + 1, SMALL_CHUNK, SMALL_CHUNK + 1, CHUNK, CHUNK + 1, 3 * CHUNK];
        let mut buffers: Vec<_> = sizes.map(|size| pool.lend(size)).into();
        // More than one slab has.
        buffers.extend((0..2 * SLAB / CHUNK).map(|_| pool.lend(CHUNK)));
        let mut places: Vec<_> =
            buffers.iter().map(|buffer| (buffer.as_ptr() as usize, buffer.capacity())).collect();
        places.sort_unstable();
        assert!(places.is_sorted_by(|(start, size), (next, _)| start + size <= *next));
        assert!(std::iter::zip(sizes, &buffers).all(|(size, buffer)| buffer.capacity() >= size));
    }

    #[test]
    fn what_a_pair_has_under_way_stays_and_a_burst_is_given_up() {
        let pool = Pool::default();
        for (lent, left) in [(KEPT, 1), (KEPT + 1, 0)] {
            let buffers: Vec<_> = (0..lent).map(|_| pool.lend(CHUNK)).collect();
            assert!(pool.take_unwatched() && !pool.take_unwatched());
            pool.sweep();
            assert_eq!(slabs(&pool), 1, "it is in use");
            drop(buffers);
            pool.sweep();
            assert_eq!(slabs(&pool), left);
            *lock(&pool.0.shelves) = Shelves::default();
        }
    }

    #[test]
    fn the_buffer_of_a_large_copy_serves_the_next_until_two_sweeps_find_it_idle() {
        let pool = Pool::default();
        pool.join_sweepers();
        let copies = [1, 2].map(|byte| pool.copy(&[byte; 2 * CHUNK]));
        let places = copies.each_ref().map(|copy| copy.as_ptr());
        drop(copies);
        let again = pool.copy(&[3; 2 * CHUNK]);
        assert!(again == [3; 2 * CHUNK][..] && places.contains(&again.as_ptr()));
        drop(again);
        for is_left in [true, false] {
            assert!(pool.take_unwatched() && !pool.take_unwatched());
            pool.sweep();
            assert_eq!(pool.is_unwatched(), is_left);
        }
    }

    #[test]
    fn the_last_buffer_of_a_slab_that_is_no_longer_young_gives_it_up() {
        let pool = Pool::default();
        let buffers: Vec<_> = (0..=KEPT).map(|_| pool.lend(CHUNK)).collect();
        for slab in lock(&pool.0.shelves).large.slabs.iter_mut().flatten() {
            slab.born = slab.born.checked_sub(YOUNG).unwrap();
        }
        drop(buffers);
        assert_eq!(slabs(&pool), 0);
    }
}
