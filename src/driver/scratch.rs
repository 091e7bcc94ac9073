//! Read buffers, lent to whichever connection of this thread is reading.
//!
//! A connection needs a large buffer only between a read and the end of its `poll`. So each thread keeps one
//! and lends it: a thousand idle connections own no buffer at all, after traffic too.
//!
//! *Tried:* remembering sixteen full buffers, to read into them again once their messages are gone. It halved the
//! page faults, but with an allocator that keeps its memory (see `Context`) it gained nothing.

use std::cell::Cell;

use bytes::BytesMut;

/// The size of a read: what one system call moves at most. Larger reads push the bytes out of the cache before
/// they are decoded.
pub(crate) const READ: usize = 64 * 1024;

/// Below this, the rest of a buffer is not worth a system call.
const WORTH_READING: usize = READ / 4;

/// An unfinished frame up to this size is kept in a buffer of its own size, so that a peer which stops in the
/// middle of one holds what it sent and not a whole read buffer.
const SMALL: usize = 4 * 1024;

thread_local! {
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// Makes room at the end of `input` for a read. `wants` is how many bytes must stand at its front before the
/// next frame is whole, if that is known to be many. Returns the most that may be read.
pub(crate) fn prepare(input: &mut BytesMut, wants: usize) -> usize {
    /// The most memory given to a frame before its bytes arrive. One of 1 MiB then never moves.
    const AHEAD: usize = 1024 * 1024 + READ;
    if wants > READ {
        // A large frame gets a buffer of its own, which ends where the frame ends. It grows with what has
        // arrived and not with what the header claims.
        let size = wants.min(AHEAD.max(input.len().saturating_mul(2)));
        input.reserve(size.saturating_sub(input.len()));
        return (input.capacity() - input.len()).min(wants - input.len());
    }
    if input.capacity() == 0 {
        *input = SPARE.take();
    }
    if input.capacity() - input.len() < WORTH_READING {
        input.reserve(READ);
    }
    input.capacity() - input.len()
}

/// Gives the buffer back when the kernel has no more. What is unfinished stays with the connection.
pub(crate) fn give_back(input: &mut BytesMut) {
    if input.len() > SMALL {
        return;
    }
    let mut buffer = std::mem::take(input);
    if !buffer.is_empty() {
        input.extend_from_slice(&buffer);
        buffer.clear();
    }
    if buffer.capacity() >= WORTH_READING && buffer.capacity() <= 2 * READ {
        SPARE.set(buffer);
    }
}
