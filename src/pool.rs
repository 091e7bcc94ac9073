//! Chunk-sized buffers, lent by a context to whichever of its queues is in traffic.
//!
//! A buffer goes back when its chunk is done with, so an idle peer owns none, after traffic too, and what is
//! under way stays in the same few pages: fresh ones cost a page fault each 4 KiB. The lock is taken twice a
//! chunk and nothing is taken under it.
//!
//! *Tried:* four spare buffers a queue. As fast, but 2 000 peers that had each sent a burst held 77 MiB.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// How large a chunk of small messages grows: one write of this size costs the kernel's entry once for about a
/// thousand of them. Sizes from 16 to 256 KiB made no clear difference.
pub(crate) const CHUNK: usize = 64 * 1024;

/// How many idle buffers a context keeps: 2 MiB, about what both cores of a busy pair have under way.
const KEPT: usize = 32;

/// A context's idle buffers. Clones are the same pool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer, which goes back to its pool when it is dropped, if it is of the size that the pool keeps.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    pool: Option<Pool>,
}

impl Pool {
    /// An empty buffer: one that is idle, or else a fresh one of at least `capacity` bytes.
    pub(crate) fn lend(&self, capacity: usize) -> Buffer {
        let idle = if capacity <= CHUNK { lock(&self.0).pop() } else { None };
        let bytes = idle.unwrap_or_else(|| Vec::with_capacity(capacity));
        Buffer { bytes, pool: Some(self.clone()) }
    }
}

impl Buffer {
    /// One that belongs to no pool.
    pub(crate) fn of_its_own(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), pool: None }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.capacity() != CHUNK {
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        if let Some(pool) = &self.pool {
            let mut idle = lock(&pool.0);
            if idle.len() < KEPT {
                idle.push(bytes);
            }
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_back_empty_and_no_other_size_is_kept() {
        let pool = Pool::default();
        let mut buffer = pool.lend(CHUNK);
        buffer.extend_from_slice(b"old");
        let place = buffer.as_ptr();
        drop((buffer, pool.lend(16)));
        let again = pool.lend(16);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, CHUNK));
        assert_eq!(pool.lend(16).capacity(), 16);
    }

    #[test]
    fn a_pool_keeps_no_more_than_its_limit() {
        let pool = Pool::default();
        drop((0..2 * KEPT).map(|_| pool.lend(CHUNK)).collect::<Vec<_>>());
        assert_eq!(lock(&pool.0).len(), KEPT);
    }
}
