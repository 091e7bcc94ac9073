//! Waiting for any of many sockets.

use std::ffi::{c_int, c_long};
use std::marker::PhantomData;
use std::time::Duration;

use super::error::check;
use super::ffi::{self, PollItem};
use super::{Ready, Result, Socket};

/// Waits until any of some sockets is ready.
#[derive(Debug)]
pub struct Poller<'a> {
    items: Vec<PollItem>,
    sockets: PhantomData<&'a Socket>,
}

impl<'a> Poller<'a> {
    /// Of all these sockets, which stay borrowed.
    #[must_use]
    pub fn new(sockets: &'a [Socket], wanted: Ready) -> Self {
        let item = |socket: &Socket| PollItem { socket: socket.raw(), fd: 0, events: wanted.0, revents: 0 };
        Self { items: sockets.iter().map(item).collect(), sockets: PhantomData }
    }

    /// The sockets that are ready, by their place; none if there was none within `limit`.
    ///
    /// # Errors
    /// [`Error::TERMINATED`](super::Error::TERMINATED).
    ///
    /// # Panics
    /// With more sockets than a C `int` counts.
    pub fn wait(&mut self, limit: Duration) -> Result<impl Iterator<Item = usize> + use<'_, 'a>> {
        let limit = c_long::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(c_long::MAX);
        let count = c_int::try_from(self.items.len()).expect("no more sockets than an int counts");
        let items = self.items.as_mut_ptr();
        // SAFETY: `count` valid items around sockets that live as long as `self`.
        check(|| unsafe { ffi::zmq_poll(items, count, limit) })?;
        let ready = |(index, item): (usize, &PollItem)| (item.revents != 0).then_some(index);
        Ok(self.items.iter().enumerate().filter_map(ready))
    }
}
