//! The way into the lane of an in-process peer: a queue with a lock of its own, so that sender and receiver seldom meet.
//!
//! The sender puts messages in one by one, and the receiver takes all of them at one go when it has read the last it had.
//! Each counts what it has moved. The sender looks at the receiver's count only when the lane seems to be full, for a
//! cache line that two cores write for every message costs more than the message.
//!
//! *Tried:* the lane itself under the receiver's lock. On two threads each message of 64 bytes then waited for the
//! other side's, mostly in the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::parcels::Parcels;
use super::{HighWater, Offer};
use crate::message::{Message, Outgoing};
use crate::sync::Short;
use crate::zmtp::{Envelope, Prefix};

/// The sender's end. Its lock is taken under those of sockets, and none under it.
#[derive(Debug)]
pub(crate) struct Inbox {
    entry: Entry,
    left: Left,
}

/// On a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    tail: Short<Tail>,
    /// Messages that entered, as the receiver sees it who need not lock to find nothing. What was announced it sees: the
    /// announcement takes the lock that it holds.
    entered: AtomicUsize,
}

/// What the receiver has taken, from the beginning. The sender may know less of it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Left {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug)]
struct Tail {
    queue: Parcels,
    /// What was put in, from the beginning.
    entered: Count,
    /// What had left when that was last looked at.
    left: Count,
    mark: HighWater,
    /// Keep only the newest message.
    conflate: bool,
    /// Nobody will take what is put in.
    closed: bool,
}

/// Messages and the bytes they take here. They wrap, and only differences mean anything.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    messages: usize,
    bytes: usize,
}

impl Count {
    const fn add(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.wrapping_add(messages);
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    const fn since(self, earlier: Self) -> Self {
        Self {
            messages: self.messages.wrapping_sub(earlier.messages),
            bytes: self.bytes.wrapping_sub(earlier.bytes),
        }
    }
}

impl Tail {
    fn offer(&mut self, left: &Left) -> Offer {
        match () {
            () if self.closed => Offer::Gone,
            () if self.conflate || self.has_room() => Offer::Taken,
            () => {
                self.left = left.load();
                if self.has_room() { Offer::Taken } else { Offer::Full }
            }
        }
    }

    const fn has_room(&self) -> bool {
        let Count { messages, bytes } = self.entered.since(self.left);
        self.mark.room(messages, bytes) > 0
    }

    fn clear(&mut self) {
        let (messages, bytes) = self.queue.clear();
        self.entered = self.entered.since(Count { messages, bytes });
    }
}

impl Left {
    fn load(&self) -> Count {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Count { messages: load(&self.messages), bytes: load(&self.bytes) }
    }

    fn store(&self, count: Count) {
        self.messages.store(count.messages, Ordering::Relaxed);
        self.bytes.store(count.bytes, Ordering::Relaxed);
    }
}

impl Inbox {
    /// Of a lane that is gone.
    pub(crate) fn gone() -> Arc<Self> {
        Arc::clone(Arrivals::new(HighWater::messages(1), false).inbox())
    }

    /// Puts a message in, behind some frames. Says whether the receiver must hear of it: it had taken all before. A
    /// message that is refused is as it was.
    #[inline]
    pub(crate) fn push(&self, prefix: Prefix<'_>, message: &mut Outgoing<'_>) -> Result<bool, Offer> {
        let mut tail = self.entry.tail.lock();
        match tail.offer(&self.left) {
            Offer::Taken => {}
            refusal => return Err(refusal),
        }
        let was_empty = tail.queue.is_empty();
        if tail.conflate {
            tail.clear();
        }
        let number = tail.entered.messages;
        let bytes = tail.queue.push(number, prefix, message);
        tail.entered.add(1, bytes);
        self.entry.entered.store(tail.entered.messages, Ordering::Relaxed);
        Ok(was_empty)
    }

    /// Whether a message would be taken, as far as the sender knows: there may be room by now.
    pub(crate) fn offer(&self) -> Offer {
        self.entry.tail.lock().offer(&self.left)
    }
}

/// The receiver's end. Plain data under the socket's inbound lock, on cache lines of its own: beside something of the
/// sender's, messages of 16 bytes between threads lost a fourth.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Arrivals {
    inbox: Arc<Inbox>,
    /// What was taken out of the inbox.
    front: Parcels,
    left: Count,
}

impl Arrivals {
    pub(super) fn new(mark: HighWater, conflate: bool) -> Self {
        let (entered, left) = (Count::default(), Count::default());
        let tail = Tail { queue: Parcels::default(), entered, left, mark, conflate, closed: false };
        let entry = Entry { tail: Short::new(tail), entered: AtomicUsize::new(0) };
        let inbox = Arc::new(Inbox { entry, left: Left::default() });
        Self { inbox, front: Parcels::default(), left }
    }

    pub(super) const fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// What has arrived and was not taken: messages and bytes.
    pub(super) fn held(&self) -> (usize, usize) {
        let Count { messages, bytes } = self.inbox.entry.tail.lock().entered.since(self.left);
        (messages, bytes)
    }

    /// Whether there is nothing to read. Looks for more when what was taken out has been read.
    #[inline(always)]
    fn is_drained(&mut self) -> bool {
        if !self.front.is_empty() {
            return false;
        }
        if self.inbox.entry.entered.load(Ordering::Relaxed) == self.left.messages {
            return true;
        }
        self.refill();
        self.front.is_empty()
    }

    #[inline(never)]
    fn refill(&mut self) {
        std::mem::swap(&mut self.front, &mut self.inbox.entry.tail.lock().queue);
        self.front.freeze();
    }

    /// Moves the next message to `into`. False: there is none.
    #[inline(always)]
    pub(super) fn pop(&mut self, into: &mut Message) -> bool {
        if self.is_drained() {
            return false;
        }
        let Some(bytes) = self.front.pop(self.left.messages, into) else { return false };
        self.left.add(1, bytes);
        self.inbox.left.store(self.left);
        true
    }

    /// As [`Lane::strip`](super::Lane::strip).
    pub(super) fn strip(&mut self, envelope: Envelope) -> Option<bool> {
        if self.is_drained() {
            return None;
        }
        let (is_stripped, gone) = self.front.strip(self.left.messages, envelope)?;
        self.left.add(0, gone);
        Some(is_stripped)
    }

    /// As [`Lane::open`](super::Lane::open).
    pub(super) fn open(&mut self) -> Option<Envelope> {
        if self.is_drained() {
            return None;
        }
        let (envelope, gone) = self.front.open(self.left.messages)?;
        self.left.add(0, gone);
        Some(envelope)
    }

    /// Sets the mark, and whether only the newest message is kept, of what is held too.
    pub(super) fn limit(&mut self, mark: HighWater, conflate: bool) {
        let mut tail = self.inbox.entry.tail.lock();
        (tail.mark, tail.conflate) = (mark, conflate);
        while conflate && tail.entered.since(self.left).messages > 1 {
            if self.front.is_empty() {
                std::mem::swap(&mut self.front, &mut tail.queue);
            }
            let Some(bytes) = self.front.pop(self.left.messages, &mut Message::new()) else { break };
            self.left.add(1, bytes);
        }
        self.inbox.left.store(self.left);
    }

    /// Nothing more is taken.
    pub(super) fn close(&self) {
        self.inbox.entry.tail.lock().closed = true;
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Of a short frame.
    const HEADER: usize = 2;

    fn arrivals(mark: usize, conflate: bool) -> (Arc<Inbox>, Arrivals) {
        let arrivals = Arrivals::new(HighWater::messages(mark), conflate);
        (Arc::clone(arrivals.inbox()), arrivals)
    }

    fn push(inbox: &Inbox, text: &str) -> Result<bool, Offer> {
        inbox.push(Prefix::NONE, &mut Outgoing::Bytes(text.as_bytes()))
    }

    fn push_made(inbox: &Inbox, text: &str) -> Result<bool, Offer> {
        inbox.push(Prefix::NONE, &mut (&mut Message::from(text)).into())
    }

    fn pop(arrivals: &mut Arrivals) -> Option<String> {
        let mut message = Message::new();
        arrivals.pop(&mut message).then(|| message.to_text())
    }

    #[test]
    fn the_receiver_hears_of_what_comes_after_it_has_taken_all() {
        let (inbox, mut arrivals) = arrivals(9, false);
        assert_eq!(["a", "b"].map(|text| push(&inbox, text)), [Ok(true), Ok(false)]);
        assert_eq!(pop(&mut arrivals).unwrap(), "a");
        assert_eq!(["c", "d"].map(|text| push(&inbox, text)), [Ok(true), Ok(false)]);
        let rest: Vec<_> = std::iter::from_fn(|| pop(&mut arrivals)).collect();
        assert_eq!((rest.concat().as_str(), arrivals.held()), ("bcd", (0, 0)));
    }

    #[test]
    fn what_is_left_in_the_receivers_hands_counts_and_each_one_taken_makes_room() {
        let (inbox, mut arrivals) = arrivals(2, false);
        for text in ["a", "b"] {
            push(&inbox, text).unwrap();
        }
        let mut refused = Message::from("c");
        assert_eq!(inbox.push(Prefix::Frames(&["id".into()]), &mut (&mut refused).into()), Err(Offer::Full));
        assert_eq!((refused.to_text().as_str(), arrivals.held()), ("c", (2, 2 * (HEADER + 1))));
        assert_eq!(pop(&mut arrivals).unwrap(), "a");
        assert_eq!(inbox.push(Prefix::Frames(&["id".into()]), &mut (&mut refused).into()), Ok(true));
        assert_eq!((inbox.offer(), arrivals.held()), (Offer::Full, (2, 3 * HEADER + 4)));
        assert_eq!([(); 2].map(|()| pop(&mut arrivals).unwrap()), ["b", "id c"]);
    }

    #[test]
    fn a_stripped_envelope_is_off_the_count() {
        let (inbox, mut arrivals) = arrivals(9, false);
        let envelope = Envelope::Id(*b"1234");
        for is_expected in [true, false] {
            inbox.push(Prefix::NONE, &mut (&mut Message::from(["1234", "", "body"])).into()).unwrap();
            let is_stripped = match is_expected {
                true => arrivals.strip(envelope) == Some(true),
                false => arrivals.open() == Some(envelope),
            };
            assert!(is_stripped);
            assert_eq!(arrivals.held(), (1, HEADER + 4));
            assert_eq!((pop(&mut arrivals).unwrap().as_str(), arrivals.held()), ("body", (0, 0)));
        }
    }

    #[test]
    fn of_conflated_messages_only_the_newest_is_held() {
        let (inbox, mut arrivals) = arrivals(1, true);
        assert_eq!(["a", "bc", "def"].map(|text| push(&inbox, text)), [Ok(true), Ok(false), Ok(false)]);
        assert_eq!(arrivals.held(), (1, HEADER + 3));
        assert_eq!((pop(&mut arrivals).unwrap().as_str(), pop(&mut arrivals)), ("def", None));
        // Large ones are moved and small ones are not, and they are of one order.
        let large = "x".repeat(1000);
        for newest in [&large, "small", &large] {
            for text in ["a", &large, "b", newest] {
                push_made(&inbox, text).unwrap();
            }
            assert_eq!((pop(&mut arrivals).unwrap().as_str(), pop(&mut arrivals)), (newest, None));
        }
        assert_eq!(arrivals.held(), (0, 0));
    }

    #[test]
    fn a_lane_that_is_to_conflate_from_now_on_keeps_the_newest() {
        let (inbox, mut arrivals) = arrivals(9, false);
        for text in ["a", "b", "c"] {
            push(&inbox, text).unwrap();
        }
        assert_eq!(pop(&mut arrivals).unwrap(), "a");
        push(&inbox, "de").unwrap();
        arrivals.limit(HighWater::messages(9), true);
        assert_eq!(arrivals.held(), (1, HEADER + 2));
        assert_eq!((pop(&mut arrivals).unwrap().as_str(), pop(&mut arrivals)), ("de", None));
        arrivals.limit(HighWater::messages(9), false);
        let large = "x".repeat(1000);
        for text in ["a", &large, "b", &large, "c", &large] {
            push_made(&inbox, text).unwrap();
        }
        assert_eq!(pop(&mut arrivals).unwrap(), "a");
        arrivals.limit(HighWater::messages(9), true);
        assert_eq!((pop(&mut arrivals), pop(&mut arrivals), arrivals.held()), (Some(large), None, (0, 0)));
    }

    #[test]
    fn nothing_is_taken_by_a_lane_that_is_gone() {
        let (inbox, mut arrivals) = arrivals(9, false);
        push(&inbox, "last").unwrap();
        arrivals.close();
        assert_eq!((push(&inbox, "late"), pop(&mut arrivals).unwrap().as_str()), (Err(Offer::Gone), "last"));
        let (inbox, arrivals) = self::arrivals(9, false);
        drop(arrivals);
        assert_eq!((inbox.offer(), Inbox::gone().offer()), (Offer::Gone, Offer::Gone));
    }

    #[test]
    fn between_threads_everything_arrives_once_in_order_and_never_more_is_held_than_the_mark() {
        const COUNT: usize = 100_000;
        /// Some of those that are moved.
        fn text(number: usize) -> String {
            if number.is_multiple_of(7) { format!("{number:600}") } else { number.to_string() }
        }
        let (inbox, mut arrivals) = arrivals(16, false);
        let sender = thread::spawn(move || {
            for number in 0..COUNT {
                while push_made(&inbox, &text(number)).is_err() {
                    thread::yield_now();
                }
            }
        });
        for number in 0..COUNT {
            let received = loop {
                assert!(arrivals.held().0 <= 16);
                match pop(&mut arrivals) {
                    Some(received) => break received,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(received, text(number));
        }
        sender.join().unwrap();
    }
}
