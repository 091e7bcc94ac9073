//! One sender's messages, one after the other, until its clock says that it is enough.

use std::ops::Range;

use super::stamp::{Mark, STAMP, Stamp};
use super::topics::Topics;
use super::{Clock, Report};
use crate::cell::Pattern;
use crate::job::Job;

/// How far messages are stamped ahead of their turn. A processor that copies bytes just after it wrote them in
/// words of another width has to wait, in every library's copy alike: at 64 bytes for a fifth of the fastest's
/// time. Few enough for the first cache.
const AHEAD: usize = 16;
const AHEAD_BYTES: usize = 4 * 1024;

/// What one socket sends.
pub(crate) struct Load {
    /// The next messages, each in its place modulo their number, a power of two.
    messages: Vec<u8>,
    size: usize,
    ahead: u64,
    sent: u64,
    /// The clock is read once in so many messages, less one.
    mask: u64,
    clock: Clock,
    /// Where messages may be lost: what the receiver tells.
    told: Option<Job>,
}

impl Load {
    /// Messages of the cell's size, or only their numbers where the body is shared.
    pub(crate) fn new(job: &Job) -> Self {
        let size = if job.cell.pattern == Pattern::Shared { STAMP } else { job.cell.size };
        let stride = (64 * 1024 / job.cell.size).clamp(1, 256).next_power_of_two() as u64;
        let ahead = (AHEAD_BYTES / size).clamp(1, AHEAD).next_power_of_two();
        let messages = vec![7; size * ahead];
        let clock = Clock::new(job.pace);
        let told = job.cell.is_lossy().then(|| job.clone());
        let mut load = Self { messages, size, ahead: ahead as u64, sent: 0, mask: stride - 1, clock, told };
        (0..load.ahead).for_each(|number| load.stamp(number, Mark::Plain));
        load
    }

    #[inline]
    fn place(&self, number: u64) -> Range<usize> {
        let place = usize::try_from(number & (self.ahead - 1)).unwrap_or_default();
        let start = place * self.size;
        start..start + self.size
    }

    #[inline]
    fn stamp(&mut self, number: u64, mark: Mark) {
        let place = self.place(number);
        Stamp { number, sender: 0, mark }.put(&mut self.messages[place]);
    }

    /// The next message, or `None` after the last. Whoever sends it copies it.
    #[inline]
    pub(crate) fn draw(&mut self) -> Option<&[u8]> {
        if self.clock.is_over {
            return None;
        }
        Some(&*self.next())
    }

    #[inline]
    fn next(&mut self) -> &mut [u8] {
        let number = self.sent;
        self.sent += 1;
        // In the place of the one before, which is no longer needed.
        self.stamp(number + self.ahead - 1, Mark::Plain);
        if number & self.mask == 0 {
            let mark = match &self.told {
                Some(told) => self.clock.look_on(told.is_told()),
                None => self.clock.look(),
            };
            self.stamp(number, mark);
        }
        let place = self.place(number);
        &mut self.messages[place]
    }

    /// As [`draw`](Self::draw), starting with each of the topics in turn.
    #[inline]
    pub(crate) fn draw_about(&mut self, topics: &Topics) -> Option<&[u8]> {
        let topic = topics.scattered(self.sent);
        if self.clock.is_over {
            return None;
        }
        let message = self.next();
        message[..topic.len()].copy_from_slice(topic);
        Some(message)
    }

    /// A message that does not count.
    pub(crate) fn probe(&self, topic: &[u8]) -> Vec<u8> {
        let mut message = vec![7; self.size];
        message[..topic.len()].copy_from_slice(topic);
        Stamp { number: 0, sender: 0, mark: Mark::Probe }.put(&mut message);
        message
    }

    pub(crate) fn report(&self) -> Report {
        Report::plain(self.sent, Some(self.clock.cpu))
    }
}
