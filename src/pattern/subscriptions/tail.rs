//! Up to 23 bytes of a prefix: what one node of the trie adds to its parent. Three numbers, so that hashing and
//! comparing take a few instructions each and no loop.

/// The bytes in order, zeros behind them, and their count as the highest byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail([u64; 3]);

impl Tail {
    /// The most bytes.
    pub(super) const LONGEST: usize = 23;
    pub(super) const EMPTY: Self = Self([0; 3]);

    /// The bytes must not be more than [`LONGEST`](Self::LONGEST).
    pub(super) fn new(bytes: &[u8]) -> Self {
        Window::new(bytes).tail(bytes.len())
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.0[2].to_be_bytes()[0])
    }

    /// The first four bytes.
    pub(super) const fn start(&self) -> u32 {
        (self.0[0] & 0xffff_ffff) as u32
    }

    /// The bytes, last one first.
    pub(super) fn rev(&self) -> impl Iterator<Item = u8> {
        (0..self.len()).rev().map(|at| self.0[at / 8].to_le_bytes()[at % 8])
    }

    /// As in wyhash: multiplied to the double width and folded, under a key that peers do not know.
    #[inline]
    pub(super) const fn hash(&self, parent: u32, key: [u64; 2]) -> u64 {
        let start = fold(self.0[0] ^ key[0], self.0[1] ^ key[1]);
        fold(start ^ self.0[2], 0x9e37_79b9_7f4a_7c15 ^ parent as u64)
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the product, one by one")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}

/// The next bytes of a topic, of which tails of every length are asked for.
#[derive(Debug)]
pub(super) struct Window([u64; 3]);

impl Window {
    #[inline]
    pub(super) fn new(bytes: &[u8]) -> Self {
        let padded = bytes.first_chunk::<24>().copied().unwrap_or_else(|| {
            let mut padded = [0; 24];
            padded[..bytes.len()].copy_from_slice(bytes);
            padded
        });
        let (words, _) = padded.as_chunks();
        Self([0, 1, 2].map(|at| u64::from_le_bytes(words[at])))
    }

    /// The first four bytes.
    #[inline]
    pub(super) const fn start(&self) -> u32 {
        (self.0[0] & 0xffff_ffff) as u32
    }

    /// The first `len` bytes. There must be as many, and no more than fit.
    #[inline]
    pub(super) fn tail(&self, len: usize) -> Tail {
        let (words, mask) = (self.0, &MASKS[len]);
        Tail([words[0] & mask[0], words[1] & mask[1], words[2] & mask[2] | (len as u64) << 56])
    }
}

/// By length, the bytes that count.
const MASKS: [[u64; 3]; Tail::LONGEST + 1] = {
    let mut masks = [[0; 3]; Tail::LONGEST + 1];
    let mut len = 1;
    while len < masks.len() {
        masks[len] = masks[len - 1];
        masks[len][(len - 1) / 8] |= 0xff << (8 * ((len - 1) % 8));
        len += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_what_it_was_made_of_whatever_follows() {
        let bytes: Vec<u8> = (1..100).collect();
        for len in 0..=Tail::LONGEST {
            let tail = Tail::new(&bytes[..len]);
            assert_eq!(Window::new(&bytes).tail(len), tail);
            assert_eq!(tail.len(), len);
            assert!(tail.rev().eq(bytes[..len].iter().rev().copied()));
        }
    }

    const KEY: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

    #[test]
    fn length_content_parent_and_key_all_count() {
        let zeros = [0; Tail::LONGEST];
        let mut hashes: Vec<u64> =
            (0..=zeros.len()).map(|len| Tail::new(&zeros[..len]).hash(1, KEY)).collect();
        hashes.extend((0..zeros.len()).map(|at| {
            let mut bytes = zeros;
            bytes[at] = 1;
            Tail::new(&bytes).hash(1, KEY)
        }));
        hashes.extend(
            [(2, KEY), (1, [9, KEY[1]]), (1, [KEY[0], 9])]
                .map(|(parent, key)| Tail::new(&zeros).hash(parent, key)),
        );
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }
}
