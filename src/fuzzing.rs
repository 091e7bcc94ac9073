//! Entry points of this repository's fuzz targets (`tests/fuzz`); no part of the public API.
//!
//! Each takes arbitrary bytes and panics if a promise does not hold: a parser gives one answer however its input is
//! cut, queues and the trie agree with the plainest model of themselves, and nothing takes more than it was given.

mod chunks;
mod datagram;
mod protocol;
mod trie;

pub use chunks::chunk_ops;
pub use datagram::datagram;
pub use protocol::{command, endpoint, engine, frames, greeting, metadata};
pub use trie::trie_ops;

/// Arbitrary bytes as choices. When they have run out, every choice is the first one.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// A length: mostly small, at times around a limit or a page.
    fn len(&mut self) -> usize {
        let small = usize::from(self.byte());
        match small {
            0..=199 => small,
            200..=239 => small << 6,
            _ => (small & 7) << 13,
        }
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
