//! What one peer sent and nobody has received yet: a lane for each that it sends on, and nearly always that is one.
//!
//! Its lanes take turns, so a full one holds up no other; for the socket they are one peer, with one turn among peers.
//! What came over an earlier link is read first, on whatever lane: it may be of another peer, by another name.

use std::task::Waker;

use super::Lane;
use crate::message::Message;
use crate::zmtp::Envelope;

/// The lanes of a pipe. Plain data under the socket's inbound lock.
#[derive(Debug)]
pub(crate) struct Inlet {
    first: Lane,
    more: Vec<Lane>,
    /// The lane to be asked first.
    turn: usize,
}

impl From<Lane> for Inlet {
    fn from(first: Lane) -> Self {
        Self { first, more: Vec::new(), turn: 0 }
    }
}

impl Inlet {
    /// The lane that every pipe has.
    #[inline]
    pub(crate) const fn first(&mut self) -> &mut Lane {
        &mut self.first
    }

    /// One of its lanes, if there are so many.
    #[inline]
    pub(crate) fn at(&mut self, number: u8) -> Option<&mut Lane> {
        match usize::from(number).checked_sub(1) {
            None => Some(&mut self.first),
            Some(index) => self.more.get_mut(index),
        }
    }

    /// A link with so many lanes begins; what goes apart counts as one. Those of an earlier one stay, for what they hold.
    pub(crate) fn agree(&mut self, lanes: usize) {
        while self.more.len() + 1 < lanes {
            self.more.push(self.first.sibling());
        }
    }

    fn all(&self) -> impl Iterator<Item = &Lane> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        std::iter::once(&mut self.first).chain(&mut self.more)
    }

    pub(crate) fn messages(&self) -> usize {
        self.all().map(Lane::messages).sum()
    }

    /// Messages and bytes.
    pub(crate) fn load(&self) -> (usize, usize) {
        self.all().map(Lane::load).fold((0, 0), |(messages, bytes), (m, b)| (messages + m, bytes + b))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.messages() == 0 && self.more.iter().all(|lane| lane.messages() == 0)
    }

    /// Whether it is empty, and what comes next will be announced: not known of an in-process peer's, nor of several lanes.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        self.more.is_empty() && self.first.is_drained()
    }

    /// A link has ended.
    pub(crate) fn end_session(&mut self) {
        if !self.more.is_empty() {
            self.all_mut().for_each(Lane::end_session);
        }
    }

    /// The lane whose turn it is, of those that hold something.
    fn current(&self) -> Option<usize> {
        let turns = || (self.turn..=self.more.len()).chain(0..self.turn);
        let earlier = turns().find(|number| self.get(*number).is_some_and(Lane::has_earlier));
        earlier.or_else(|| turns().find(|number| self.get(*number).is_some_and(|lane| lane.messages() > 0)))
    }

    fn get(&self, number: usize) -> Option<&Lane> {
        number.checked_sub(1).map_or(Some(&self.first), |index| self.more.get(index))
    }

    /// The lane whose turn it is. From here on it is the next one's.
    fn take_turn(&mut self) -> &mut Lane {
        let number = self.current().unwrap_or_default();
        self.turn = (number + 1) % (self.more.len() + 1);
        self.get_mut(number)
    }

    fn get_mut(&mut self, number: usize) -> &mut Lane {
        let lane = number.checked_sub(1).and_then(|index| self.more.get_mut(index));
        lane.unwrap_or(&mut self.first)
    }

    /// As [`Lane::pop`], of the lane whose turn it is.
    #[inline(always)]
    pub(crate) fn pop(&mut self, into: &mut Message) -> bool {
        if self.more.is_empty() { self.first.pop(into) } else { self.take_turn().pop_counted(into) }
    }

    /// As [`Lane::strip`], of the lane whose turn it is.
    pub(crate) fn strip(&mut self, envelope: Envelope) -> Option<bool> {
        self.next_lane().strip(envelope)
    }

    /// As [`Lane::open`], of the lane whose turn it is.
    pub(crate) fn open(&mut self) -> Option<Envelope> {
        self.next_lane().open()
    }

    /// The lane whose turn it is, and stays.
    fn next_lane(&mut self) -> &mut Lane {
        let number = if self.more.is_empty() { 0 } else { self.current().unwrap_or_default() };
        self.get_mut(number)
    }

    /// As [`Lane::is_due`], of any lane.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.first.is_due() || self.more.iter().any(Lane::is_due)
    }

    /// Whoever waited for room in a lane and can go on.
    pub(crate) fn take_resumed(&mut self) -> impl Iterator<Item = Waker> {
        self.all_mut().filter_map(|lane| if lane.resumes() { lane.take_driver() } else { None })
    }

    /// As [`Lane::set_muted`], of all lanes.
    pub(crate) fn set_muted(&mut self, muted: bool) {
        self.all_mut().for_each(|lane| lane.set_muted(muted));
    }

    /// Whoever waits for room in a lane.
    pub(crate) fn take_drivers(&mut self) -> impl Iterator<Item = Waker> {
        self.all_mut().filter_map(Lane::take_driver)
    }

    /// The pipe is gone; the lanes go when they are empty.
    pub(crate) fn orphan(&mut self) {
        self.all_mut().for_each(Lane::orphan);
    }

    pub(crate) const fn is_orphaned(&self) -> bool {
        self.first.is_orphaned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::HighWater;
    use crate::pool::Pool;

    #[test]
    fn lanes_take_turns_and_a_full_one_holds_up_no_other() {
        let mut inlet = Inlet::from(Lane::for_wire(HighWater::messages(2), false, &Pool::default()));
        inlet.agree(3);
        for (number, texts) in [(0, &["a", "b"][..]), (2, &["x", "y"])] {
            let lane = inlet.at(number).unwrap();
            for text in texts {
                lane.append_copy(&[&[0, 1], text.as_bytes()].concat(), 1);
            }
            assert_eq!(lane.room(), 0);
        }
        assert_eq!(inlet.at(1).unwrap().room(), 2);
        assert!(Inlet::from(Lane::for_wire(HighWater::default(), false, &Pool::default())).is_drained());
        assert!(inlet.at(3).is_none());
        let mut order = String::new();
        let mut message = Message::new();
        while inlet.pop(&mut message) {
            order += &message.to_text();
        }
        assert_eq!(order, "axby");
        assert!(inlet.is_empty());
        assert!(!inlet.is_drained(), "who appends to one lane does not see the others");
    }
}
