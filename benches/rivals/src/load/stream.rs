//! One sender's messages, one after the other, until its clock says that it is enough.

use super::stamp::{Mark, STAMP, Stamp};
use super::topics::Topics;
use super::{Clock, Report};
use crate::cell::Pattern;
use crate::job::Job;

/// What one socket sends.
pub(crate) struct Load {
    message: Vec<u8>,
    sent: u64,
    /// The clock is read once in so many messages, less one.
    mask: u64,
    clock: Clock,
}

impl Load {
    /// Messages of the cell's size, or only their numbers where the body is shared.
    pub(crate) fn new(job: &Job) -> Self {
        let size = if job.cell.pattern == Pattern::Shared { STAMP } else { job.cell.size };
        let stride = (64 * 1024 / job.cell.size).clamp(1, 256).next_power_of_two() as u64;
        Self { message: vec![7; size], sent: 0, mask: stride - 1, clock: Clock::new(job.pace) }
    }

    /// The next message, or `None` after the last. Whoever sends it copies it.
    #[inline]
    pub(crate) fn draw(&mut self) -> Option<&[u8]> {
        if self.clock.is_over {
            return None;
        }
        let mark = if self.sent & self.mask == 0 { self.clock.look() } else { Mark::Plain };
        Stamp { number: self.sent, sender: 0, mark }.put(&mut self.message);
        self.sent += 1;
        Some(&self.message)
    }

    /// As [`draw`](Self::draw), starting with each of the topics in turn.
    #[inline]
    pub(crate) fn draw_about(&mut self, topics: &Topics) -> Option<&[u8]> {
        let topic = topics.scattered(self.sent);
        self.draw()?;
        self.message[..topic.len()].copy_from_slice(topic);
        Some(&self.message)
    }

    /// A message that does not count.
    pub(crate) fn probe(&mut self, topic: &[u8]) -> &[u8] {
        self.message[..topic.len()].copy_from_slice(topic);
        Stamp { number: 0, sender: 0, mark: Mark::Probe }.put(&mut self.message);
        &self.message
    }

    pub(crate) fn report(&self) -> Report {
        Report::plain(self.sent, Some(self.clock.cpu))
    }
}
