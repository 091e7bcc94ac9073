//! The pipes that hold a prefix, as four bytes in its node.
//!
//! Nearly every prefix of a large trie has one holder, so its slot stands in the node; two or more are a [`Set`]
//! in a side table. A set is a list of slots, or a bitmap once that is no longer than the list: then the
//! thousandth subscriber of a popular topic comes and goes in constant time, and reading the set still takes
//! time in proportion to its members, not to the pipes of the socket.

/// Nobody, a slot, or the number of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holders(u32);

impl Holders {
    pub(super) const NONE: Self = Self(u32::MAX);
    const SET: u32 = 1 << 31;

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    fn set(self) -> Option<usize> {
        (self.0 & Self::SET != 0 && !self.is_none()).then_some((self.0 & !Self::SET) as usize)
    }
}

/// What is left after [`Sets::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    Unknown,
    Nobody,
    Others(Holders),
}

/// The sets of all nodes with more than one holder.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: Vec<Set>,
    /// Numbers of empty sets.
    free: Vec<u32>,
}

impl Sets {
    /// The holders with the slot among them, or `None` if it already was.
    pub(super) fn insert(&mut self, holders: Holders, slot: u32) -> Option<Holders> {
        debug_assert!(slot < Holders::SET, "that many pipes do not fit in memory");
        if holders.is_none() {
            Some(Holders(slot))
        } else if let Some(at) = holders.set() {
            self.sets.get_mut(at)?.insert(slot).then_some(holders)
        } else {
            (holders.0 != slot).then(|| self.new_set(vec![holders.0, slot]))
        }
    }

    pub(super) fn remove(&mut self, holders: Holders, slot: u32) -> Removed {
        let Some(at) = holders.set() else {
            return if holders.0 == slot { Removed::Nobody } else { Removed::Unknown };
        };
        let Some(set) = self.sets.get_mut(at) else { return Removed::Unknown };
        if !set.remove(slot) {
            return Removed::Unknown;
        }
        match set.only() {
            None => Removed::Others(holders),
            Some(survivor) => {
                *set = Set::default();
                self.free.push(holders.0 & !Holders::SET);
                Removed::Others(Holders(survivor))
            }
        }
    }

    pub(super) fn contains(&self, holders: Holders, slot: u32) -> bool {
        match holders.set() {
            None => holders.0 == slot,
            Some(at) => self.sets.get(at).is_some_and(|set| set.contains(slot)),
        }
    }

    #[inline]
    pub(super) fn for_each(&self, holders: Holders, mut visit: impl FnMut(u32)) {
        match holders.set() {
            None => visit(holders.0),
            Some(at) => match self.sets.get(at) {
                Some(Set::List(slots)) => slots.iter().for_each(|&slot| visit(slot)),
                Some(Set::Bits { words, .. }) => {
                    for (base, &word) in (0..).step_by(64).zip(words) {
                        let mut word = word;
                        while word != 0 {
                            visit(base + word.trailing_zeros());
                            word &= word - 1;
                        }
                    }
                }
                None => {}
            },
        }
    }

    fn new_set(&mut self, slots: Vec<u32>) -> Holders {
        let number = self.free.pop().unwrap_or_else(|| {
            self.sets.push(Set::default());
            u32::try_from(self.sets.len() - 1)
                .expect("a set for each node at most, and nodes are numbered in u32")
        });
        if let Some(set) = self.sets.get_mut(number as usize) {
            *set = Set::List(slots);
        }
        Holders(Holders::SET | number)
    }
}

#[derive(Debug)]
enum Set {
    List(Vec<u32>),
    /// A bit for each slot.
    Bits {
        words: Vec<u64>,
        len: usize,
    },
}

impl Default for Set {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Set {
    /// Shorter lists are searched faster than anything else.
    const SMALL: usize = 16;

    /// Whether it was not a member yet.
    fn insert(&mut self, slot: u32) -> bool {
        if self.contains(slot) {
            return false;
        }
        match self {
            Self::List(slots) => {
                slots.push(slot);
                if slots.len() >= Self::SMALL && slots.len().is_power_of_two() {
                    self.condense();
                }
            }
            Self::Bits { words, len } => {
                let (at, bit) = place(slot);
                if words.len() <= at {
                    words.resize(at + 1, 0);
                }
                if let Some(word) = words.get_mut(at) {
                    *word |= bit;
                    *len += 1;
                }
                self.thin_out();
            }
        }
        true
    }

    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::List(slots) => {
                let Some(at) = slots.iter().position(|&other| other == slot) else { return false };
                slots.swap_remove(at);
            }
            Self::Bits { words, len } => {
                let (at, bit) = place(slot);
                let Some(word) = words.get_mut(at).filter(|word| **word & bit != 0) else { return false };
                *word &= !bit;
                *len -= 1;
                while words.last() == Some(&0) {
                    words.pop();
                }
                self.thin_out();
            }
        }
        true
    }

    fn contains(&self, slot: u32) -> bool {
        match self {
            Self::List(slots) => slots.contains(&slot),
            Self::Bits { words, .. } => {
                let (at, bit) = place(slot);
                words.get(at).is_some_and(|word| word & bit != 0)
            }
        }
    }

    /// The only member, if there is just one. Sets that small are lists.
    fn only(&self) -> Option<u32> {
        match self {
            Self::List(slots) if slots.len() == 1 => slots.first().copied(),
            _ => None,
        }
    }

    /// Turns a list into a bitmap if that has no more words than the list has members.
    fn condense(&mut self) {
        let Self::List(slots) = self else { return };
        let words = slots.iter().max().map_or(0, |&slot| place(slot).0 + 1);
        if words <= slots.len() {
            let mut bits = vec![0; words];
            for (at, bit) in slots.iter().map(|&slot| place(slot)) {
                if let Some(word) = bits.get_mut(at) {
                    *word |= bit;
                }
            }
            *self = Self::Bits { words: bits, len: slots.len() };
        }
    }

    /// Turns a bitmap with few members back into a list: well past the point where `condense` made it one, so
    /// that it does not go back and forth.
    fn thin_out(&mut self) {
        let Self::Bits { words, len } = self else { return };
        if *len < Self::SMALL / 2 || words.len() > 4 * *len {
            let mut slots = Vec::with_capacity(*len);
            for (base, &word) in (0..).step_by(64).zip(&*words) {
                slots.extend((0..64).filter(|bit| word >> bit & 1 == 1).map(|bit| base + bit));
            }
            *self = Self::List(slots);
        }
    }
}

/// The word and the bit of a slot.
fn place(slot: u32) -> (usize, u64) {
    (slot as usize / 64, 1 << (slot % 64))
}
