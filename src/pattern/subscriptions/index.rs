//! Numbers by hash: slots in the order of their tags, with gaps.
//!
//! A tag says where its slot would stand if tags were spread evenly; it stands there or, behind others, a little
//! later. Because of the order a search ends at the first greater tag: looking for what is not there, which
//! matching does most, costs no more than finding something, even when four of five slots are in use. So the
//! table grows by halves rather than doubling, and growing reads and writes memory from front to back.
//!
//! Invariant: tags ascend, and no gap is between a tag's own place and where it stands.

/// A tag and its number.
#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    number: u32,
}

/// Numbers by the tags of what they stand for. Who searches must tell apart what has the same tag.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Vec<Slot>,
    /// How many places the tags are spread over. A few slots behind them take what runs over.
    span: usize,
    used: usize,
}

impl Index {
    /// Reads as greater than every tag, which ends a search.
    const GAP: Slot = Slot { tag: u32::MAX, number: u32::MAX };
    const SMALLEST: usize = 8;

    /// Where a tag would stand if tags were spread evenly.
    #[inline]
    fn place(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.span as u64) >> 32) as usize
    }

    /// The slot with this tag of which `is` says that it is the one.
    #[inline]
    fn find(&self, tag: u32, mut is: impl FnMut(u32) -> bool) -> Option<usize> {
        let mut at = self.place(tag);
        loop {
            let slot = self.slots.get(at)?;
            if slot.tag > tag || slot.is_gap() {
                return None;
            }
            if slot.tag == tag && is(slot.number) {
                return Some(at);
            }
            at += 1;
        }
    }

    #[inline]
    pub(super) fn get(&self, tag: u32, is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.find(tag, is).map(|at| self.slots[at].number)
    }

    /// Adds a number, which must not be `u32::MAX`, beside others of this tag.
    pub(super) fn insert(&mut self, tag: u32, number: u32) {
        if (self.used + 1) * 5 > self.span * 4 {
            self.grow();
        }
        self.used += 1;
        let mut at = self.place(tag);
        let mut moving = Slot { tag, number };
        // What is greater moves on by one, up to the next gap.
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.is_gap() {
                *slot = moving;
                return;
            }
            if slot.tag > moving.tag {
                std::mem::swap(slot, &mut moving);
            }
            at += 1;
        }
        self.slots.push(moving);
    }

    pub(super) fn remove(&mut self, tag: u32, is: impl FnMut(u32) -> bool) {
        let Some(mut at) = self.find(tag, is) else { return };
        // What stands behind its place moves back by one.
        while let Some(next) = self.slots.get(at + 1).filter(|next| !next.is_gap()).copied()
            && self.place(next.tag) <= at
        {
            self.slots[at] = next;
            at += 1;
        }
        self.slots[at] = Self::GAP;
        self.used -= 1;
    }

    fn grow(&mut self) {
        self.span = (self.span + self.span / 2).max(Self::SMALLEST);
        let mut slots = Vec::with_capacity(self.span + Self::SMALLEST);
        slots.resize(self.span, Self::GAP);
        let mut next = 0;
        for slot in std::mem::take(&mut self.slots).into_iter().filter(|slot| !slot.is_gap()) {
            let at = self.place(slot.tag).max(next);
            match slots.get_mut(at) {
                Some(place) => *place = slot,
                None => slots.push(slot),
            }
            next = at + 1;
        }
        self.slots = slots;
    }
}

impl Slot {
    const fn is_gap(&self) -> bool {
        self.number == u32::MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tags that share places, ascend, or are the same.
    fn tag() -> impl Strategy<Value = u32> {
        prop_oneof![any::<u32>(), 0_u32..4, (u32::MAX - 3)..=u32::MAX, Just(1 << 31)]
    }

    proptest! {
        #[test]
        fn numbers_are_found_by_their_tags_until_they_are_removed(
            steps in prop::collection::vec((tag(), 0_u32..8, 0_u8..5), 1..400),
        ) {
            let (mut index, mut model) = (Index::default(), Vec::new());
            for (tag, number, step) in steps {
                if step > 1 {
                    if !model.contains(&(tag, number)) {
                        model.push((tag, number));
                        index.insert(tag, number);
                    }
                } else {
                    model.retain(|pair| *pair != (tag, number));
                    index.remove(tag, |other| other == number);
                }
                prop_assert_eq!(index.get(tag, |other| other == number).is_some(), model.contains(&(tag, number)));
            }
            for n in 0..8 {
                for &(tag, number) in &model {
                    prop_assert_eq!(index.get(tag, |other| other == n).is_some(), model.contains(&(tag, n)));
                    prop_assert_eq!(index.get(tag, |other| other == number), Some(number));
                }
            }
            for (tag, number) in model {
                index.remove(tag, |other| other == number);
            }
            prop_assert_eq!((index.used, index.slots.iter().all(Slot::is_gap)), (0, true));
        }
    }
}
