//! One pipe for each message, in turn, on each lane apart: DEALER.
//!
//! Where a pipe is full on one lane it is not on another, so each lane goes round the pipes by itself. Nearly always
//! there is one.
//!
//! Source: as for [`LoadBalance`].

use super::load_balance::LoadBalance;
use super::{Outbound, Outlets, Routed, Welcome};
use crate::message::{Message, Outgoing};
use crate::pipe::PipeId;
use crate::zmtp::PeerInfo;

#[derive(Debug)]
pub(crate) struct ByLane {
    first: LoadBalance,
    more: Vec<LoadBalance>,
}

impl ByLane {
    /// So many, each made by `balance`.
    pub(crate) fn new(lanes: u8, balance: impl Fn() -> LoadBalance) -> Self {
        Self { first: balance(), more: (1..lanes).map(|_| balance()).collect() }
    }

    fn each(&mut self, mut tell: impl FnMut(&mut LoadBalance)) -> Vec<Message> {
        tell(&mut self.first);
        self.more.iter_mut().for_each(tell);
        Vec::new()
    }
}

impl Outbound for ByLane {
    fn any_pipe(&self) -> bool {
        self.more.is_empty()
    }

    fn attach(&mut self, pipe: PipeId) {
        self.each(|balance| balance.attach(pipe));
    }

    fn identify(&mut self, pipe: PipeId, peer: &PeerInfo, outlets: &mut impl Outlets) -> Welcome {
        self.each(|balance| drop(balance.identify(pipe, peer, outlets)));
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.each(|balance| drop(balance.lost(pipe)))
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.each(|balance| drop(balance.detach(pipe)))
    }

    /// It is not said on which lane: one that is still full says so again.
    fn resume(&mut self, pipe: PipeId) {
        self.each(|balance| balance.resume(pipe));
    }

    #[inline]
    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        let lane = usize::from(outlets.lane()).checked_sub(1);
        match lane.and_then(|index| self.more.get_mut(index)) {
            Some(balance) => balance.route(message, outlets),
            None => self.first.route(message, outlets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fake::{FakeOutlets, pipe};

    #[test]
    fn a_pipe_that_is_full_on_one_lane_takes_messages_on_another() {
        let mut lanes = ByLane::new(2, LoadBalance::new);
        lanes.attach(pipe(0));
        let mut outlets = FakeOutlets::default();
        let mut send = |lane, capacity: usize| {
            outlets.close(pipe(0));
            outlets.open(pipe(0), capacity);
            outlets.lane = lane;
            lanes.route(&mut (&mut Message::from("message")).into(), &mut outlets)
        };
        assert_eq!(send(1, 0), Routed::Blocked);
        assert_eq!(send(0, 1), Routed::Sent);
        assert_eq!(send(1, 1), Routed::Blocked, "nobody said that it has room again");
    }

    #[test]
    fn room_on_any_lane_has_all_of_them_try_again() {
        let mut lanes = ByLane::new(3, LoadBalance::new);
        lanes.attach(pipe(0));
        let mut outlets = FakeOutlets::default();
        outlets.open(pipe(0), 0);
        for lane in 0..3 {
            outlets.lane = lane;
            assert_eq!(lanes.route(&mut (&mut Message::from("no")).into(), &mut outlets), Routed::Blocked);
        }
        lanes.resume(pipe(0));
        outlets.close(pipe(0));
        outlets.open(pipe(0), 3);
        for lane in 0..3 {
            outlets.lane = lane;
            assert_eq!(lanes.route(&mut (&mut Message::from("yes")).into(), &mut outlets), Routed::Sent);
        }
        assert!(!lanes.any_pipe(), "whoever waits for one lane is not woken in place of another");
    }
}
