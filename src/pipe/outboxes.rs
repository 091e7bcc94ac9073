//! A wire pipe's outgoing queues: one for each lane of its peer, and nearly always that is one.
//!
//! Each lane has a mark of its own, and a driver of its own while there is a link. The first lane's driver lives as long
//! as the link: it is the last to hear that all is written.

use std::task::{Context, Poll, Waker};

use super::{Batch, Bell, Chunk, Closing, Outbox, Taken};
use crate::error::Disconnect;
use crate::zmtp::Command;

/// What does not go on the lanes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Apart {
    #[default]
    Nothing,
    /// What fits packets goes in such.
    Packets,
    /// Of what is conflated each goes on a stream of its own. There is only one lane then: on several there would be several
    /// last ones.
    Latest,
}

impl Apart {
    /// How many queues a link with so many lanes has.
    pub(crate) fn queues(self, lanes: u8) -> usize {
        usize::from(lanes) + usize::from(self != Self::Nothing)
    }
}

/// The queues of a pipe. Plain data under the socket's outbound lock.
#[derive(Debug)]
pub(crate) struct Outboxes {
    first: Outbox,
    more: Vec<Outbox>,
    /// What is for a lane beyond these goes on the first. It never grows: a lane that once had to would overtake what
    /// still waits there.
    limit: u8,
    /// The queue behind the lanes of this link is for that.
    apart: Apart,
    /// Its number.
    behind: u8,
    /// The one that was for packets, of the last link that had one.
    left: Option<u8>,
}

impl Outboxes {
    /// Queues for so many lanes, before it is known how many the peer has.
    pub(crate) fn new(first: Outbox, lanes: u8) -> Self {
        let more = (1..lanes).map(|_| first.sibling()).collect();
        Self { first, more, limit: u8::MAX, apart: Apart::Nothing, behind: lanes, left: None }
    }

    /// The queue that every pipe has.
    pub(crate) const fn first(&mut self) -> &mut Outbox {
        &mut self.first
    }

    /// The queue of what is sent on a lane.
    #[inline]
    pub(crate) fn at(&mut self, lane: u8) -> &mut Outbox {
        if lane == 0 || self.more.is_empty() {
            return &mut self.first;
        }
        self.driven_by(if lane < self.limit { lane.into() } else { 0 })
    }

    /// The queue of what is sent on a lane, unless it goes apart: `fits` says whether a packet would take it.
    #[inline]
    pub(crate) fn pick(&mut self, lane: u8, fits: bool) -> &mut Outbox {
        let goes_apart = match self.apart {
            Apart::Nothing => false,
            Apart::Packets => fits,
            Apart::Latest => self.first.conflates(),
        };
        if goes_apart { self.driven_by(self.behind.into()) } else { self.at(lane) }
    }

    fn driven_by(&mut self, number: usize) -> &mut Outbox {
        match number.checked_sub(1).and_then(|index| self.more.get_mut(index)) {
            Some(outbox) => outbox,
            None => &mut self.first,
        }
    }

    /// A lane's driver begins. Returns its bell.
    pub(crate) fn drive(&mut self, number: u8, prompt: bool) -> Bell {
        self.driven_by(number.into()).drive(prompt)
    }

    /// A link with so many lanes begins, and perhaps with something apart.
    pub(crate) fn agree(&mut self, lanes: u8, apart: Apart) {
        while self.more.len() + 1 < apart.queues(lanes) {
            self.more.push(self.first.sibling());
        }
        (self.apart, self.behind) = (apart, lanes);
        self.limit = self.limit.min(lanes).max(1);
        // What was to go in packets still is, for it must not be overtaken by what follows; the rest goes on the first.
        let kept = self.left.filter(|left| *left == lanes && apart == Apart::Packets);
        for (number, outbox) in (1..).zip(&mut self.more).skip(usize::from(self.limit) - 1) {
            if kept != Some(number) {
                outbox.move_to(&mut self.first);
            }
        }
        if self.has_latest()
            && let Some(latest) = self.more.first_mut()
        {
            // Else what waits would be sent beside what is newer.
            self.first.move_to(latest);
        }
    }

    /// Whether all messages go apart.
    const fn has_latest(&self) -> bool {
        matches!(self.apart, Apart::Latest) && self.first.conflates()
    }

    /// What a lane's driver is to write next.
    pub(crate) fn poll_take(
        &mut self,
        number: u8,
        cx: &Context<'_>,
        batch: &mut Batch,
        commands: &mut Vec<Command>,
    ) -> Poll<Taken> {
        let taken = self.driven_by(number.into()).poll_take(cx, batch, commands);
        let is_first = number == 0 && matches!(taken, Poll::Ready(Taken::Finished));
        if is_first && self.more.iter().any(Outbox::is_busy) { Poll::Pending } else { taken }
    }

    /// As [`Outbox::take_only`], for a lane's driver.
    pub(crate) fn take_only(
        &mut self,
        number: u8,
        cx: &Context<'_>,
        chunk: &mut Chunk,
        limit: usize,
    ) -> bool {
        self.driven_by(number.into()).take_only(cx, chunk, limit)
    }

    /// As [`Outbox::settle`], for a lane's driver.
    pub(crate) fn settle(&mut self, number: u8, batch: &mut Batch) {
        self.driven_by(number.into()).settle(batch);
    }

    /// As [`Outbox::settle`] and [`Outbox::blocked`], for a lane's driver.
    pub(crate) fn blocked(&mut self, number: u8, cx: &Context<'_>, batch: &mut Batch) -> Option<Disconnect> {
        let outbox = self.driven_by(number.into());
        outbox.settle(batch);
        outbox.blocked(cx)
    }

    /// As [`Outbox::resumes`], for what a lane's driver writes.
    pub(crate) fn resumes(&mut self, number: u8) -> bool {
        self.driven_by(number.into()).resumes()
    }

    /// How many bytes wait, if that is more than is good. A pipe with several queues is never deep: one says little of another.
    pub(crate) fn depth(&mut self) -> Option<usize> {
        let is_deep = self.more.is_empty() && self.first.is_deep();
        is_deep.then(|| self.first.queue().bytes())
    }

    /// As [`Outbox::poll_stop`].
    pub(crate) fn poll_stop(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.first.poll_stop(cx, &self.more)
    }

    /// The driver of a lane beside the first is gone, and gives back what it had not written. Returns that of the first,
    /// if it sleeps: it may wait for the end of the others.
    pub(crate) fn lane_lost(&mut self, number: u8, batch: Batch) -> Option<Waker> {
        let outbox = usize::from(number).checked_sub(1).and_then(|index| self.more.get_mut(index))?;
        outbox.lost(batch, true);
        outbox.leave();
        self.first.rouse()
    }

    /// The link is gone: as [`Outbox::lost`]. `batch` is the first lane's.
    pub(crate) fn lost(&mut self, batch: Batch, keep: bool) -> usize {
        let had_latest = self.has_latest();
        // After a handshake that failed there is nothing new to say.
        if std::mem::take(&mut self.apart) == Apart::Packets {
            self.left = Some(self.behind);
        }
        let (dropped, kept) = self.first.lost(batch, keep);
        self.first.leave();
        let others = self.more.iter_mut().map(|outbox| {
            outbox.leave();
            outbox.lost(Batch::default(), kept).0
        });
        let dropped = dropped + others.sum::<usize>();
        if had_latest {
            // Without a link all goes to the first, and takes the place of what waits there.
            self.more.iter_mut().for_each(|outbox| outbox.move_to(&mut self.first));
        }
        dropped
    }

    /// Whether any lane has room again after it refused a message.
    pub(crate) fn any_resumes(&mut self) -> bool {
        let first = self.first.resumes();
        self.more.iter_mut().fold(first, |resumes, outbox| outbox.resumes() || resumes)
    }

    /// Closes each, or closes it faster, as the drivers that sleep are taken.
    pub(crate) fn close(&mut self, closing: Closing) -> impl Iterator<Item = Waker> {
        let all = std::iter::once(&mut self.first).chain(&mut self.more);
        all.filter_map(move |outbox| outbox.close(closing))
    }

    /// Whether the pipe is to go on after what it holds.
    pub(crate) fn is_open(&self) -> bool {
        self.first.is_open()
    }

    /// How much waits: messages and bytes.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let all = std::iter::once(&self.first).chain(&self.more).map(Outbox::queue);
        all.fold((0, 0), |(messages, bytes), queue| (messages + queue.messages(), bytes + queue.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::message::Message;
    use crate::pipe::HighWater;
    use crate::pool::Pool;
    use crate::zmtp::Prefix;

    fn outboxes(lanes: u8) -> Outboxes {
        Outboxes::new(Outbox::new(HighWater::default(), false, &Pool::default()), lanes)
    }

    fn push(outboxes: &mut Outboxes, lane: u8, text: &str) {
        assert!(
            outboxes.at(lane).push(Prefix::NONE, &(&mut Message::from(text)).into()).is_none(),
            "nobody sleeps"
        );
    }

    /// What the driver of a lane finds, as text.
    fn taken(outboxes: &mut Outboxes, number: u8) -> String {
        let (mut batch, mut commands) = (Batch::default(), Vec::new());
        let cx = Context::from_waker(Waker::noop());
        let mut text = String::new();
        while let Poll::Ready(Taken::Some) = outboxes.poll_take(number, &cx, &mut batch, &mut commands) {
            while !batch.is_empty() {
                let mut message = BytesMut::new();
                batch.copy_message(0, &mut message);
                text.push_str(&String::from_utf8_lossy(&message));
                batch.advance(message.len());
            }
        }
        text.retain(|letter| letter.is_ascii_alphabetic());
        text
    }

    #[test]
    fn what_waits_for_a_lane_the_peer_has_not_goes_on_one_it_has_and_what_follows_stays_behind_it() {
        let mut outboxes = outboxes(4);
        for (lane, text) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
            push(&mut outboxes, lane, text);
        }
        outboxes.agree(2, Apart::Nothing);
        for (lane, text) in [(0, "e"), (1, "f"), (2, "g"), (3, "h")] {
            push(&mut outboxes, lane, text);
        }
        // A peer that comes back with more lanes: none of ours may overtake itself.
        outboxes.agree(4, Apart::Nothing);
        push(&mut outboxes, 3, "i");
        assert_eq!(outboxes.queued().0, 9);
        assert_eq!(taken(&mut outboxes, 0), "acdeghi");
        assert_eq!(taken(&mut outboxes, 1), "bf");
        assert_eq!((taken(&mut outboxes, 2), taken(&mut outboxes, 3)), (String::new(), String::new()));
    }

    #[test]
    fn what_fits_a_packet_waits_apart_while_there_are_packets_and_moves_to_a_lane_when_there_are_none() {
        let mut outboxes = outboxes(2);
        let packet = |outboxes: &mut Outboxes, text: &str| {
            outboxes.pick(1, true).push(Prefix::NONE, &(&mut Message::from(text)).into());
        };
        packet(&mut outboxes, "a");
        outboxes.agree(2, Apart::Packets);
        for text in ["b", "c"] {
            packet(&mut outboxes, text);
        }
        push(&mut outboxes, 1, "d");
        assert_eq!((taken(&mut outboxes, 1), taken(&mut outboxes, 0)), ("ad".into(), String::new()));
        assert_eq!(outboxes.lost(Batch::default(), true), 0);
        outboxes.agree(2, Apart::Packets);
        packet(&mut outboxes, "e");
        assert_eq!((taken(&mut outboxes, 0), taken(&mut outboxes, 2)), (String::new(), "bce".into()));
        packet(&mut outboxes, "f");
        assert_eq!(outboxes.lost(Batch::default(), true), 0);
        packet(&mut outboxes, "g");
        outboxes.agree(2, Apart::Nothing);
        assert_eq!((taken(&mut outboxes, 0), taken(&mut outboxes, 1)), ("f".into(), "g".into()));
    }

    #[test]
    fn a_handshake_that_fails_between_two_links_does_not_change_how_what_waits_is_sent() {
        let mut outboxes = outboxes(1);
        outboxes.agree(1, Apart::Packets);
        outboxes.pick(0, true).push(Prefix::NONE, &(&mut Message::from("a")).into());
        for _ in 0..2 {
            assert_eq!(outboxes.lost(Batch::default(), true), 0);
        }
        outboxes.agree(1, Apart::Packets);
        outboxes.pick(0, true).push(Prefix::NONE, &(&mut Message::from("b")).into());
        assert_eq!((taken(&mut outboxes, 0), taken(&mut outboxes, 1)), (String::new(), "ab".into()));
    }

    #[test]
    fn of_what_is_conflated_the_last_alone_waits_whether_there_is_a_link_or_none() {
        let mut outboxes = Outboxes::new(Outbox::new(HighWater::default(), true, &Pool::default()), 1);
        let send = |outboxes: &mut Outboxes, text: &str| {
            outboxes.pick(0, false).push(Prefix::NONE, &(&mut Message::from(text)).into());
        };
        for round in 0..3 {
            send(&mut outboxes, "a");
            send(&mut outboxes, "b");
            outboxes.agree(1, Apart::Latest);
            if round == 0 {
                assert_eq!((taken(&mut outboxes, 0), taken(&mut outboxes, 1)), (String::new(), "b".into()));
            }
            send(&mut outboxes, "c");
            assert_eq!(outboxes.lost(Batch::default(), true), 0);
            send(&mut outboxes, "d");
        }
        outboxes.agree(1, Apart::Nothing);
        assert_eq!((taken(&mut outboxes, 0), taken(&mut outboxes, 1)), ("d".into(), String::new()));
    }

    #[test]
    fn the_first_lane_has_finished_only_when_all_have() {
        let mut outboxes = outboxes(1);
        outboxes.agree(2, Apart::Nothing);
        drop(outboxes.drive(1, false));
        push(&mut outboxes, 1, "a");
        assert_eq!(outboxes.close(Closing::Draining).count(), 0);
        let cx = Context::from_waker(Waker::noop());
        let (mut batch, mut commands) = (Batch::default(), Vec::new());
        let mut take =
            |outboxes: &mut Outboxes| outboxes.poll_take(0, &cx, &mut batch, &mut commands).is_ready();
        assert!(!take(&mut outboxes), "the other lane holds a message");
        assert_eq!(taken(&mut outboxes, 1), "a");
        assert!(!take(&mut outboxes), "what the other lane wrote may not have arrived");
        assert!(outboxes.lane_lost(1, Batch::default()).is_some(), "whoever waited for that is told");
        assert!(take(&mut outboxes));
    }

    #[test]
    fn a_peer_that_comes_back_twice_with_fewer_lanes_gets_each_in_order() {
        let mut outboxes = outboxes(4);
        push(&mut outboxes, 3, "a");
        outboxes.agree(3, Apart::Nothing);
        assert_eq!(outboxes.lost(Batch::default(), true), 0);
        outboxes.agree(2, Apart::Nothing);
        push(&mut outboxes, 3, "b");
        assert_eq!(taken(&mut outboxes, 0), "ab");
    }

    #[test]
    fn a_prompt_driver_is_woken_for_what_comes_after_all_that_it_took() {
        let waits = |prompt| {
            let mut outboxes = outboxes(1);
            let bell = outboxes.drive(0, prompt);
            assert!(bell.has_rung());
            push(&mut outboxes, 0, "a");
            let cx = Context::from_waker(Waker::noop());
            let (mut batch, mut commands) = (Batch::default(), Vec::new());
            let taken = outboxes.poll_take(0, &cx, &mut batch, &mut commands);
            assert_eq!(matches!(taken, Poll::Ready(Taken::All)), prompt, "{taken:?}");
            batch.abandon();
            assert_eq!(outboxes.queued(), (1, 3), "it is on the gauge until it is settled");
            outboxes.settle(0, &mut batch);
            assert_eq!(outboxes.queued(), (0, 0));
            let woken = outboxes.at(0).push(Prefix::NONE, &(&mut Message::from("b")).into()).is_some();
            (woken, bell.has_rung())
        };
        assert_eq!((waits(true), waits(false)), ((true, true), (false, false)));
    }

    #[test]
    fn a_prompt_driver_of_a_pipe_that_closes_looks_once_more_and_hears_that_it_has_finished() {
        let mut outboxes = outboxes(1);
        drop(outboxes.drive(0, true));
        push(&mut outboxes, 0, "a");
        assert_eq!(outboxes.close(Closing::Draining).count(), 0);
        let cx = Context::from_waker(Waker::noop());
        let (mut batch, mut commands) = (Batch::default(), Vec::new());
        let mut take = || outboxes.poll_take(0, &cx, &mut batch, &mut commands);
        assert!(matches!(take(), Poll::Ready(Taken::Some)));
        batch.abandon();
        let taken = outboxes.poll_take(0, &cx, &mut batch, &mut commands);
        assert!(matches!(taken, Poll::Ready(Taken::Finished)), "{taken:?}");
    }

    #[test]
    fn a_lane_that_never_came_is_not_waited_for() {
        let mut outboxes = outboxes(3);
        outboxes.agree(3, Apart::Nothing);
        assert_eq!(outboxes.close(Closing::Draining).count(), 0);
        let cx = Context::from_waker(Waker::noop());
        let taken = outboxes.poll_take(0, &cx, &mut Batch::default(), &mut Vec::new());
        assert!(matches!(taken, Poll::Ready(Taken::Finished)), "{taken:?}");
    }
}
