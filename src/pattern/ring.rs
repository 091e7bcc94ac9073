//! Pipes that take turns, shared by load-balance and fair-queue.
//!
//! A vector and a cursor. Pipes before the cursor had their turn in this round, the others still wait for it.
//! Leaving swaps within those two parts only, so it shifts nothing, and nobody is skipped or served twice in a
//! round because somebody else left. Newcomers join at the end.

use crate::pipe::PipeId;

#[derive(Debug, Default)]
pub(crate) struct Ring {
    members: Vec<PipeId>,
    /// Below `members.len()`, or 0.
    turn: usize,
}

impl Ring {
    /// Whose turn it is.
    #[inline]
    pub(crate) fn current(&self) -> Option<PipeId> {
        self.members.get(self.turn).copied()
    }

    /// Ends the turn; the pipe stays.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.turn += 1;
        self.wrap();
    }

    /// Ends the turn; the pipe leaves.
    pub(crate) fn leave(&mut self) {
        if self.turn < self.members.len() {
            self.members.swap_remove(self.turn);
            self.wrap();
        }
    }

    /// The caller knows that the pipe is not a member yet.
    pub(crate) fn join(&mut self, pipe: PipeId) {
        self.members.push(pipe);
    }

    /// Takes time in proportion to the ring: for pipes that end, not for messages.
    pub(crate) fn remove(&mut self, pipe: PipeId) {
        let Some(mut at) = self.members.iter().position(|&member| member == pipe) else { return };
        if at < self.turn {
            // The last member, which fills the hole, still waits for its turn: keep the hole on its side.
            self.turn -= 1;
            self.members.swap(at, self.turn);
            at = self.turn;
        }
        self.members.swap_remove(at);
        self.wrap();
    }

    #[inline]
    fn wrap(&mut self) {
        if self.turn >= self.members.len() {
            self.turn = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::fake::pipe;

    #[test]
    fn turns_go_round() {
        let mut ring = Ring::default();
        (0..3).for_each(|n| ring.join(pipe(n)));
        let mut turns = Vec::new();
        for _ in 0..5 {
            turns.extend(ring.current());
            ring.advance();
        }
        assert_eq!(turns, [0, 1, 2, 0, 1].map(pipe));
    }

    proptest! {
        /// Pipes 0 and 1 stay; the others come and go at any moment.
        #[test]
        fn those_who_stay_are_served_alike_whoever_comes_and_goes(
            steps in prop::collection::vec((0_u8..4, 2_u32..8), 1..300),
        ) {
            let mut ring = Ring::default();
            let mut guests = Vec::new();
            let mut served = [0_i32; 2];
            ring.join(pipe(0));
            ring.join(pipe(1));
            for (step, guest) in steps {
                let guest = pipe(guest);
                match step {
                    0 if !guests.contains(&guest) => {
                        guests.push(guest);
                        ring.join(guest);
                    }
                    1 => {
                        guests.retain(|&other| other != guest);
                        ring.remove(guest);
                    }
                    2 if ring.current().is_some_and(|current| guests.contains(&current)) => {
                        let leaver = ring.current().unwrap();
                        guests.retain(|&other| other != leaver);
                        ring.leave();
                    }
                    _ => {
                        if let Some(count) = served.get_mut(ring.current().unwrap().slot()) {
                            *count += 1;
                        }
                        ring.advance();
                    }
                }
                prop_assert_eq!(ring.members.len(), guests.len() + 2);
                prop_assert!((served[0] - served[1]).abs() <= 1, "{:?}", served);
            }
        }
    }
}
