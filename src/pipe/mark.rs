//! High-water marks: how much one queue may hold.

/// The most that one peer's queue may hold, in one direction: a number of messages and a number of bytes.
///
/// A queue takes messages while it is below both marks, so an empty queue takes any message, and a send queue is at most
/// one message above its byte mark; a receive queue is at most one message or one read (64 KiB) above it. A connection
/// to or from a REQ may be writing one message besides. The default is 1000 messages, as in libzmq, and 64 MiB: a
/// thousand messages of 64 KiB, beyond which a forgotten peer costs memory rather than buffers a burst.
///
/// # Examples
///
/// ```
/// use zocket::HighWater;
///
/// let mark = HighWater::messages(10);
/// assert_eq!(mark.max_messages(), 10);
/// let unbounded_count = HighWater::default().without_messages_limit();
/// assert_eq!(unbounded_count.max_bytes(), 64 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HighWater {
    messages: usize,
    bytes: usize,
}

impl HighWater {
    /// At most `messages` whole messages (at least 1), and 64 MiB.
    #[must_use]
    pub const fn messages(messages: usize) -> Self {
        Self { messages: if messages == 0 { 1 } else { messages }, bytes: 64 << 20 }
    }

    /// With another limit in bytes. Frame headers count: 2 bytes a frame up to 255 bytes long, else 9.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { messages: self.messages, bytes }
    }

    /// Any number of messages; the byte mark alone decides.
    #[must_use]
    pub const fn without_messages_limit(self) -> Self {
        Self { messages: usize::MAX, bytes: self.bytes }
    }

    /// The mark in whole messages.
    #[must_use]
    pub const fn max_messages(self) -> usize {
        self.messages
    }

    /// The mark in bytes.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        self.bytes
    }

    /// Both marks of two queues in a row: what an in-process pipe may hold.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// How many messages a queue of this size may still take.
    pub(crate) const fn room(self, messages: usize, bytes: usize) -> usize {
        if bytes >= self.bytes { 0 } else { self.messages.saturating_sub(messages) }
    }

    /// Whether a queue that was full has drained enough to be worth refilling: half of each mark, libzmq's
    /// choice, so that a waiting side wakes once per half queue and not once per message.
    pub(crate) const fn is_low(self, messages: usize, bytes: usize) -> bool {
        messages <= self.messages / 2 && bytes <= self.bytes / 2
    }
}

impl Default for HighWater {
    fn default() -> Self {
        Self::messages(1000)
    }
}
