//! The children of a trie node, by the first byte of their label.
//!
//! Up to four stand in the node itself, where finding them costs no further cache line; more have a box in one
//! of three sizes, up to a table of 256. So a wide node is found in one step, a narrow one costs nothing
//! extra, and a child costs 30 bytes at the worst.

/// No child in this place.
const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
pub(super) enum Children {
    Few(Few),
    Sixteen(Box<Ranked<16>>),
    FortyEight(Box<Ranked<48>>),
    Table(Box<Table>),
}

impl Children {
    pub(super) const NONE: Self = Self::Few(Few { keys: [0; 4], nodes: [NOBODY; 4] });

    #[inline]
    pub(super) fn get(&self, key: u8) -> Option<u32> {
        match self {
            Self::Few(few) => few.get(key),
            Self::Sixteen(ranked) => ranked.get(key),
            Self::FortyEight(ranked) => ranked.get(key),
            Self::Table(table) => Some(table.nodes[usize::from(key)]).filter(|&node| node != NOBODY),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.members().count(),
            Self::Sixteen(ranked) => ranked.len(),
            Self::FortyEight(ranked) => ranked.len(),
            Self::Table(table) => usize::from(table.len),
        }
    }

    /// The only child, if there is just one.
    pub(super) fn only(&self) -> Option<u32> {
        let Self::Few(few) = self else { return None };
        let mut members = few.members();
        members.next().filter(|_| members.next().is_none())
    }

    /// Adds a child, or puts it in the place of the one that had the key.
    pub(super) fn insert(&mut self, key: u8, node: u32) {
        let stored = match self {
            Self::Few(few) => few.insert(key, node),
            Self::Sixteen(ranked) => ranked.insert(key, node),
            Self::FortyEight(ranked) => ranked.insert(key, node),
            Self::Table(table) => table.insert(key, node),
        };
        if !stored {
            let mut pairs = self.pairs();
            let at = pairs.partition_point(|&(other, _)| other < key);
            pairs.insert(at, (key, node));
            *self = Self::from_pairs(&pairs);
        }
    }

    /// Removes a child, and moves to a smaller size when three quarters of this one are empty.
    pub(super) fn remove(&mut self, key: u8) {
        let room = match self {
            Self::Few(few) => return few.remove(key),
            Self::Sixteen(ranked) => ranked.remove(key),
            Self::FortyEight(ranked) => ranked.remove(key),
            Self::Table(table) => table.remove(key),
        };
        if self.len() * 4 <= room {
            *self = Self::from_pairs(&self.pairs());
        }
    }

    fn pairs(&self) -> Vec<(u8, u32)> {
        (0..=u8::MAX).filter_map(|key| Some((key, self.get(key)?))).collect()
    }

    /// The smallest size that fits; `pairs` are ranked.
    fn from_pairs(pairs: &[(u8, u32)]) -> Self {
        let mut children = match pairs.len() {
            0..=4 => Self::NONE,
            5..=16 => Self::Sixteen(Ranked::boxed()),
            17..=48 => Self::FortyEight(Ranked::boxed()),
            _ => Self::Table(Box::new(Table { len: 0, nodes: [NOBODY; 256] })),
        };
        pairs.iter().for_each(|&(key, node)| children.insert(key, node));
        children
    }
}

/// In any order.
#[derive(Debug)]
pub(super) struct Few {
    keys: [u8; 4],
    nodes: [u32; 4],
}

impl Few {
    #[inline]
    fn find(&self, key: u8) -> Option<usize> {
        (0..4).find(|&at| self.keys[at] == key && self.nodes[at] != NOBODY)
    }

    #[inline]
    fn get(&self, key: u8) -> Option<u32> {
        self.find(key).map(|at| self.nodes[at])
    }

    fn members(&self) -> impl Iterator<Item = u32> {
        self.nodes.into_iter().filter(|&node| node != NOBODY)
    }

    /// Whether there was room.
    fn insert(&mut self, key: u8, node: u32) -> bool {
        let place = self.find(key).or_else(|| self.nodes.iter().position(|&node| node == NOBODY));
        if let Some(at) = place {
            self.keys[at] = key;
            self.nodes[at] = node;
        }
        place.is_some()
    }

    fn remove(&mut self, key: u8) {
        if let Some(at) = self.find(key) {
            self.nodes[at] = NOBODY;
        }
    }
}

/// In order of their keys, which are bits: a child stands where the number of smaller keys says. *Tried:* a
/// binary search in sorted keys, which makes matching a third slower.
#[derive(Debug)]
pub(super) struct Ranked<const N: usize> {
    keys: [u64; 4],
    /// How many keys the words before this one hold.
    before: [u8; 4],
    nodes: [u32; N],
}

impl<const N: usize> Ranked<N> {
    fn boxed() -> Box<Self> {
        Box::new(Self { keys: [0; 4], before: [0; 4], nodes: [NOBODY; N] })
    }

    fn len(&self) -> usize {
        self.rank(3, u64::MAX)
    }

    /// How many keys there are before a word, and in it under a mask.
    #[inline]
    fn rank(&self, word: usize, mask: u64) -> usize {
        usize::from(self.before[word]) + (self.keys[word] & mask).count_ones() as usize
    }

    /// Where the key stands, or where it would.
    #[inline]
    fn find(&self, key: u8) -> Result<usize, usize> {
        let (word, bit) = place(key);
        let at = self.rank(word, bit - 1);
        if self.keys[word] & bit == 0 { Err(at) } else { Ok(at) }
    }

    #[inline]
    fn get(&self, key: u8) -> Option<u32> {
        self.find(key).ok().map(|at| self.nodes[at])
    }

    /// Whether there was room.
    fn insert(&mut self, key: u8, node: u32) -> bool {
        match self.find(key) {
            Ok(at) => self.nodes[at] = node,
            Err(_) if self.len() == N => return false,
            Err(at) => {
                self.nodes.copy_within(at..N - 1, at + 1);
                self.nodes[at] = node;
                let (word, bit) = place(key);
                self.keys[word] |= bit;
                self.before[word + 1..].iter_mut().for_each(|count| *count += 1);
            }
        }
        true
    }

    /// Returns how many would fit.
    fn remove(&mut self, key: u8) -> usize {
        if let Ok(at) = self.find(key) {
            self.nodes.copy_within(at + 1.., at);
            let (word, bit) = place(key);
            self.keys[word] &= !bit;
            self.before[word + 1..].iter_mut().for_each(|count| *count -= 1);
        }
        N
    }
}

/// The word and the bit of a key.
#[inline]
fn place(key: u8) -> (usize, u64) {
    (usize::from(key >> 6), 1 << (key & 63))
}

#[derive(Debug)]
pub(super) struct Table {
    len: u16,
    nodes: [u32; 256],
}

impl Table {
    fn insert(&mut self, key: u8, node: u32) -> bool {
        let before = std::mem::replace(&mut self.nodes[usize::from(key)], node);
        self.len += u16::from(before == NOBODY);
        true
    }

    /// Returns how many would fit.
    fn remove(&mut self, key: u8) -> usize {
        let before = std::mem::replace(&mut self.nodes[usize::from(key)], NOBODY);
        self.len -= u16::from(before != NOBODY);
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_finds_what_was_put_in_on_the_way_up_and_on_the_way_down() {
        let mut children = Children::NONE;
        let key = |n: u32| u8::try_from(n * 167 % 256).unwrap();
        for n in 0..256 {
            children.insert(key(n), n);
            children.insert(key(n), n);
            assert_eq!(children.len(), n as usize + 1);
            assert!((0..256).all(|m| children.get(key(m)) == (m <= n).then_some(m)));
        }
        for n in (0..256).rev() {
            children.remove(key(n));
            children.remove(key(n));
            assert!((0..256).all(|m| children.get(key(m)) == (m < n).then_some(m)));
            assert_eq!(children.only(), (n == 1).then_some(0));
        }
        assert!(matches!(children, Children::Few(_)));
    }
}
