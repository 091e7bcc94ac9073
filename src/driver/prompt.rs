//! Writing in the driver's stead, where there is nothing to batch.
//!
//! A REQ sends one message and waits, and so its peer has one reply to send. Waking a task to write it costs more
//! than writing it: a tenth of a lone round trip's instructions, and tens of microseconds where the sender is no
//! task of the runtime. So the waker that such a connection leaves in its outbox does not wake its task, it writes.
//!
//! Wakers are fired when no lock of a socket is held, and the connection's is only tried: whatever does not go at
//! once is left to the task.

use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Wake, Waker};

use super::stream::Connection;

/// A connection that writes when it is woken.
pub(super) struct Prompt {
    connection: Weak<Mutex<Connection>>,
    task: Waker,
}

impl Prompt {
    /// A waker that writes, or wakes the connection's `task`.
    pub(super) fn waker(connection: Weak<Mutex<Connection>>, task: Waker) -> Waker {
        Arc::new(Self { connection, task }).into()
    }

    fn write(&self) -> bool {
        let Some(connection) = self.connection.upgrade() else { return false };
        connection
            .try_lock()
            .is_ok_and(|mut connection| connection.write_now(&mut Context::from_waker(&self.task)))
    }
}

impl Wake for Prompt {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.write() {
            self.task.wake_by_ref();
        }
    }
}
