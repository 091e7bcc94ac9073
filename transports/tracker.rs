//! Following a peer that may move while its link lasts.

use std::fmt;

use crate::Endpoint;

/// Knows where a peer is that may move. It is asked once after each burst that was read, so it should cost no more than
/// a lock that nobody holds.
pub struct Tracker(Box<dyn FnMut() -> Option<Endpoint> + Send>);

impl Tracker {
    /// A tracker that calls `moved`.
    #[must_use]
    pub fn new(moved: impl FnMut() -> Option<Endpoint> + Send + 'static) -> Self {
        Self(Box::new(moved))
    }

    /// Where the peer is now, if it was elsewhere when this was last asked.
    pub fn moved(&mut self) -> Option<Endpoint> {
        (self.0)()
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").finish_non_exhaustive()
    }
}
