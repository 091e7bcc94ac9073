//! Lanes: several ordered streams in one link, so that what is lost or stalled on one holds up no other.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;

use crate::{BoxFuture, Stream};

/// How many lanes a link should have, and which of them go first. quic.
///
/// Two peers use as many as the one that wants fewer. Lane 0 is the stream that every link has; it also carries what
/// peers tell each other besides messages. Each lane has buffers and a window of its own
/// ([`LinkOptions::receive_buffer`](crate::LinkOptions::receive_buffer)), which is why their number is limited.
///
/// # Examples
///
/// ```
/// use zocket_transport::Lanes;
///
/// // Whatever is written to lane 3 goes before what waits on the others.
/// let lanes = Lanes::new(4).priority(3, 10);
/// assert_eq!((lanes.count(), lanes.priority_of(3), lanes.priority_of(1)), (4, 10, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes {
    count: u8,
    /// Of those that have one which is not 0.
    priorities: BTreeMap<u8, i8>,
}

impl Lanes {
    /// So many; none is taken for one.
    #[must_use]
    pub const fn new(count: u8) -> Self {
        Self { count: if count == 0 { 1 } else { count }, priorities: BTreeMap::new() }
    }

    /// What waits on a lane of higher priority is sent first, and others not at all meanwhile; lanes of the same one
    /// share. All have 0 unless this says otherwise. It holds for our direction, and says nothing where there is no such
    /// lane. Lane 0, which carries the signs of life, never has less than another.
    #[must_use]
    pub fn priority(mut self, lane: u8, priority: i8) -> Self {
        self.priorities.insert(lane, priority);
        self
    }

    /// How many there should be.
    #[must_use]
    pub const fn count(&self) -> u8 {
        self.count
    }

    /// The priority of a lane.
    #[must_use]
    pub fn priority_of(&self, lane: u8) -> i8 {
        let told = |lane: u8| self.priorities.get(&lane).copied().unwrap_or_default();
        if lane == 0 { (0..self.count).map(told).max().unwrap_or_default() } else { told(lane) }
    }
}

/// One.
impl Default for Lanes {
    fn default() -> Self {
        Self::new(1)
    }
}

impl From<u8> for Lanes {
    fn from(count: u8) -> Self {
        Self::new(count)
    }
}

/// The lanes of a link beside the one that it has anyway. Whoever connected opens each number once, from 1 on; the other
/// side accepts.
///
/// They end with the link: where it closes with a reason, so do they. Dropping one ends that lane only.
pub trait Streams: Debug + Send + Sync + 'static {
    /// Opens a lane. The peer gets it once this was polled to its end.
    ///
    /// # Errors
    ///
    /// `InvalidData`: the peer does not want it. Anything else is the end of the link, which its first lane meets too.
    fn open(&self, lane: u8) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;

    /// The next lane that the peer opened, and its number. A number may be any, and come twice: it is the peer's word.
    ///
    /// # Errors
    ///
    /// `InvalidData`: the peer opened one without a number. Else as for [`open`](Self::open).
    fn accept(&self) -> BoxFuture<'static, io::Result<(u8, Box<dyn Stream>)>>;
}
