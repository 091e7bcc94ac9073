//! Tells a driver that was woken whether its outbox has something to say, without the socket's lock.
//!
//! Most wake-ups come from the kernel. Looking into the outbox at each of them cost a lone round trip one lock in
//! eleven, and a busy receiver the lock that its senders want.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rung under the socket's lock, after what it is rung for and before the driver is woken; heard without. Clones
/// are the same bell. A new one has rung, so that the driver looks at least once.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<AtomicBool>);

impl Default for Bell {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it rang since the last time this said so. If it rings again before the driver has looked, what it
    /// rings for is found all the same.
    pub(crate) fn has_rung(&self) -> bool {
        let rung = self.0.load(Ordering::Acquire);
        if rung {
            self.0.store(false, Ordering::Relaxed);
        }
        rung
    }
}
