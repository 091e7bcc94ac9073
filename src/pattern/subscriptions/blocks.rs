//! A list in blocks, which grows without being moved.
//!
//! Moved as it grows, a list of megabytes leaves memory behind that it has outgrown, in the allocator's hands: of
//! 100 000 prefixes a third as much again.

/// Items by their number.
#[derive(Debug)]
pub(super) struct Blocks<T>(Vec<Vec<T>>);

impl<T> Blocks<T> {
    /// Items of a block: of nodes 20 KiB, which allocators do not map by themselves. The first one grows up to there.
    const SIZE: usize = 512;

    /// One that is never empty.
    pub(super) fn new(first: T) -> Self {
        Self(vec![vec![first]])
    }

    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * Self::SIZE + last.len())
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.0.get(number / Self::SIZE)?.get(number % Self::SIZE)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        self.0.get_mut(number / Self::SIZE)?.get_mut(number % Self::SIZE)
    }

    pub(super) fn push(&mut self, item: T) {
        match self.0.last_mut() {
            Some(last) if last.len() < Self::SIZE => last.push(item),
            _ => {
                let mut block = Vec::with_capacity(Self::SIZE);
                block.push(item);
                self.0.push(block);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    /// How many items there is memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_their_numbers_and_stay_where_they_are() {
        let mut blocks = Blocks::new(0);
        let second = u32::try_from(Blocks::<u32>::SIZE).unwrap();
        let mut place = None;
        for number in 1..4 * second {
            assert_eq!((blocks.len(), blocks.get(number)), (number as usize, None));
            blocks.push(number);
            *blocks.get_mut(number).unwrap() += 1;
            if number >= second {
                let now = std::ptr::from_ref(blocks.get(second).unwrap());
                assert_eq!(*place.get_or_insert(now), now);
            }
        }
        assert!(blocks.iter().skip(1).zip(1..).all(|(item, number)| *item == number + 1));
        assert_eq!(blocks.room(), blocks.len());
    }
}
